// SPDX-License-Identifier: MIT OR Apache-2.0
//! The thread that hears of packets that were caught, and tells of them.

use std::collections::{HashMap, VecDeque};
use std::io;
use std::net::IpAddr;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant, SystemTime};

use aya::maps::{MapData, RingBuf};
use rustix::event::{EventfdFlags, PollFd, PollFlags, eventfd, poll};

use super::culprit::{Process, by_cgroup, by_cookie};
use super::event::{Caught, Event};
use crate::config::GuardAction;

/// Events that are kept.
const KEPT: usize = 100;
/// Between two lines about one process and port.
const MINUTE: Duration = Duration::from_secs(60);
/// In a minute; who opens a socket a packet is not to fill the log, either.
const LINES: usize = 50;
/// Searches for a process in a second: each looks at all sockets and all processes.
const SEARCHES: u32 = 10;

/// The thread. Dropped, it ends.
pub(super) struct Watch {
    events: Arc<Mutex<VecDeque<Caught>>>,
    stop: OwnedFd,
    thread: Option<JoinHandle<()>>,
}

impl Watch {
    /// In the network namespace of this thread.
    pub(super) fn start(ring: RingBuf<MapData>, action: GuardAction) -> io::Result<Self> {
        let stop = eventfd(0, EventfdFlags::CLOEXEC)?;
        let (stopped, events) = (stop.try_clone()?, Arc::new(Mutex::default()));
        let mut ear =
            Ear { ring, action, events: Arc::clone(&events), lines: HashMap::new(), searches: Searches::new() };
        let thread = thread::Builder::new().name("guard".to_owned()).spawn(move || ear.listen(&stopped))?;
        Ok(Self { events, stop, thread: Some(thread) })
    }

    pub(super) fn events(&self) -> Vec<Caught> {
        lock(&self.events).iter().cloned().collect()
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        rustix::io::write(&self.stop, &1_u64.to_ne_bytes()).unwrap_or_default();
        // A panic has been told.
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

fn lock(events: &Mutex<VecDeque<Caught>>) -> MutexGuard<'_, VecDeque<Caught>> {
    events.lock().unwrap_or_else(PoisonError::into_inner)
}

struct Ear {
    ring: RingBuf<MapData>,
    action: GuardAction,
    events: Arc<Mutex<VecDeque<Caught>>>,
    /// When a line was written, by who sends from where.
    lines: HashMap<(Option<Process>, IpAddr, u16), Instant>,
    searches: Searches,
}

impl Ear {
    fn listen(&mut self, stopped: &OwnedFd) {
        loop {
            while let Some(event) = self.ring.next().map(|bytes| Event::read(&bytes)) {
                let Some(event) = event else { continue };
                let caught = self.find(event);
                self.tell(&caught);
                let mut events = lock(&self.events);
                events.push_back(caught);
                let more = events.len().saturating_sub(KEPT);
                events.drain(..more);
            }
            let mut sources = [PollFd::new(&self.ring, PollFlags::IN), PollFd::new(stopped, PollFlags::IN)];
            if let Err(error) = poll(&mut sources, None)
                && error != rustix::io::Errno::INTR
            {
                tracing::error!("cannot listen to the egress guard any more: {error}");
                return;
            }
            if sources.last().is_some_and(|stop| !stop.revents().is_empty()) {
                return;
            }
        }
    }

    fn find(&mut self, event: Event) -> Caught {
        let (mut process, mut cgroup) = (None, None);
        if event.cookie != 0 && self.searches.another() {
            process = by_cookie(event.cookie, event.protocol);
            let (only, name) = by_cgroup(event.cgroup);
            (process, cgroup) = (process.or(only), name);
        }
        let time = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
        event.caught(time, process, cgroup)
    }

    fn tell(&mut self, caught: &Caught) {
        let now = Instant::now();
        self.lines.retain(|_, when| now.duration_since(*when) < MINUTE);
        let key = (caught.process.clone(), caught.source, caught.source_port);
        if self.lines.len() >= LINES || self.lines.contains_key(&key) {
            return;
        }
        self.lines.insert(key, now);
        let done = if self.action == GuardAction::Count { "let through" } else { "dropped" };
        tracing::warn!("{done} by the egress guard: {caught}");
    }
}

/// So many a second, and no more.
struct Searches {
    second: Instant,
    left: u32,
}

impl Searches {
    fn new() -> Self {
        Self { second: Instant::now(), left: SEARCHES }
    }

    fn another(&mut self) -> bool {
        if self.second.elapsed() >= Duration::from_secs(1) {
            *self = Self::new();
        }
        let may = self.left > 0;
        self.left = self.left.saturating_sub(1);
        may
    }
}
