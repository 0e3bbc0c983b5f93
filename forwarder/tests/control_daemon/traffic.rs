// SPDX-License-Identifier: MIT OR Apache-2.0
//! Traffic, and what is told of it.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use forwarder::io::memory::{MemoryIo, VecBuf};
use forwarder::io::{Allocator, DeviceIndex, Nanos, PacketBuf, PacketIo, Received};
use serde_json::json;

use super::control_support::{Place, Running, frame, table};
use super::wait_for;

/// Endless traffic to a port that moves from an IPv4 to an IPv6 server.
#[derive(Default)]
pub(super) struct Endless {
    seen: Arc<Seen>,
    after: bool,
    spare: VecDeque<VecBuf>,
}

#[derive(Default)]
pub(super) struct Seen {
    /// The reload has been answered.
    answered: AtomicBool,
    pub(super) received: AtomicU64,
    old: AtomicU64,
    new: AtomicU64,
    late: AtomicU64,
}

impl Endless {
    pub(super) fn new(seen: &Arc<Seen>) -> Self {
        Self { seen: Arc::clone(seen), ..Self::default() }
    }
}

impl Allocator<VecBuf> for Endless {
    fn allocate(&mut self, _: usize) -> Option<VecBuf> {
        None
    }
}

impl PacketIo for Endless {
    type Buf = VecBuf;

    fn receive(&mut self, _: DeviceIndex, frames: &mut Vec<VecBuf>, max: usize) -> Received {
        self.after = self.seen.answered.load(Ordering::SeqCst);
        let frame = frame(3000);
        for _ in 0..max {
            let mut buf = self.spare.pop_front().unwrap_or_default();
            buf.refill(&frame);
            frames.push(buf);
        }
        self.seen.received.fetch_add(max as u64, Ordering::Relaxed);
        Received::default()
    }

    fn transmit(&mut self, _: DeviceIndex, frames: &mut Vec<VecBuf>) {
        for buf in frames.drain(..) {
            let old = buf.data()[12..14] == [0x08, 0x00];
            let seen = if old { &self.seen.old } else { &self.seen.new };
            seen.fetch_add(1, Ordering::Relaxed);
            self.seen.late.fetch_add(u64::from(old && self.after), Ordering::Relaxed);
            self.spare.push_back(buf);
        }
    }

    fn to_kernel(&mut self, _: DeviceIndex, _: &mut Vec<VecBuf>) {}

    fn now(&self) -> Nanos {
        Nanos(0)
    }
}

#[test]
fn a_reload_under_traffic_loses_nothing_and_is_over_when_it_says_so() {
    let seen = Arc::new(Seen::default());
    let mut running = Running::with(Place::new(), Endless::new(&seen));
    wait_for(|| seen.old.load(Ordering::Relaxed) > 10_000);
    let path = running.place.write("next.json", &table(Some(43), true));
    running.client().result("reload", json!({"path": path}));
    seen.answered.store(true, Ordering::SeqCst);
    let so_far = seen.new.load(Ordering::Relaxed);
    wait_for(|| seen.new.load(Ordering::Relaxed) > so_far + 10_000);
    let stats = running.client().result("stats", json!({}));
    assert_eq!(stats["conservation"], json!({"imbalance": 0, "ok": true}));
    running.stop().unwrap();

    let load = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
    assert_eq!(load(&seen.late), 0, "packets at the old owner after the answer");
    assert_eq!(load(&seen.old) + load(&seen.new), load(&seen.received), "every packet is old or new");
    let total = running.forwarder.stats().counters;
    assert_eq!((total.rx, total.tx), (load(&seen.received), load(&seen.received)));
    assert!(total.drops.values().all(|drops| *drops == 0));
}

#[test]
fn drops_show_in_the_stats() {
    let mut io = MemoryIo::new(1);
    io.push(DeviceIndex(0), &frame(3000));
    io.push(DeviceIndex(0), &[0; 60]);
    io.push(DeviceIndex(0), &[0; 5]);
    let running = Running::with(Place::new(), io);
    wait_for(|| running.forwarder.stats().counters.rx == 3);
    let stats = running.client().result("stats", json!({}));
    let counters = &stats["counters"];
    assert_eq!((&counters["tx"], &counters["originated"], &counters["held"]), (&json!(1), &json!(0), &json!(0)));
    assert_eq!(counters["drops"]["no_kernel_path"], 1);
    assert_eq!(counters["drops"]["malformed"], 1);
    assert_eq!((&stats["workers"][0]["worker"], &stats["workers"][0]["counters"]), (&json!(0), counters));
}
