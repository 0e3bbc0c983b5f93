// SPDX-License-Identifier: MIT OR Apache-2.0
//! What lies between the workers and the thread that serves the kernel's side of the devices.
//!
//! ```text
//!  worker 0 ── policed ── ring ──┐              ┌──► TAP of wan0
//!  worker 1 ── policed ── ring ──┤  the thread  ├──► TAP of wan1
//!  worker 0 ◄─────────── ring ───┴── policed ◄──┴── what the kernel sends
//! ```
//!
//! Frames are copied onto and off the rings. So no buffer of a worker is ever in other hands: the pool can't be exhausted
//! by what waits for the kernel, and a thread that the scheduler stops in the middle of giving one back can't hold up those
//! that forward. The budgets bound what the copies cost. What the kernel sends leaves by worker 0, which has a transmit
//! queue of every device, whatever the device; another queue would be one more than many devices have.

pub mod class;
pub mod police;
pub mod ring;
pub mod tally;

/// Bytes of a ring at least: several hundred frames of the usual size, for when the thread waits for its core.
const RING: usize = 1 << 20;

/// Frames of the largest size that a ring has room for at least.
const LARGEST_FRAMES: usize = 16;

/// Ethernet header and two tags.
const LINK_HEADER: usize = 22;

/// Bytes of a ring for frames that hold IP packets of up to `mtu` bytes.
pub fn ring_size(mtu: u16) -> usize {
    RING.max(LARGEST_FRAMES * largest_frame(mtu))
}

/// Bytes of a frame that holds an IP packet of `mtu` bytes, at most.
pub fn largest_frame(mtu: u16) -> usize {
    usize::from(mtu) + LINK_HEADER
}
