// SPDX-License-Identifier: MIT OR Apache-2.0
//! What goes through a tap's ring: records of fixed length, some of them with bytes of a frame behind them. Written and read in
//! one process, so the order of bytes is nobody else's business.

use crate::counters::DropReason;
use crate::io::DeviceIndex;

/// What became of a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// It waits for its first fragment, and is seen again when that has come.
    Held,
    /// It left.
    Sent,
    /// The kernel got it.
    Kernel,
    /// It was dropped.
    Dropped(DropReason),
    /// Another worker decides, and sees it again.
    Handed,
}

/// One record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Record {
    /// The packet's number at its worker.
    pub(super) number: u64,
    pub(super) kind: Kind,
}

/// What a record says of its packet. A packet's fate comes last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// So it came.
    Came(Seen),
    /// So it left, or was to leave.
    Left(Seen),
    /// That became of it.
    Fate { fate: Fate, generation: u64, revision: u64 },
}

/// A frame, of which the first `captured` bytes follow the record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Seen {
    /// Nanoseconds since 1970.
    pub(super) time: u64,
    pub(super) device: DeviceIndex,
    pub(super) length: u32,
    pub(super) captured: u32,
}

/// Numbers that make a record.
const WORDS: usize = 4;
/// Bytes of a record alone.
pub(super) const LEN: usize = 8 * WORDS;

impl Record {
    /// Bytes that follow it.
    pub(super) fn payload(&self) -> usize {
        match self.kind {
            Kind::Came(seen) | Kind::Left(seen) => seen.captured as usize,
            Kind::Fate { .. } => 0,
        }
    }

    /// Its bytes, number by number.
    #[inline]
    pub(super) fn encode(&self) -> [[u8; 8]; WORDS] {
        let (kind, code, [first, second]) = match self.kind {
            Kind::Came(seen) => (0, seen.device.0, seen.words()),
            Kind::Left(seen) => (1, seen.device.0, seen.words()),
            Kind::Fate { fate, generation, revision } => (2, fate.code(), [generation, revision]),
        };
        [self.number, first, second, u64::from(code) << 8 | kind].map(u64::to_ne_bytes)
    }

    pub(super) fn decode(bytes: &[u8; LEN]) -> Option<Self> {
        let words: &[[u8; 8]; WORDS] = bytes.as_chunks().0.try_into().ok()?;
        let [number, first, second, last] = words.map(u64::from_ne_bytes);
        let code = (last >> 8) as u8;
        let seen =
            Seen { time: first, device: DeviceIndex(code), length: (second >> 32) as u32, captured: second as u32 };
        let kind = match last as u8 {
            0 => Kind::Came(seen),
            1 => Kind::Left(seen),
            _ => Kind::Fate { fate: Fate::from_code(code)?, generation: first, revision: second },
        };
        Some(Self { number, kind })
    }
}

impl Seen {
    fn words(self) -> [u64; 2] {
        [self.time, u64::from(self.length) << 32 | u64::from(self.captured)]
    }
}

impl Fate {
    const DROPPED: u8 = 16;

    fn code(self) -> u8 {
        match self {
            Self::Held => 0,
            Self::Sent => 1,
            Self::Kernel => 2,
            Self::Handed => 3,
            Self::Dropped(reason) => Self::DROPPED + reason as u8,
        }
    }

    fn from_code(code: u8) -> Option<Self> {
        match code {
            0 => Some(Self::Held),
            1 => Some(Self::Sent),
            2 => Some(Self::Kernel),
            3 => Some(Self::Handed),
            _ => DropReason::ALL.get(usize::from(code.checked_sub(Self::DROPPED)?)).copied().map(Self::Dropped),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_come_out_as_they_went_in() {
        let seen = Seen { time: 1 << 60, device: DeviceIndex(255), length: 9_000, captured: 256 };
        let fates = [Fate::Held, Fate::Sent, Fate::Kernel, Fate::Handed].into_iter();
        let fates = fates.chain(DropReason::ALL.into_iter().map(Fate::Dropped));
        let fate = |fate| Kind::Fate { fate, generation: u64::MAX, revision: 3 };
        for kind in [Kind::Came(seen), Kind::Left(seen)].into_iter().chain(fates.map(fate)) {
            let record = Record { number: 0x0123_4567_89ab_cdef, kind };
            let bytes = record.encode();
            assert_eq!(Record::decode(bytes.as_flattened().try_into().unwrap()), Some(record));
        }
    }
}
