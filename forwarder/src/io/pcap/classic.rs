// SPDX-License-Identifier: MIT OR Apache-2.0
//! The classic format: a header of 24 bytes, then packets, each behind a header of 16.

use std::io::Read;

use super::input::{Input, Order};
use super::{ETHERNET, Fault, Nanos, Resolution};

/// The link type's bits of the header's last word; above them the length of the frame check sequence may stand.
const LINK_TYPE: u32 = 0x03ff_ffff;

#[derive(Debug)]
pub(super) struct Classic {
    order: Order,
    pub(super) resolution: Resolution,
}

impl Classic {
    /// Reads the file header behind its magic number: version, two unused words, snap length, link type. The snap
    /// length is not believed: writers get it wrong, and frames have their own lengths.
    pub(super) fn open<R: Read>(input: &mut Input<R>, order: Order, resolution: Resolution) -> Result<Self, Fault> {
        input.skip(16)?;
        match order.u32(input.array()?) & LINK_TYPE {
            ETHERNET => Ok(Self { order, resolution }),
            other => Err(Fault::LinkType(other)),
        }
    }

    /// Reads one packet: seconds, fraction, captured length, original length, bytes.
    pub(super) fn next<R: Read>(&mut self, input: &mut Input<R>, frame: &mut Vec<u8>) -> Result<Option<Nanos>, Fault> {
        let Some(seconds) = input.array_or_end()? else { return Ok(None) };
        let seconds = u64::from(self.order.u32(seconds));
        let fraction = u64::from(self.order.u32(input.array()?));
        let captured = self.order.u32(input.array()?);
        let _original: [u8; 4] = input.array()?;
        input.frame(captured, frame)?;
        let unit = match self.resolution {
            Resolution::Micro => 1_000,
            Resolution::Nano => 1,
        };
        // Fits: 2³² s and 2³² µs are less than 2⁶³ ns together.
        Ok(Some(Nanos(seconds * 1_000_000_000 + fraction * unit)))
    }
}
