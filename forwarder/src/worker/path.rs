// SPDX-License-Identifier: MIT OR Apache-2.0
//! The way of a burst: from a device, or another worker, through the pipeline to where its packets go.

use super::handoff::Handoff;
use super::kernel::KernelEnd;
use super::meter::Meter;
use super::shared::DeviceTally;
use crate::capture::tap::Tap;
use crate::capture::{Moment, Nobody, Witness};
use crate::counters::{CounterCell, Counters, DropReason};
use crate::io::{DeviceIndex, Nanos, PacketBuf, PacketIo, Received};
use crate::pipeline::{Arrival, Output, Pipeline};
use crate::shadow::Scout;
use crate::slot::Slot;
use crate::state::ForwardingState;

/// The way of a burst, and all that it changes. Apart from the reader, whose snapshot is borrowed for the round.
pub(super) struct Path<Io: PacketIo> {
    pub(super) io: Io,
    pub(super) pipeline: Pipeline<Io::Buf>,
    pub(super) handoff: Handoff<Io::Buf>,
    /// Unless the queues have a kernel's side of their own, or no device has one.
    pub(super) kernel: Option<Box<KernelEnd<Io::Buf>>>,
    /// Unless nobody asks.
    pub(super) meter: Option<Meter>,
    pub(super) burst: usize,
    pub(super) counters: Counters,
    pub(super) frames: Vec<Io::Buf>,
    pub(super) output: Output<Io::Buf>,
    /// While somebody captures.
    pub(super) tap: Option<Box<Tap>>,
    /// While there is a shadow.
    pub(super) scout: Option<Box<Scout>>,
}

impl<Io: PacketIo> Path<Io> {
    /// Takes one burst from `device` all the way; the number of frames received.
    pub(super) fn burst(&mut self, state: &ForwardingState, device: DeviceIndex, tallies: &[DeviceTally]) -> usize {
        let Self { io, meter, counters, frames, .. } = self;
        let Received { segmented } = io.receive(device, frames, self.burst);
        let received = frames.len() + segmented;
        if received == 0 {
            if let Some(meter) = meter {
                meter.idle();
            }
            return 0;
        }
        let bytes = bytes(frames);
        counters.rx += received as u64;
        counters.rx_bytes += bytes;
        counters.drop(DropReason::Segmented, segmented as u64);
        if let Some(tally) = tally(tallies, device) {
            tally.rx.add(received as u64, bytes);
        }
        if let Some(scout) = &mut self.scout {
            scout.look(state, device, &self.frames);
        }
        let Nanos(start) = self.process(state, device, tallies);
        if let Some(meter) = &mut self.meter {
            let Nanos(end) = self.io.now();
            meter.burst(received, end.saturating_sub(start));
        }
        received
    }

    /// Sends some of what the kernel sends; whether there was anything.
    #[inline(always)]
    pub(super) fn send_for_kernel(&mut self, tallies: &[DeviceTally]) -> bool {
        let Self { io, kernel, counters, .. } = self;
        let Some(kernel) = kernel.as_mut().filter(|kernel| kernel.has_frames()) else { return false };
        kernel.send(io, counters, tallies);
        true
    }

    /// Takes one burst all the way that another worker has handed over; the number of frames.
    pub(super) fn take_over(&mut self, state: &ForwardingState, other: usize, tallies: &[DeviceTally]) -> usize {
        let taken = self.handoff.take(other, &mut self.frames, self.burst, &mut self.counters);
        let Some(device) = taken else { return 0 };
        let received = self.frames.len();
        self.process(state, device, tallies);
        received
    }

    /// Decides the frames of one burst that `device` received, and sends them where they go, before whoever wants to see it; when
    /// it began.
    fn process(&mut self, state: &ForwardingState, device: DeviceIndex, tallies: &[DeviceTally]) -> Nanos {
        match self.tap.take() {
            None => self.forward(state, device, tallies, &mut Nobody),
            Some(mut tap) => {
                let began = self.forward(state, device, tallies, &mut *tap);
                self.tap = Some(tap);
                began
            }
        }
    }

    fn forward(
        &mut self,
        state: &ForwardingState,
        device: DeviceIndex,
        tallies: &[DeviceTally],
        witness: &mut impl Witness,
    ) -> Nanos {
        let Self { io, pipeline, kernel, counters, frames, output, .. } = self;
        let arrival = Arrival { device, now: io.now() };
        witness.came(Moment::new(device, arrival.now, state), frames);
        pipeline.process(state, arrival, frames, output, counters, io);
        debug_assert!(frames.is_empty(), "a frame without a fate");

        for (index, frames) in (0..=u8::MAX).zip(&mut output.transmit) {
            if !frames.is_empty() {
                transmit(io, DeviceIndex(index), frames, counters, tallies, witness);
            }
        }
        if !output.kernel.is_empty() {
            witness.to_kernel(&output.kernel);
            match kernel {
                Some(end) => end.hand_over(io, (device, arrival.now), &mut output.kernel, counters, witness),
                None => hand_to_kernel(io, device, &mut output.kernel, counters, witness),
            }
        }
        witness.handed(output.handed.iter().map(|handed| &handed.frame));
        witness.dropped(&output.dropped, &output.reasons);
        witness.end();
        output.reasons.clear();
        io.free(&mut output.dropped);
        arrival.now
    }

    /// Takes up the tap that control has left, and gives up the one that is not wanted any more.
    pub(super) fn tend_tap(&mut self, slot: &Slot<Tap>) {
        if let Some(mut tap) = slot.fetch() {
            self.output.reasons = std::mem::take(&mut tap.reasons);
            self.tap = Some(tap);
        }
        if let Some(tap) = &mut self.tap {
            tap.set_clock(self.io.now());
            if tap.is_over() {
                self.tap = None;
                self.output.reasons = Vec::new();
            }
        }
    }

    /// Takes up the scout that control has left, asks for what it has gathered, and gives up the one that is not wanted any more.
    pub(super) fn tend_scout(&mut self, slot: &Slot<Scout>, state: &ForwardingState) {
        if let Some(scout) = slot.fetch() {
            self.scout = Some(scout);
        }
        if let Some(scout) = &mut self.scout {
            scout.flush(state);
            if scout.is_over() {
                self.scout = None;
            }
        }
    }

    /// Publishes the counters, and lets go what the round has found for other workers: in this order.
    pub(super) fn hand_over(&mut self, cell: &CounterCell) {
        let Self { io, handoff, counters, output, tap, .. } = self;
        if !output.handed.is_empty() {
            handoff.count(&mut output.handed, &mut output.dropped, counters);
            if let Some(tap) = tap {
                tap.untaken(None, DropReason::FragmentStoreFull, &output.dropped);
                tap.end();
            }
            io.free(&mut output.dropped);
        }
        cell.publish(counters);
        handoff.send();
    }
}

/// Offers `frames` to the device once; what it does not take is freed, never retried in a spin.
fn transmit<Io: PacketIo>(
    io: &mut Io,
    device: DeviceIndex,
    frames: &mut Vec<Io::Buf>,
    counters: &mut Counters,
    tallies: &[DeviceTally],
    witness: &mut impl Witness,
) {
    let (offered, offered_bytes) = (frames.len(), sent_bytes(io, device, frames));
    witness.leave(device, frames);
    io.transmit(device, frames);
    witness.untaken(Some(device), DropReason::TxFull, frames);
    let (taken, taken_bytes) = ((offered - frames.len()) as u64, offered_bytes - sent_bytes(io, device, frames));
    counters.tx += taken;
    counters.tx_bytes += taken_bytes;
    if let Some(tally) = tally(tallies, device) {
        tally.tx.add(taken, taken_bytes);
    }
    counters.drop(DropReason::TxFull, frames.len() as u64);
    io.free(frames);
}

/// Offers `frames` once to the kernel's side that the queues have of their own.
fn hand_to_kernel<Io: PacketIo>(
    io: &mut Io,
    device: DeviceIndex,
    frames: &mut Vec<Io::Buf>,
    counters: &mut Counters,
    witness: &mut impl Witness,
) {
    let offered = frames.len();
    io.to_kernel(device, frames);
    witness.untaken(None, DropReason::NoKernelPath, frames);
    counters.exception += (offered - frames.len()) as u64;
    counters.drop(DropReason::NoKernelPath, frames.len() as u64);
    io.free(frames);
}

pub(super) fn tally(tallies: &[DeviceTally], device: DeviceIndex) -> Option<&DeviceTally> {
    tallies.get(usize::from(device.0))
}

/// Bytes of `frames` when `device` sends them.
fn sent_bytes<Io: PacketIo>(io: &Io, device: DeviceIndex, frames: &[Io::Buf]) -> u64 {
    if io.inserts_tags(device) { frames.iter().map(|frame| frame.sent_len() as u64).sum() } else { bytes(frames) }
}

pub(super) fn bytes<B: PacketBuf>(frames: &[B]) -> u64 {
    frames.iter().map(|frame| frame.data().len() as u64).sum()
}
