// SPDX-License-Identifier: MIT OR Apache-2.0
//! Packet buffers: how many, how large, and the pools they come from.

use std::ffi::{CString, c_int, c_uint};
use std::fs;
use std::ptr::NonNull;

use super::capture::captured;
use super::eal::Eal;
use super::error::{errno, reason};
use super::mbuf::Mbuf;
use super::{DeviceSpec, Error};
use crate::io::buffers::{CACHE, Demand, HEADROOM, Size, frames, large};
use crate::io::hardware::PoolReport;

const _: () = assert!(HEADROOM as u32 == dpdk_sys::RTE_PKTMBUF_HEADROOM);

/// A memory node of the machine; none where there is one only, or it does not matter.
pub(super) type Node = Option<u32>;

/// A pool of buffers. Gives its memory back when dropped, unless somebody still owns one of them.
pub(super) struct Pool {
    pool: NonNull<dpdk_sys::rte_mempool>,
    name: String,
    count: u32,
    room: u16,
}

// SAFETY: DPDK's mempools may be used by any number of threads at once, registered ones and others.
unsafe impl Send for Pool {}
// SAFETY: likewise; nothing else of a `Pool` changes.
unsafe impl Sync for Pool {}

impl Pool {
    /// The buffers that the devices of `own` receive into, and any of `devices` may transmit: one pool for all devices on a memory
    /// node, so that what one received another can transmit and free at the same cost.
    pub(super) fn frames(
        node: Node,
        own: &[&DeviceSpec],
        devices: &[DeviceSpec],
        demand: Demand,
    ) -> Result<Self, Error> {
        let mtu = devices.iter().map(|device| device.mtu).max().unwrap_or_default();
        let count = |devices: usize| u32::try_from(devices).unwrap_or(u32::MAX);
        let mut size = frames(mtu, count(own.len()), count(devices.len()), demand);
        let looped = own.iter().copied().map(looped_frames).fold(0, u32::saturating_add);
        size.wanted = size.wanted.saturating_add(looped);
        let name = node.map_or_else(|| "frames".to_owned(), |node| format!("frames-node{node}"));
        Self::create(name, size, CACHE, node)
    }

    /// The large buffers for all workers.
    pub(super) fn large(demand: Demand) -> Result<Self, Error> {
        Self::create("large-frames".to_owned(), large(demand), 0, None)
    }

    /// A pool of the size wanted, or as many as there is memory for, but not fewer than needed; on `node` if that has memory.
    fn create(name: String, size: Size, cache: u32, mut node: Node) -> Result<Self, Error> {
        let mut count = size.wanted;
        let c_name = CString::new(name.as_str()).unwrap_or_default();
        loop {
            let on = node.map_or(dpdk_sys::SHIM_SOCKET_ID_ANY, |node| node as c_int);
            // SAFETY: EAL runs, which is the only way to get here; the name is copied.
            let create = || unsafe {
                dpdk_sys::rte_pktmbuf_pool_create(c_name.as_ptr(), count, cache, 0, size.room + HEADROOM, on)
            };
            let (pool, log) = captured(create);
            if let Some(pool) = NonNull::new(pool) {
                return Ok(Self { pool, name, count, room: size.room });
            }
            if count > size.needed {
                // Halves leave some of the memory to the drivers, which need it for their own queues.
                count = (count / 2).max(size.needed);
            } else if let Some(node) = node.take() {
                tracing::warn!(
                    "memory node {node} has no room for the buffers of its devices: they lie on another one, which is slower; \
                     reserve huge pages on node {node}"
                );
                count = size.wanted;
            } else {
                let megabytes = size.bytes(size.needed) / 1_000_000 + 1;
                let (buffers, size) = (size.needed, size.room);
                return Err(Error::Pool { buffers, size, megabytes, reason: reason(&log, errno()) });
            }
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
        PoolReport { name: self.name.clone(), size: self.count.into(), in_use: self.in_use().into() }
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
