// SPDX-License-Identifier: MIT OR Apache-2.0
//! A few numbers that one thread writes and any thread reads together: a sequence lock.
//!
//! The writer never waits and does no read-modify-write: it makes the sequence odd, stores the numbers, makes it even.
//! A reader copies the numbers between two looks at the sequence and starts again if the writer was there meanwhile.
//! The numbers are atomics, so that a torn copy is a wasted one and not a data race (Boehm, MSPC 2012).

#[cfg(loom)]
use loom::{hint, sync::atomic, thread::yield_now};
#[cfg(not(loom))]
use std::{hint, sync::atomic, thread::yield_now};

use atomic::{AtomicU64, Ordering, fence};

/// How often a reader looks again before it lets somebody else run: the writer may wait for this very core.
const TRIES_BEFORE_YIELD: u32 = 64;

/// `N` numbers that belong together.
#[derive(Debug)]
pub(super) struct Seqlock<const N: usize> {
    /// Odd while the writer is storing.
    sequence: AtomicU64,
    words: [AtomicU64; N],
}

impl<const N: usize> Default for Seqlock<N> {
    fn default() -> Self {
        Self { sequence: AtomicU64::new(0), words: std::array::from_fn(|_| AtomicU64::new(0)) }
    }
}

impl<const N: usize> Seqlock<N> {
    /// Replaces all numbers. One thread at a time: two would leave readers with a mix of both.
    pub(super) fn store(&self, values: &[u64; N]) {
        let sequence = self.sequence.load(Ordering::Relaxed);
        self.sequence.store(sequence.wrapping_add(1), Ordering::Relaxed);
        // Who sees any number stored below sees the odd sequence, too.
        fence(Ordering::Release);
        for (word, value) in self.words.iter().zip(values) {
            word.store(*value, Ordering::Relaxed);
        }
        self.sequence.store(sequence.wrapping_add(2), Ordering::Release);
    }

    /// All numbers of one [`Self::store`].
    pub(super) fn load(&self) -> [u64; N] {
        let mut tries = 0_u32;
        loop {
            if let Some(values) = self.try_load() {
                return values;
            }
            tries += 1;
            if tries.is_multiple_of(TRIES_BEFORE_YIELD) { yield_now() } else { hint::spin_loop() }
        }
    }

    fn try_load(&self) -> Option<[u64; N]> {
        let before = self.sequence.load(Ordering::Acquire);
        let values = self.words.each_ref().map(|word| word.load(Ordering::Relaxed));
        // Pairs with the fence of the writer whose numbers were read, if any.
        fence(Ordering::Acquire);
        let after = self.sequence.load(Ordering::Relaxed);
        (before == after && before.is_multiple_of(2)).then_some(values)
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use std::sync::atomic::AtomicBool;

    use super::*;

    /// Shows torn reads where they happen; x86 orders stores, so the fences are the model check's to prove.
    #[test]
    fn readers_never_see_a_mix() {
        const STORES: u64 = 200_000;
        let cell = Seqlock::<29>::default();
        let done = AtomicBool::new(false);
        let mixed = std::thread::scope(|scope| {
            let readers: Vec<_> = (0..2)
                .map(|_| {
                    scope.spawn(|| {
                        let mut last = 0;
                        while !done.load(Ordering::Relaxed) {
                            let values = cell.load();
                            let first = values[0];
                            let related =
                                values.iter().enumerate().all(|(i, v)| *v == first.wrapping_mul(i as u64 + 1));
                            if !related || first < last {
                                return Some((last, values));
                            }
                            last = first;
                        }
                        None
                    })
                })
                .collect();
            for n in 1..=STORES {
                cell.store(&std::array::from_fn(|i| n.wrapping_mul(i as u64 + 1)));
            }
            done.store(true, Ordering::Relaxed);
            readers.into_iter().find_map(|reader| reader.join().unwrap())
        });
        assert_eq!(mixed, None, "(last number, what was read)");
        assert_eq!(cell.load()[0], STORES);
    }
}

#[cfg(all(test, loom))]
mod model {
    use loom::sync::Arc;

    use super::*;

    /// Every interleaving, and every value that the memory model lets a load return, of two stores and one look.
    #[test]
    fn a_reader_gets_one_store_or_nothing() {
        loom::model(|| {
            let cell = Arc::new(Seqlock::<2>::default());
            let writer = {
                let cell = Arc::clone(&cell);
                loom::thread::spawn(move || {
                    cell.store(&[1, 10]);
                    cell.store(&[2, 20]);
                })
            };
            if let Some([first, second]) = cell.try_load() {
                assert_eq!(second, first * 10);
            }
            writer.join().unwrap();
            assert_eq!(cell.load(), [2, 20]);
        });
    }
}
