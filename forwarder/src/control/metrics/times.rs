// SPDX-License-Identifier: MIT OR Apache-2.0
//! How often what runs was changed, or should have been, and how long that took. Dry runs are left out.

use std::time::{Duration, SystemTime};

use hdrhistogram::Histogram;

use crate::control::generations::{PATIENCE, PatchError, Patched, ReloadError, Reloaded};
use crate::control::report;

/// Significant digits of swaps.
const SWAP_DIGITS: u8 = 3;
/// Significant digits of the others.
const DIGITS: u8 = 2;
/// Longer than any table takes to load.
const LONGEST: Duration = Duration::from_secs(3600);

/// Times in microseconds.
#[derive(Debug, Clone)]
pub struct Times {
    /// Reading and validating, of reloads.
    pub parse: Histogram<u64>,
    /// Compiling, of reloads.
    pub build: Histogram<u64>,
    /// From a publication until the last worker was seen on it; of reloads and patches.
    pub swap: Histogram<u64>,
    /// Reloads by how they ended.
    pub reloads: Outcomes,
    /// Patches by how they ended.
    pub patches: Outcomes,
    /// When the newest reload ended well.
    pub last_success: Option<SystemTime>,
    /// Whether the newest reload ended well; true before the first.
    pub last_ok: bool,
}

/// How changes ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Outcomes {
    /// Published, at every worker.
    pub done: u64,
    /// The same runs already.
    pub unchanged: u64,
    /// Not published.
    pub refused: u64,
    /// Published, and not seen at every worker in time.
    pub late: u64,
}

impl Outcomes {
    /// Each with its name in labels.
    pub fn each(&self) -> [(&'static str, u64); 4] {
        let Self { done, unchanged, refused, late } = *self;
        [("done", done), ("unchanged", unchanged), ("refused", refused), ("late", late)]
    }
}

impl Default for Times {
    fn default() -> Self {
        // A histogram without bounds would take what is beyond its first few milliseconds for the shortest time of all. Nobody
        // waits for a swap longer than this, but for what the scheduler adds.
        let longest_swap = report::micros(2 * PATIENCE);
        let new = || Histogram::new_with_max(report::micros(LONGEST), DIGITS);
        let (Ok(parse), Ok(build), Ok(swap)) = (new(), new(), Histogram::new_with_max(longest_swap, SWAP_DIGITS))
        else {
            unreachable!("histograms keep up to five digits of any time")
        };
        let (reloads, patches) = (Outcomes::default(), Outcomes::default());
        Self { parse, build, swap, reloads, patches, last_success: None, last_ok: true }
    }
}

impl Times {
    /// Takes down a reload that ends now.
    pub(in crate::control) fn reloaded(&mut self, result: &Result<Reloaded, ReloadError>) {
        match result {
            Ok(Reloaded { changed: true, parse, build, swap, .. }) => {
                record(&mut self.parse, *parse);
                record(&mut self.build, *build);
                record(&mut self.swap, *swap);
                self.reloads.done += 1;
            }
            Ok(_) => self.reloads.unchanged += 1,
            Err(ReloadError::Late { .. }) => self.reloads.late += 1,
            Err(_) => self.reloads.refused += 1,
        }
        self.last_ok = result.is_ok();
        if self.last_ok {
            self.last_success = Some(SystemTime::now());
        }
    }

    /// Takes down a patch.
    pub(in crate::control) fn patched(&mut self, result: &Result<Patched, PatchError>) {
        match result {
            Ok(Patched { changed: true, swap, .. }) => {
                record(&mut self.swap, *swap);
                self.patches.done += 1;
            }
            Ok(_) => self.patches.unchanged += 1,
            // It is published all the same.
            Err(PatchError::Late { .. }) => self.patches.late += 1,
            Err(PatchError::NotKept { published: true, .. }) => self.patches.done += 1,
            Err(_) => self.patches.refused += 1,
        }
    }
}

fn record(times: &mut Histogram<u64>, time: Duration) {
    times.saturating_record(report::micros(time));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slow_swaps_are_shown_as_slow() {
        let mut times = Times::default();
        for millis in [70, 4_999, 60_000] {
            record(&mut times.swap, Duration::from_millis(millis));
            let max = times.swap.max();
            let shown = millis.min(10_000) * 1000;
            assert!((shown..=shown + shown / 100).contains(&max), "{max} us for {millis} ms");
        }
        let p50 = times.swap.value_at_quantile(0.5);
        assert!(times.swap.len() == 3 && (4_999_000..5_050_000).contains(&p50), "{p50} us");
        record(&mut times.build, Duration::from_secs(300));
        assert!(times.build.max() >= 300_000_000, "a large table on a slow machine");
    }
}
