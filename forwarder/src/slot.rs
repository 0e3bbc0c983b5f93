// SPDX-License-Identifier: MIT OR Apache-2.0
//! Where control leaves something for a worker, and the worker finds it when it next looks around.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

/// One worker's place for such a thing.
pub struct Slot<T> {
    /// Whether it is worth a look.
    posted: AtomicBool,
    thing: Mutex<Option<Box<T>>>,
}

impl<T> Default for Slot<T> {
    fn default() -> Self {
        Self { posted: AtomicBool::new(false), thing: Mutex::new(None) }
    }
}

impl<T> fmt::Debug for Slot<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Slot").field("posted", &self.posted).finish_non_exhaustive()
    }
}

impl<T> Slot<T> {
    /// Leaves a thing, in the place of one that was not fetched.
    pub fn post(&self, thing: Box<T>) {
        let before = self.thing.lock().unwrap_or_else(PoisonError::into_inner).replace(thing);
        self.posted.store(true, Ordering::Release);
        drop(before);
    }

    /// Takes back a thing that was not fetched.
    pub fn withdraw(&self) {
        let thing = self.thing.lock().unwrap_or_else(PoisonError::into_inner).take();
        drop(thing);
    }

    /// Whether what was left was fetched.
    pub fn is_empty(&self) -> bool {
        self.thing.lock().unwrap_or_else(PoisonError::into_inner).is_none()
    }

    /// Fetches the thing, if there is one. For the worker: it never waits, and looks again later if control is there just now.
    #[inline]
    pub(crate) fn fetch(&self) -> Option<Box<T>> {
        if !self.posted.load(Ordering::Acquire) {
            return None;
        }
        let mut slot = self.thing.try_lock().ok()?;
        self.posted.store(false, Ordering::Relaxed);
        slot.take()
    }
}
