// SPDX-License-Identifier: MIT OR Apache-2.0
//! One frame in one DPDK buffer.

use std::fmt;
use std::ptr::NonNull;
use std::slice;

use dpdk_sys::{
    SHIM_MBUF_BUF_ADDR, SHIM_MBUF_DATA_LEN, SHIM_MBUF_DATA_OFF, SHIM_MBUF_L2_LEN_BITS, SHIM_MBUF_L2_LEN_OFS,
    SHIM_MBUF_L3_LEN_OFS, SHIM_MBUF_NB_SEGS, SHIM_MBUF_OL_FLAGS, SHIM_MBUF_PKT_LEN, SHIM_MBUF_TX_ALL,
    SHIM_MBUF_TX_IP_CKSUM, SHIM_MBUF_TX_OFFLOAD, SHIM_MBUF_TX_VLAN, SHIM_MBUF_VLAN_TCI,
};

use tables::prefetch::prefetch_address;

use super::pool::Pool;
use crate::io::PacketBuf;
use crate::io::offload::Unfinished;
use crate::wire::ipv4;

const CACHE_LINE: usize = 64;

/// A frame, owned: dropping it gives its buffer back to the pool it came from.
///
/// It is one pointer, so that a slice of them is what DPDK's burst functions take. It may outlive the devices: their memory
/// then stays mapped (see `Pool`).
///
/// Invariants: the pointer is a live mbuf that nobody else knows (reference count 1); and outside `DpdkIo::receive`
/// it has one segment, whose data lies inside its buffer.
#[repr(transparent)]
pub struct Mbuf(NonNull<dpdk_sys::rte_mbuf>);

// SAFETY: an mbuf belongs to no thread, and may be freed by any, registered or not.
unsafe impl Send for Mbuf {}

impl Mbuf {
    /// The frame of `len` bytes in a buffer just taken from a pool whose room is at least that.
    pub(super) fn new(buffer: NonNull<dpdk_sys::rte_mbuf>, len: u16) -> Self {
        let mut frame = Self(buffer);
        frame.set_data(frame.offset(), len);
        frame
    }

    /// The field at `offset`, to be read or written as `T`.
    fn field<T>(&self, offset: usize) -> *mut T {
        self.0.as_ptr().cast::<u8>().wrapping_add(offset).cast()
    }

    fn get<T: Copy>(&self, offset: usize) -> T {
        // SAFETY: the callers name a field of `rte_mbuf` and its type, as listed in shim.h, and the mbuf is ours.
        unsafe { self.field::<T>(offset).read() }
    }

    fn set<T: Copy>(&mut self, offset: usize, value: T) {
        // SAFETY: as in `get`.
        unsafe { self.field::<T>(offset).write(value) }
    }

    fn len(&self) -> u16 {
        self.get(SHIM_MBUF_DATA_LEN)
    }

    fn offset(&self) -> u16 {
        self.get(SHIM_MBUF_DATA_OFF)
    }

    /// Changes where the data begins and how long it is. The caller keeps it inside the buffer.
    fn set_data(&mut self, offset: u16, len: u16) {
        self.set(SHIM_MBUF_DATA_OFF, offset);
        self.set(SHIM_MBUF_DATA_LEN, len);
        self.set(SHIM_MBUF_PKT_LEN, u32::from(len));
    }

    fn start(&self) -> *mut u8 {
        let buffer: *mut u8 = self.get(SHIM_MBUF_BUF_ADDR);
        buffer.wrapping_add(usize::from(self.offset()))
    }

    /// Whether the frame lies in several buffers.
    pub(super) fn is_segmented(&self) -> bool {
        self.get::<u16>(SHIM_MBUF_NB_SEGS) != 1
    }

    /// Replaces a segmented frame by a copy in one buffer, from the pool whose buffers are large enough. Leaves it as it is,
    /// and returns whether it succeeded, if none are or none is free.
    pub(super) fn gather<'p>(&mut self, pools: impl IntoIterator<Item = &'p Pool>) -> bool {
        let len: u32 = self.get(SHIM_MBUF_PKT_LEN);
        let Some(pool) = pools.into_iter().find(|pool| len <= u32::from(pool.room())) else { return false };
        // SAFETY: a live chain of mbufs and a live pool; the function only reads the chain.
        let copy = unsafe { dpdk_sys::rte_pktmbuf_copy(self.0.as_ptr(), pool.as_ptr(), 0, len) };
        let Some(copy) = NonNull::new(copy) else { return false };
        // One segment, since it fits the pool's buffers. Dropping the old value frees the pieces.
        *self = Self(copy);
        true
    }
}

impl Drop for Mbuf {
    fn drop(&mut self) {
        // SAFETY: ours and live, and not used again; its pool's memory is mapped while a buffer of it is in use.
        unsafe { dpdk_sys::shim_pktmbuf_free(self.0.as_ptr()) };
    }
}

impl fmt::Debug for Mbuf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mbuf").field("len", &self.len()).field("headroom", &self.offset()).finish_non_exhaustive()
    }
}

impl PacketBuf for Mbuf {
    fn data(&self) -> &[u8] {
        // SAFETY: by the invariant these bytes lie in the buffer, which is ours, and which nobody writes to while `self` is
        // borrowed. They are initialised, as memory is that C mapped and handed out.
        unsafe { slice::from_raw_parts(self.start(), usize::from(self.len())) }
    }

    fn data_mut(&mut self) -> &mut [u8] {
        // SAFETY: as in `data`; nobody else knows the mbuf.
        unsafe { slice::from_raw_parts_mut(self.start(), usize::from(self.len())) }
    }

    const CAN_BE_UNFINISHED: bool = true;

    /// What somebody asked before, such as a driver that received it so, was about a frame that is inside this one by now.
    #[inline(always)]
    fn leave_unfinished(&mut self, rest: Unfinished) {
        let mut flags = self.get::<u64>(SHIM_MBUF_OL_FLAGS) & !SHIM_MBUF_TX_ALL;
        if let Some(at) = rest.checksum {
            flags |= SHIM_MBUF_TX_IP_CKSUM;
            let lengths = u64::from(at) << SHIM_MBUF_L2_LEN_OFS | (ipv4::HEADER_LEN as u64) << SHIM_MBUF_L3_LEN_OFS;
            self.set(SHIM_MBUF_TX_OFFLOAD, lengths);
        }
        if let Some(vlan) = rest.tag {
            flags |= SHIM_MBUF_TX_VLAN;
            self.set(SHIM_MBUF_VLAN_TCI, vlan);
        }
        self.set(SHIM_MBUF_OL_FLAGS, flags);
    }

    fn unfinished(&self) -> Unfinished {
        let flags: u64 = self.get(SHIM_MBUF_OL_FLAGS);
        let has = |flag| flags & flag == flag;
        let link_len = || {
            let lengths: u64 = self.get(SHIM_MBUF_TX_OFFLOAD);
            (lengths >> SHIM_MBUF_L2_LEN_OFS & ((1 << SHIM_MBUF_L2_LEN_BITS) - 1)) as u8
        };
        Unfinished {
            checksum: has(SHIM_MBUF_TX_IP_CKSUM).then(link_len),
            tag: has(SHIM_MBUF_TX_VLAN).then(|| self.get(SHIM_MBUF_VLAN_TCI)),
        }
    }

    fn identity(&self) -> usize {
        self.0.addr().get()
    }

    fn prepend(&mut self, len: usize) -> Option<&mut [u8]> {
        let len = u16::try_from(len).ok()?;
        let offset = self.offset().checked_sub(len)?;
        self.set_data(offset, self.len().checked_add(len)?);
        Some(self.data_mut())
    }

    fn trim_front(&mut self, len: usize) {
        let len = u16::try_from(len).unwrap_or(u16::MAX).min(self.len());
        self.set_data(self.offset() + len, self.len() - len);
    }

    #[inline(always)]
    fn replace_front(&mut self, old: usize, keep: usize, new: usize) -> Option<&mut [u8]> {
        // All of them below 2^17, so nothing wraps.
        let kept = usize::from(self.offset()) + old;
        let offset = kept.checked_sub(new)?;
        if old + keep > usize::from(self.len()) {
            return None;
        }
        self.set_data(u16::try_from(offset).ok()?, u16::try_from(new + keep).ok()?);
        Some(self.data_mut())
    }

    #[inline(always)]
    fn prefetch(&self) {
        let start = self.start();
        prefetch_address(start);
        // Where the outer headers come.
        prefetch_address(start.wrapping_sub(CACHE_LINE));
    }

    fn truncate(&mut self, len: usize) {
        let len = u16::try_from(len).unwrap_or(u16::MAX).min(self.len());
        self.set_data(self.offset(), len);
    }
}
