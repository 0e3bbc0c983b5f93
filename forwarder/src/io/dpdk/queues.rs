// SPDX-License-Identifier: MIT OR Apache-2.0
//! A worker's queues: one receive and one transmit queue of every device, polled by one thread.

use std::mem;
use std::sync::Arc;
use std::thread::{self, ThreadId};

use super::Running;
use super::device::DeviceId;
use super::mbuf::Mbuf;
use crate::io::offload::Offloads;
use crate::io::{Allocator, DeviceIndex, Nanos, PacketIo, Received};

/// One queue pair of every device.
///
/// It keeps the devices running: they are closed when [`super::Dpdk`] and the last of these are gone.
pub struct DpdkIo {
    /// The number of the queue, alike on all devices. No two `DpdkIo` have the same, so no queue has two pollers.
    queue: u16,
    /// The devices' DPDK numbers, and what they do by themselves, by [`DeviceIndex`].
    devices: Box<[(DeviceId, Offloads)]>,
    registered: Option<ThreadId>,
    running: Arc<Running>,
}

impl DpdkIo {
    pub(super) fn new(running: Arc<Running>, queue: u16) -> Self {
        let devices = running.devices.iter().map(|device| (device.id(), device.offloads())).collect();
        Self { queue, devices, registered: None, running }
    }

    fn device(&self, device: DeviceIndex) -> Option<(DeviceId, Offloads)> {
        self.devices.get(usize::from(device.0)).copied()
    }
}

impl Allocator<Mbuf> for DpdkIo {
    fn allocate(&mut self, len: usize) -> Option<Mbuf> {
        self.running.frames.iter().find_map(|pool| pool.allocate(len))
    }
}

impl PacketIo for DpdkIo {
    type Buf = Mbuf;

    /// Makes the calling thread known to DPDK, so that it has a cache of free buffers: without, every one costs a trip to
    /// the shared ring (about 40 % slower).
    fn attach_thread(&mut self) {
        // SAFETY: reads a thread-local.
        if unsafe { dpdk_sys::shim_thread_has_lcore() } {
            return;
        }
        // SAFETY: EAL runs as long as `self.running` lives.
        if unsafe { dpdk_sys::rte_thread_register() } == 0 {
            self.registered = Some(thread::current().id());
        } else {
            let reason = super::error::reason(&[], super::error::errno());
            tracing::warn!(reason, "DPDK does not register this worker's thread: it forwards, but slower");
        }
    }

    fn receive(&mut self, device: DeviceIndex, frames: &mut Vec<Mbuf>, max: usize) -> Received {
        let Some((device, _)) = self.device(device) else { return Received::default() };
        let before = frames.len();
        frames.reserve(max);
        let max = u16::try_from(max).unwrap_or(u16::MAX);
        let room = frames.spare_capacity_mut().as_mut_ptr().cast();
        // SAFETY: `room` takes `max` pointers. The queue exists and is polled by nobody else: `queue` is ours alone, and
        // `&mut self` is one thread.
        let count = unsafe { dpdk_sys::shim_eth_rx_burst(device, self.queue, room, max) };
        // SAFETY: the driver wrote `count` pointers, none null, to mbufs that are ours from now on: an `Mbuf` is just that.
        unsafe { frames.set_len(before + usize::from(count)) };
        if frames.iter().skip(before).any(Mbuf::is_segmented) {
            self.gather(frames, before)
        } else {
            Received::default()
        }
    }

    fn inserts_tags(&self, device: DeviceIndex) -> bool {
        self.device(device).is_some_and(|(_, offloads)| offloads.tag)
    }

    fn transmit(&mut self, device: DeviceIndex, frames: &mut Vec<Mbuf>) {
        let Some((device, offloads)) = self.device(device) else { return };
        let mut count = u16::try_from(frames.len()).unwrap_or(u16::MAX);
        // Some drivers do here what their device can't, and refuse a frame that it would choke on: that one and those behind it stay.
        if offloads.any() {
            // SAFETY: an `Mbuf` is a pointer to an mbuf of ours, and there are `count`; the queue is ours alone, as above. Where the
            // driver puts another mbuf in the place of one, that is ours instead.
            count = unsafe { dpdk_sys::shim_eth_tx_prepare(device, self.queue, frames.as_mut_ptr().cast(), count) };
        }
        // SAFETY: an `Mbuf` is a pointer to an mbuf of ours, and there are `count`; the queue is ours alone, as above.
        let taken = unsafe { dpdk_sys::shim_eth_tx_burst(device, self.queue, frames.as_mut_ptr().cast(), count) };
        // The device frees what it took, perhaps it has already.
        frames.drain(..usize::from(taken.min(count))).for_each(mem::forget);
    }

    fn free(&mut self, frames: &mut Vec<Mbuf>) {
        let count = u32::try_from(frames.len()).unwrap_or(u32::MAX);
        // SAFETY: an `Mbuf` is a pointer to an mbuf of ours, and there are at least `count`.
        unsafe { dpdk_sys::rte_pktmbuf_free_bulk(frames.as_mut_ptr().cast(), count) };
        frames.drain(..count as usize).for_each(mem::forget);
    }

    fn now(&self) -> Nanos {
        Nanos::monotonic()
    }
}

impl DpdkIo {
    /// Brings the frames from `before` on into one piece each, and frees and counts those that don't fit one.
    #[cold]
    fn gather(&self, frames: &mut Vec<Mbuf>, before: usize) -> Received {
        let received = frames.len();
        let mut index = 0;
        frames.retain_mut(|frame| {
            index += 1;
            index <= before || !frame.is_segmented() || frame.gather(self.running.pools())
        });
        Received { segmented: received - frames.len() }
    }
}

impl Drop for DpdkIo {
    fn drop(&mut self) {
        // Only a thread itself can be unregistered. One that has ended keeps its number in DPDK's books, which harms nobody.
        if self.registered == Some(thread::current().id()) {
            // SAFETY: this thread was registered by `attach_thread`, and EAL still runs: `self.running` is dropped later.
            unsafe { dpdk_sys::rte_thread_unregister() };
        }
    }
}
