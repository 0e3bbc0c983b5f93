// SPDX-License-Identifier: MIT OR Apache-2.0
//! A worker that does nothing until it is told to go on, and what becomes of a reload then.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use forwarder::io::memory::VecBuf;
use forwarder::io::{Allocator, DeviceIndex, Nanos, PacketIo, Received};
use serde_json::json;

use super::control_support::{Place, Running, table};
use super::wait_for;

/// A worker that does nothing until it is told to go on.
#[derive(Clone)]
pub(super) struct Stuck {
    pub(super) stuck: Arc<AtomicBool>,
    /// The worker is in the midst of a round.
    polled: Arc<AtomicBool>,
}

impl Stuck {
    pub(super) fn new() -> Self {
        Self { stuck: Arc::new(AtomicBool::new(true)), polled: Arc::default() }
    }

    /// A daemon whose worker is stuck by now, with the table that it started with.
    pub(super) fn run(&self) -> Running {
        self.run_in(Place::new())
    }

    /// The same, somewhere else.
    pub(super) fn run_in(&self, place: Place) -> Running {
        let running = Running::with(place, self.clone());
        wait_for(|| self.polled.load(Ordering::Relaxed));
        running
    }
}

impl Allocator<VecBuf> for Stuck {
    fn allocate(&mut self, _: usize) -> Option<VecBuf> {
        None
    }
}

impl PacketIo for Stuck {
    type Buf = VecBuf;
    fn receive(&mut self, _: DeviceIndex, _: &mut Vec<VecBuf>, _: usize) -> Received {
        self.polled.store(true, Ordering::Relaxed);
        while self.stuck.load(Ordering::Relaxed) {
            thread::sleep(Duration::from_millis(1));
        }
        Received::default()
    }
    fn transmit(&mut self, _: DeviceIndex, _: &mut Vec<VecBuf>) {}
    fn to_kernel(&mut self, _: DeviceIndex, _: &mut Vec<VecBuf>) {}
    fn now(&self) -> Nanos {
        Nanos(0)
    }
}

#[test]
fn a_late_worker_is_named_and_holds_up_nobody_who_looks() {
    let worker = Stuck::new();
    let running = worker.run();
    let path = running.place.write("next.json", &table(Some(43), true));
    let start = Instant::now();
    let answer = thread::scope(|scope| {
        let reload = scope.spawn(|| running.client().error("reload", json!({"path": path})));
        // The new table is there to be looked at while the reload still waits.
        let mut client = running.client();
        wait_for(|| running.generation() == 43);
        let explained = client.result("explain", json!({"address": "198.51.100.1", "port": 3000}));
        assert_eq!((&explained["target"], &explained["generation"]), (&json!("lhr-2"), &json!(43)));
        // Unless the machine has slept for the whole patience of the reload.
        assert!(!reload.is_finished() || start.elapsed() >= Duration::from_secs(5));
        reload.join().unwrap()
    });
    assert_eq!(answer, (-32004, json!({"generation": 43, "late": [0]})));
    worker.stuck.store(false, Ordering::Relaxed);
    running.place.write("next.json", &table(Some(44), false));
    assert_eq!(running.client().result("reload", json!({"path": path}))["generation"], 44);
}
