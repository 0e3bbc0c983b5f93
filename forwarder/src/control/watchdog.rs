// SPDX-License-Identifier: MIT OR Apache-2.0
//! Looks each second whether every worker polls: says when one does not and when it does again, counts that, and keeps
//! systemd's watchdog quiet only while all of them do.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::affinity::ControlCores;
use super::daemon::Event;
use super::forwarder::Forwarder;
use super::{notify, threads};

/// A worker keeps house many times in a millisecond, so this is long.
const INTERVAL: Duration = Duration::from_secs(1);
/// However impatient systemd is told to be.
const SHORTEST: Duration = Duration::from_millis(10);

/// The thread that looks. Ends it when dropped.
pub(super) struct Watchdog {
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Watchdog {
    /// Starts to look.
    pub(super) fn start(forwarder: &Arc<Forwarder>, cores: &ControlCores, events: &Sender<Event>) -> io::Result<Self> {
        let forwarder = Arc::clone(forwarder);
        let (stop, stopped) = channel();
        let limit = notify::watchdog();
        // Twice in the time that systemd allows, as it asks for.
        let interval = limit.map_or(INTERVAL, |limit| (limit / 2).clamp(SHORTEST, INTERVAL));
        let look = move || {
            let mut beats = Beats::new(&forwarder);
            while stopped.recv_timeout(interval) == Err(RecvTimeoutError::Timeout) {
                let all_poll = beats.look(&forwarder);
                if all_poll && limit.is_some() {
                    notify::alive();
                }
            }
        };
        let thread = threads::spawn("watchdog", cores, events, look)?;
        Ok(Self { stop: Some(stop), thread: Some(thread) })
    }
}

impl Drop for Watchdog {
    fn drop(&mut self) {
        self.stop.take();
        if let Some(thread) = self.thread.take() {
            // A panic has been an event.
            let _ = thread.join();
        }
    }
}

/// What was seen of each worker.
struct Beats(Vec<Seen>);

struct Seen {
    beat: u64,
    /// When that changed last.
    at: Instant,
    stalled: bool,
}

impl Beats {
    fn new(forwarder: &Forwarder) -> Self {
        let at = Instant::now();
        let seen = |worker: &Arc<crate::worker::Shared>| Seen {
            beat: worker.beat.load(Ordering::Relaxed),
            at,
            stalled: false,
        };
        Self(forwarder.workers().iter().map(seen).collect())
    }

    /// Whether all workers have polled since the last look.
    fn look(&mut self, forwarder: &Forwarder) -> bool {
        let had_stalled = self.has_stalled();
        let mut all_poll = true;
        let cores = &forwarder.config().workers.cores;
        for (worker, ((seen, shared), core)) in self.0.iter_mut().zip(forwarder.workers()).zip(cores).enumerate() {
            let beat = shared.beat.load(Ordering::Relaxed);
            let waited = seen.at.elapsed();
            if beat != seen.beat {
                if seen.stalled {
                    tracing::warn!(worker, core, stalled_s = waited.as_secs_f64(), "worker polls again");
                }
                *seen = Seen { beat, at: Instant::now(), stalled: false };
                continue;
            }
            all_poll = false;
            if !seen.stalled && waited >= INTERVAL {
                seen.stalled = true;
                forwarder.metrics().count_stall(worker);
                tracing::error!(worker, core, "worker does not poll; check what else runs on its core");
            }
        }
        if self.has_stalled() != had_stalled {
            notify::status(if had_stalled { "forwarding" } else { "a worker does not poll" });
        }
        all_poll
    }

    fn has_stalled(&self) -> bool {
        self.0.iter().any(|seen| seen.stalled)
    }
}
