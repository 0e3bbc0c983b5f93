// SPDX-License-Identifier: MIT OR Apache-2.0
//! Frames from one capture file to others, for `sluice replay`.

use std::io::{self, Read, Write};

use super::memory::VecBuf;
use super::{Allocator, DeviceIndex, Nanos, PacketIo, Received, pcap};

/// The device that everything in a capture arrives at.
const ARRIVES_AT: DeviceIndex = DeviceIndex(0);

/// Devices made of captures: the first device receives `input`, and what any device transmits goes to `output`.
///
/// A burst is one packet. So each has its own capture time, and the output keeps the order of the input whatever
/// device a frame leaves by.
pub struct CaptureIo<R, W> {
    input: pcap::Reader<R>,
    output: pcap::Writer<W>,
    /// What the kernel gets; without it, it gets nothing, and that counts as taken.
    exceptions: Option<pcap::Writer<W>>,
    /// How it ended; none while it goes on.
    end: Option<Result<(), Fault>>,
    /// Time of the packet received last: what it causes bears it, too.
    stamp: Nanos,
    /// The latest time so far, for a clock that never goes back although captures may.
    clock: Nanos,
    spare: Vec<VecBuf>,
}

/// What ended a replay before the end of its input.
#[derive(Debug)]
pub enum Fault {
    /// The input can't be read on.
    Input(pcap::Error),
    /// Transmitted frames can't be written.
    Output(io::Error),
    /// Frames for the kernel can't be written.
    Exceptions(io::Error),
}

impl<R: Read, W: Write> CaptureIo<R, W> {
    /// Frames from `input` to `output`, and those for the kernel to `exceptions`.
    pub fn new(input: pcap::Reader<R>, output: pcap::Writer<W>, exceptions: Option<pcap::Writer<W>>) -> Self {
        Self { input, output, exceptions, end: None, stamp: Nanos(0), clock: Nanos(0), spare: Vec::new() }
    }

    /// Whether there is nothing more to receive: the input has ended, or something failed.
    pub fn is_finished(&self) -> bool {
        self.end.is_some()
    }

    /// Writes out what is buffered, and tells what failed first.
    pub fn finish(mut self) -> Result<(), Fault> {
        let output = self.output.flush().map_err(Fault::Output);
        let exceptions = self.exceptions.map_or(Ok(()), |mut writer| writer.flush()).map_err(Fault::Exceptions);
        self.end.unwrap_or(Ok(())).and(output).and(exceptions)
    }
}

impl<R, W> Allocator<VecBuf> for CaptureIo<R, W> {
    fn allocate(&mut self, len: usize) -> Option<VecBuf> {
        let mut buf = self.spare.pop().unwrap_or_default();
        buf.resize(len);
        Some(buf)
    }
}

impl<R: Read, W: Write> PacketIo for CaptureIo<R, W> {
    type Buf = VecBuf;

    fn receive(&mut self, device: DeviceIndex, frames: &mut Vec<VecBuf>, _max: usize) -> Received {
        if device == ARRIVES_AT && self.end.is_none() {
            let mut buf = self.spare.pop().unwrap_or_default();
            match self.input.next(buf.reset()) {
                Ok(Some(time)) => {
                    self.stamp = time;
                    self.clock = self.clock.max(time);
                    frames.push(buf);
                }
                Ok(None) => self.end = Some(Ok(())),
                Err(error) => self.end = Some(Err(Fault::Input(error))),
            }
        }
        Received::default()
    }

    fn transmit(&mut self, _device: DeviceIndex, frames: &mut Vec<VecBuf>) {
        if let Err(error) = self.output.write_all(self.stamp, frames) {
            self.end = Some(Err(Fault::Output(error)));
        }
        self.free(frames);
    }

    fn to_kernel(&mut self, _device: DeviceIndex, frames: &mut Vec<VecBuf>) {
        if let Some(Err(error)) = self.exceptions.as_mut().map(|writer| writer.write_all(self.stamp, frames)) {
            self.end = Some(Err(Fault::Exceptions(error)));
        }
        self.free(frames);
    }

    fn free(&mut self, frames: &mut Vec<VecBuf>) {
        self.spare.append(frames);
    }

    fn now(&self) -> Nanos {
        self.clock
    }
}
