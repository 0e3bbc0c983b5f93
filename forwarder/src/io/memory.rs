// SPDX-License-Identifier: MIT OR Apache-2.0
//! Frames in plain memory, for tests, benchmarks and captures.

use std::collections::VecDeque;

use super::{Allocator, DeviceIndex, Nanos, PacketBuf, PacketIo, Received};

/// Room in front of a fresh frame, as much as an mbuf has by default.
pub const HEADROOM: usize = 128;

/// A frame in a vector, with [`HEADROOM`] in front.
#[derive(Debug, Clone, Default)]
pub struct VecBuf {
    bytes: Vec<u8>,
    start: usize,
}

impl VecBuf {
    /// A frame with these bytes.
    pub fn new(frame: &[u8]) -> Self {
        let mut buf = Self::default();
        buf.refill(frame);
        buf
    }

    /// Becomes a frame with these bytes, in the memory it has.
    pub fn refill(&mut self, frame: &[u8]) {
        self.reset().extend_from_slice(frame);
    }

    /// Becomes a frame of `len` zero bytes, in the memory it has.
    pub fn resize(&mut self, len: usize) {
        self.reset().resize(HEADROOM + len, 0);
    }

    /// Becomes an empty frame. Append the frame's bytes to the vector, and take none away.
    pub fn reset(&mut self) -> &mut Vec<u8> {
        self.bytes.clear();
        self.bytes.resize(HEADROOM, 0);
        self.start = HEADROOM;
        &mut self.bytes
    }
}

impl PacketBuf for VecBuf {
    fn data(&self) -> &[u8] {
        self.bytes.get(self.start..).unwrap_or_default()
    }

    fn data_mut(&mut self) -> &mut [u8] {
        self.bytes.get_mut(self.start..).unwrap_or_default()
    }

    fn prepend(&mut self, len: usize) -> Option<&mut [u8]> {
        self.start = self.start.checked_sub(len)?;
        Some(self.data_mut())
    }

    fn trim_front(&mut self, len: usize) {
        self.start = self.start.saturating_add(len).min(self.bytes.len());
    }

    fn truncate(&mut self, len: usize) {
        self.bytes.truncate(self.start.saturating_add(len));
    }

    fn identity(&self) -> usize {
        self.bytes.as_ptr().addr()
    }
}

/// Devices made of vectors: frames are put in, and what came out is kept to be looked at.
///
/// Buffers go round (in → out → [`Self::recycle`] → in), so that in a steady state nothing is allocated.
#[derive(Debug, Default)]
pub struct MemoryIo {
    input: Vec<VecDeque<VecBuf>>,
    /// What was transmitted, in order, and by which device.
    pub sent: Vec<(DeviceIndex, VecBuf)>,
    /// What the kernel got, in order, and from which device.
    pub kernel: Vec<(DeviceIndex, VecBuf)>,
    /// How many frames a device takes at a time; all of them by default.
    pub transmit_limit: Option<usize>,
    /// How many frames the kernel takes at a time; all of them by default.
    pub kernel_limit: Option<usize>,
    /// So many frames of the next burst count as received in pieces.
    pub segmented: usize,
    /// The time of the frames.
    pub clock: Nanos,
    spare: Vec<VecBuf>,
}

impl MemoryIo {
    /// So many devices, with empty queues.
    pub fn new(devices: usize) -> Self {
        Self { input: vec![VecDeque::new(); devices], ..Self::default() }
    }

    /// Puts a frame into the receive queue of `device`; one that does not exist takes none.
    pub fn push(&mut self, device: DeviceIndex, frame: &[u8]) {
        if let Some(queue) = self.input.get_mut(usize::from(device.0)) {
            let mut buf = self.spare.pop().unwrap_or_default();
            buf.refill(frame);
            queue.push_back(buf);
        }
    }

    /// Whether every frame has been received.
    pub fn is_drained(&self) -> bool {
        self.input.iter().all(VecDeque::is_empty)
    }

    /// Forgets what came out, and uses its memory for what comes in.
    pub fn recycle(&mut self) {
        self.spare.extend(self.sent.drain(..).chain(self.kernel.drain(..)).map(|(_, buf)| buf));
    }
}

/// Moves frames from the front of `frames` to `taken`, at most `limit`.
fn take(device: DeviceIndex, frames: &mut Vec<VecBuf>, limit: Option<usize>, taken: &mut Vec<(DeviceIndex, VecBuf)>) {
    let count = limit.unwrap_or(usize::MAX).min(frames.len());
    taken.extend(frames.drain(..count).map(|buf| (device, buf)));
}

impl Allocator<VecBuf> for MemoryIo {
    fn allocate(&mut self, len: usize) -> Option<VecBuf> {
        let mut buf = self.spare.pop().unwrap_or_default();
        buf.resize(len);
        Some(buf)
    }
}

impl PacketIo for MemoryIo {
    type Buf = VecBuf;

    fn receive(&mut self, device: DeviceIndex, frames: &mut Vec<VecBuf>, max: usize) -> Received {
        let Some(queue) = self.input.get_mut(usize::from(device.0)) else { return Received::default() };
        let burst = max.min(queue.len());
        let segmented = self.segmented.min(burst);
        self.segmented -= segmented;
        self.spare.extend(queue.drain(..segmented));
        frames.extend(queue.drain(..burst - segmented));
        Received { segmented }
    }

    fn transmit(&mut self, device: DeviceIndex, frames: &mut Vec<VecBuf>) {
        take(device, frames, self.transmit_limit, &mut self.sent);
    }

    fn to_kernel(&mut self, device: DeviceIndex, frames: &mut Vec<VecBuf>) {
        take(device, frames, self.kernel_limit, &mut self.kernel);
    }

    fn free(&mut self, frames: &mut Vec<VecBuf>) {
        self.spare.append(frames);
    }

    fn now(&self) -> Nanos {
        self.clock
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WAN: DeviceIndex = DeviceIndex(0);

    #[test]
    fn a_buffer_grows_into_its_headroom_and_no_further() {
        let mut buf = VecBuf::new(b"frame");
        buf.prepend(HEADROOM).unwrap().iter_mut().take(HEADROOM).for_each(|b| *b = b'x');
        assert_eq!(buf.data().len(), HEADROOM + 5);
        assert!(buf.prepend(1).is_none());
        assert_eq!(buf.data().len(), HEADROOM + 5, "a refused prepend changes nothing");
        buf.trim_front(HEADROOM - 1);
        assert_eq!(buf.data(), b"xframe");
        buf.truncate(3);
        assert_eq!(buf.data(), b"xfr");
        buf.truncate(100);
        assert_eq!(buf.data(), b"xfr");
        buf.trim_front(usize::MAX);
        assert_eq!(buf.data(), b"");
        buf.refill(b"other");
        assert_eq!(buf.data(), b"other");
    }

    #[test]
    fn what_is_not_taken_stays_in_order() {
        let mut io = MemoryIo { transmit_limit: Some(2), ..MemoryIo::new(1) };
        for frame in [b"a", b"b", b"c"] {
            io.push(WAN, frame);
        }
        let mut frames = Vec::new();
        assert_eq!(io.receive(WAN, &mut frames, 64), Received::default());
        assert!(io.is_drained());
        io.transmit(WAN, &mut frames);
        assert_eq!(frames.iter().map(VecBuf::data).collect::<Vec<_>>(), [b"c"]);
        assert_eq!(io.sent.iter().map(|(_, b)| b.data()).collect::<Vec<_>>(), [b"a", b"b"]);
    }

    #[test]
    fn a_burst_is_at_most_what_was_asked_for() {
        let mut io = MemoryIo { segmented: 1, ..MemoryIo::new(1) };
        for frame in [b"a", b"b", b"c"] {
            io.push(WAN, frame);
        }
        let mut frames = Vec::new();
        assert_eq!(io.receive(WAN, &mut frames, 2), Received { segmented: 1 });
        assert_eq!(frames.iter().map(VecBuf::data).collect::<Vec<_>>(), [b"b"]);
        assert_eq!(io.receive(DeviceIndex(7), &mut frames, 2), Received::default());
    }
}
