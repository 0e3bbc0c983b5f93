// SPDX-License-Identifier: MIT OR Apache-2.0
//! The generations of a running forwarder: which number a table gets, and how it reaches every worker.
//!
//! One reload at a time builds and publishes; others queue. Whoever only wants to look never waits for it: numbers come
//! from [`Generations::running`], lookups from a reader of control's own, which every publication moves on at once so
//! that it never holds a table back.

use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use tables::table::Viewpoint;
use tables::{Fault, Faults, Prefix, Publisher, Reader, Source};

use super::load::Document;
use crate::settings::Settings;
use crate::state::ForwardingState;

/// How long a worker may take to be seen on a new generation. It looks once a burst, some microseconds apart.
const PATIENCE: Duration = Duration::from_secs(5);

/// The largest generation (contract section 3).
const LAST_GENERATION: u64 = i64::MAX as u64;

/// The number of the first generation if its document has none.
pub const FIRST_GENERATION: u64 = 1;

/// What the workers forward by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Running {
    /// The table's generation.
    pub generation: u64,
    /// Patches applied since.
    pub revision: u64,
    /// Digest of the document, without its generation.
    pub digest: u128,
    /// When it was published.
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
    /// Bytes of the compiled table.
    pub bytes: usize,
}

/// How a reload is to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Options {
    /// Stop before publishing.
    pub dry_run: bool,
    /// Take any generation.
    pub force: bool,
}

/// What a reload did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reloaded {
    /// The generation that ran before.
    pub previous: u64,
    /// The generation that runs now, or would after a dry run.
    pub generation: u64,
    /// Whether a new table was published, or would be.
    pub changed: bool,
    /// Whether the rule of generations was overridden.
    pub forced: bool,
    /// Reading and validating.
    pub parse: Duration,
    /// Compiling.
    pub build: Duration,
    /// From publishing until the last worker was seen on it and the old table was freed.
    pub swap: Duration,
}

/// Why a reload did not end well.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReloadError {
    /// The table was refused; nothing changed.
    #[error("{document} was refused: {}; generation {running} keeps forwarding", summary(faults))]
    Refused {
        /// What was to be loaded.
        document: String,
        /// Every fault.
        faults: Faults,
        /// The generation that keeps forwarding.
        running: u64,
    },
    /// The table is published, but some workers have not been seen on it.
    #[error("generation {generation} is published, but not seen at worker {workers:?} after {} s; \
             check whether it still runs (sluice status)", PATIENCE.as_secs())]
    Late {
        /// The new generation.
        generation: u64,
        /// The workers.
        workers: Vec<usize>,
    },
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
    publisher: Mutex<Publisher<ForwardingState>>,
    view: Mutex<Reader<ForwardingState>>,
    running: Mutex<Running>,
    /// What the running table was made of.
    source: Mutex<Source>,
}

impl Generations {
    /// Begins with `state`, which was made of `source`. One reader for each worker comes with it.
    pub fn new(
        source: Source,
        state: ForwardingState,
        viewpoint: Viewpoint,
        settings: Arc<Settings>,
        workers: usize,
    ) -> (Self, Vec<Reader<ForwardingState>>) {
        let running = describe(&source, &state);
        let (publisher, mut readers) = Publisher::new(Box::new(state), workers + 1);
        let Some(view) = readers.pop() else { unreachable!("a publisher has the readers it was asked for") };
        let generations = Self {
            viewpoint,
            settings,
            workers,
            publisher: Mutex::new(publisher),
            view: Mutex::new(view),
            running: Mutex::new(running),
            source: Mutex::new(source),
        };
        (generations, readers)
    }

    /// What runs now.
    pub fn running(&self) -> Running {
        lock(&self.running).clone()
    }

    /// The longest prefix of the running table around an address.
    pub fn prefix_around(&self, address: IpAddr) -> Option<Prefix> {
        lock(&self.source).prefix_around(address)
    }

    /// Looks at the newest state. Short looks only: a publication waits for them.
    pub fn look<T>(&self, look: impl FnOnce(&ForwardingState) -> T) -> T {
        look(lock(&self.view).current())
    }

    /// Reads, validates, compiles and publishes a table; returns when every worker forwards by it.
    pub fn reload(&self, document: Document<'_>, options: Options) -> Result<Reloaded, ReloadError> {
        let mut publisher = lock(&self.publisher);
        let running = self.running();
        let refused =
            |faults| ReloadError::Refused { document: document.to_string(), faults, running: running.generation };

        let start = Instant::now();
        let source = document.read().map_err(refused)?;
        let parse = start.elapsed();

        let step = next(&running, source.generation(), source.digest(), options.force);
        let mut reloaded = Reloaded {
            previous: running.generation,
            generation: running.generation,
            changed: false,
            forced: options.force && next(&running, source.generation(), source.digest(), false) != step,
            parse,
            build: Duration::ZERO,
            swap: Duration::ZERO,
        };
        let number = match step {
            Step::Nothing => return Ok(reloaded),
            Step::Publish(number) => Ok(number),
            Step::Refuse(message) => Err(Fault { path: "generation".to_owned(), message }),
        };

        let start = Instant::now();
        let state = self.build(&source, number).map_err(refused)?;
        reloaded.build = start.elapsed();
        reloaded.generation = state.generation;
        reloaded.changed = true;
        if options.dry_run {
            return Ok(reloaded);
        }

        let description = describe(&source, &state);
        let start = Instant::now();
        let epoch = publisher.publish(Box::new(state));
        *lock(&self.running) = description;
        *lock(&self.source) = source;
        self.look(|_| ());
        let waited = publisher.wait(epoch, PATIENCE);
        reloaded.swap = start.elapsed();
        match waited {
            Ok(()) => Ok(reloaded),
            Err(late) => {
                let workers = late.0.into_iter().filter(|reader| *reader < self.workers).collect();
                Err(ReloadError::Late { generation: reloaded.generation, workers })
            }
        }
    }

    /// Compiles `source`; the faults are that of its number and those of this forwarder together.
    fn build(&self, source: &Source, number: Result<u64, Fault>) -> Result<ForwardingState, Faults> {
        let generation = number.as_ref().map_or(0, |number| *number);
        let built = ForwardingState::build(source, generation, &self.viewpoint, &self.settings);
        match (number, built) {
            (Ok(_), built) => built,
            (Err(fault), Ok(_)) => Err(Faults(vec![fault])),
            (Err(fault), Err(Faults(others))) => Err(Faults(std::iter::once(fault).chain(others).collect())),
        }
    }
}

fn describe(source: &Source, state: &ForwardingState) -> Running {
    Running {
        generation: state.generation,
        revision: state.revision,
        digest: source.digest(),
        since: SystemTime::now(),
        datacenters: source.datacenters().len(),
        servers: source.servers().len(),
        prefixes: source.entries().len(),
        targets: state.table.targets().len(),
        remotes: state.table.remotes().len(),
        bytes: state.table.size(),
    }
}

/// What to do with a table.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Step {
    /// It runs already.
    Nothing,
    /// Publish it under this number.
    Publish(u64),
    /// Its number is wrong.
    Refuse(String),
}

/// The rule of generations (contract section 3). A document without a number is always published, under the next one.
fn next(running: &Running, given: Option<u64>, digest: u128, force: bool) -> Step {
    let now = running.generation;
    match given {
        None if now == LAST_GENERATION => {
            Step::Refuse(format!("there is no number after {now}; give the document one and use --force"))
        }
        None => Step::Publish(now + 1),
        Some(given) if force || given > now => Step::Publish(given),
        Some(given) if given == now && digest == running.digest => Step::Nothing,
        Some(given) if given == now => Step::Refuse(format!(
            "{given} runs already, with other content; raise the generation, or use --force to replace it"
        )),
        Some(given) => Step::Refuse(format!(
            "{given} is lower than the running generation {now}; raise it, or use --force to go back"
        )),
    }
}

/// Locks; a panic of another holder leaves nothing half done behind, since all of them only replace whole values.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn running(generation: u64) -> Running {
        Running {
            generation,
            revision: 0,
            digest: 7,
            since: SystemTime::UNIX_EPOCH,
            datacenters: 0,
            servers: 0,
            prefixes: 0,
            targets: 0,
            remotes: 0,
            bytes: 0,
        }
    }

    #[test]
    fn a_greater_number_is_published() {
        assert_eq!(next(&running(42), Some(43), 7, false), Step::Publish(43));
        assert_eq!(next(&running(42), Some(43), 8, false), Step::Publish(43));
        assert_eq!(next(&running(0), Some(LAST_GENERATION), 8, false), Step::Publish(LAST_GENERATION));
    }

    #[test]
    fn the_same_number_means_the_same_content() {
        assert_eq!(next(&running(42), Some(42), 7, false), Step::Nothing);
        assert!(matches!(next(&running(42), Some(42), 8, false), Step::Refuse(text) if text.contains("42")));
    }

    #[test]
    fn a_lower_number_is_refused() {
        assert!(matches!(next(&running(42), Some(41), 7, false), Step::Refuse(text) if text.contains("lower")));
    }

    #[test]
    fn force_takes_any_number() {
        for given in [0, 41, 42, 43] {
            assert_eq!(next(&running(42), Some(given), 7, true), Step::Publish(given));
        }
    }

    #[test]
    fn without_a_number_the_forwarder_counts_on() {
        assert_eq!(next(&running(42), None, 7, false), Step::Publish(43));
        assert_eq!(next(&running(42), None, 8, true), Step::Publish(43));
        assert!(matches!(next(&running(LAST_GENERATION), None, 8, false), Step::Refuse(_)));
    }
}
