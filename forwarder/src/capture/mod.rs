// SPDX-License-Identifier: MIT OR Apache-2.0
//! Looking at packets on their way: each as it came, what became of it, and as it left.
//!
//! ```text
//!  worker ── Tap ── copies ──► ring ──► Drain ── filter ── pcapng ──► whoever asked
//! ```
//!
//! Without a tap a worker pays one branch a burst. With one it copies the beginnings of frames into a ring of its own, and never
//! waits: what finds no room is counted as lost. All else (filter, words, the file's form) is done by the reader's thread.

pub mod drain;
pub mod filter;
pub mod pcapng;
mod record;
pub mod tap;
#[cfg(test)]
mod tests;
mod witness;

pub use record::Fate;
pub(crate) use witness::{Moment, Nobody, Witness};

use crate::counters::DropReason;

/// Bytes of a packet that are kept if nobody asks for more or less: outer and inner headers with some payload.
pub const SNAP_LENGTH: u16 = 256;

/// Which packets are looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    /// All of them, or those that are dropped for one of these reasons.
    pub wanted: Wanted,
    /// Every so manieth of these; at least 1.
    pub every: u64,
    /// Bytes of a frame that are kept at most.
    pub snap_length: u16,
}

/// What is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wanted {
    /// Every packet, as it comes and as it leaves.
    All,
    /// Packets that are dropped, as they are then.
    Drops(Reasons),
}

/// A set of drop reasons.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Reasons(u64);

const _: () = assert!(DropReason::ALL.len() <= 64);

impl Reasons {
    /// All of them.
    pub const ANY: Self = Self(u64::MAX);

    /// The set with `reason` in it.
    #[must_use]
    pub fn with(self, reason: DropReason) -> Self {
        Self(self.0 | 1 << reason as u64)
    }

    /// Whether `reason` is in it.
    #[inline]
    pub fn has(self, reason: DropReason) -> bool {
        self.0 >> reason as u64 & 1 == 1
    }
}
