// SPDX-License-Identifier: MIT OR Apache-2.0
//! The generations of a running forwarder: which number a table gets, and how it reaches every worker.
//!
//! One reload or patch at a time builds and publishes; others queue. Whoever only wants to look never waits for a reload:
//! numbers come from [`Generations::running`], lookups from a reader of control's own, which every publication moves on
//! at once so that it never holds a table back. A look that wants the document waits for a patch that is being made.

mod keep;
mod next_hops;
mod number;
mod patch;
mod reload;
mod rollback;
mod shadow;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockWriteGuard};
use std::time::{Duration, Instant, SystemTime};

use tables::generation::{Epoch, Late, pause};
use tables::impact::Census;
use tables::table::{Compiler, Reclaim, Viewpoint};
use tables::{Fault, Faults, Publisher, Reader, Source};

pub(super) use self::next_hops::Published;
pub use self::patch::{PatchError, Patched};
pub use self::reload::{Options, ReloadError, Reloaded};
pub use self::shadow::Beside;
use super::guards::Guards;
use super::kept::Kept;
use super::load::Loading;
use super::metrics::destinations::{DestinationTraffic, Destinations};
use super::next_hops::Underlay;
use crate::counters::Traffic;
use crate::settings::Settings;
use crate::state::ForwardingState;

/// How long a worker may take to be seen on a new generation. It looks once a burst, some microseconds apart.
pub(super) const PATIENCE: Duration = Duration::from_secs(5);

/// The number of the first generation if its document has none.
pub const FIRST_GENERATION: u64 = 1;

/// What the workers forward by. All of it is known without a look at the whole table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Running {
    /// The table's generation.
    pub generation: u64,
    /// Patches applied since.
    pub revision: u64,
    /// When the generation was published.
    pub since: SystemTime,
    /// Data centres in the document.
    pub datacenters: usize,
    /// Servers in the document.
    pub servers: usize,
    /// Egress prefixes in the document.
    pub prefixes: usize,
    /// Servers that packets may be sent to, counted once for each previous owner.
    pub targets: usize,
    /// Other data centres that packets may be sent to.
    pub remotes: usize,
}

/// A table that was read and compiled, with what makes the tables after it.
pub struct Loaded {
    /// What it was made of.
    pub source: Source,
    /// Has made it, and makes those that follow by patches.
    pub compiler: Compiler,
    /// What to forward by.
    pub state: ForwardingState,
}

impl Loaded {
    /// Compiles `source`.
    pub fn new(source: Source, generation: u64, viewpoint: &Viewpoint, settings: &Settings) -> Result<Self, Faults> {
        let (compiler, state) = ForwardingState::first(&source, generation, viewpoint, settings)?;
        Ok(Self { source, compiler, state })
    }
}

/// The first fault, and how many there are beside it: one line.
pub fn summary(faults: &Faults) -> String {
    let first = faults.0.first().map(Fault::to_string).unwrap_or_default();
    match faults.0.len() {
        0 | 1 => first,
        2 => format!("{first} (and 1 more fault)"),
        n => format!("{first} (and {} more faults)", n - 1),
    }
}

/// Builds, numbers and publishes tables.
pub struct Generations {
    viewpoint: Viewpoint,
    settings: Arc<Settings>,
    workers: usize,
    guards: Guards,
    kept: Option<Arc<Kept>>,
    /// Held while a kept table is compiled to be looked at.
    looking_back: Mutex<()>,
    /// Where next hops come from, unless the configuration has them.
    underlay: Option<Arc<Underlay>>,
    line: Mutex<Line>,
    // Taken in this order, and after the line.
    /// What the running table was made of. Changed by the holder of the line alone.
    source: RwLock<Source>,
    /// Apart from the line, which is held while a table is read: next hops don't wait for that.
    publisher: Mutex<Publisher<ForwardingState>>,
    running: Mutex<Running>,
    loading: Loading,
    view: Mutex<Reader<ForwardingState>>,
    destinations: Mutex<Destinations>,
}

/// What makes one table after the other: whoever changes what runs holds it.
struct Line {
    compiler: Compiler,
    /// What patches have left behind that some worker may still read.
    left_behind: Vec<Reclaim>,
    /// Of the source.
    census: Census,
    /// Digest of the source, if somebody has asked for it.
    digest: Option<u128>,
    /// A patch has begun to change the source and has not come to an end.
    torn: bool,
    /// When the running table was published.
    published: Instant,
}

impl Generations {
    /// Begins with `loaded`. At most `with_metrics` destinations have metrics of their own. One reader for each worker comes with it.
    pub fn new(
        loaded: Loaded,
        viewpoint: Viewpoint,
        settings: Arc<Settings>,
        workers: usize,
        with_metrics: usize,
    ) -> (Self, Vec<Reader<ForwardingState>>) {
        let Loaded { source, compiler, state } = loaded;
        let running = describe(&source, &state, SystemTime::now());
        let destinations = Destinations::new(with_metrics, &state);
        let (publisher, mut readers) = Publisher::new(Box::new(state), workers + 1);
        let Some(view) = readers.pop() else { unreachable!("a publisher has the readers it was asked for") };
        let census = Census::of(&source);
        let generations = Self {
            viewpoint,
            settings,
            workers,
            guards: Guards::default(),
            kept: None,
            looking_back: Mutex::default(),
            underlay: None,
            line: Mutex::new(Line {
                compiler,
                left_behind: Vec::new(),
                census,
                digest: None,
                torn: false,
                published: Instant::now(),
            }),
            source: RwLock::new(source),
            publisher: Mutex::new(publisher),
            running: Mutex::new(running),
            loading: Loading::default(),
            view: Mutex::new(view),
            destinations: Mutex::new(destinations),
        };
        (generations, readers)
    }

    /// How much of the table has been read that is being loaded, in bytes, and how much there is.
    pub fn loading(&self) -> Option<(u64, u64)> {
        self.loading.so_far()
    }

    /// Lets other guards than the usual ones judge changes, and keeps what is accepted.
    pub fn with(self, guards: Guards, kept: Option<Arc<Kept>>) -> Self {
        Self { guards, kept, ..self }
    }

    /// What runs now.
    pub fn running(&self) -> Running {
        lock(&self.running).clone()
    }

    /// What was sent to each destination, and to those without metrics of their own.
    pub fn destinations(&self) -> (Vec<DestinationTraffic>, Traffic) {
        lock(&self.destinations).read()
    }

    /// Looks at the newest state. Short looks only: a publication waits for them.
    pub fn look<T>(&self, look: impl FnOnce(&ForwardingState) -> T) -> T {
        look(lock(&self.view).current())
    }

    /// The same, with the document of that state.
    pub fn look_with_source<T>(&self, look: impl FnOnce(&ForwardingState, &Source) -> T) -> T {
        let source = self.source.read().unwrap_or_else(PoisonError::into_inner);
        self.look(|state| look(state, &source))
    }

    fn write(&self) -> RwLockWriteGuard<'_, Source> {
        self.source.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// The digest of what runs, patches included. It takes long for a large table, so it is not made before it is needed.
    fn digest(&self, line: &mut Line) -> u128 {
        let digest = || self.source.read().unwrap_or_else(PoisonError::into_inner).digest();
        *line.digest.get_or_insert_with(digest)
    }

    /// Publishes a state that was made of `source`, which the caller keeps others from reading meanwhile.
    fn show(&self, line: &mut Line, source: &Source, state: ForwardingState) -> Epoch {
        let mut publisher = lock(&self.publisher);
        let hops = self.next_hops(&state, publisher.current());
        let state = state.with_hops(hops);
        let mut running = lock(&self.running);
        // A patch makes no new generation.
        let since = if state.revision == 0 { SystemTime::now() } else { running.since };
        let description = describe(source, &state, since);
        lock(&self.destinations).add(&state);
        line.published = Instant::now();
        let epoch = publisher.publish(Box::new(state));
        *running = description;
        drop((running, publisher));
        self.look(|_| ());
        epoch
    }

    /// Waits until every worker forwards by what was published; then what patches left behind is free again. How long that
    /// took from the publication on, and which workers are late, if any are.
    fn wait(&self, line: &mut Line, epoch: Epoch) -> (Duration, Result<(), Vec<usize>>) {
        let waited = self.wait_for(epoch, PATIENCE);
        let swap = line.published.elapsed();
        let late = |late: Late| late.0.into_iter().filter(|reader| *reader < self.workers).collect();
        (swap, waited.map_err(late).map(|()| self.tidy(line)))
    }

    /// Waits until every reader has been seen on `epoch`, and frees what was before. Others may publish meanwhile: nobody waits for a
    /// worker that stands still, or for a large table to be freed, but who wants that very table to be seen.
    fn wait_for(&self, epoch: Epoch, patience: Duration) -> Result<(), Late> {
        let start = Instant::now();
        loop {
            let waited = start.elapsed();
            // The lock is given back before anything is freed, which happens at the end of an arm.
            let polled = lock(&self.publisher).poll(epoch);
            match polled {
                Ok(_passed) => return Ok(()),
                Err(late) if waited >= patience => return Err(late),
                Err(_) => pause(waited),
            }
        }
    }

    /// Nobody looks at what was before any more.
    fn tidy(&self, line: &mut Line) {
        lock(&self.destinations).settle();
        line.left_behind.drain(..).for_each(|left| line.compiler.reclaim(left));
    }
}

fn describe(source: &Source, state: &ForwardingState, since: SystemTime) -> Running {
    Running {
        generation: state.generation,
        revision: state.revision,
        since,
        datacenters: source.datacenters().len(),
        servers: source.servers().len(),
        prefixes: source.entries().len(),
        targets: state.table.targets().len(),
        remotes: state.table.remotes().len(),
    }
}

/// Locks; a panic of another holder leaves nothing half done behind, since all of them only replace whole values, or say
/// beforehand that they do not ([`Line::torn`]).
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;

    #[test]
    fn a_worker_that_stands_still_keeps_nobody_from_publishing() {
        let settings = testing::settings();
        let loaded = Loaded::new(testing::table("lhr-1"), 1, &testing::viewpoint(), &settings).unwrap();
        let (generations, mut readers) = Generations::new(loaded, testing::viewpoint(), Arc::new(settings), 1, 0);
        generations.look(|_| ());
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| generations.wait_for(1, PATIENCE));
            std::thread::sleep(Duration::from_millis(50));
            drop(lock(&generations.publisher));
            assert!(!waiting.is_finished(), "the lock was had while it waits");
            readers[0].current();
            assert_eq!(waiting.join().unwrap(), Ok(()));
        });
    }
}
