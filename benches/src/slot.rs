// SPDX-License-Identifier: MIT OR Apache-2.0
//! Packet buffers in one piece of memory, laid out as DPDK's are.

use forwarder::io::PacketBuf;
use forwarder::io::memory::HEADROOM;
use tables::prefetch::prefetch_address;

use crate::frames::{IMAGE, Image};
use crate::random::Random;

/// From one buffer to the next: 2 KiB, and a cache line so that not all frames fall into the same few sets of the caches.
/// DPDK's pools take care of that too.
const STRIDE: usize = 2048 + 64;

#[derive(Clone)]
#[repr(align(64))]
struct Room([u8; STRIDE]);

/// A frame in a buffer of an [`arena`]: a pointer, as DPDK's are.
pub struct Slot(&'static mut Header);

/// What DPDK keeps in front of the buffer, and a device has just written when a worker gets the frame. It is apart from the
/// buffer here, so that it is as near as it would be then when the buffer is far.
struct Header {
    room: &'static mut Room,
    start: u16,
    len: u16,
}

/// So many buffers, in random order. They stay for good.
pub fn arena(count: usize) -> Vec<Slot> {
    let rooms = Vec::leak(vec![Room([0; STRIDE]); count]);
    let mut headers: Vec<_> = rooms.iter_mut().map(|room| Header { room, start: 0, len: 0 }).collect();
    Random::new(7).shuffle(&mut headers);
    Vec::leak(headers).iter_mut().map(Slot).collect()
}

impl Slot {
    /// Becomes the frame of `image`. Behind the headers it has the zeros that the buffer began with.
    #[inline]
    pub fn restore(&mut self, image: &Image) {
        if let Some(room) = self.0.room.0.get_mut(HEADROOM..HEADROOM + IMAGE) {
            room.copy_from_slice(&image.bytes);
        }
        self.0.start = HEADROOM as u16;
        self.0.len = image.len;
    }
}

impl PacketBuf for Slot {
    #[inline]
    fn data(&self) -> &[u8] {
        let start = usize::from(self.0.start);
        match self.0.room.0.get(start..start + usize::from(self.0.len)) {
            Some(data) => data,
            None => outside(),
        }
    }

    #[inline]
    fn data_mut(&mut self) -> &mut [u8] {
        let start = usize::from(self.0.start);
        match self.0.room.0.get_mut(start..start + usize::from(self.0.len)) {
            Some(data) => data,
            None => outside(),
        }
    }

    #[inline]
    fn prepend(&mut self, len: usize) -> Option<&mut [u8]> {
        let len = u16::try_from(len).ok()?;
        self.0.start = self.0.start.checked_sub(len)?;
        self.0.len += len;
        Some(self.data_mut())
    }

    #[inline]
    fn trim_front(&mut self, len: usize) {
        let len = u16::try_from(len).unwrap_or(u16::MAX).min(self.0.len);
        self.0.start += len;
        self.0.len -= len;
    }

    fn identity(&self) -> usize {
        self.0.room.0.as_ptr().addr()
    }

    #[inline]
    fn truncate(&mut self, len: usize) {
        self.0.len = self.0.len.min(u16::try_from(len).unwrap_or(u16::MAX));
    }

    #[inline(always)]
    fn replace_front(&mut self, old: usize, keep: usize, new: usize) -> Option<&mut [u8]> {
        let start = (usize::from(self.0.start) + old).checked_sub(new)?;
        if old + keep > usize::from(self.0.len) {
            return None;
        }
        (self.0.start, self.0.len) = (u16::try_from(start).ok()?, u16::try_from(new + keep).ok()?);
        Some(self.data_mut())
    }

    #[inline(always)]
    fn prefetch(&self) {
        let start = self.0.room.0.as_ptr().wrapping_add(self.0.start.into());
        prefetch_address(start);
        prefetch_address(start.wrapping_sub(64));
    }
}

/// Never comes: frames are inside their buffers. Cold, so that the compiler makes a branch of it, as foreseen, and not a
/// choice to compute: DPDK's buffers, which know it, have neither.
#[cold]
#[inline(never)]
fn outside<'a>() -> &'a mut [u8] {
    &mut []
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slot_keeps_the_promises_of_a_buffer() {
        let mut slot = arena(2).pop().unwrap();
        slot.restore(&Image { bytes: [7; IMAGE], len: 60 });
        assert_eq!(slot.data(), [7; 60]);
        slot.prepend(HEADROOM).unwrap()[..HEADROOM].fill(1);
        assert_eq!(slot.data().len(), HEADROOM + 60);
        assert!(slot.prepend(1).is_none());
        slot.trim_front(HEADROOM - 1);
        slot.truncate(2);
        assert_eq!(slot.data(), [1, 7]);
        slot.trim_front(100);
        assert_eq!(slot.data(), [0; 0]);
    }
}
