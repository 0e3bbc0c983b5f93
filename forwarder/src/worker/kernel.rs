// SPDX-License-Identifier: MIT OR Apache-2.0
//! A worker's end of the kernel path: frames for the kernel are policed and copied onto a ring; frames from it, at most so many
//! a round, are taken off another, and leave by the device that they are for.

#[cfg(test)]
mod tests;

use std::sync::Arc;

use super::DeviceTally;
use super::path::{bytes, tally};
use crate::capture::Witness;
use crate::counters::{Counters, DropReason};
use crate::io::{DeviceIndex, Nanos, PacketBuf, PacketIo};
use crate::kernel::class::{Class, Kind};
use crate::kernel::police::{Budget, Policer};
use crate::kernel::ring::{FrameReceiver, FrameSender};
use crate::kernel::tally::{Fate, KernelTallies};
use crate::settings::Settings;
use crate::wire::ethernet;

/// Frames from the kernel that go out in one round at most.
const ROUND: usize = 32;

/// A worker's end.
pub struct KernelEnd<B> {
    worker: usize,
    to: FrameSender,
    policer: Policer,
    tallies: Arc<KernelTallies>,
    /// Of one worker only.
    from: Option<FrameReceiver>,
    settings: Arc<Settings>,
    /// A frame on its way off the ring.
    frame: Vec<u8>,
    leaving: Vec<B>,
    refused: Vec<B>,
}

/// What the ends of all workers have in common.
#[derive(Debug, Clone)]
pub struct Common {
    /// The devices.
    pub settings: Arc<Settings>,
    /// How much each worker hands over.
    pub budget: Budget,
    /// Where it is counted by class.
    pub tallies: Arc<KernelTallies>,
    /// Frames for the kernel that there can be at once.
    pub burst: usize,
    /// Bytes of the largest frame that the kernel sends.
    pub largest_frame: usize,
}

impl<B: PacketBuf> KernelEnd<B> {
    /// The end of the worker of that number, which sends what the kernel sends if it has `from`.
    pub fn new(worker: usize, common: &Common, to: FrameSender, from: Option<FrameReceiver>) -> Self {
        let Common { settings, budget, tallies, burst, largest_frame } = common;
        Self {
            worker,
            to,
            policer: Policer::new(settings.devices.len(), budget),
            tallies: Arc::clone(tallies),
            from,
            settings: Arc::clone(settings),
            frame: Vec::with_capacity(*largest_frame),
            leaving: Vec::with_capacity(ROUND),
            refused: Vec::with_capacity(*burst),
        }
    }

    /// Hands copies of `frames`, which came from `device`, to the thread that serves the kernel, and frees them. What is over
    /// its budget, or finds no room, is dropped.
    #[cold]
    #[inline(never)]
    pub(super) fn hand_over<Io: PacketIo<Buf = B>>(
        &mut self,
        io: &mut Io,
        (device, now): (DeviceIndex, Nanos),
        frames: &mut Vec<B>,
        counters: &mut Counters,
        witness: &mut impl Witness,
    ) {
        let Self { worker, to, policer, tallies, refused, .. } = self;
        let is_refused = |frame: &mut B| {
            let kind = Kind { device, class: Class::of(frame.data()) };
            let fate = if !policer.admits(kind, now) {
                Fate::Policed
            } else if to.send(device, kind.class, frame.data()) {
                Fate::Passed
            } else {
                Fate::Full
            };
            tallies.count_to(*worker, kind, fate);
            fate != Fate::Passed
        };
        refused.extend(frames.extract_if(.., is_refused));
        witness.untaken(None, DropReason::KernelPoliced, refused);
        counters.exception += frames.len() as u64;
        counters.drop(DropReason::KernelPoliced, refused.len() as u64);
        io.free(frames);
        io.free(refused);
    }

    /// Whether the kernel has sent something: all that an idle path costs a round.
    #[inline(always)]
    pub(super) fn has_frames(&self) -> bool {
        self.from.as_ref().is_some_and(|from| from.next_device().is_some())
    }

    /// Sends frames of the kernel on, at most [`ROUND`] of one device; what the device does not take is dropped, and not
    /// tried again: the kernel's protocols live with that.
    #[cold]
    #[inline(never)]
    pub(super) fn send<Io: PacketIo<Buf = B>>(
        &mut self,
        io: &mut Io,
        counters: &mut Counters,
        tallies: &[DeviceTally],
    ) {
        let Self { from, frame, leaving, settings, .. } = self;
        let Some(from) = from else { return };
        let Some(device) = from.next_device() else { return };
        let vlan = settings.device(device).and_then(|device| device.vlan);
        let mut taken = 0;
        while taken < ROUND && from.next_device() == Some(device) && from.receive(frame).is_some() {
            taken += 1;
            leaving.extend(finished(io, frame, vlan));
        }
        let offered = bytes(leaving);
        let ready = leaving.len();
        io.transmit(device, leaving);
        let sent = (ready - leaving.len()) as u64;
        counters.kernel_tx += sent;
        counters.kernel_drops += taken as u64 - sent;
        if let Some(tally) = tally(tallies, device) {
            tally.tx.add(sent, offered - bytes(leaving));
        }
        io.free(leaving);
    }
}

/// The frame in a buffer, tagged for `vlan`, unless the kernel has tagged it itself; nothing if no buffer is free.
fn finished<Io: PacketIo>(io: &mut Io, frame: &[u8], vlan: Option<u16>) -> Option<Io::Buf> {
    let (header, _) = ethernet::Header::split(frame)?;
    let vlan = vlan.filter(|_| !ethernet::is_tag(header.ethertype()));
    let Some(vlan) = vlan else {
        let mut buf = io.allocate(frame.len())?;
        buf.data_mut().copy_from_slice(frame);
        return Some(buf);
    };
    let (addresses, rest) = frame.split_at_checked(ethernet::ADDRESSES_LEN)?;
    let mut buf = io.allocate(frame.len() + ethernet::TAG_LEN)?;
    let place = buf.data_mut();
    place.get_mut(..addresses.len())?.copy_from_slice(addresses);
    let (tag, place) = place.get_mut(addresses.len()..)?.split_first_chunk_mut()?;
    *tag = ethernet::customer_tag(vlan);
    place.copy_from_slice(rest);
    Some(buf)
}
