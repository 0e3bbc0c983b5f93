// SPDX-License-Identifier: MIT OR Apache-2.0
//! The poll-mode loop: receive a burst, process it, transmit it, count it.

pub mod handoff;
pub mod kernel;
pub mod meter;
mod path;
mod rest;
mod shared;
#[cfg(test)]
mod tests;

use std::hint;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread;

use tables::Reader;

use crate::capture::{Moment, Witness};
use crate::counters::{Counters, DropReason};
use crate::io::{DeviceIndex, PacketIo};
use crate::pipeline::narrow::TooNarrow;
use crate::pipeline::{Output, Pipeline};
use crate::settings::Settings;
use crate::state::ForwardingState;
use handoff::Handoff;
use kernel::KernelEnd;
use meter::Meter;
use path::Path;
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
