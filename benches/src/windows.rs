// SPDX-License-Identifier: MIT OR Apache-2.0
//! What short windows of measuring say together.

use std::time::Duration;

use serde::Serialize;

/// Nanoseconds a packet over many short windows. What others did on the machine makes windows longer, never shorter: with
/// many of them the low ones are the program's own.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Nanoseconds {
    /// The best window.
    pub min: f64,
    /// Five of a hundred were as good or better.
    pub p5: f64,
    /// Half of them were.
    pub p50: f64,
}

/// Windows measured so far.
#[derive(Debug, Default)]
pub struct Windows(Vec<f64>);

impl Windows {
    /// Adds one in which `packets` took `time`.
    pub fn add(&mut self, time: Duration, packets: usize) {
        self.add_each(time.as_nanos() as f64 / packets.max(1) as f64);
    }

    /// Adds one in which a packet took so many nanoseconds.
    pub fn add_each(&mut self, nanoseconds: f64) {
        self.0.push(nanoseconds);
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.0.len()
    }

    /// The value that `percent` of a hundred don't exceed; 0 if there are none.
    pub fn percentile(&mut self, percent: f64) -> f64 {
        self.0.sort_unstable_by(f64::total_cmp);
        let last = self.0.len().saturating_sub(1);
        let index = (last as f64 * percent / 100.0).round() as usize;
        self.0.get(index).copied().unwrap_or_default()
    }

    /// The usual three.
    pub fn nanoseconds(&mut self) -> Nanoseconds {
        let [min, p5, p50] = [0.0, 5.0, 50.0].map(|percent| round(self.percentile(percent)));
        Nanoseconds { min, p5, p50 }
    }
}

/// To hundredths: more says nothing.
pub fn round(number: f64) -> f64 {
    (number * 100.0).round() / 100.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_of_a_hundred_and_one() {
        let mut windows = Windows::default();
        (0..=100).rev().for_each(|n| windows.add(Duration::from_nanos(n * 10), 10));
        assert_eq!(windows.nanoseconds(), Nanoseconds { min: 0.0, p5: 5.0, p50: 50.0 });
        assert_eq!(Windows::default().nanoseconds().p50, 0.0);
    }
}
