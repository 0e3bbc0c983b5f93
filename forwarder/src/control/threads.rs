// SPDX-License-Identifier: MIT OR Apache-2.0
//! Threads that the daemon can't do without.

use std::io;
use std::sync::mpsc::Sender;
use std::thread::{self, JoinHandle};

use super::affinity::ControlCores;
use super::daemon::Event;

/// Starts one on `cores`. Its panic is an event, since what it looked after stays as it was from then on.
pub(super) fn spawn(
    name: &'static str,
    cores: &ControlCores,
    events: &Sender<Event>,
    body: impl FnOnce() + Send + 'static,
) -> io::Result<JoinHandle<()>> {
    let (cores, watched) = (cores.clone(), Watched { name, events: events.clone() });
    thread::Builder::new().name(name.to_owned()).spawn(move || {
        let _watched = watched;
        cores.apply();
        body();
    })
}

/// Reports the panic of the thread that has it.
struct Watched {
    name: &'static str,
    events: Sender<Event>,
}

impl Drop for Watched {
    fn drop(&mut self) {
        if thread::panicking() {
            // Nobody listens any more once the daemon stops.
            let _ = self.events.send(Event::Panicked(self.name));
        }
    }
}
