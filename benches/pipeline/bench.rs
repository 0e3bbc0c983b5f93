// SPDX-License-Identifier: MIT OR Apache-2.0
//! The pipeline with frames, and the clock.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use benches::frames::Image;
use benches::network;
use benches::slot::{Slot, arena};
use benches::windows::Windows;
use forwarder::counters::Counters;
use forwarder::io::{Allocator, DeviceIndex, Nanos, PacketBuf};
use forwarder::pipeline::{Arrival, Output, Pipeline};
use forwarder::settings::Settings;
use forwarder::state::ForwardingState;
use forwarder::worker::handoff::Handoff;
use tables::table::Address;

/// The first window finds cold caches and untouched memory, and a few more the processor's clock still low.
const WARM_UP: usize = 20;

const ARRIVAL: Arrival = Arrival { device: DeviceIndex(0), now: Nanos(1) };

/// A pipeline, a table, and buffers that go round.
pub(crate) struct Bench {
    state: ForwardingState,
    pipeline: Pipeline<Slot>,
    output: Output<Slot>,
    counters: Counters,
    burst: usize,
    frames: Vec<Slot>,
    /// To be processed, the next one last.
    waiting: Vec<Slot>,
    /// Processed, in order.
    done: Vec<Slot>,
    images: Box<[Image]>,
    /// The image that the next buffer gets.
    next: usize,
}

/// What was measured over the windows: processing, and restoring the buffers.
pub(crate) struct Measured {
    pub(crate) process: Windows,
    pub(crate) restore: Windows,
}

/// Nothing is added here: no packet is too big, or asks for an answer.
struct NoBuffers;

impl Allocator<Slot> for NoBuffers {
    fn allocate(&mut self, _len: usize) -> Option<Slot> {
        None
    }
}

impl Bench {
    /// With `buffers` buffers, rounded up to whole bursts of `burst`.
    pub(crate) fn new(
        state: ForwardingState,
        settings: Settings,
        burst: usize,
        buffers: usize,
        images: Box<[Image]>,
    ) -> Self {
        let settings = Arc::new(settings);
        let count = buffers.next_multiple_of(burst);
        let member = Handoff::<Slot>::alone().member();
        let mut bench = Self {
            output: Output::new(&settings, burst),
            pipeline: Pipeline::new(settings, burst, member),
            state,
            counters: Counters::default(),
            burst,
            frames: Vec::with_capacity(burst),
            waiting: Vec::with_capacity(count),
            done: arena(count),
            images,
            next: 0,
        };
        bench.restore();
        bench
    }

    /// The same with fewer buffers.
    pub(crate) fn with_buffers(mut self, count: usize) -> Self {
        self.waiting.drain(..self.waiting.len().saturating_sub(count));
        self
    }

    /// Makes every buffer a new frame. The one restored first comes first: the others then pass through the nearest
    /// cache in between.
    pub(crate) fn restore(&mut self) {
        for slot in &mut self.done {
            if self.next >= self.images.len() {
                self.next = 0;
            }
            if let Some(image) = self.images.get(self.next) {
                slot.restore(image);
            }
            self.next += 1;
        }
        self.waiting.extend(self.done.drain(..).rev());
    }

    /// Processes one burst: what is measured. A function of its own, so that a profiler finds it.
    #[inline(never)]
    pub(crate) fn measured_burst(&mut self) {
        let from = self.waiting.len().saturating_sub(self.burst);
        self.frames.extend(self.waiting.drain(from..).rev());
        let Self { pipeline, state, frames, output, counters, .. } = self;
        pipeline.process(state, ARRIVAL, frames, output, counters, &mut NoBuffers);
        for transmit in &mut output.transmit {
            self.done.append(transmit);
        }
        self.done.append(&mut output.kernel);
        self.done.append(&mut output.dropped);
    }

    /// Processes so many bursts, without a clock.
    pub(crate) fn count(&mut self, bursts: u64) {
        for _ in 0..bursts {
            if self.waiting.is_empty() {
                self.restore();
            }
            self.measured_burst();
        }
    }

    /// Goes through all buffers again and again. Each time a window: the clock runs while all are processed, then apart from
    /// that while all are restored.
    pub(crate) fn run(&mut self, time: Duration) -> Measured {
        let mut measured = Measured { process: Windows::default(), restore: Windows::default() };
        let count = self.waiting.len();
        let begin = Instant::now();
        for window in 0.. {
            let start = Instant::now();
            while !self.waiting.is_empty() {
                self.measured_burst();
            }
            let processed = start.elapsed();
            let start = Instant::now();
            self.restore();
            let restored = start.elapsed();
            if window >= WARM_UP {
                measured.process.add(processed, count);
                measured.restore.add(restored, count);
                if begin.elapsed() >= time {
                    break;
                }
            }
        }
        measured
    }

    /// The same with the buffers of a single burst, which stay in the nearest cache, in windows of `bursts` bursts. What the
    /// clock itself takes, read twice a burst, is in the figure.
    pub(crate) fn run_hot(&mut self, time: Duration, bursts: usize) -> Measured {
        let mut measured = Measured { process: Windows::default(), restore: Windows::default() };
        let count = bursts * self.burst;
        let begin = Instant::now();
        for window in 0.. {
            let (mut processed, mut restored) = (Duration::ZERO, Duration::ZERO);
            for _ in 0..bursts {
                let start = Instant::now();
                self.measured_burst();
                let end = Instant::now();
                self.restore();
                processed += end - start;
                restored += end.elapsed();
            }
            if window >= WARM_UP {
                measured.process.add(processed, count);
                measured.restore.add(restored, count);
                if begin.elapsed() >= time {
                    break;
                }
            }
        }
        measured
    }

    /// What has been dropped since the beginning, or sent to the kernel.
    pub(crate) fn lost(&self) -> u64 {
        self.counters.dropped_total() + self.counters.exception + self.counters.held
    }

    /// Processes all buffers once, and checks every frame that came out: GUE, to the owner that the table names, around the
    /// very packet.
    pub(crate) fn verify(&mut self) -> Result<(), String> {
        let first = self.next.saturating_sub(self.waiting.len());
        while !self.waiting.is_empty() {
            self.measured_burst();
        }
        if self.lost() > 0 || self.done.is_empty() {
            return Err(format!("{} of the frames were dropped", self.lost()));
        }
        let images = self.images.iter().cycle().skip(first);
        for (slot, image) in self.done.iter().zip(images) {
            check(&self.state, slot.data(), image).ok_or("a frame came out wrong")?;
        }
        self.restore();
        Ok(())
    }
}

/// Whether `frame` is right for what came as `image`.
fn check(state: &ForwardingState, frame: &[u8], image: &Image) -> Option<()> {
    let (ethernet, packet) = image.bytes.split_at_checked(14)?;
    let inner_v4 = ethernet.get(12) == Some(&8);
    let (_, outer) = frame.split_at_checked(14)?;
    let (to, gue) = match outer.first()? >> 4 {
        4 => (IpAddr::from(*outer.get(16..20)?.first_chunk::<4>()?), outer.get(20..)?),
        6 => (IpAddr::from(*outer.get(24..40)?.first_chunk::<16>()?), outer.get(40..)?),
        _ => return None,
    };
    let (destination, port) = match inner_v4 {
        true => (IpAddr::from(*packet.get(16..20)?.first_chunk::<4>()?), packet.get(22..24)?),
        false => (IpAddr::from(*packet.get(24..40)?.first_chunk::<16>()?), packet.get(42..44)?),
    };
    let (is_owner, private) = match state.table.address(destination) {
        Address::Sliced(plan) => {
            let owner = state.table.port(plan, u16::from_be_bytes(*port.first_chunk::<2>()?))?;
            (state.table.targets().get(usize::from(owner.0))?.address == to, 0)
        }
        Address::Remote(remote) => (state.table.remotes().get(usize::from(remote.0))?.forwarders.contains(&to), 2),
        _ => return None,
    };
    let (base, inner) = gue.get(8..)?.split_at_checked(4 + 4 * private)?;
    let protocol = if inner_v4 { 4 } else { 41 };
    let is_gue =
        gue.get(2..4)? == 6080_u16.to_be_bytes() && base.first_chunk::<4>()? == &[private as u8, protocol, 0, 0];
    let len = usize::from(image.len) - 14;
    let is_same = inner.len() == len && inner.iter().zip(packet).all(|(a, b)| a == b);
    (is_owner && is_gue && is_same).then_some(())
}

/// Builds the state for a table; how long reading and compiling took, in seconds.
pub(crate) fn state(shape: benches::Shape, settings: &Settings) -> Result<(ForwardingState, [f64; 2]), String> {
    let start = Instant::now();
    let source = tables::Source::from_reader(benches::Pool::new(shape)).map_err(|faults| faults.to_string())?;
    let read = start.elapsed().as_secs_f64();
    let start = Instant::now();
    let state = ForwardingState::build(&source, 1, &network::viewpoint(), settings).map_err(|f| f.to_string())?;
    Ok((state, [read, start.elapsed().as_secs_f64()]))
}
