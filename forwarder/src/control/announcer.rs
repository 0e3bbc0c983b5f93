// SPDX-License-Identifier: MIT OR Apache-2.0
//! Looks whether the forwarder is in service, and has the signals of readiness say so.

use std::io;
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use super::affinity::ControlCores;
use super::forwarder::Forwarder;

/// A thread that looks after the signals. Dropped, it takes them away.
pub(super) struct Announcer {
    forwarder: Arc<Forwarder>,
    thread: Option<JoinHandle<()>>,
}

impl Announcer {
    /// Looks after the signals of `forwarder`, if it has any, on one of `cores`.
    pub(super) fn start(forwarder: &Arc<Forwarder>, cores: &ControlCores) -> io::Result<Self> {
        let mut announcer = Self { forwarder: Arc::clone(forwarder), thread: None };
        if forwarder.readiness().is_configured() {
            let (forwarder, cores) = (Arc::clone(forwarder), cores.clone());
            let look = move || {
                cores.apply();
                let readiness = forwarder.readiness();
                while readiness.wait() {
                    readiness.update(forwarder.health().in_service);
                }
            };
            announcer.thread = Some(thread::Builder::new().name("readiness".to_owned()).spawn(look)?);
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
