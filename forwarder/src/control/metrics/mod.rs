// SPDX-License-Identifier: MIT OR Apache-2.0
//! What can be seen of a running forwarder: put together in a [`Snapshot`], shown to Prometheus and by `sluice top`.

pub mod destinations;
mod encode;
mod health;
pub mod http;
mod snapshot;
mod times;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::thread;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;

pub(super) use self::http::{MetricsServer, listen};
pub(super) use self::snapshot::look_at_health;
pub use self::snapshot::{Snapshot, WorkerSnapshot};
pub(super) use self::times::{Outcomes, Times};
use super::forwarder::Forwarder;
use super::generations::lock;
use crate::io::hardware::{Hardware, Probe};
use crate::worker::meter::{Gauge, Meter, Readings, meter};

/// How long a worker may take to say what it measured. It looks every few hundred polls, well below a millisecond as a rule.
const PATIENCE: Duration = Duration::from_millis(500);
/// Between two looks whether it has.
const INTERVAL: Duration = Duration::from_micros(200);

/// The page of a forwarder.
pub(super) fn page(forwarder: &Arc<Forwarder>) -> Arc<http::Page> {
    let forwarder = Arc::clone(forwarder);
    Arc::new(move || encode::text(Snapshot::take(&forwarder)))
}

/// Where control finds what is measured.
pub struct Metrics {
    /// For the workers, until they take them.
    meters: Mutex<Vec<Option<Meter>>>,
    gauges: Mutex<Vec<Gauge>>,
    /// By worker.
    stalls: Vec<AtomicU64>,
    probe: OnceLock<Probe>,
}

/// What one worker measured.
pub struct Measured {
    /// Since it started.
    pub readings: Readings,
    /// It was asked, and did not answer in time: it does not poll.
    pub stalled: bool,
}

impl Metrics {
    /// For so many workers.
    pub fn new(workers: usize) -> Self {
        let (meters, gauges) = (0..workers).map(|_| meter()).map(|(meter, gauge)| (Some(meter), gauge)).unzip();
        let stalls = (0..workers).map(|_| AtomicU64::default()).collect();
        Self { meters: Mutex::new(meters), gauges: Mutex::new(gauges), stalls, probe: OnceLock::new() }
    }

    /// What the worker of that number is to measure by; once.
    pub fn meter(&self, worker: usize) -> Option<Meter> {
        lock(&self.meters).get_mut(worker)?.take()
    }

    /// The worker of that number has stopped polling.
    pub fn count_stall(&self, worker: usize) {
        if let Some(stalls) = self.stalls.get(worker) {
            stalls.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// How often that happened.
    pub fn stalls(&self, worker: usize) -> u64 {
        self.stalls.get(worker).map_or(0, |stalls| stalls.load(Ordering::Relaxed))
    }

    /// Whom to ask about devices and pools; the first one counts.
    pub fn watch(&self, probe: Probe) {
        // There is one set of devices.
        let _ = self.probe.set(probe);
    }

    /// What devices and pools say.
    pub fn hardware(&self) -> Hardware {
        self.probe.get().map(|probe| probe()).unwrap_or_default()
    }

    /// What every worker has measured up to now. One that owes an answer from before is not waited for: it is stuck, and
    /// whoever asks about it need not be.
    pub fn measured(&self) -> Vec<Measured> {
        let mut gauges = lock(&self.gauges);
        let give_up = Instant::now() + PATIENCE;
        let owing: Vec<_> = gauges.iter_mut().map(|gauge| !gauge.take()).collect();
        gauges.iter_mut().for_each(Gauge::ask);
        loop {
            let waiting = gauges.iter_mut().zip(&owing).filter(|(_, owing)| !**owing);
            let missing = waiting.map(|(gauge, _)| gauge.take()).filter(|answered| !answered).count();
            if missing == 0 || Instant::now() >= give_up {
                break;
            }
            thread::sleep(INTERVAL);
        }
        let measured = |gauge: &mut Gauge| Measured { stalled: !gauge.take(), readings: gauge.total().clone() };
        gauges.iter_mut().map(measured).collect()
    }
}

/// How many of what was recorded are in each of the steps that end at `bounds`, and how many above the last one.
fn steps(histogram: &Histogram<u64>, bounds: impl Iterator<Item = u64>) -> Vec<u64> {
    let mut from = 0;
    let mut counted = 0;
    let mut steps: Vec<_> = bounds
        .map(|bound| {
            let count = if from > bound { 0 } else { histogram.count_between(from, bound) };
            from = bound + 1;
            counted += count;
            count
        })
        .collect();
    steps.push(histogram.len().saturating_sub(counted));
    steps
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_record_is_in_one_step() {
        let mut histogram = Histogram::<u64>::new_with_bounds(1, 1 << 20, 3).unwrap();
        [0, 1, 2, 3, 4, 5, 100, 1_000_000].into_iter().for_each(|value| histogram.saturating_record(value));
        assert_eq!(steps(&histogram, [0, 1, 2, 4, 64].into_iter()), [1, 1, 1, 2, 1, 2]);
    }

    #[test]
    fn a_worker_that_does_not_poll_is_told_apart() {
        let metrics = Metrics::new(2);
        let (mut polls, stalled) = (metrics.meter(0).unwrap(), metrics.meter(1));
        assert!(stalled.is_some() && metrics.meter(1).is_none(), "each meter once");
        let stop = std::sync::atomic::AtomicBool::new(false);
        let (measured, took) = std::thread::scope(|scope| {
            scope.spawn(|| {
                while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                    polls.hand_over();
                    std::thread::yield_now();
                }
            });
            let start = Instant::now();
            let measured = [(); 10].map(|()| metrics.measured());
            let took = start.elapsed();
            stop.store(true, std::sync::atomic::Ordering::Relaxed);
            (measured, took)
        });
        for measured in measured {
            assert_eq!(measured.iter().map(|one| one.stalled).collect::<Vec<_>>(), [false, true]);
        }
        assert!(took < 2 * PATIENCE, "waited again for one that owes an answer: {took:?}");
    }
}
