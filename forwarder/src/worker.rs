// SPDX-License-Identifier: MIT OR Apache-2.0
//! The poll-mode loop: receive a burst, process it, transmit it, count it.

pub mod handoff;
pub mod kernel;
pub mod meter;
mod rest;
mod shared;
#[cfg(test)]
mod tests;

use std::hint;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread;

use tables::Reader;

use crate::capture::tap::Tap;
use crate::capture::{Moment, Nobody, Witness};
use crate::counters::{CounterCell, Counters, DropReason};
use crate::io::{DeviceIndex, Nanos, PacketBuf, PacketIo, Received};
use crate::pipeline::narrow::TooNarrow;
use crate::pipeline::{Arrival, Output, Pipeline};
use crate::settings::Settings;
use crate::shadow::Scout;
use crate::slot::Slot;
use crate::state::ForwardingState;
use handoff::Handoff;
use kernel::KernelEnd;
use meter::Meter;
use rest::Rest;
pub use shared::{DeviceTally, FragmentGauges, Shared};

/// Rounds between two looks at what seldom changes: often enough for a stop to seem immediate, and seldom enough to
/// cost nothing.
const ROUNDS_BETWEEN_HOUSEKEEPING: usize = 256;

/// One worker: it owns its queues, its pipeline and its counters.
pub struct Worker<Io: PacketIo> {
    reader: Reader<ForwardingState>,
    shared: Arc<Shared>,
    devices: Box<[DeviceIndex]>,
    beat: u64,
    /// If it may sleep.
    rest: Option<Rest>,
    path: Path<Io>,
}

/// The way of a burst, and all that it changes. Apart from the reader, whose snapshot is borrowed for the round.
struct Path<Io: PacketIo> {
    io: Io,
    pipeline: Pipeline<Io::Buf>,
    handoff: Handoff<Io::Buf>,
    /// Unless the queues have a kernel's side of their own, or no device has one.
    kernel: Option<Box<KernelEnd<Io::Buf>>>,
    /// Unless nobody asks.
    meter: Option<Meter>,
    burst: usize,
    counters: Counters,
    frames: Vec<Io::Buf>,
    output: Output<Io::Buf>,
    /// While somebody captures.
    tap: Option<Box<Tap>>,
    /// While there is a shadow.
    scout: Option<Box<Scout>>,
}

impl<Io: PacketIo> Worker<Io> {
    /// A worker that polls every device of `settings` for bursts of `burst` frames, and shares fragments with the others of
    /// its group by `handoff`.
    pub fn new(
        io: Io,
        settings: Arc<Settings>,
        burst: usize,
        reader: Reader<ForwardingState>,
        shared: Arc<Shared>,
        handoff: Handoff<Io::Buf>,
    ) -> Self {
        let devices = (0..=u8::MAX).zip(&settings.devices).map(|(index, _)| DeviceIndex(index)).collect();
        let path = Path {
            io,
            burst,
            kernel: None,
            meter: None,
            counters: Counters::default(),
            frames: Vec::with_capacity(burst),
            output: Output::new(&settings, burst),
            pipeline: Pipeline::new(settings, burst, handoff.member()),
            handoff,
            tap: None,
            scout: None,
        };
        Self { reader, shared, devices, beat: 0, rest: None, path }
    }

    /// The same, measured.
    #[must_use]
    pub fn measured(mut self, meter: Meter) -> Self {
        self.path.meter = Some(meter);
        self
    }

    /// The same, which sleeps between polls for some microseconds while nothing comes.
    #[must_use]
    pub fn resting(mut self) -> Self {
        self.rest = Some(Rest::default());
        self
    }

    /// The same, which shares the devices with the kernel.
    #[must_use]
    pub fn beside_kernel(mut self, end: KernelEnd<Io::Buf>) -> Self {
        self.path.kernel = Some(Box::new(end));
        self
    }

    /// The same, taking reports of the underlay to control.
    #[must_use]
    pub fn reporting(mut self, ring: rtrb::Producer<TooNarrow>) -> Self {
        self.path.pipeline.report_by(ring);
        self
    }

    /// Polls until [`Shared::stop`] is set, then finishes. The workers of a group are stopped together.
    pub fn run(&mut self) {
        self.path.io.attach_thread();
        let mut rest = self.rest.take();
        while !self.shared.stop.load(Ordering::Relaxed) {
            match &mut rest {
                None => self.rounds(),
                Some(rest) => self.rounds_until_rest(rest),
            }
            self.tick();
        }
        self.finish();
    }

    fn rounds(&mut self) {
        for _ in 0..ROUNDS_BETWEEN_HOUSEKEEPING {
            if self.poll() == 0 {
                hint::spin_loop();
            }
        }
    }

    /// Likewise, and ends with a sleep when it is time for one, so that housekeeping follows each of those: whoever waits
    /// for a stop or a timer waits for one sleep at most.
    fn rounds_until_rest(&mut self, rest: &mut Rest) {
        for _ in 0..ROUNDS_BETWEEN_HOUSEKEEPING {
            let received = self.poll();
            if let Some(sleep) = rest.after(received) {
                return thread::sleep(sleep);
            }
        }
    }

    /// One round over all devices and all other workers; the number of frames received. Takes the newest state first, also
    /// when idle, so that an idle worker holds no old one back. Every packet of the round is decided by that state.
    pub fn poll(&mut self) -> usize {
        let (state, tallies) = (self.reader.current(), &self.shared.devices);
        // First, so that what is forwarded does not take all the room that the devices have.
        let of_kernel = self.path.send_for_kernel(tallies);
        let received: usize = self.devices.iter().map(|&device| self.path.burst(state, device, tallies)).sum();
        let others = 0..self.path.handoff.others();
        let taken: usize = others.map(|other| self.path.take_over(state, other, tallies)).sum();
        if of_kernel || received + taken > 0 {
            self.path.hand_over(&self.shared.counters);
        }
        received + taken
    }

    /// What time brings without any frame: fragments have waited long enough, and captures begin and end.
    pub fn tick(&mut self) {
        self.beat = self.beat.wrapping_add(1);
        self.shared.beat.store(self.beat, Ordering::Relaxed);
        self.path.tend_tap(&self.shared.tap);
        self.path.tend_scout(&self.shared.scout, self.reader.current());
        let Path { io, pipeline, meter, output, counters, tap, .. } = &mut self.path;
        if let Some(meter) = meter {
            meter.hand_over();
        }
        let (datagrams, bytes) = pipeline.remembered();
        self.shared.fragments.datagrams.store(datagrams as u64, Ordering::Relaxed);
        self.shared.fragments.bytes.store(bytes, Ordering::Relaxed);
        if pipeline.tick(io.now(), output, counters) {
            if let Some(tap) = tap {
                tap.came::<Io::Buf>(Moment::new(DeviceIndex(0), io.now(), self.reader.current()), &[]);
                tap.dropped(&output.dropped, &output.reasons);
                tap.end();
                output.reasons.clear();
            }
            io.free(&mut output.dropped);
            self.shared.counters.publish(counters);
        }
    }

    /// Gives up the fragments that wait, and those that the others still hand over, until they finish as well.
    pub fn finish(&mut self) {
        let Path { io, pipeline, handoff, output, counters, .. } = &mut self.path;
        pipeline.finish(output, counters);
        handoff.close();
        loop {
            let before = counters.taken_over;
            let is_end = handoff.take_rest(&mut output.dropped, counters);
            counters.drop(DropReason::FragmentUnmatched, counters.taken_over - before);
            io.free(&mut output.dropped);
            self.shared.counters.publish(counters);
            if is_end {
                break;
            }
            thread::yield_now();
        }
    }

    /// The queues, to look at between rounds.
    pub fn io_mut(&mut self) -> &mut Io {
        &mut self.path.io
    }

    /// The queues, to look at after a replay.
    pub fn into_io(self) -> Io {
        self.path.io
    }
}

impl<Io: PacketIo> Path<Io> {
    /// Takes one burst from `device` all the way; the number of frames received.
    fn burst(&mut self, state: &ForwardingState, device: DeviceIndex, tallies: &[DeviceTally]) -> usize {
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
    fn send_for_kernel(&mut self, tallies: &[DeviceTally]) -> bool {
        let Self { io, kernel, counters, .. } = self;
        let Some(kernel) = kernel.as_mut().filter(|kernel| kernel.has_frames()) else { return false };
        kernel.send(io, counters, tallies);
        true
    }

    /// Takes one burst all the way that another worker has handed over; the number of frames.
    fn take_over(&mut self, state: &ForwardingState, other: usize, tallies: &[DeviceTally]) -> usize {
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
    fn tend_tap(&mut self, slot: &Slot<Tap>) {
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
    fn tend_scout(&mut self, slot: &Slot<Scout>, state: &ForwardingState) {
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
    fn hand_over(&mut self, cell: &CounterCell) {
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
    let (offered, offered_bytes) = (frames.len(), bytes(frames));
    witness.leave(device, frames);
    io.transmit(device, frames);
    witness.untaken(Some(device), DropReason::TxFull, frames);
    let (taken, taken_bytes) = ((offered - frames.len()) as u64, offered_bytes - bytes(frames));
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

fn tally(tallies: &[DeviceTally], device: DeviceIndex) -> Option<&DeviceTally> {
    tallies.get(usize::from(device.0))
}

fn bytes<B: PacketBuf>(frames: &[B]) -> u64 {
    frames.iter().map(|frame| frame.data().len() as u64).sum()
}
