// SPDX-License-Identifier: MIT OR Apache-2.0
//! The worker over frames in memory, with real tables.

use std::sync::atomic::AtomicBool;
use std::thread;
use std::time::Duration;

use proptest::prelude::*;
use tables::Publisher;

use super::*;
use crate::io::memory::{MemoryIo, VecBuf};
use crate::io::{Allocator, Nanos, PacketBuf, Received};
use crate::testing::{self, ELSEWHERE, FIRST_OWNER, FREE_PORT, OWNED_PORT, SECOND_OWNER, SLICED, UNASSIGNED};

const WAN: DeviceIndex = DeviceIndex(0);
/// Has no kernel path.
const BARE: DeviceIndex = DeviceIndex(1);
const LONG: Duration = Duration::from_secs(60);

struct Rig<Io: PacketIo> {
    publisher: Publisher<ForwardingState>,
    worker: Worker<Io>,
    shared: Arc<Shared>,
}

impl<Io: PacketIo> Rig<Io> {
    fn new(io: Io, burst: usize) -> Self {
        let settings = Arc::new(testing::settings());
        let (publisher, mut readers) = Publisher::new(testing::state(1, "lhr-1", &settings), 1);
        let shared = Arc::new(Shared::default());
        let worker = Worker::new(io, settings, burst, readers.pop().unwrap(), Arc::clone(&shared), Handoff::alone());
        Self { publisher, worker, shared }
    }

    fn counters(&self) -> Counters {
        self.shared.counters.read()
    }
}

fn memory() -> Rig<MemoryIo> {
    Rig::new(MemoryIo::new(2), 64)
}

#[test]
fn each_fate_has_its_counter() {
    let mut rig = memory();
    let frames = [
        testing::udp(SLICED, OWNED_PORT, 1),
        testing::udp(SLICED, FREE_PORT, 2),
        testing::udp(ELSEWHERE, OWNED_PORT, 3),
        testing::arp(),
        testing::udp(UNASSIGNED, OWNED_PORT, 4),
    ];
    for frame in &frames {
        rig.worker.io_mut().push(WAN, frame);
    }
    assert_eq!(rig.counters(), Counters::default());
    assert_eq!(rig.worker.poll(), 5);
    let len = |index: usize| frames[index].len() as u64;
    let mut expected = Counters::default();
    (expected.rx, expected.tx, expected.exception) = (5, 1, 2);
    expected.rx_bytes = (0..5).map(len).sum();
    expected.tx_bytes = len(0) - 14 + testing::OUTER_LEN as u64;
    expected.drop(DropReason::UnallocatedPort, 1);
    expected.drop(DropReason::UnassignedAddress, 1);
    assert_eq!(rig.counters(), expected);
    assert_eq!(rig.worker.poll(), 0);
    assert_eq!(rig.counters(), expected);

    let io = rig.worker.into_io();
    assert_eq!(
        io.sent.iter().map(|(by, f)| (*by, testing::forwarded(f.data()))).collect::<Vec<_>>(),
        [(WAN, (FIRST_OWNER, 1))]
    );
    let kernel: Vec<_> = io.kernel.iter().map(|(from, frame)| (*from, frame.data())).collect();
    assert_eq!(kernel, [(WAN, &frames[2][..]), (WAN, &frames[3][..])], "as received, in order");
}

#[test]
fn what_the_device_does_not_take_is_tx_full() {
    let mut rig = memory();
    rig.worker.io_mut().transmit_limit = Some(2);
    for id in 0..5 {
        rig.worker.io_mut().push(WAN, &testing::udp(SLICED, OWNED_PORT, id));
    }
    rig.worker.poll();
    let counters = rig.counters();
    assert_eq!((counters.tx, counters.dropped(DropReason::TxFull)), (2, 3));
    let sent: Vec<_> = rig.worker.io_mut().sent.iter().map(|(_, frame)| testing::forwarded(frame.data()).1).collect();
    assert_eq!(sent, [0, 1]);
    assert_eq!(counters.tx_bytes, 2 * (36 + testing::OUTER_LEN as u64));
    assert_eq!(rig.worker.poll(), 0, "nothing is tried again");
    assert_eq!(rig.counters(), counters);
}

#[test]
fn what_the_kernel_does_not_take_is_no_kernel_path() {
    let mut rig = memory();
    rig.worker.io_mut().kernel_limit = Some(1);
    for device in [WAN, WAN, WAN, BARE] {
        rig.worker.io_mut().push(device, &testing::arp());
    }
    assert_eq!(rig.worker.poll(), 4);
    let counters = rig.counters();
    assert_eq!((counters.exception, counters.dropped(DropReason::NoKernelPath)), (1, 3));
    assert_eq!(counters.imbalance(), 0);
}

#[test]
fn frames_in_pieces_are_counted() {
    let mut rig = memory();
    rig.worker.io_mut().segmented = 2;
    for id in 0..3 {
        rig.worker.io_mut().push(WAN, &testing::udp(SLICED, OWNED_PORT, id));
    }
    assert_eq!(rig.worker.poll(), 3);
    let counters = rig.counters();
    assert_eq!((counters.rx, counters.tx, counters.dropped(DropReason::Segmented)), (3, 1, 2));
}

#[test]
fn devices_take_turns() {
    let mut rig = Rig::new(MemoryIo::new(2), 2);
    for id in 0..6 {
        rig.worker.io_mut().push(WAN, &testing::udp(SLICED, OWNED_PORT, id));
    }
    rig.worker.io_mut().push(BARE, &testing::udp(SLICED, OWNED_PORT, 99));
    assert_eq!(rig.worker.poll(), 3, "a burst of each, however much the first has");
    let sent: Vec<_> = rig.worker.io_mut().sent.iter().map(|(_, frame)| testing::forwarded(frame.data()).1).collect();
    assert_eq!(sent, [0, 1, 99]);
}

#[test]
fn an_idle_worker_takes_the_newest_state() {
    let mut rig = memory();
    let epoch = rig.publisher.publish(testing::state(2, "lhr-2", &testing::settings()));
    assert!(rig.publisher.wait(epoch, Duration::ZERO).is_err());
    assert_eq!(rig.worker.poll(), 0);
    assert_eq!(rig.publisher.wait(epoch, Duration::ZERO), Ok(()));
}

/// Queues whose second part is held back until a gate opens.
struct Gated {
    inner: MemoryIo,
    /// How many frames may pass before the gate opens.
    open: usize,
    gate: Arc<AtomicBool>,
}

impl Allocator<VecBuf> for Gated {
    fn allocate(&mut self, len: usize) -> Option<VecBuf> {
        self.inner.allocate(len)
    }
}

impl PacketIo for Gated {
    type Buf = VecBuf;

    fn receive(&mut self, device: DeviceIndex, frames: &mut Vec<VecBuf>, max: usize) -> Received {
        let max = if self.gate.load(Ordering::Acquire) { max } else { max.min(self.open) };
        let received = self.inner.receive(device, frames, max);
        self.open = self.open.saturating_sub(frames.len());
        received
    }

    fn transmit(&mut self, device: DeviceIndex, frames: &mut Vec<VecBuf>) {
        self.inner.transmit(device, frames);
    }

    fn to_kernel(&mut self, device: DeviceIndex, frames: &mut Vec<VecBuf>) {
        self.inner.to_kernel(device, frames);
    }

    fn now(&self) -> Nanos {
        self.inner.now()
    }
}

fn until(what: impl Fn() -> bool) {
    while !what() {
        thread::yield_now();
    }
}

/// A third of the traffic comes before the swap, a third around it, a third once `wait` has said that it is done.
#[test]
fn a_swap_in_traffic_loses_and_doubles_nothing() {
    const THIRD: u64 = 20_000;
    let gate = Arc::new(AtomicBool::new(false));
    let mut inner = MemoryIo::new(2);
    for id in 0..3 * THIRD {
        inner.push(WAN, &testing::udp(SLICED, OWNED_PORT, id));
    }
    let io = Gated { inner, open: 2 * THIRD as usize, gate: Arc::clone(&gate) };
    let Rig { mut publisher, mut worker, shared } = Rig::new(io, 64);
    while shared.counters.read().rx < THIRD {
        worker.poll();
    }
    let before = shared.counters.read().rx as usize;

    let io = thread::scope(|scope| {
        let running = scope.spawn(|| {
            worker.run();
            worker.into_io()
        });
        let epoch = publisher.publish(testing::state(2, "lhr-2", &testing::settings()));
        publisher.wait(epoch, LONG).unwrap();
        gate.store(true, Ordering::Release);
        until(|| {
            let counters = shared.counters.read();
            assert_eq!(counters.imbalance(), 0, "{counters:?}");
            counters.rx == 3 * THIRD
        });
        shared.stop.store(true, Ordering::Relaxed);
        running.join().unwrap()
    });

    let sent: Vec<_> = io.inner.sent.iter().map(|(_, frame)| testing::forwarded(frame.data())).collect();
    assert!(sent.iter().map(|(_, id)| *id).eq(0..3 * THIRD), "each once, in order");
    let moved = sent.iter().position(|(to, _)| *to == SECOND_OWNER).unwrap();
    assert!((before..=2 * THIRD as usize).contains(&moved), "moved at {moved}");
    assert!(sent[..moved].iter().all(|(to, _)| *to == FIRST_OWNER));
    assert!(sent[moved..].iter().all(|(to, _)| *to == SECOND_OWNER));
    assert_eq!(shared.counters.read().tx, 3 * THIRD);
}

#[test]
fn a_round_allocates_nothing() {
    let mut rig = memory();
    let round = |rig: &mut Rig<MemoryIo>| {
        let io = rig.worker.io_mut();
        io.transmit_limit = Some(20);
        io.recycle();
        for id in 0..12 {
            io.push(WAN, &testing::udp(SLICED, OWNED_PORT, id));
            io.push(BARE, &testing::udp(SLICED, OWNED_PORT, id));
            io.push(WAN, &testing::udp(SLICED, FREE_PORT, id));
            io.push(WAN, &testing::udp(ELSEWHERE, OWNED_PORT, id));
            io.push(BARE, &testing::arp());
        }
        let allocations = allocation_counter::measure(|| {
            rig.worker.poll();
        });
        assert_eq!(rig.worker.poll(), 0);
        allocations.count_total
    };
    round(&mut rig);
    assert_eq!((0..10).map(|_| round(&mut rig)).sum::<u64>(), 0);
    assert_eq!(rig.counters().rx, 11 * 60);
}

fn frame() -> impl Strategy<Value = Vec<u8>> {
    let destination = prop_oneof![Just(SLICED), Just(UNASSIGNED), Just(ELSEWHERE), any::<u32>().prop_map(Into::into)];
    let port = prop_oneof![Just(OWNED_PORT), any::<u16>()];
    let packet = (destination, port, any::<u64>()).prop_map(|(to, port, id)| testing::udp(to, port, id));
    prop_oneof![
        4 => packet.clone(),
        1 => Just(testing::arp()),
        1 => (packet.clone(), any::<prop::sample::Index>())
            .prop_map(|(frame, cut)| frame[..cut.index(frame.len())].to_vec()),
        1 => (packet, any::<prop::sample::Index>(), any::<u8>()).prop_map(|(mut frame, place, byte)| {
            let place = place.index(frame.len());
            frame[place] = byte;
            frame
        }),
        1 => proptest::collection::vec(any::<u8>(), 0..80),
    ]
}

proptest! {
    #[test]
    fn every_packet_is_accounted_for(
        frames in proptest::collection::vec((0..2_u8, frame()), 0..200),
        burst in 1..70_usize,
        segmented in 0..3_usize,
        transmit_limit in proptest::option::of(0..8_usize),
        kernel_limit in proptest::option::of(0..4_usize),
    ) {
        let mut io = MemoryIo::new(2);
        (io.segmented, io.transmit_limit, io.kernel_limit) = (segmented, transmit_limit, kernel_limit);
        let mut rig = Rig::new(io, burst);
        for (device, frame) in &frames {
            rig.worker.io_mut().push(DeviceIndex(*device), frame);
        }
        while !rig.worker.io_mut().is_drained() {
            rig.worker.poll();
            let counters = rig.counters();
            prop_assert_eq!(counters.imbalance(), 0, "{:?}", counters);
            let io = rig.worker.io_mut();
            prop_assert_eq!((counters.tx, counters.exception), (io.sent.len() as u64, io.kernel.len() as u64));
            let sent_bytes: usize = io.sent.iter().map(|(_, frame)| frame.data().len()).sum();
            prop_assert_eq!(counters.tx_bytes, sent_bytes as u64);
        }
        prop_assert_eq!(rig.counters().rx, frames.len() as u64);
    }
}
