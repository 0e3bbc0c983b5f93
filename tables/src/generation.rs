// SPDX-License-Identifier: MIT OR Apache-2.0
//! Generations: one thread publishes values, other threads read the newest without ever waiting.
//!
//! The reader's whole cost is two loads and a store; no lock, fence or read-modify-write. The publisher
//! frees an old value only after every reader's slot has passed it (quiescent-state reclamation), on its own
//! thread, so that no destructor ever runs on a reader. `docs/adr/0001-generation-swap.md` has the why.
//!
//! The protocol, and what each ordering is for:
//!
//! ```text
//! reader    e = epoch.load(Acquire)      (1)      publisher   old = current.swap(new, AcqRel)     (4)
//!           slot.store(e, Release)       (2)                  epoch.store(e + 1, Release)         (5)
//!           current.load(Acquire)        (3)                  free old once every slot ≥ e + 1    (6)
//! ```
//!
//! A reader that saw e + 1 in (1) sees (4) too, so its (3) gives the new value or a later one. What it did
//! with the old value came before (2), which (6) reads with Acquire: the free comes after all of it. A reader
//! that saw only e keeps its slot below e + 1, whichever value its (3) gives. So nothing hangs on whether (2)
//! becomes visible before or after (3), and the reader needs no fence between them.

#![allow(
    unsafe_code,
    reason = "a value is shared by address until the last reader has passed it; no safe type does that"
)]

use std::cell::Cell;
use std::fmt;
use std::marker::PhantomData;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crossbeam_utils::CachePadded;
use sync::{Arc, AtomicPtr, AtomicU64, Ordering};

/// The primitives that the model checker must see. The list of retired values is not among them: one thread uses it.
mod sync {
    #[cfg(loom)]
    pub(super) use loom::sync::{
        Arc,
        atomic::{AtomicPtr, AtomicU64, Ordering},
    };
    #[cfg(not(loom))]
    pub(super) use std::sync::{
        Arc,
        atomic::{AtomicPtr, AtomicU64, Ordering},
    };
}

/// Counts publications: 1 for the first value, then one more each.
pub type Epoch = u64;

/// What the slot of a reader says before its first look. It must hold everything back: a reader that could come
/// back from "passed" would race with a free that no longer waits for it.
const UNSEEN: Epoch = 0;

/// What the slot of a dropped reader says for ever.
const GONE: Epoch = Epoch::MAX;

/// Publishes values of `T` to a fixed number of readers; one thread at a time.
///
/// Dropping it takes nothing away from living readers: they keep the newest value, and whoever goes last, publisher
/// or reader, frees everything that is left. A program that wants no destructor on a reader's thread therefore
/// drops its readers first.
pub struct Publisher<T> {
    shared: Arc<Shared<T>>,
    slots: Box<[Arc<Slot>]>,
}

/// One reader's view of the newest value. Belongs to one thread at a time.
pub struct Reader<T> {
    shared: Arc<Shared<T>>,
    slot: Arc<Slot>,
    /// Send, not Sync: the slot speaks for one borrower, so two threads must never share a reader.
    one_thread: PhantomData<Cell<()>>,
}

/// Old values that nobody can see any more. They are freed when this is dropped, which may take its time: here, and not while
/// the caller holds a lock around the publisher.
#[must_use = "old values are freed where this is dropped"]
pub struct Passed<T>(Vec<Retired<T>>);

/// Readers that have not been seen on a publication in time.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("readers not yet on the new value: {0:?}")]
pub struct Late(pub Vec<usize>);

/// The newest epoch that a reader has seen; written by the reader alone, on a line of its own.
type Slot = CachePadded<AtomicU64>;

/// What both sides hold. Epoch and pointer change only at a publication, so their lines stay in every reader's cache.
struct Shared<T> {
    epoch: CachePadded<AtomicU64>,
    /// Made by `Box::into_raw`; never null.
    current: CachePadded<AtomicPtr<T>>,
    /// Old values, oldest first. Here and not in the publisher, so that they outlive it if readers do.
    retired: Mutex<Vec<Retired<T>>>,
}

/// An old value, to be freed once every slot has reached `since`.
struct Retired<T> {
    since: Epoch,
    /// Made by `Box::into_raw`. No `Box`: moving one would claim that nobody else looks at the value.
    value: *mut T,
}

// SAFETY: a retired value is only ever dropped, which may happen on any thread if `T: Send`, while readers on other
// threads may still look at it, which `T: Sync` allows.
unsafe impl<T: Send + Sync> Send for Retired<T> {}

impl<T: Send + Sync> Publisher<T> {
    /// A publisher whose first value is `first`, and `readers` readers numbered from 0.
    pub fn new(first: Box<T>, readers: usize) -> (Self, Vec<Reader<T>>) {
        let shared = Arc::new(Shared {
            epoch: CachePadded::new(AtomicU64::new(1)),
            current: CachePadded::new(AtomicPtr::new(Box::into_raw(first))),
            retired: Mutex::new(Vec::new()),
        });
        let slots: Box<[_]> = (0..readers).map(|_| Arc::new(Slot::new(AtomicU64::new(UNSEEN)))).collect();
        let readers = slots.iter().map(|slot| Reader {
            shared: Arc::clone(&shared),
            slot: Arc::clone(slot),
            one_thread: PhantomData,
        });
        let readers = readers.collect();
        (Self { shared, slots }, readers)
    }

    /// Makes `next` the value that every later [`Reader::current`] gives. The old one waits for [`Self::wait`] or
    /// [`Self::collect`] to be freed.
    pub fn publish(&mut self, next: Box<T>) -> Epoch {
        // Relaxed: this thread alone writes the epoch, and taking `&mut self` to another thread orders the rest.
        let epoch = self.shared.epoch.load(Ordering::Relaxed) + 1;
        let mut retired = self.shared.retired();
        retired.reserve(1); // what could fail comes before the swap
        let value = self.shared.current.swap(Box::into_raw(next), Ordering::AcqRel);
        retired.push(Retired { since: epoch, value });
        self.shared.epoch.store(epoch, Ordering::Release);
        epoch
    }

    /// The newest value, as the publishing thread sees it.
    pub fn current(&self) -> &T {
        let current = self.shared.current.load(Ordering::Acquire);
        // SAFETY: the pointer came from a `Box`; only `publish` retires it, which needs `&mut self` and so the end
        // of this borrow.
        unsafe { &*current }
    }

    /// Waits until every live reader has been seen on `epoch` or later, then frees what nobody can see any more.
    /// After `timeout` it names the late ones; nothing is lost, a later call finishes the work.
    ///
    /// A reader counts as seen from its next [`Reader::current`] on, so one that never looked is late.
    pub fn wait(&mut self, epoch: Epoch, timeout: Duration) -> Result<(), Late> {
        let start = Instant::now();
        loop {
            let waited = start.elapsed();
            match self.poll(epoch) {
                Ok(_passed) => return Ok(()),
                Err(late) if waited >= timeout => {
                    self.collect();
                    return Err(late);
                }
                Err(_) => pause(waited),
            }
        }
    }

    /// One look of [`Self::wait`]: what nobody can see any more, if every live reader has been seen on `epoch` or later.
    pub fn poll(&mut self, epoch: Epoch) -> Result<Passed<T>, Late> {
        let late = self.late(epoch);
        if late.is_empty() { Ok(self.take_passed().0) } else { Err(Late(late)) }
    }

    /// Frees what nobody can see any more, without waiting; returns how many old values remain.
    pub fn collect(&mut self) -> usize {
        let (_passed, remain) = self.take_passed();
        remain
    }

    /// What nobody can see any more, and how many old values remain.
    fn take_passed(&mut self) -> (Passed<T>, usize) {
        let passed = self.passed();
        let mut retired = self.shared.retired();
        let free = retired.extract_if(.., |old| old.since <= passed).collect();
        (Passed(free), retired.len())
    }

    /// The newest epoch that no reader is before.
    fn passed(&self) -> Epoch {
        self.slots.iter().map(|slot| slot.load(Ordering::Acquire)).min().unwrap_or(GONE)
    }

    /// The readers whose slot is before `epoch`.
    fn late(&self, epoch: Epoch) -> Vec<usize> {
        let late = |slot: &Arc<Slot>| slot.load(Ordering::Acquire) < epoch;
        self.slots.iter().enumerate().filter(|(_, slot)| late(slot)).map(|(number, _)| number).collect()
    }
}

impl<T: Send + Sync> Reader<T> {
    /// The newest value. Holding the borrow is what keeps the value alive: call it once a burst, also when idle.
    /// A reader that is dropped holds nothing back any more.
    #[inline]
    pub fn current(&mut self) -> &T {
        let epoch = self.shared.epoch.load(Ordering::Acquire);
        self.slot.store(epoch, Ordering::Release);
        let current = self.shared.current.load(Ordering::Acquire);
        // SAFETY: the value is freed only after this slot has passed it (module documentation), that is in a later
        // call, which needs `&mut self` and so the end of this borrow.
        unsafe { &*current }
    }
}

impl<T> Drop for Reader<T> {
    fn drop(&mut self) {
        self.slot.store(GONE, Ordering::Release);
    }
}

impl<T> Shared<T> {
    fn retired(&self) -> MutexGuard<'_, Vec<Retired<T>>> {
        // Poison means that an allocation failed above; the list is whole even so.
        self.retired.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T> Drop for Shared<T> {
    fn drop(&mut self) {
        let current = self.current.load(Ordering::Relaxed);
        // SAFETY: the pointer came from a `Box` and was not retired; publisher and readers are gone, and the `Arc`
        // that held this orders all that they did before.
        drop(unsafe { Box::from_raw(current) });
    }
}

impl<T> Drop for Retired<T> {
    fn drop(&mut self) {
        // SAFETY: the pointer came from a `Box` and nothing else frees it; the list lets go of it only when every
        // reader has passed it (`Publisher::take_passed`) or when publisher and readers are gone (`Shared`).
        drop(unsafe { Box::from_raw(self.value) });
    }
}

impl<T> fmt::Debug for Publisher<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Publisher").field("readers", &self.slots.len()).finish_non_exhaustive()
    }
}

impl<T> fmt::Debug for Passed<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Passed").field(&self.0.len()).finish()
    }
}

impl<T> fmt::Debug for Reader<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reader").finish_non_exhaustive()
    }
}

/// Between two polls after `waited` since the first one: yields at first, then sleeps, but never for long against what it has waited
/// already.
#[cfg(not(loom))]
pub fn pause(waited: Duration) {
    /// A busy reader passes within a burst, some microseconds.
    const EAGER: Duration = Duration::from_micros(50);
    const SHORTEST_SLEEP: Duration = Duration::from_micros(10);
    const LONGEST_SLEEP: Duration = Duration::from_millis(1);
    if waited < EAGER {
        std::thread::yield_now();
    } else {
        std::thread::sleep((waited / 8).clamp(SHORTEST_SLEEP, LONGEST_SLEEP));
    }
}

/// Between two polls: the other threads' turn.
#[cfg(loom)]
pub fn pause(_waited: Duration) {
    loom::thread::yield_now();
}

#[cfg(test)]
mod tests {
    use static_assertions::{assert_impl_all, assert_not_impl_any};

    use super::*;

    // A worker takes its reader along when it starts.
    assert_impl_all!(Reader<String>: Send);
    // One slot speaks for one borrower: a second one would be freed from under it.
    assert_not_impl_any!(Reader<String>: Sync, Clone, Copy);
    // The control thread takes the publisher along; `&Publisher` only gives `&T`.
    assert_impl_all!(Publisher<String>: Send, Sync);
    // Two publishers would both retire the same value.
    assert_not_impl_any!(Publisher<String>: Clone, Copy);
}
