// SPDX-License-Identifier: MIT OR Apache-2.0
//! A bug in a thread that the daemon can't do without.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use forwarder::control::daemon::Backend;
use forwarder::io::DeviceIndex;
use forwarder::io::hardware::{Hardware, Probe};
use forwarder::io::memory::MemoryIo;
use forwarder::wire::MacAddr;

use super::control_support::{Place, Running};
use super::wait_for;

/// Whoever asks about its devices panics once they are broken.
struct Breakable(Arc<AtomicBool>);

impl Backend for Breakable {
    type Io = MemoryIo;

    fn mac(&self, _: DeviceIndex) -> MacAddr {
        MacAddr([2, 0, 0, 0, 0, 1])
    }

    fn probe(&self) -> Probe {
        let broken = Arc::clone(&self.0);
        Box::new(move || {
            assert!(!broken.load(Ordering::Relaxed), "as this test wants it");
            Hardware::default()
        })
    }

    fn queues(&mut self) -> Vec<MemoryIo> {
        vec![MemoryIo::new(1)]
    }
}

#[test]
fn a_panic_of_a_thread_that_is_needed_ends_the_daemon_with_an_error() {
    let place = Place::new();
    let file = place.path("run/ready");
    place.configure("[readiness]\nfile = \"run/ready\"\nsettle = 0");
    let broken = Arc::new(AtomicBool::new(false));
    let mut running = Running::start(place, Breakable(Arc::clone(&broken)));
    wait_for(|| file.exists());
    broken.store(true, Ordering::Relaxed);
    let error = running.wait().unwrap_err().to_string();
    assert_eq!(error, "the thread \"readiness\" has panicked: please report the lines above");
    assert!(!file.exists(), "it is no longer announced");
}
