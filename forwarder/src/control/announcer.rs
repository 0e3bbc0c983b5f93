// SPDX-License-Identifier: MIT OR Apache-2.0
//! Looks whether the forwarder is in service, and has the signals of readiness say so.

use std::io;
use std::sync::Arc;
use std::sync::mpsc::Sender;
use std::thread::JoinHandle;

use super::affinity::ControlCores;
use super::daemon::Event;
use super::forwarder::Forwarder;
use super::threads;

/// A thread that looks after the signals. Dropped, it takes them away.
pub(super) struct Announcer {
    forwarder: Arc<Forwarder>,
    thread: Option<JoinHandle<()>>,
}

impl Announcer {
    /// Looks after the signals of `forwarder`, if it has any, on one of `cores`.
    pub(super) fn start(forwarder: &Arc<Forwarder>, cores: &ControlCores, events: &Sender<Event>) -> io::Result<Self> {
        let mut announcer = Self { forwarder: Arc::clone(forwarder), thread: None };
        if forwarder.readiness().is_configured() {
            let forwarder = Arc::clone(forwarder);
            let look = move || {
                let readiness = forwarder.readiness();
                while readiness.wait() {
                    readiness.update(forwarder.health().in_service);
                }
            };
            announcer.thread = Some(threads::spawn("readiness", cores, events, look)?);
        }
        Ok(announcer)
    }
}

impl Drop for Announcer {
    fn drop(&mut self) {
        self.forwarder.readiness().end();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
