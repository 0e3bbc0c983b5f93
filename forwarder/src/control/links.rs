// SPDX-License-Identifier: MIT OR Apache-2.0
//! Which devices have a link: looked at ten times a second on a thread of its own, since a NIC's firmware may take its time to
//! say. The kernel's side of a device follows that, and so do next hops.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use super::affinity::ControlCores;
use super::daemon::Event;
use super::forwarder::Forwarder;
use super::threads;
use crate::io::DeviceIndex;
use crate::io::hardware::Hardware;

/// Between two looks.
const INTERVAL: Duration = Duration::from_millis(100);

/// What was seen last, by device.
#[derive(Debug)]
pub struct Links(Box<[AtomicBool]>);

impl Links {
    /// Of so many devices, all of which have one until somebody looks.
    pub(super) fn new(devices: usize) -> Self {
        Self((0..devices).map(|_| AtomicBool::new(true)).collect())
    }

    /// Whether a device had one. One that says nothing of itself has.
    pub fn has(&self, device: DeviceIndex) -> bool {
        self.0.get(usize::from(device.0)).is_none_or(|link| link.load(Relaxed))
    }

    /// Takes note of what devices say.
    pub(super) fn note(&self, hardware: &Hardware) {
        for (link, health) in self.0.iter().zip(&hardware.devices) {
            link.store(health.link_up, Relaxed);
        }
    }
}

/// The thread that looks. Dropped, it ends.
pub(super) struct LinkWatch {
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl LinkWatch {
    /// Looks from now on.
    pub(super) fn start(forwarder: &Arc<Forwarder>, cores: &ControlCores, events: &Sender<Event>) -> io::Result<Self> {
        let forwarder = Arc::clone(forwarder);
        let (stop, stopped) = channel();
        let look = move || {
            while stopped.recv_timeout(INTERVAL) == Err(RecvTimeoutError::Timeout) {
                forwarder.look_at_links();
            }
        };
        let thread = threads::spawn("links", cores, events, look)?;
        Ok(Self { stop: Some(stop), thread: Some(thread) })
    }
}

impl Drop for LinkWatch {
    fn drop(&mut self) {
        self.stop.take();
        // A panic has been an event.
        let _ = self.thread.take().map(JoinHandle::join);
    }
}
