// SPDX-License-Identifier: MIT OR Apache-2.0
//! The pipeline allocates nothing once it has seen a burst: an allocation can lock, and take as long as it likes.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test may stop at the first surprise"
)]

mod world;

use std::sync::Arc;

use allocation_counter::measure;
use forwarder::capture::tap::Tap;
use forwarder::capture::{Options, Wanted};
use forwarder::counters::DropReason;
use forwarder::io::memory::{MemoryIo, VecBuf};
use forwarder::io::{DeviceIndex, PacketBuf};
use forwarder::kernel::class::Class;
use forwarder::kernel::police::Budget;
use forwarder::kernel::ring::ring;
use forwarder::kernel::tally::KernelTallies;
use forwarder::shadow::{Kind, Scout};
use forwarder::worker::handoff::Handoff;
use forwarder::worker::kernel::{Common, KernelEnd};
use forwarder::worker::{Shared, Worker};
use tables::Publisher;
use world::vectors::{Case, cases_of};
use world::{ADDED, Fate, Numbered, World};

/// Frames with every fate: sent to a server and to a data centre over both families, dropped, for the kernel.
fn burst() -> Vec<Numbered> {
    let v4 = |source_port: u16, address: u8, port: u16| {
        let [s0, s1] = source_port.to_be_bytes();
        let [p0, p1] = port.to_be_bytes();
        let mut frame = vec![2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0xff, 1, 8, 0];
        frame.extend([0x45, 0, 0, 28, 0, 7, 0, 0, 57, 17, 0, 0, 203, 0, 113, 9, 198, 51, 100, address]);
        let sum = frame[14..].chunks(2).map(|word| u32::from(word[0]) << 8 | u32::from(word[1])).sum::<u32>();
        let checksum = !((sum >> 16) + (sum & 0xffff)) as u16;
        frame[24..26].copy_from_slice(&checksum.to_be_bytes());
        frame.extend([s0, s1, p0, p1, 0, 8, 0, 0]);
        frame
    };
    let mut v6 = vec![2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0xff, 1, 0x86, 0xdd, 0x60, 0, 0, 0, 0, 8, 17, 57];
    v6.extend([0x20, 1, 0x0d, 0xb8, 0, 0x0f, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9]);
    v6.extend([0x20, 1, 0x0d, 0xb8, 0, 0x0e, 0, 1, 0, 0, 0, 0, 0, 0, 0, 7]);
    v6.extend([0, 53, 8, 0, 0, 8, 0, 0]);
    let kinds =
        [v4(53, 1, 2048), v4(53, 1, 4096), v4(53, 1, 1), v4(53, 3, 1), v4(54, 3, 1), vec![0; 13], vec![9; 60], v6];
    kinds.iter().cycle().take(64).enumerate().map(|(number, frame)| Numbered::new(number, VecBuf::new(frame))).collect()
}

#[test]
fn a_burst_allocates_nothing() {
    let mut world = World::load("plain");
    for round in 0..3 {
        let mut frames = burst();
        let measured = measure(|| world.run(&mut frames));
        assert_eq!(measured.count_total, 0, "allocations in round {round}");

        let output = world.output();
        let sent: usize = output.transmit.iter().map(Vec::len).sum();
        assert_eq!((sent, output.kernel.len(), output.dropped.len()), (40, 8, 16), "the burst has every fate");
        output.transmit.iter_mut().for_each(Vec::clear);
        output.kernel.clear();
        output.dropped.clear();
    }
}

/// Every frame of the vectors: ICMP read, answered and told, packets cut.
#[test]
fn no_packet_allocates() {
    let mut world = World::load("plain");
    let pieces = 64;
    world.spare.buffers = (0..pieces).map(|_| Numbered::new(ADDED, VecBuf::new(&[0; 2048]))).collect();
    let cases = cases_of("plain");
    for burst in cases.chunks(16) {
        let numbered = |(number, case): (usize, &Case)| Numbered::new(number, VecBuf::new(&case.frame));
        let mut frames: Vec<_> = burst.iter().enumerate().map(numbered).collect();
        let measured = measure(|| world.run(&mut frames));
        assert_eq!(
            measured.count_total,
            0,
            "allocations somewhere from {} to {}",
            burst[0].name,
            burst[burst.len() - 1].name
        );
        world.recycle();
        world.spare.buffers.retain(|frame| frame.number == ADDED);
    }
    assert_eq!(world.spare.buffers.len(), pieces, "all that was taken came back");
    assert!(world.counters.originated > 50, "{} frames added", world.counters.originated);
}

/// Lets a worker take up what was left for it, and then handle the same burst so many times.
fn works_without_allocating(worker: &mut Worker<MemoryIo>, rounds: usize) {
    worker.tick();
    let frames = burst();
    for round in 0..rounds {
        worker.io_mut().recycle();
        frames.iter().for_each(|frame| worker.io_mut().push(DeviceIndex(0), frame.data()));
        let measured = measure(|| {
            worker.poll();
            worker.tick();
        });
        // The queues in memory grow to their length in the first one.
        assert!(measured.count_total == 0 || round == 0, "{} allocations in round {round}", measured.count_total);
    }
}

/// Nor does a worker that copies every packet for a capture, whether there is room for it or not.
#[test]
fn a_tapped_worker_allocates_nothing() {
    let World { settings, state, .. } = World::load("plain");
    let (_publisher, mut readers) = Publisher::new(Box::new(state), 1);
    let shared = Arc::new(Shared::default());
    let io = MemoryIo::new(settings.devices.len());
    let mut worker = Worker::new(io, settings, 64, readers.pop().unwrap(), Arc::clone(&shared), Handoff::alone());
    let options = Options { wanted: Wanted::All, every: 1, snap_length: 256 };
    let (tap, drain) = Tap::new(options, 64, 64);
    shared.tap.post(tap);
    works_without_allocating(&mut worker, 500);
    assert!(drain.lost() > 0 && worker.io_mut().sent.len() == 40, "{} lost", drain.lost());
}

/// Nor does one that holds every packet against another table, whether control keeps up with what differs or not.
#[test]
fn a_shadowed_worker_allocates_nothing() {
    let World { settings, state, .. } = World::load("plain");
    let shadow = Arc::new(World::load("tagged").state);
    let (_publisher, mut readers) = Publisher::new(Box::new(state), 1);
    let shared = Arc::new(Shared::default());
    let io = MemoryIo::new(settings.devices.len());
    let (scout, tallies, _changes) = Scout::new(shadow, Arc::clone(&settings), 1);
    let mut worker = Worker::new(io, settings, 64, readers.pop().unwrap(), Arc::clone(&shared), Handoff::alone());
    shared.scout.post(scout);
    works_without_allocating(&mut worker, 500);
    let seen: u64 = Kind::ALL.into_iter().map(|kind| tallies.read(kind).packets).sum();
    assert_eq!(seen, 500 * burst().len() as u64);
}

/// Nor does one that shares its devices with the kernel, whether the kernel's side keeps up or not.
#[test]
fn a_worker_beside_the_kernel_allocates_nothing() {
    const LARGEST: usize = 1622;
    let World { mut settings, state, .. } = World::load("plain");
    Arc::get_mut(&mut settings).unwrap().devices.iter_mut().for_each(|device| device.kernel_path = true);
    let (_publisher, mut readers) = Publisher::new(Box::new(state), 1);
    let (shared, reader) = (Arc::new(Shared::new(settings.devices.len())), readers.pop().unwrap());
    let common = Common {
        settings: Arc::clone(&settings),
        budget: Budget { other: 200, ..Budget::default() },
        tallies: Arc::new(KernelTallies::new(1, settings.devices.len())),
        burst: 64 + settings.fragments.packets as usize,
        largest_frame: LARGEST,
    };
    let ((to, mut received), (mut sender, from)) = (ring(1 << 14), ring(1 << 16));
    let io = MemoryIo::new(settings.devices.len());
    let mut worker = Worker::new(io, settings, 64, reader, Arc::clone(&shared), Handoff::alone())
        .beside_kernel(KernelEnd::new(0, &common, to, Some(from)));
    let (frames, mut frame) = (burst(), Vec::new());
    for round in 0..100 {
        worker.io_mut().recycle();
        frames.iter().for_each(|frame| worker.io_mut().push(DeviceIndex(0), frame.data()));
        (0..4).for_each(|_| assert!(sender.send(DeviceIndex(0), Class::Other, &[7; LARGEST])));
        let measured = measure(|| {
            worker.poll();
            worker.tick();
        });
        // The queues in memory, and their buffers, grow to their length in the first ones.
        assert!(measured.count_total == 0 || round < 30, "{} allocations in round {round}", measured.count_total);
        while round % 2 == 0 && received.receive(&mut frame).is_some() {}
    }
    let counters = shared.counters.read();
    assert_eq!((counters.kernel_tx, counters.imbalance()), (400, 0));
    assert!(counters.exception >= 200 && counters.dropped(DropReason::KernelPoliced) > 100, "{counters:?}");
}

/// The counter counts: else the test above proves nothing.
#[test]
fn the_counter_sees_an_allocation() {
    let mut world = World::load("plain");
    let measured = measure(|| {
        let fates = world.process(&[vec![0; 13]]);
        assert_eq!(fates, [Fate::Drop]);
    });
    assert!(measured.count_total > 0);
}
