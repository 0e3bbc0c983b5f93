// SPDX-License-Identifier: MIT OR Apache-2.0
//! How a worker spends its time: how long bursts stay, and how full polls come.
//!
//! A worker measures into histograms of its own. Whoever wants to know sends an empty set; the worker takes it at its next
//! housekeeping and sends back what it has. Two rings with one writer and one reader each: nobody waits, nothing is
//! allocated.

use hdrhistogram::Histogram;
use rtrb::{Consumer, Producer, RingBuffer};

/// Shortest time that is told from none, in nanoseconds.
const SHORTEST: u64 = 16;
/// The longest time that is kept, in nanoseconds; what takes longer counts as this.
const LONGEST: u64 = 10_000_000_000;
/// Significant digits of times. With these bounds the histogram takes 23 KiB, of which a steady load touches little.
const TIME_DIGITS: u8 = 2;
/// More frames than a burst may have.
const MOST_FRAMES: u64 = 512;
/// Significant digits of frames: each number up to [`MOST_FRAMES`] stands for itself.
const FRAME_DIGITS: u8 = 3;

/// What was measured.
#[derive(Debug, Clone)]
pub struct Readings {
    /// From receiving a burst until it was handed to the devices, in nanoseconds.
    pub residency: Histogram<u64>,
    /// The sum of those times.
    pub busy: u64,
    /// Frames that a poll of one device brought, polls without any left out.
    pub occupancy: Histogram<u64>,
    /// Frames of all polls together.
    pub frames: u64,
    /// Polls that brought none.
    pub empty: u64,
}

impl Readings {
    /// Nothing yet.
    pub fn new() -> Self {
        let histograms = (
            Histogram::new_with_bounds(SHORTEST, LONGEST, TIME_DIGITS),
            Histogram::new_with_bounds(1, MOST_FRAMES, FRAME_DIGITS),
        );
        let (Ok(residency), Ok(occupancy)) = histograms else { unreachable!("the bounds are such as histograms take") };
        Self { residency, busy: 0, occupancy, frames: 0, empty: 0 }
    }

    /// Adds what `other` measured.
    pub fn add(&mut self, other: &Self) {
        // Fails only if the bounds differ, and all are made alike.
        let added = self.residency.add(&other.residency).and(self.occupancy.add(&other.occupancy));
        debug_assert!(added.is_ok(), "histograms of other bounds");
        self.busy += other.busy;
        self.frames += other.frames;
        self.empty += other.empty;
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        self.residency.reset();
        self.occupancy.reset();
        (self.busy, self.frames, self.empty) = (0, 0, 0);
    }

    /// Takes down a burst of so many frames that stayed so many nanoseconds.
    #[inline]
    fn burst(&mut self, frames: usize, nanos: u64) {
        self.occupancy.saturating_record(frames as u64);
        self.residency.saturating_record(nanos);
        self.frames += frames as u64;
        self.busy += nanos;
    }
}

impl Default for Readings {
    fn default() -> Self {
        Self::new()
    }
}

/// The worker's end.
pub struct Meter {
    readings: Box<Readings>,
    wanted: Consumer<Box<Readings>>,
    given: Producer<Box<Readings>>,
}

/// The other end.
pub struct Gauge {
    /// The set that goes round, while it is here.
    spare: Option<Box<Readings>>,
    want: Producer<Box<Readings>>,
    gives: Consumer<Box<Readings>>,
    total: Readings,
}

/// Both ends of a worker's measurements.
pub fn meter() -> (Meter, Gauge) {
    let ((want, wanted), (given, gives)) = (RingBuffer::new(1), RingBuffer::new(1));
    let meter = Meter { readings: Box::default(), wanted, given };
    (meter, Gauge { spare: Some(Box::default()), want, gives, total: Readings::new() })
}

impl Meter {
    /// A poll that brought nothing.
    #[inline]
    pub(super) fn idle(&mut self) {
        self.readings.empty += 1;
    }

    /// A poll that brought so many frames, which stayed so many nanoseconds.
    #[inline]
    pub(super) fn burst(&mut self, frames: usize, nanos: u64) {
        self.readings.burst(frames, nanos);
    }

    /// Hands over what was measured, if somebody wants it. To be called every few hundred bursts.
    pub(crate) fn hand_over(&mut self) {
        if let Ok(empty) = self.wanted.pop() {
            let full = std::mem::replace(&mut self.readings, empty);
            // There is room: one set is on its way at most.
            let sent = self.given.push(full);
            debug_assert!(sent.is_ok(), "two sets on their way");
        }
    }
}

impl Gauge {
    /// Asks the worker for what it has. Not twice before it answers.
    pub fn ask(&mut self) {
        if let Some(spare) = self.spare.take() {
            let sent = self.want.push(spare);
            debug_assert!(sent.is_ok(), "two sets on their way");
        }
    }

    /// Takes in what the worker has sent. Whether there is nothing more to come.
    pub fn take(&mut self) -> bool {
        if let Ok(mut full) = self.gives.pop() {
            self.total.add(&full);
            full.clear();
            self.spare = Some(full);
        }
        self.spare.is_some()
    }

    /// Everything up to the last answer.
    pub fn total(&self) -> &Readings {
        &self.total
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_measured_arrives_once() {
        let (mut meter, mut gauge) = meter();
        meter.burst(64, 4_000);
        meter.idle();
        meter.hand_over();
        assert!(gauge.take(), "nobody has asked");
        assert_eq!(gauge.total().frames, 0);

        gauge.ask();
        gauge.ask();
        assert!(!gauge.take(), "the worker has yet to answer");
        meter.burst(256, 20_000_000_000);
        meter.hand_over();
        meter.hand_over();
        assert!(gauge.take());
        let total = gauge.total();
        assert_eq!((total.frames, total.empty, total.busy), (320, 1, 20_000_004_000));
        assert_eq!((total.occupancy.len(), total.occupancy.max()), (2, 256));
        assert_eq!(total.occupancy.count_at(64), 1, "each number of frames for itself");
        assert!(total.residency.count_between(3_900, 4_100) == 1 && total.residency.max() >= LONGEST);

        meter.burst(1, 100);
        gauge.ask();
        meter.hand_over();
        assert!(gauge.take());
        assert_eq!(gauge.total().frames, 321, "and nothing twice");
    }

    #[test]
    fn measuring_allocates_nothing() {
        let (mut meter, mut gauge) = meter();
        let measured = allocation_counter::measure(|| {
            for burst in 0..10_000_usize {
                meter.burst(burst % 300, burst as u64 * 1_000);
                meter.idle();
                gauge.ask();
                meter.hand_over();
            }
        });
        assert_eq!(measured.count_total, 0);
        assert!(gauge.take());
    }
}
