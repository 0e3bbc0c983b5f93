// SPDX-License-Identifier: MIT OR Apache-2.0
//! Whole numbers and byte strings from a stream that may end anywhere.

use std::io::{ErrorKind, Read};

use super::{Fault, MAX_FRAME};

/// In which order a file's numbers have their bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    /// The most significant byte first.
    Big,
    /// The least significant byte first.
    Little,
}

impl Order {
    pub(super) fn u16(self, bytes: [u8; 2]) -> u16 {
        if self == Self::Big { u16::from_be_bytes(bytes) } else { u16::from_le_bytes(bytes) }
    }

    pub(super) fn u32(self, bytes: [u8; 4]) -> u32 {
        if self == Self::Big { u32::from_be_bytes(bytes) } else { u32::from_le_bytes(bytes) }
    }

    pub(super) fn u64(self, bytes: [u8; 8]) -> u64 {
        if self == Self::Big { u64::from_be_bytes(bytes) } else { u64::from_le_bytes(bytes) }
    }
}

/// A stream; its end is [`Fault::Truncated`] where something must follow.
#[derive(Debug)]
pub(super) struct Input<R>(R);

impl<R: Read> Input<R> {
    pub(super) fn new(reader: R) -> Self {
        Self(reader)
    }

    /// The next `N` bytes, or nothing if the stream ends just here.
    pub(super) fn array_or_end<const N: usize>(&mut self) -> Result<Option<[u8; N]>, Fault> {
        let mut bytes = [0; N];
        match self.fill(&mut bytes)? {
            0 => Ok(None),
            filled if filled == N => Ok(Some(bytes)),
            _ => Err(Fault::Truncated),
        }
    }

    /// The next `N` bytes.
    pub(super) fn array<const N: usize>(&mut self) -> Result<[u8; N], Fault> {
        self.array_or_end()?.ok_or(Fault::Truncated)
    }

    /// Appends the next `len` bytes, those of a frame, to `frame`.
    pub(super) fn frame(&mut self, len: u32, frame: &mut Vec<u8>) -> Result<(), Fault> {
        let bytes = usize::try_from(len).ok().filter(|len| *len <= MAX_FRAME).ok_or(Fault::TooLong(len))?;
        let start = frame.len();
        frame.resize(start + bytes, 0);
        let filled = self.fill(frame.get_mut(start..).unwrap_or_default())?;
        if filled == bytes { Ok(()) } else { Err(Fault::Truncated) }
    }

    /// Reads over the next `len` bytes.
    pub(super) fn skip(&mut self, len: u32) -> Result<(), Fault> {
        let mut waste = [0; 256];
        let mut left = len as usize;
        while left > 0 {
            let wanted = left.min(waste.len());
            if self.fill(waste.get_mut(..wanted).unwrap_or_default())? < wanted {
                return Err(Fault::Truncated);
            }
            left -= wanted;
        }
        Ok(())
    }

    /// Fills `bytes` as far as the stream goes.
    fn fill(&mut self, bytes: &mut [u8]) -> Result<usize, Fault> {
        let mut filled = 0;
        while let Some(rest) = bytes.get_mut(filled..).filter(|rest| !rest.is_empty()) {
            match self.0.read(rest) {
                Ok(0) => break,
                Ok(more) => filled += more,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(Fault::Io(error)),
            }
        }
        Ok(filled)
    }
}
