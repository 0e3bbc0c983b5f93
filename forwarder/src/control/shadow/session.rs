// SPDX-License-Identifier: MIT OR Apache-2.0
//! One shadow from its beginning to its end.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use rtrb::Consumer;
use tables::Source;
use tables::table::Compiler;

use super::Pairs;
use crate::control::forwarder::Forwarder;
use crate::control::generations::{Generations, Loaded, PATIENCE, lock};
use crate::control::names::Names;
use crate::control::peer::Peer;
use crate::control::report::{self, ShadowReport, ShadowSummary, ShadowTraffic};
use crate::counters::Traffic;
use crate::shadow::{Change, Kind, Scout, Tallies};
use crate::state::ForwardingState;
use crate::worker::Shared;

/// Between two looks into the workers' rings.
const REST: Duration = Duration::from_millis(20);

/// A table that may be published.
pub struct Candidate {
    /// Where it is from.
    pub from: String,
    /// What it was made of.
    pub source: Source,
    /// What packets are held against.
    pub state: Arc<ForwardingState>,
    compiler: Compiler,
}

impl Candidate {
    pub(super) fn new(loaded: Loaded, from: String) -> Self {
        let Loaded { source, compiler, state } = loaded;
        Self { from, source, state: Arc::new(state), compiler }
    }
}

/// A candidate that no shadow has any more.
pub struct Surrendered {
    /// What it was made of.
    pub source: Source,
    /// What was made of it, unless some worker is late and still looks at it.
    pub compiled: Option<(Compiler, ForwardingState)>,
}

/// A shadow and what was seen of it.
pub struct Session {
    peer: Peer,
    from: String,
    generation: u64,
    since: SystemTime,
    every: u64,
    obstacle: Option<String>,
    workers: Vec<Arc<Shared>>,
    tallies: Vec<Arc<Tallies>>,
    candidate: Mutex<Option<Candidate>>,
    seen: Mutex<Seen>,
    /// Every worker has let go.
    ended: Condvar,
}

#[derive(Default)]
struct Seen {
    pairs: Pairs,
    /// Packets that are in no pair.
    unpaired: u64,
    is_ended: bool,
}

impl Session {
    pub(super) fn begin(
        forwarder: &Forwarder,
        peer: Peer,
        candidate: Candidate,
        obstacle: Option<String>,
        every: u64,
    ) -> std::io::Result<Arc<Self>> {
        let settings = forwarder.settings();
        let state = Arc::clone(&candidate.state);
        let names = Names::of(&state);
        let (mut scouts, mut tallies, mut rings) = (Vec::new(), Vec::new(), Vec::new());
        for _ in forwarder.workers() {
            let (scout, tally, ring) = Scout::new(Arc::clone(&state), Arc::clone(settings), every);
            scouts.push(scout);
            tallies.push(tally);
            rings.push(ring);
        }
        let session = Arc::new(Self {
            peer,
            from: candidate.from.clone(),
            generation: candidate.state.generation,
            since: SystemTime::now(),
            every,
            obstacle,
            workers: forwarder.workers().to_vec(),
            tallies,
            candidate: Mutex::new(Some(candidate)),
            seen: Mutex::default(),
            ended: Condvar::new(),
        });
        let (watched, generations) = (Arc::clone(&session), Arc::clone(forwarder.generations()));
        let watch = move || watched.watch(rings, state, &names, &generations);
        thread::Builder::new().name("shadow".to_owned()).spawn(watch)?;
        for (worker, scout) in forwarder.workers().iter().zip(scouts) {
            worker.scout.post(scout);
        }
        Ok(session)
    }

    /// The generation that it would be.
    pub(super) fn generation(&self) -> u64 {
        self.generation
    }

    /// Where it is from.
    pub(super) fn from(&self) -> &str {
        &self.from
    }

    /// Waits until every worker looks: whoever is told that it began expects the next packet to be seen. A worker that hangs is
    /// found out elsewhere.
    pub(super) fn wait(&self) {
        let deadline = Instant::now() + PATIENCE;
        while !self.workers.iter().all(|worker| worker.scout.is_empty()) && Instant::now() < deadline {
            thread::sleep(Duration::from_millis(1));
        }
    }

    /// The table, if nobody is about to publish or to discard it.
    pub(super) fn try_candidate(&self) -> Option<MutexGuard<'_, Option<Candidate>>> {
        self.candidate.try_lock().ok()
    }

    /// Whether it was surrendered.
    pub(super) fn is_surrendered(&self) -> bool {
        self.candidate().is_none()
    }

    /// The table, unless it was surrendered.
    pub(in crate::control) fn candidate(&self) -> MutexGuard<'_, Option<Candidate>> {
        lock(&self.candidate)
    }

    /// Gathers what the workers tell until all of them have let go of `state`, so that none of them is the one to free it.
    fn watch(
        &self,
        mut rings: Vec<Consumer<Change>>,
        state: Arc<ForwardingState>,
        shadow: &Names,
        generations: &Generations,
    ) {
        let mut running = Names::new(generations);
        loop {
            // Before the last look, so that nothing comes behind it.
            let is_ended = rings.iter().all(Consumer::is_abandoned);
            if rings.iter().any(|ring| ring.slots() > 0) {
                let now = generations.running();
                running.refresh(generations, (now.generation, now.revision));
            }
            let mut seen = lock(&self.seen);
            // What is there now: no worker keeps the others waiting.
            for ring in &mut rings {
                for change in (0..ring.slots()).map_while(|_| ring.pop().ok()) {
                    if !seen.pairs.add(&change, &running, shadow) {
                        seen.unpaired += 1;
                    }
                }
            }
            drop(seen);
            if is_ended {
                break;
            }
            thread::sleep(REST);
        }
        drop(state);
        lock(&self.seen).is_ended = true;
        self.ended.notify_all();
    }

    /// Takes it away from the workers; what may be published.
    pub(in crate::control) fn surrender(&self, candidate: Candidate) -> Surrendered {
        let Candidate { source, state, compiler, .. } = candidate;
        self.tallies.iter().for_each(|tallies| tallies.end());
        self.workers.iter().for_each(|worker| worker.scout.withdraw());
        let waited = self.ended.wait_timeout_while(lock(&self.seen), PATIENCE, |seen| !seen.is_ended);
        drop(waited.unwrap_or_else(PoisonError::into_inner));
        Surrendered { source, compiled: Arc::into_inner(state).map(|state| (compiler, state)) }
    }

    /// Which it is.
    pub(super) fn summary(&self) -> ShadowSummary {
        let since = report::timestamp(self.since);
        ShadowSummary { generation: self.generation, from: self.from.clone(), since }
    }

    /// What was seen so far.
    pub(super) fn report(&self) -> ShadowReport {
        let read = |kind| self.tallies.iter().map(|tallies| tallies.read(kind)).fold(Traffic::default(), Traffic::plus);
        let kinds = Kind::ALL.map(|kind| (kind, read(kind)));
        let total = kinds.iter().fold(Traffic::default(), |sum, (_, traffic)| sum.plus(*traffic));
        let seen = lock(&self.seen);
        let (pairs, more_pairs) = seen.pairs.report();
        let lost: u64 = self.tallies.iter().map(|tallies| tallies.lost()).sum();
        ShadowReport {
            generation: self.generation,
            from: self.from.clone(),
            by: self.peer.to_string(),
            since: report::timestamp(self.since),
            sample: self.every,
            packets: total.packets,
            bytes: total.bytes,
            kinds: kinds
                .into_iter()
                .map(|(kind, traffic)| (kind.name().to_owned(), ShadowTraffic::from(traffic)))
                .collect(),
            pairs,
            more_pairs,
            unpaired: seen.unpaired + lost,
            obstacle: self.obstacle.clone(),
            preview: None,
        }
    }
}
