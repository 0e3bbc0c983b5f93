// SPDX-License-Identifier: MIT OR Apache-2.0
//! Where control leaves a tap for a worker, and the worker finds it when it next looks around.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use super::tap::Tap;

/// One worker's place for a tap.
#[derive(Debug, Default)]
pub struct TapSlot {
    /// Whether it is worth a look.
    posted: AtomicBool,
    tap: Mutex<Option<Box<Tap>>>,
}

impl TapSlot {
    /// Leaves a tap, in the place of one that was not fetched.
    pub fn post(&self, tap: Box<Tap>) {
        let before = self.tap.lock().unwrap_or_else(PoisonError::into_inner).replace(tap);
        self.posted.store(true, Ordering::Release);
        drop(before);
    }

    /// Takes back a tap that was not fetched.
    pub fn withdraw(&self) {
        let tap = self.tap.lock().unwrap_or_else(PoisonError::into_inner).take();
        drop(tap);
    }

    /// Fetches the tap, if there is one. For the worker: it never waits, and looks again later if control is there just now.
    #[inline]
    pub(crate) fn fetch(&self) -> Option<Box<Tap>> {
        if !self.posted.load(Ordering::Acquire) {
            return None;
        }
        let mut slot = self.tap.try_lock().ok()?;
        self.posted.store(false, Ordering::Relaxed);
        slot.take()
    }
}
