// SPDX-License-Identifier: MIT OR Apache-2.0
//! How many packet buffers a forwarder needs, and how large: arithmetic without DPDK, for whoever makes them and for whoever
//! looks whether there is memory for them.

/// Buffers that each thread keeps to itself. DPDK lets that grow to one and a half times as many.
pub const CACHE: u32 = 256;
/// Descriptors of a queue, where the device allows it: about a millisecond of frames at a million a second.
pub const DESCRIPTORS: u16 = 1024;
/// Free bytes in front of a received frame, DPDK's usual: more than any outer header here.
pub const HEADROOM: u16 = 128;
/// The largest room whose length, with the headroom, still fits the buffer's own field, in whole cache lines.
pub const LARGEST_ROOM: u16 = u16::MAX - 63 - HEADROOM;
/// What a pool has where memory permits. One less than a power of two fills DPDK's ring exactly.
const COMFORTABLE: u32 = (1 << 16) - 1;
/// The room for data in a buffer of the usual size.
const USUAL_ROOM: u16 = 2048;
/// Enough of the largest size for several bursts; 64 kB each.
const MOST_LARGE: u32 = 256;
/// Ethernet and two VLAN tags.
const LINK_HEADER: u16 = 14 + 2 * 4;
/// What a buffer takes beside its data, about: `rte_mbuf`, the pool's header, padding.
const OVERHEAD: u64 = 256;

/// What asks for buffers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Demand {
    /// Threads that forward, each with a queue pair of every device.
    pub workers: u32,
    /// Frames of a burst.
    pub burst: u32,
    /// Frames that workers keep for a while.
    pub kept: u32,
}

/// The size of one pool.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Size {
    /// Bytes of data in each buffer, beside the headroom.
    pub room: u16,
    /// How many there must be.
    pub needed: u32,
    /// How many are comfortable.
    pub wanted: u32,
}

/// Buffers for `receiving` devices, out of `devices` that transmit them, the largest MTU of which is `mtu`.
pub fn frames(mtu: u16, receiving: u32, devices: u32, demand: Demand) -> Size {
    let Demand { workers, burst, kept } = demand;
    let queue = |pairs: u32, more: u32| pairs.saturating_mul(u32::from(DESCRIPTORS).saturating_add(more));
    let needed = queue(workers.saturating_mul(receiving), burst)
        .saturating_add(queue(workers.saturating_mul(devices), 0))
        .saturating_add((workers + 1).saturating_mul(CACHE * 3 / 2))
        .saturating_add(kept);
    let room = mtu.saturating_add(LINK_HEADER).clamp(USUAL_ROOM, LARGEST_ROOM);
    Size { room, needed, wanted: needed.max(COMFORTABLE) }
}

/// A few buffers of the largest size, for frames that arrive in pieces: jumbo frames, or such as offloads merged.
pub fn large(demand: Demand) -> Size {
    let count = demand.workers.saturating_mul(demand.burst).min(MOST_LARGE);
    Size { room: LARGEST_ROOM, needed: count, wanted: count }
}

impl Size {
    /// The memory that `count` of these take, in bytes.
    pub fn bytes(self, count: u32) -> u64 {
        u64::from(count) * (u64::from(self.room) + u64::from(HEADROOM) + OVERHEAD)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_queue_can_be_full_at_once() {
        let demand = Demand { workers: 2, burst: 64, kept: 8192 };
        let size = frames(1600, 2, 2, demand);
        assert_eq!(size.needed, 4 * (2 * 1024 + 64) + 3 * 384 + 8192);
        assert_eq!((size.room, size.wanted), (2048, 65_535));
        assert_eq!(frames(9000, 1, 2, demand).room, 9022);
        assert_eq!(frames(u16::MAX, 1, 1, demand).room, LARGEST_ROOM);
        // Those of another memory node are transmitted, too.
        assert_eq!(size.needed - frames(1600, 1, 2, demand).needed, 2 * (1024 + 64));
        assert_eq!(large(demand).needed, 128);
        assert_eq!(size.bytes(1000), 2_432_000);
        let most = Demand { workers: 1024, burst: u32::MAX, kept: u32::MAX };
        assert_eq!(frames(1500, 32, 32, most).needed, u32::MAX);
    }
}
