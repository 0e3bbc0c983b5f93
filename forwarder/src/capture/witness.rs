// SPDX-License-Identifier: MIT OR Apache-2.0
//! Who looks on while a worker handles a burst: nobody, as a rule.

use crate::counters::DropReason;
use crate::io::{DeviceIndex, Nanos, PacketBuf};
use crate::state::ForwardingState;

/// Where, when and by what a burst is handled.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Moment {
    /// The device that received it.
    pub(crate) device: DeviceIndex,
    /// The worker's clock.
    pub(crate) now: Nanos,
    /// Generation and revision that decide.
    pub(crate) by: (u64, u64),
}

impl Moment {
    pub(crate) fn new(device: DeviceIndex, now: Nanos, state: &ForwardingState) -> Self {
        Self { device, now, by: (state.generation, state.revision) }
    }
}

/// Sees the frames of one burst, in this order: as they come, as they leave, and what else becomes of them.
pub(crate) trait Witness {
    /// These have come.
    fn came<B: PacketBuf>(&mut self, moment: Moment, frames: &[B]);
    /// These are offered to `device`.
    fn leave<B: PacketBuf>(&mut self, device: DeviceIndex, frames: &[B]);
    /// These are offered to the kernel.
    fn to_kernel<B: PacketBuf>(&mut self, frames: &[B]);
    /// These were not taken where they were offered, and are dropped for `reason`. `device` is the one they were to leave by.
    fn untaken<B: PacketBuf>(&mut self, device: Option<DeviceIndex>, reason: DropReason, frames: &[B]);
    /// These are dropped, each for the reason of its place.
    fn dropped<B: PacketBuf>(&mut self, frames: &[B], reasons: &[DropReason]);
    /// These are another worker's to decide.
    fn handed<'a, B: PacketBuf + 'a>(&mut self, frames: impl Iterator<Item = &'a B>);
    /// That was all of it.
    fn end(&mut self);
}

/// Sees nothing, and costs nothing.
pub(crate) struct Nobody;

impl Witness for Nobody {
    #[inline(always)]
    fn came<B: PacketBuf>(&mut self, _: Moment, _: &[B]) {}
    #[inline(always)]
    fn leave<B: PacketBuf>(&mut self, _: DeviceIndex, _: &[B]) {}
    #[inline(always)]
    fn to_kernel<B: PacketBuf>(&mut self, _: &[B]) {}
    #[inline(always)]
    fn untaken<B: PacketBuf>(&mut self, _: Option<DeviceIndex>, _: DropReason, _: &[B]) {}
    #[inline(always)]
    fn dropped<B: PacketBuf>(&mut self, _: &[B], _: &[DropReason]) {}
    #[inline(always)]
    fn handed<'a, B: PacketBuf + 'a>(&mut self, _: impl Iterator<Item = &'a B>) {}
    #[inline(always)]
    fn end(&mut self) {}
}
