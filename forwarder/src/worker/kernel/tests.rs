// SPDX-License-Identifier: MIT OR Apache-2.0
//! The path between a worker and the thread that serves the kernel, without that thread.

use tables::Publisher;

use super::*;
use crate::io::memory::MemoryIo;
use crate::kernel::ring::ring;
use crate::testing::{self, ELSEWHERE, OWNED_PORT, SLICED};
use crate::worker::handoff::Handoff;
use crate::worker::{Shared, Worker};

const WAN: DeviceIndex = DeviceIndex(0);
const LAN: DeviceIndex = DeviceIndex(1);
const VLAN: u16 = 100;
const BUDGET: Budget = Budget { routing: 50, neighbours: 3, unicast: 2, other: 1 };

struct Rig {
    worker: Worker<MemoryIo>,
    shared: Arc<Shared>,
    tallies: Arc<KernelTallies>,
    received: FrameReceiver,
    sender: FrameSender,
    _publisher: Publisher<crate::state::ForwardingState>,
}

impl Rig {
    /// Two devices, the second one tagged, and a ring for the kernel of so many bytes.
    fn new(bytes: usize) -> Self {
        let mut settings = testing::settings();
        settings.devices[1].kernel_path = true;
        settings.devices[1].vlan = Some(VLAN);
        let settings = Arc::new(settings);
        let (publisher, mut readers) = Publisher::new(testing::state(1, "lhr-1", &settings), 1);
        let shared = Arc::new(Shared::new(2));
        let tallies = Arc::new(KernelTallies::new(1, 2));
        let common = Common {
            settings: Arc::clone(&settings),
            budget: BUDGET,
            tallies: Arc::clone(&tallies),
            burst: 64,
            largest_frame: 4000,
        };
        let ((to, received), (sender, from)) = (ring(bytes), ring(1 << 20));
        let (io, reader) = (MemoryIo::new(2), readers.pop().unwrap());
        let worker = Worker::new(io, settings, 64, reader, Arc::clone(&shared), Handoff::alone())
            .beside_kernel(KernelEnd::new(0, &common, to, Some(from)));
        Self { worker, shared, tallies, received, sender, _publisher: publisher }
    }

    fn receive(&mut self) -> Vec<(DeviceIndex, Vec<u8>)> {
        let mut frame = Vec::new();
        std::iter::from_fn(|| self.received.receive(&mut frame).map(|device| (device, frame.clone()))).collect()
    }

    fn counters(&self) -> Counters {
        self.shared.counters.read()
    }
}

/// A frame to the box itself of so many bytes, whose TCP ports are these.
fn tcp(destination: u16, len: usize) -> Vec<u8> {
    let mut frame = testing::udp(ELSEWHERE, destination, 1);
    // TCP is 11 less than UDP, so the checksum of the header 11 more.
    frame[23] -= 11;
    let checksum = u16::from_be_bytes([frame[24], frame[25]]) + 11;
    frame[24..26].copy_from_slice(&checksum.to_be_bytes());
    frame.resize(len, 0);
    frame
}

#[test]
fn frames_come_to_the_kernel_as_received_and_no_more_than_their_budgets() {
    let mut rig = Rig::new(1 << 20);
    let (bgp, ssh, arp) = (tcp(179, 60), tcp(22, 3000), testing::arp());
    for frame in [&arp, &arp, &arp, &arp, &bgp, &ssh, &ssh, &ssh, &arp, &bgp] {
        rig.worker.io_mut().push(WAN, frame);
    }
    rig.worker.io_mut().push(WAN, &testing::udp(SLICED, OWNED_PORT, 1));
    rig.worker.io_mut().push(LAN, &arp);
    assert_eq!(rig.worker.poll(), 12);
    let passed = [&arp, &arp, &arp, &bgp, &ssh, &ssh, &bgp].map(|frame| (WAN, frame.clone()));
    assert_eq!(rig.receive(), [&passed[..], &[(LAN, arp.clone())]].concat());

    let counters = rig.counters();
    assert_eq!((counters.rx, counters.tx, counters.exception), (12, 1, 8));
    assert_eq!((counters.dropped(DropReason::KernelPoliced), counters.imbalance()), (3, 0));
    let to = |device, class| {
        let kind = Kind { device, class };
        [Fate::Passed, Fate::Policed, Fate::Full].map(|fate| rig.tallies.to(kind, fate))
    };
    assert_eq!(to(WAN, Class::Neighbours), [3, 2, 0]);
    assert_eq!(to(WAN, Class::Routing), [2, 0, 0]);
    assert_eq!(to(WAN, Class::Unicast), [2, 1, 0]);
    assert_eq!(to(LAN, Class::Neighbours), [1, 0, 0]);

    // A third of a second fills a bucket of three by one.
    rig.worker.io_mut().clock = Nanos(333_333_334);
    (0..2).for_each(|_| rig.worker.io_mut().push(WAN, &arp));
    rig.worker.poll();
    assert_eq!(rig.receive(), [(WAN, arp)]);
}

#[test]
fn a_thread_that_falls_behind_costs_frames_and_never_waits() {
    let mut rig = Rig::new(256);
    let arp = testing::arp();
    let bgp = tcp(179, 60);
    for frame in [&arp, &arp, &arp, &bgp, &bgp, &bgp, &bgp, &bgp] {
        rig.worker.io_mut().push(WAN, frame);
    }
    assert_eq!(rig.worker.poll(), 8);
    let (counters, kind) = (rig.counters(), Kind { device: WAN, class: Class::Routing });
    let passed = rig.receive().len() as u64;
    assert!(passed > 0 && rig.tallies.to(kind, Fate::Full) > 0);
    assert_eq!((counters.exception, counters.dropped(DropReason::KernelPoliced)), (passed, 8 - passed));
    assert_eq!(counters.imbalance(), 0);
}

#[test]
fn what_the_kernel_sends_leaves_tagged_by_its_device() {
    let mut rig = Rig::new(1 << 20);
    let (small, large) = (testing::arp(), tcp(22, 3018));
    let own_tag = [&large[..12], &[0x81, 0, 0, 7], &large[12..]].concat();
    for (device, frame) in [(WAN, &small), (WAN, &large), (LAN, &small), (LAN, &own_tag), (WAN, &small)] {
        assert!(rig.sender.send(device, Class::Other, frame));
    }
    // One device a round, none of them received.
    for _ in 0..3 {
        assert_eq!(rig.worker.poll(), 0);
    }
    let tagged = [&small[..12], &[0x81, 0, 0, VLAN as u8], &small[12..]].concat();
    let expected = [(WAN, &small), (WAN, &large), (LAN, &tagged), (LAN, &own_tag), (WAN, &small)];
    let sent: Vec<_> = rig.worker.io_mut().sent.iter().map(|(by, frame)| (*by, frame.data().to_vec())).collect();
    assert_eq!(sent, expected.map(|(by, frame)| (by, frame.clone())));

    let counters = rig.counters();
    assert_eq!((counters.kernel_tx, counters.kernel_drops), (5, 0));
    assert_eq!((counters.rx, counters.tx, counters.imbalance()), (0, 0, 0), "outside the sum");
    assert_eq!(rig.shared.devices[1].tx.read().packets, 2);
    let len = tagged.len() + own_tag.len();
    assert_eq!(rig.shared.devices[1].tx.read().bytes, len as u64);
}

#[test]
fn a_round_takes_so_many_and_what_the_device_refuses_is_lost() {
    let mut rig = Rig::new(1 << 20);
    for _ in 0..ROUND + 8 {
        assert!(rig.sender.send(WAN, Class::Other, &testing::arp()));
    }
    rig.worker.io_mut().transmit_limit = Some(30);
    rig.worker.poll();
    assert_eq!((rig.counters().kernel_tx, rig.counters().kernel_drops), (30, 2));
    rig.worker.poll();
    assert_eq!((rig.counters().kernel_tx, rig.counters().kernel_drops), (38, 2));
    // Too short for a frame, or for a device that is not there: lost, and counted.
    assert!(rig.sender.send(WAN, Class::Other, &[0; 13]) && rig.sender.send(DeviceIndex(2), Class::Other, &[0; 60]));
    assert_eq!([rig.worker.poll(), rig.worker.poll()], [0, 0]);
    assert_eq!(rig.counters().kernel_tx + rig.counters().kernel_drops, ROUND as u64 + 10);
}
