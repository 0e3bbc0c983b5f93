// SPDX-License-Identifier: MIT OR Apache-2.0
//! Packet buffers: how many, how large, and the pools they come from.

use std::ffi::{CStr, c_uint};
use std::fs;
use std::ptr::NonNull;

use super::capture::captured;
use super::eal::Eal;
use super::error::{errno, reason};
use super::mbuf::Mbuf;
use super::{DESCRIPTORS, DeviceSpec, Error};
use crate::io::hardware::PoolReport;

/// Buffers that each thread keeps to itself. DPDK lets that grow to one and a half times as many.
const CACHE: u32 = 256;
const CACHED_PER_THREAD: u32 = CACHE * 3 / 2;
/// What a pool has where memory permits. One less than a power of two fills DPDK's ring exactly.
const COMFORTABLE: u32 = (1 << 16) - 1;
/// The room for data in a buffer of the usual size.
const USUAL_ROOM: u16 = 2048;
/// The largest room whose length, with the headroom, still fits the buffer's own field, in whole cache lines.
const LARGEST_ROOM: u16 = u16::MAX - 63 - HEADROOM;
/// Enough of that size for several bursts; 64 kB each.
const MOST_LARGE: u32 = 256;
/// Free bytes in front of a received frame: more than any outer header here.
const HEADROOM: u16 = dpdk_sys::RTE_PKTMBUF_HEADROOM as u16;
/// Ethernet and two VLAN tags.
const LINK_HEADER: u16 = 14 + 2 * 4;
/// What a buffer takes beside its data, about: `rte_mbuf`, the pool's header, padding.
const OVERHEAD: u64 = 256;

/// A pool of buffers. Gives its memory back when dropped, unless somebody still owns one of them.
pub(super) struct Pool {
    pool: NonNull<dpdk_sys::rte_mempool>,
    name: &'static CStr,
    count: u32,
    room: u16,
}

// SAFETY: DPDK's mempools may be used by any number of threads at once, registered ones and others.
unsafe impl Send for Pool {}
// SAFETY: likewise; nothing else of a `Pool` changes.
unsafe impl Sync for Pool {}

impl Pool {
    /// The buffers that devices receive into: one pool for all of them, so that what one device received another can
    /// transmit and free at the same cost. Workers may keep `kept` of them for a while.
    pub(super) fn frames(devices: &[DeviceSpec], workers: u32, burst: u32, kept: u32) -> Result<Self, Error> {
        let mtu = devices.iter().map(|device| device.mtu).max().unwrap_or_default();
        let room = mtu.saturating_add(LINK_HEADER).clamp(USUAL_ROOM, LARGEST_ROOM);
        let queue_pairs = workers.saturating_mul(u32::try_from(devices.len()).unwrap_or(u32::MAX));
        let needed = queue_pairs
            .saturating_mul((2 * u32::from(DESCRIPTORS)).saturating_add(burst))
            .saturating_add((workers + 1).saturating_mul(CACHED_PER_THREAD))
            .saturating_add(kept);
        let looped = devices.iter().map(looped_frames).fold(0, u32::saturating_add);
        Self::create(c"frames", room, CACHE, needed, needed.max(COMFORTABLE).saturating_add(looped))
    }

    /// A few buffers of the largest size, for frames that arrive in pieces: jumbo frames, or such as offloads merged.
    pub(super) fn large(workers: u32, burst: u32) -> Result<Self, Error> {
        let count = workers.saturating_mul(burst).min(MOST_LARGE);
        Self::create(c"large-frames", LARGEST_ROOM, 0, count, count)
    }

    /// A pool of `wanted` buffers, or as many as there is memory for, but not fewer than `needed`.
    fn create(name: &'static CStr, room: u16, cache: u32, needed: u32, wanted: u32) -> Result<Self, Error> {
        let mut count = wanted;
        loop {
            // SAFETY: EAL runs, which is the only way to get here; the name is copied.
            let create = || unsafe {
                dpdk_sys::rte_pktmbuf_pool_create(
                    name.as_ptr(),
                    count,
                    cache,
                    0,
                    room + HEADROOM,
                    dpdk_sys::SHIM_SOCKET_ID_ANY,
                )
            };
            let (pool, log) = captured(create);
            if let Some(pool) = NonNull::new(pool) {
                return Ok(Self { pool, name, count, room });
            }
            if count <= needed {
                let megabytes = u64::from(needed) * (u64::from(room + HEADROOM) + OVERHEAD) / 1_000_000 + 1;
                return Err(Error::Pool { buffers: needed, size: room, megabytes, reason: reason(&log, errno()) });
            }
            // Halves leave some of the memory to the drivers, which need it for their own queues.
            count = (count / 2).max(needed);
        }
    }

    /// A frame of `len` bytes with the usual headroom, if one fits and is free.
    pub(super) fn allocate(&self, len: usize) -> Option<Mbuf> {
        let len = u16::try_from(len).ok().filter(|&len| len <= self.room)?;
        // SAFETY: a live pool.
        let buffer = unsafe { dpdk_sys::shim_pktmbuf_alloc(self.as_ptr()) };
        NonNull::new(buffer).map(|buffer| Mbuf::new(buffer, len))
    }

    /// For DPDK's functions.
    pub(super) fn as_ptr(&self) -> *mut dpdk_sys::rte_mempool {
        self.pool.as_ptr()
    }

    /// The largest frame that fits one buffer and leaves the headroom free.
    pub(super) fn room(&self) -> u16 {
        self.room
    }

    /// How many buffers there are, and how many somebody has.
    pub(super) fn report(&self) -> PoolReport {
        let name = self.name.to_string_lossy().into_owned();
        PoolReport { name, size: self.count.into(), in_use: self.in_use().into() }
    }

    /// Buffers that are neither free nor in a thread's cache.
    pub(super) fn in_use(&self) -> c_uint {
        // SAFETY: the pool lives as long as `self`.
        unsafe { dpdk_sys::rte_mempool_in_use_count(self.as_ptr()) }
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        if self.in_use() > 0 {
            // An `Mbuf` outlives the devices, or a ring holds some: their memory must stay.
            tracing::debug!(buffers = self.in_use(), "packet buffers are still in use; their memory stays mapped");
            Eal::keep_memory();
            return;
        }
        // SAFETY: nobody owns a buffer of it, and devices that knew it are closed: they are dropped before their pool. A
        // buffer that another thread frees at this moment counts as in use until the ring has it; a registered thread puts
        // it into its cache instead, but such a thread has its `DpdkIo` still, which keeps us from getting here.
        unsafe { dpdk_sys::rte_mempool_free(self.as_ptr()) };
    }
}

/// At most how many buffers a looped capture takes: net_pcap keeps all its frames in memory, and does not start if that
/// fails. Every record has 16 bytes of its own and at least Ethernet and IPv4 headers.
fn looped_frames(device: &DeviceSpec) -> u32 {
    const SMALLEST_RECORD: u64 = 16 + 14 + 20;
    if !device.is_looped_capture() {
        return 0;
    }
    let bytes: u64 =
        device.vdev_values("rx_pcap").filter_map(|file| fs::metadata(file).ok()).map(|file| file.len()).sum();
    u32::try_from(bytes / SMALLEST_RECORD).unwrap_or(u32::MAX)
}
