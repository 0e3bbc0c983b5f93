// SPDX-License-Identifier: MIT OR Apache-2.0
//! The thread that keeps next hops as the kernel has them.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::mpsc::Sender;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use netlink_packet_route::AddressFamily;

use super::Underlay;
use super::kernel::Place;
use super::netlink::{Changes, Netlink};
use super::requests::{self, Requests};
use crate::control::affinity::ControlCores;
use crate::control::daemon::Event;
use crate::control::forwarder::Forwarder;
use crate::control::generations::{Generations, Published, lock};
use crate::control::limited::Limited;
use crate::control::threads;
use crate::pipeline::narrow::TooNarrow;

/// How long the follower waits for the kernel at most: as long a report of a narrow path can wait for it.
const IDLE: Duration = Duration::from_millis(50);
/// Between two looks at whether neighbours are wanted, unless something changes.
const LOOK: Duration = Duration::from_millis(250);
/// After a publication, so that workers spend no time on them worth speaking of.
const BREATH: Duration = Duration::from_millis(1);
/// After one that a worker was not seen on: what is published meanwhile can't be freed.
const STUCK: Duration = Duration::from_secs(1);
/// Between two lines in the log about what can't be reached.
const QUIET: Duration = Duration::from_secs(1);

/// Who can send us packets can make these lines.
static NARROWED: Limited = Limited::new(10, Duration::from_secs(10));

/// Follows the kernel.
pub(in crate::control) struct Follower {
    netlink: Netlink,
    reports: Vec<rtrb::Consumer<TooNarrow>>,
    interfaces: Pace,
    routes4: Pace,
    routes6: Pace,
    neighbours: Pace,
    requests: Requests,
    looked: Instant,
    /// What the log said last of what can't be reached, if anything can't, and when.
    told: Option<(Option<String>, Instant)>,
    /// The kernel has refused a request, so datagrams have to do.
    was_refused: bool,
}

/// A follower at work. Dropped, it ends.
pub(in crate::control) struct Following {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Drop for Following {
    fn drop(&mut self) {
        self.stop.store(true, Relaxed);
        // A panic has been an event.
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

/// When something is read again: once it has changed, but so that reading takes no more than a fifth of the time.
#[derive(Debug, Clone, Copy)]
struct Pace {
    has_changed: bool,
    not_before: Instant,
}

impl Pace {
    /// Whether it is time.
    fn is_due(self, now: Instant) -> bool {
        self.has_changed && now >= self.not_before
    }

    /// How long until it is, if it is to be read.
    fn wait(self, now: Instant) -> Option<Duration> {
        self.has_changed.then(|| self.not_before.saturating_duration_since(now))
    }

    /// Reads it by `read`, which began now; an error leaves it to be read again.
    fn read<T>(&mut self, read: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
        let start = Instant::now();
        let result = read();
        let end = Instant::now();
        (self.has_changed, self.not_before) = (result.is_err(), end + (end - start) * 4);
        result
    }
}

impl Follower {
    pub(super) fn open(reports: Vec<rtrb::Consumer<TooNarrow>>) -> io::Result<Self> {
        let unread = Pace { has_changed: true, not_before: Instant::now() };
        Ok(Self {
            netlink: Netlink::open()?,
            reports,
            interfaces: unread,
            routes4: unread,
            routes6: unread,
            neighbours: unread,
            requests: Requests::default(),
            looked: Instant::now(),
            told: None,
            was_refused: false,
        })
    }

    /// Follows on a thread of its own until the result is dropped.
    pub(in crate::control) fn start(
        mut self,
        underlay: Arc<Underlay>,
        forwarder: Arc<Forwarder>,
        cores: &ControlCores,
        events: &Sender<Event>,
    ) -> io::Result<Following> {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let follow = move || {
            while !stopped.load(Relaxed) {
                self.round(&underlay, &forwarder);
            }
        };
        let thread = threads::spawn("next-hops", cores, events, follow)?;
        Ok(Following { stop, thread: Some(thread) })
    }

    fn round(&mut self, underlay: &Underlay, forwarder: &Forwarder) {
        let generations = forwarder.generations();
        let now = Instant::now();
        let paces = [self.interfaces, self.routes4, self.routes6, self.neighbours];
        let timeout = paces.into_iter().filter_map(|pace| pace.wait(now)).min().unwrap_or(IDLE).min(IDLE);
        self.netlink.wait(timeout);
        let changes = self.netlink.changes();
        self.note(changes, underlay);
        let has_changed = self.read_or_wait(underlay)
            | self.take_reports(underlay)
            | lock(&underlay.resolver).note_links(|device| forwarder.links().has(device));
        let mut rest = Duration::ZERO;
        if has_changed {
            underlay.has_changed();
            rest = publish(underlay, generations);
        }
        if has_changed || self.looked.elapsed() >= LOOK {
            self.looked = Instant::now();
            self.ask(underlay);
            self.tell(generations);
        }
        thread::sleep(rest);
    }

    fn note(&mut self, changes: Changes, underlay: &Underlay) {
        self.interfaces.has_changed |= changes.interfaces;
        self.routes4.has_changed |= changes.routes4;
        self.routes6.has_changed |= changes.routes6;
        self.neighbours.has_changed |= changes.neighbours;
        underlay.counts.lost.fetch_add(changes.lost.into(), Relaxed);
    }

    /// [`Self::read`]; an error is a reason to wait.
    fn read_or_wait(&mut self, underlay: &Underlay) -> bool {
        self.read(underlay).unwrap_or_else(|error| {
            // What changes while it is read is not whole.
            if error.kind() == io::ErrorKind::ResourceBusy {
                thread::sleep(BREATH);
            } else {
                tracing::warn!("cannot read the kernel's routes and neighbours: {error}; trying again");
                thread::sleep(STUCK);
            }
            // Some of it may have been read before.
            true
        })
    }

    /// Reads what has changed, as far as it is time; whether there was anything.
    pub(super) fn read(&mut self, underlay: &Underlay) -> io::Result<bool> {
        let Self { netlink, interfaces, routes4, routes6, neighbours, .. } = self;
        let resolver = || lock(&underlay.resolver);
        let now = Instant::now();
        let due = [*interfaces, *routes4, *routes6, *neighbours].map(|pace| pace.is_due(now));
        if interfaces.is_due(now) {
            let read = interfaces.read(|| netlink.interfaces())?;
            resolver().kernel.interfaces = read;
        }
        if routes4.is_due(now) {
            let read = routes4.read(|| netlink.routes(AddressFamily::Inet))?;
            resolver().kernel.routes4 = read;
        }
        if routes6.is_due(now) {
            let read = routes6.read(|| netlink.routes(AddressFamily::Inet6))?;
            resolver().kernel.routes6 = read;
        }
        if neighbours.is_due(now) {
            let read = neighbours.read(|| netlink.neighbours())?;
            resolver().kernel.neighbours = read;
        }
        Ok(due.contains(&true))
    }

    /// Takes what workers report of narrow paths, and forgets what was reported long ago; whether any path takes something else now.
    fn take_reports(&mut self, underlay: &Underlay) -> bool {
        let now = Instant::now();
        let mut has_changed = false;
        for ring in &mut self.reports {
            while let Ok(TooNarrow { to, mtu }) = ring.pop() {
                let lowered = lock(&underlay.resolver).lower(to, mtu, now);
                let count = if lowered.is_some() { &underlay.counts.lowered } else { &underlay.counts.ignored };
                count.fetch_add(1, Relaxed);
                if let Some(takes) = lowered {
                    has_changed = true;
                    if let Some(unlogged) = NARROWED.pass() {
                        tracing::info!(%to, told = mtu, mtu = takes, unlogged, "a router says that the path takes less");
                    }
                }
            }
        }
        let expired = lock(&underlay.resolver).expire(now);
        for to in &expired {
            if let Some(unlogged) = NARROWED.pass() {
                tracing::info!(%to, unlogged, "the path is taken to be as wide as its device again");
            }
        }
        has_changed || !expired.is_empty()
    }

    /// Has the kernel look for the neighbours that are wanted. Right after reading: the kernel takes the request as word that an
    /// entry is not permanent, which it may have become meanwhile.
    fn ask(&mut self, underlay: &Underlay) {
        let wanted = lock(&underlay.resolver).wanted();
        for place in self.requests.due(&wanted, Instant::now()) {
            match self.request(place) {
                Ok(()) => drop(underlay.counts.requests.fetch_add(1, Relaxed)),
                // The interface has just gone, or is switched off; its routes will follow.
                Err(error) => tracing::debug!(?place, "cannot ask for a neighbour: {error}"),
            }
        }
    }

    fn request(&mut self, place: Place) -> io::Result<()> {
        if !self.was_refused {
            match self.netlink.request(place) {
                Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                    self.was_refused = true;
                    tracing::info!("without CAP_NET_ADMIN neighbours are looked for by datagrams to their port 9");
                }
                done => return done,
            }
        }
        requests::send(place)
    }

    /// Says in the log what can't be reached, when that is another than it was.
    fn tell(&mut self, generations: &Generations) {
        let text = generations.look(|state| {
            let unresolved = &state.hops()?.unresolved;
            let (address, why) = unresolved.first_key_value()?;
            Some(format!("{} addresses of the table can't be reached, {address} among them: {why}", unresolved.len()))
        });
        if self.told.as_ref().is_some_and(|(told, when)| *told == text || when.elapsed() < QUIET) {
            return;
        }
        match &text {
            Some(text) => tracing::warn!("{text}"),
            None => tracing::info!("every address of the table can be reached"),
        }
        self.told = Some((text, Instant::now()));
    }
}

/// Lets workers go by what is known now; how long to rest afterwards. That is four times what it took, so that others have time.
fn publish(underlay: &Underlay, generations: &Generations) -> Duration {
    let start = Instant::now();
    let published = generations.refresh_next_hops();
    let took = start.elapsed();
    if published != Published::Nothing {
        underlay.counts.published.fetch_add(1, Relaxed);
    }
    match published {
        Published::Nothing => took * 4,
        Published::Seen => took * 4 + BREATH,
        Published::ButLate => STUCK,
    }
}
