// SPDX-License-Identifier: MIT OR Apache-2.0
//! Writing a classic capture of Ethernet frames.

use std::io::{self, Write};

use super::{ETHERNET, MAX_FRAME, Nanos, Resolution};
use crate::io::PacketBuf;

/// Writes frames to a classic pcap file. The bytes depend on nothing but the frames, their times and the resolution.
#[derive(Debug)]
pub struct Writer<W> {
    output: W,
    resolution: Resolution,
}

impl<W: Write> Writer<W> {
    /// Writes the file's header. Bring a buffered writer: this one writes few bytes at a time.
    pub fn new(mut output: W, resolution: Resolution) -> io::Result<Self> {
        let magic: u32 = match resolution {
            Resolution::Micro => 0xa1b2_c3d4,
            Resolution::Nano => 0xa1b2_3c4d,
        };
        let snap_length = u32::try_from(MAX_FRAME).unwrap_or(u32::MAX);
        output.write_all(&magic.to_le_bytes())?;
        output.write_all(&2_u16.to_le_bytes())?;
        output.write_all(&4_u16.to_le_bytes())?;
        output.write_all(&[0; 8])?;
        output.write_all(&snap_length.to_le_bytes())?;
        output.write_all(&ETHERNET.to_le_bytes())?;
        Ok(Self { output, resolution })
    }

    /// Writes one frame; of a time after 2106 the seconds say 2106, the format has no more.
    pub fn write(&mut self, time: Nanos, frame: &[u8]) -> io::Result<()> {
        let seconds = u32::try_from(time.0 / 1_000_000_000).unwrap_or(u32::MAX);
        let unit = match self.resolution {
            Resolution::Micro => 1_000,
            Resolution::Nano => 1,
        };
        let fraction = time.0 % 1_000_000_000 / unit;
        let length = u32::try_from(frame.len()).map_err(|_| io::Error::from(io::ErrorKind::InvalidInput))?;
        self.output.write_all(&seconds.to_le_bytes())?;
        self.output.write_all(&u32::try_from(fraction).unwrap_or(0).to_le_bytes())?;
        self.output.write_all(&length.to_le_bytes())?;
        self.output.write_all(&length.to_le_bytes())?;
        self.output.write_all(frame)
    }

    /// Writes frames of one time.
    pub fn write_all<B: PacketBuf>(&mut self, time: Nanos, frames: &[B]) -> io::Result<()> {
        frames.iter().try_for_each(|frame| self.write(time, frame.data()))
    }

    /// Writes out what is buffered.
    pub fn flush(&mut self) -> io::Result<()> {
        self.output.flush()
    }
}
