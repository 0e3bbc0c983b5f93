// SPDX-License-Identifier: MIT OR Apache-2.0
//! Frames from and to capture files: pcap (draft-ietf-opsawg-pcap) and pcapng (draft-ietf-opsawg-pcapng) in, pcap out.
//!
//! A capture comes from anywhere, so nothing in it is believed: a length buys no memory beyond [`MAX_FRAME`], and
//! whatever does not fit together is an [`Error`] that names the packet. Read as a stream: a pipe will do.

mod classic;
mod error;
mod input;
mod pcapng;
#[cfg(test)]
mod tests;
mod writer;

use std::io::Read;

pub use error::{Error, Fault};
use input::{Input, Order};
pub use writer::Writer;

use super::Nanos;
use classic::Classic;
use pcapng::Pcapng;

/// The longest frame that a capture may hold: what libpcap allows for Ethernet.
pub const MAX_FRAME: usize = 262_144;

/// Link type of Ethernet (LINKTYPE_ETHERNET).
const ETHERNET: u32 = 1;

/// How fine the time stamps of a capture are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resolution {
    /// 10⁻⁶ s.
    Micro,
    /// 10⁻⁹ s.
    Nano,
}

/// Reads the frames of a capture one after the other.
#[derive(Debug)]
pub struct Reader<R> {
    input: Input<R>,
    format: Format,
    /// Packets read so far.
    packets: u64,
}

#[derive(Debug)]
enum Format {
    Classic(Classic),
    Pcapng(Pcapng),
}

impl<R: Read> Reader<R> {
    /// Reads the file's header. Bring a buffered reader: this one asks for few bytes at a time.
    pub fn new(input: R) -> Result<Self, Error> {
        let mut input = Input::new(input);
        let format = Format::open(&mut input).map_err(|fault| Error { packet: 0, fault })?;
        Ok(Self { input, format, packets: 0 })
    }

    /// Appends the next packet's captured bytes to `frame` and returns its time, or `None` at the end of the capture.
    /// After an error `frame` may hold part of a packet.
    pub fn next(&mut self, frame: &mut Vec<u8>) -> Result<Option<Nanos>, Error> {
        let time = match &mut self.format {
            Format::Classic(classic) => classic.next(&mut self.input, frame),
            Format::Pcapng(pcapng) => pcapng.next(&mut self.input, frame),
        };
        let time = time.map_err(|fault| Error { packet: self.packets + 1, fault })?;
        self.packets += u64::from(time.is_some());
        Ok(time)
    }

    /// The resolution that loses nothing of this capture's times. Interfaces of a pcapng file may differ and come
    /// late, so there it is nanoseconds.
    pub fn resolution(&self) -> Resolution {
        match &self.format {
            Format::Classic(classic) => classic.resolution,
            Format::Pcapng(_) => Resolution::Nano,
        }
    }
}

impl Format {
    fn open<R: Read>(input: &mut Input<R>) -> Result<Self, Fault> {
        match input.array_or_end()?.ok_or(Fault::Empty)? {
            [0xa1, 0xb2, 0xc3, 0xd4] => Classic::open(input, Order::Big, Resolution::Micro).map(Self::Classic),
            [0xd4, 0xc3, 0xb2, 0xa1] => Classic::open(input, Order::Little, Resolution::Micro).map(Self::Classic),
            [0xa1, 0xb2, 0x3c, 0x4d] => Classic::open(input, Order::Big, Resolution::Nano).map(Self::Classic),
            [0x4d, 0x3c, 0xb2, 0xa1] => Classic::open(input, Order::Little, Resolution::Nano).map(Self::Classic),
            pcapng::SECTION_HEADER => Pcapng::open(input).map(Self::Pcapng),
            other => Err(Fault::NotACapture(other)),
        }
    }
}
