// SPDX-License-Identifier: MIT OR Apache-2.0
//! Groups of workers over frames in memory: the pieces of a datagram come to any of them, and meet what they would have met
//! together.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread;

use proptest::prelude::*;
use tables::Publisher;

use super::*;
use crate::counters::{read_all, total};
use crate::io::memory::MemoryIo;
use crate::io::{Nanos, PacketBuf};
use crate::state::ForwardingState;
use crate::testing::{self, FREE_PORT, OWNED_PORT, SLICED};
use crate::worker::{Shared, Worker};

const WAN: DeviceIndex = DeviceIndex(0);
const FIRST: usize = 0;

struct Group {
    _publisher: Publisher<ForwardingState>,
    workers: Vec<Worker<MemoryIo>>,
    shared: Vec<Arc<Shared>>,
}

impl Group {
    fn new(workers: usize, burst: usize) -> Self {
        let settings = Arc::new(testing::settings());
        let (publisher, readers) = Publisher::new(testing::state(1, "lhr-1", &settings), workers);
        let shared: Vec<_> = (0..workers).map(|_| Arc::new(Shared::default())).collect();
        let workers = readers.into_iter().zip(group(workers)).zip(&shared).map(|((reader, handoff), shared)| {
            Worker::new(MemoryIo::new(2), Arc::clone(&settings), burst, reader, Arc::clone(shared), handoff)
        });
        Self { workers: workers.collect(), _publisher: publisher, shared }
    }

    /// Their counters together; every one of them balances.
    fn counters(&self) -> Counters {
        let all = read_all(self.shared.iter().map(|shared| &shared.counters));
        assert!(all.iter().all(|counters| counters.imbalance() == 0), "{all:?}");
        assert!(total(&all).held_net() >= 0, "{all:?}");
        total(&all)
    }

    /// Their sums of one counter, each read once.
    fn sum(&self, counter: impl Fn(&Counters) -> u64) -> u64 {
        self.shared.iter().map(|shared| counter(&shared.counters.read())).sum()
    }

    /// Polls all of them until nothing more comes.
    fn settle(&mut self) {
        while self.workers.iter_mut().map(Worker::poll).sum::<usize>() > 0 {}
    }

    /// Ends them all, each on a thread: every one waits for the others.
    fn finish(&mut self) {
        thread::scope(|scope| self.workers.iter_mut().for_each(|worker| drop(scope.spawn(|| worker.finish()))));
    }
}

/// Ends the workers also when a test fails, which otherwise would wait for them.
struct StopOnDrop<'a>(&'a [Arc<Shared>]);

impl Drop for StopOnDrop<'_> {
    fn drop(&mut self) {
        self.0.iter().for_each(|shared| shared.stop.store(true, Ordering::Relaxed));
    }
}

/// One of the three pieces of a datagram of 40 bytes to `port`.
fn piece(port: u16, id: u16, number: usize) -> Vec<u8> {
    let mut frame = testing::udp(SLICED, port, u64::from(id) << 8 | number as u64);
    let fragmentation = [0x2000_u16, 0x2002, 4][number];
    frame[14 + 4..14 + 6].copy_from_slice(&id.to_be_bytes());
    frame[14 + 6..14 + 8].copy_from_slice(&fragmentation.to_be_bytes());
    frame[14 + 10..14 + 12].fill(0);
    let sum: u32 = frame[14..34].chunks(2).map(|pair| u32::from(u16::from_be_bytes([pair[0], pair[1]]))).sum();
    frame[14 + 10..14 + 12].copy_from_slice(&(!((sum & 0xffff) + (sum >> 16)) as u16).to_be_bytes());
    frame
}

/// Even datagrams have an owner.
fn port(id: u16) -> u16 {
    if id.is_multiple_of(2) { OWNED_PORT } else { FREE_PORT }
}

proptest! {
    /// Some pieces of a few datagrams, each to any worker at any time, none twice; and at last the workers end.
    #[test]
    fn the_pieces_of_a_datagram_find_each_other(
        workers in 1..4_usize,
        burst in 1..5_usize,
        pieces in Just((0..15_usize).collect::<Vec<_>>()).prop_shuffle(),
        come in 0..16_usize,
        steps in proptest::collection::vec((0..3_usize, 0..4_usize), 15),
        is_settled in any::<bool>(),
    ) {
        let mut group = Group::new(workers, burst);
        let mut expected = Counters::default();
        expected.rx = come as u64;
        let pieces: Vec<_> = pieces.iter().take(come).map(|number| ((number / 3) as u16, number % 3)).collect();
        for (&(id, number), (to, polled)) in pieces.iter().zip(steps) {
            group.workers[to % workers].io_mut().push(WAN, &piece(port(id), id, number));
            // None of them, or one.
            if let Some(worker) = group.workers.get_mut(polled) {
                worker.poll();
            }
            prop_assert_eq!(group.counters().imbalance(), 0);
            match (pieces.contains(&(id, FIRST)), port(id)) {
                (true, OWNED_PORT) => expected.tx += 1,
                (true, _) => expected.drop(DropReason::UnallocatedPort, 1),
                (false, _) => expected.drop(DropReason::FragmentUnmatched, 1),
            }
        }
        // Whatever is received is on its way, or waits, or has met its fate.
        group.settle();
        let counters = group.counters();
        prop_assert_eq!((counters.rx, counters.tx), (expected.rx, expected.tx));
        prop_assert_eq!(counters.held_net() as u64, expected.dropped(DropReason::FragmentUnmatched));
        if is_settled {
            // What waits is given up after a second, by whoever has it.
            for worker in &mut group.workers {
                worker.io_mut().clock = Nanos(1_000_000_000);
                worker.tick();
            }
            prop_assert_eq!(group.counters().held_net(), 0);
        }
        group.finish();
        let counters = group.counters();
        prop_assert_eq!(counters.held_net(), 0);
        for reason in DropReason::ALL {
            prop_assert_eq!(counters.dropped(reason), expected.dropped(reason), "{}", reason);
        }
        let sent = group.workers.iter_mut().flat_map(|worker| worker.io_mut().sent.drain(..));
        let mut sent: Vec<_> = sent.map(|(_, frame)| testing::forwarded(frame.data()).1).collect();
        sent.sort_unstable();
        let mut owned: Vec<_> = pieces.iter().filter(|(id, _)| port(*id) == OWNED_PORT).collect();
        owned.retain(|(id, _)| pieces.contains(&(*id, FIRST)));
        owned.sort_unstable();
        prop_assert!(sent.into_iter().eq(owned.iter().map(|(id, number)| u64::from(*id) << 8 | *number as u64)));
    }
}

#[test]
fn what_a_worker_does_not_take_in_time_is_dropped_and_counted() {
    const PIECES: u16 = 2_000;
    let mut group = Group::new(2, 64);
    for id in 0..PIECES {
        group.workers[0].io_mut().push(WAN, &piece(OWNED_PORT, id, FIRST));
    }
    while group.workers[0].poll() > 0 {}
    let counters = group.counters();
    let (own, lost) = (counters.tx, counters.dropped(DropReason::FragmentStoreFull));
    assert_eq!(counters.held_net(), RING as i64, "as many as have room on the way");
    assert_eq!(own + lost + RING as u64, u64::from(PIECES));
    assert!(own > 500 && lost > 0, "{counters:?}");

    assert_eq!(group.workers[1].poll(), 64, "a burst at a time");
    group.settle();
    let counters = group.counters();
    assert_eq!((counters.held_net(), counters.tx), (0, own + RING as u64));
    assert_eq!(counters.handed_over, RING as u64);
}

#[test]
fn what_is_on_its_way_at_the_end_is_given_up() {
    let mut group = Group::new(3, 64);
    for id in 0..100 {
        group.workers[0].io_mut().push(WAN, &piece(OWNED_PORT, id, FIRST));
    }
    while group.workers[0].poll() > 0 {}
    let on_their_way = group.counters().held_net() as u64;
    assert!(on_their_way > 0);
    group.finish();
    let counters = group.counters();
    assert_eq!((counters.held_net(), counters.dropped(DropReason::FragmentUnmatched)), (0, on_their_way));
}

/// Three threads; whoever reads the counters finds every packet.
#[test]
fn running_workers_are_in_balance_at_every_moment() {
    const DATAGRAMS: u16 = 3_000;
    let mut group = Group::new(3, 64);
    for id in 0..DATAGRAMS {
        for number in 0..3 {
            // Each piece to another worker.
            group.workers[(usize::from(id) + number) % 3].io_mut().push(WAN, &piece(OWNED_PORT, id, number));
        }
    }
    let mut workers = std::mem::take(&mut group.workers);
    thread::scope(|scope| {
        let stop = StopOnDrop(&group.shared);
        let running: Vec<_> = workers.iter_mut().map(|worker| scope.spawn(|| worker.run())).collect();
        while group.counters().rx < 3 * u64::from(DATAGRAMS) {
            assert!(running.iter().all(|worker| !worker.is_finished()), "a worker has panicked");
            let taken_over = group.sum(|counters| counters.taken_over);
            assert!(
                taken_over <= group.sum(|counters| counters.handed_over),
                "what was taken over was handed over before"
            );
            thread::yield_now();
        }
        drop(stop);
    });
    let counters = group.counters();
    assert_eq!(counters.held_net(), 0);
    assert_eq!(counters.handed_over, counters.taken_over);
    let lost = [DropReason::FragmentStoreFull, DropReason::FragmentUnmatched].map(|reason| counters.dropped(reason));
    assert_eq!(counters.tx + lost.iter().sum::<u64>(), counters.rx);
    assert!(counters.tx > 0 && counters.handed_over > 0, "{counters:?}");
}
