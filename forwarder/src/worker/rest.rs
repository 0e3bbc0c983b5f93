// SPDX-License-Identifier: MIT OR Apache-2.0
//! How long a worker sleeps when nothing comes, if it may sleep at all: not in a short gap, then longer and longer.

use std::time::Duration;

/// Rounds without a frame that are no reason to sleep: the gaps of busy traffic.
const GAP: u32 = 64;
/// Doublings of a microsecond that a sleep grows by: to 64 µs. With what the system's timers are late by, about as long again, a
/// device's queue of 1024 frames bears eight million packets a second meanwhile.
const LONGEST: u32 = 6;

/// Counts the rounds without a frame.
#[derive(Debug, Default)]
pub(super) struct Rest {
    empty: u32,
}

impl Rest {
    /// How long to sleep after a round that brought so many frames, if at all. The system adds what its timers are late by.
    pub(super) fn after(&mut self, received: usize) -> Option<Duration> {
        if received > 0 {
            self.empty = 0;
            return None;
        }
        self.empty = (self.empty + 1).min(GAP + 1 + LONGEST);
        let doublings = self.empty.checked_sub(GAP + 1)?;
        Some(Duration::from_micros(1 << doublings))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::Ordering;

    use tables::Publisher;

    use super::*;
    use crate::io::memory::VecBuf;
    use crate::io::{Allocator, DeviceIndex, Nanos, PacketIo, Received};
    use crate::testing;
    use crate::worker::handoff::Handoff;
    use crate::worker::{Shared, Worker};

    #[test]
    fn sleeps_grow_to_a_bound_and_end_with_the_first_frame() {
        let mut rest = Rest::default();
        for _ in 0..2 {
            assert!((0..64).all(|_| rest.after(0).is_none()), "a gap");
            let sleeps: Vec<_> = (0..9).filter_map(|_| rest.after(0)).map(|sleep| sleep.as_micros()).collect();
            assert_eq!(sleeps, [1, 2, 4, 8, 16, 32, 64, 64, 64]);
            assert_eq!(rest.after(1), None);
        }
    }

    /// Counts its polls, and asks for the end at the last one.
    struct Silent {
        polls: usize,
        shared: Arc<Shared>,
    }

    impl Allocator<VecBuf> for Silent {
        fn allocate(&mut self, _: usize) -> Option<VecBuf> {
            None
        }
    }

    impl PacketIo for Silent {
        type Buf = VecBuf;
        fn receive(&mut self, _: DeviceIndex, _: &mut Vec<VecBuf>, _: usize) -> Received {
            self.polls += 1;
            self.shared.stop.store(self.polls >= 2 * 100, Ordering::Relaxed);
            Received::default()
        }
        fn transmit(&mut self, _: DeviceIndex, _: &mut Vec<VecBuf>) {}
        fn to_kernel(&mut self, _: DeviceIndex, _: &mut Vec<VecBuf>) {}
        fn now(&self) -> Nanos {
            Nanos(0)
        }
    }

    /// After each sleep the worker keeps house, so that neither a stop nor a timer waits for more than one.
    #[test]
    fn housekeeping_follows_each_sleep() {
        let settings = Arc::new(testing::settings());
        let (_publisher, mut readers) = Publisher::new(testing::state(1, "lhr-1", &settings), 1);
        let shared = Arc::new(Shared::default());
        let io = Silent { polls: 0, shared: Arc::clone(&shared) };
        let reader = readers.pop().unwrap();
        let mut worker = Worker::new(io, settings, 64, reader, Arc::clone(&shared), Handoff::alone()).resting();
        worker.run();
        // Of 100 rounds over two devices, 64 are a gap.
        assert_eq!((worker.into_io().polls, shared.beat.load(Ordering::Relaxed)), (200, 36));
    }
}
