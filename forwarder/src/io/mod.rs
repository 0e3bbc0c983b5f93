// SPDX-License-Identifier: MIT OR Apache-2.0
//! Where frames come from and go to. The pipeline sees bytes; a DPDK mbuf, a pcap record and a test's vector
//! are skins over them.

pub mod buffers;
pub mod capture;
pub mod counted;
#[cfg(feature = "dpdk")]
pub mod dpdk;
pub mod hardware;
pub mod memory;
pub mod offload;
pub mod pcap;

use rustix::time::{ClockId, clock_gettime};

use offload::Unfinished;

/// Index of a device in the configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct DeviceIndex(pub u8);

/// Nanoseconds of a monotonic clock: the machine's in the daemon, the capture's in a replay.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Nanos(pub u64);

impl Nanos {
    /// CLOCK_MONOTONIC: no system call (vDSO), no drift against the machine's other clocks, the same on every core.
    #[inline]
    pub fn monotonic() -> Self {
        let now = clock_gettime(ClockId::Monotonic);
        let seconds = now.tv_sec.cast_unsigned().wrapping_mul(1_000_000_000);
        Self(seconds.wrapping_add(now.tv_nsec.cast_unsigned()))
    }
}

/// One frame in one contiguous piece of memory, with room in front.
pub trait PacketBuf: Sized {
    /// The frame's bytes.
    fn data(&self) -> &[u8];
    /// The frame's bytes, to change.
    fn data_mut(&mut self) -> &mut [u8];
    /// Grows the frame by `len` bytes at the front and returns the whole frame; `None`, and nothing changed, if there is no
    /// room. The new bytes are unspecified: write every one.
    fn prepend(&mut self, len: usize) -> Option<&mut [u8]>;
    /// Takes `len` bytes off the front; the whole frame if there are fewer.
    fn trim_front(&mut self, len: usize);
    /// Cuts the frame to at most `len` bytes.
    fn truncate(&mut self, len: usize);
    /// Makes the frame `new` bytes that are unspecified, and then the `keep` bytes that start at `old`; returns the whole
    /// frame. `None` if there is no room; the frame may then be cut to what it was to keep.
    #[inline(always)]
    fn replace_front(&mut self, old: usize, keep: usize, new: usize) -> Option<&mut [u8]> {
        self.truncate(old + keep);
        if let Some(growth) = new.checked_sub(old) {
            self.prepend(growth)
        } else {
            // A peer's headers can be longer than ours.
            self.trim_front(old - new);
            Some(self.data_mut())
        }
    }
    /// Whether something of a frame can be left to the device that sends it. Where not, all of it is written, whatever devices do.
    const CAN_BE_UNFINISHED: bool = false;
    /// Leaves `rest`, which is something, to the device that sends the frame: one that does that, and no other.
    #[inline(always)]
    fn leave_unfinished(&mut self, _rest: Unfinished) {}
    /// What of the frame is left to the device that sends it.
    #[inline(always)]
    fn unfinished(&self) -> Unfinished {
        Unfinished::default()
    }
    /// Bytes of the frame when the device has sent it.
    #[inline(always)]
    fn sent_len(&self) -> usize {
        self.data().len() + self.unfinished().growth()
    }
    /// Names the buffer: the same while the frame lives, whatever becomes of its bytes, and another than that of any other
    /// frame that lives.
    fn identity(&self) -> usize;
    /// Asks the cache for the bytes that will be read and written when the frame is processed; a hint.
    #[inline(always)]
    fn prefetch(&self) {}
}

/// Where the frames come from that the forwarder adds: its own messages, and the pieces of a packet that it cuts.
pub trait Allocator<B> {
    /// A frame of `len` bytes with the usual room in front; its bytes are unspecified. `None` if no buffer is free, or none
    /// is that long.
    fn allocate(&mut self, len: usize) -> Option<B>;
}

/// The queues of one worker: one receive and one transmit queue of every device.
pub trait PacketIo: Allocator<Self::Buf> {
    /// What a frame is here. Workers hand some to one another.
    type Buf: PacketBuf + Send;

    /// Called once on the thread that will poll, before the first [`Self::receive`].
    fn attach_thread(&mut self) {}

    /// Appends up to `max` received frames to `frames` without waiting. Frames that this backend can't present as one
    /// piece are freed, and counted in the result.
    fn receive(&mut self, device: DeviceIndex, frames: &mut Vec<Self::Buf>, max: usize) -> Received;

    /// Whether the device puts tags into frames that lack them: whoever counts what leaves has to ask each frame then.
    #[inline(always)]
    fn inserts_tags(&self, _device: DeviceIndex) -> bool {
        false
    }

    /// Hands frames to the device from the front of `frames`, once. Leaves in `frames` what the device did not take.
    fn transmit(&mut self, device: DeviceIndex, frames: &mut Vec<Self::Buf>);

    /// Hands frames for the kernel to a kernel's side that the backend has of its own, as captures and tests have. Leaves what
    /// it did not take: by default everything.
    fn to_kernel(&mut self, _device: DeviceIndex, _frames: &mut Vec<Self::Buf>) {}

    /// Frees frames.
    fn free(&mut self, frames: &mut Vec<Self::Buf>) {
        frames.clear();
    }

    /// The time: in the daemon now, in a replay that of the frame received last.
    fn now(&self) -> Nanos;
}

/// What one [`PacketIo::receive`] did, beside the frames it appended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Received {
    /// Frames taken from the device and freed: in several segments that don't fit one.
    pub segmented: usize,
}
