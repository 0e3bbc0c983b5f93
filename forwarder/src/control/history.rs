// SPDX-License-Identifier: MIT OR Apache-2.0
//! What was done to what runs, for `status`. Dry runs are left out.

use std::time::{Duration, SystemTime};

use hdrhistogram::Histogram;

use super::generations::{PATIENCE, PatchError, Patched, ReloadError, Reloaded, Running};
use super::peer::Peer;
use super::report::{self, PatchStatus, PatchesStatus, ReloadStatus, SwapTimes};

/// Significant digits of the times that are kept.
const SWAP_DIGITS: u8 = 3;

/// The newest attempts, and numbers over all of them.
pub(super) struct History {
    last_reload: Option<Attempt>,
    /// With the entries that changed.
    last_patch: Option<(Attempt, usize)>,
    applied: u64,
    refused: u64,
    /// How long each swap took until the last worker was seen on the new table, in microseconds.
    swaps: Histogram<u64>,
}

struct Attempt {
    at: SystemTime,
    by: Peer,
    from: String,
    generation: u64,
    revision: u64,
    error: Option<String>,
}

impl Attempt {
    fn new(by: Peer, from: String, running: &Running, error: Option<String>) -> Self {
        let Running { generation, revision, .. } = *running;
        Self { at: SystemTime::now(), by, from, generation, revision, error }
    }
}

impl Default for History {
    fn default() -> Self {
        // A histogram without bounds would take what is beyond its first few milliseconds for the shortest time of all. Nobody
        // waits longer than this, but for what the scheduler adds.
        let longest = report::micros(2 * PATIENCE);
        let Ok(swaps) = Histogram::new_with_max(longest, SWAP_DIGITS) else {
            unreachable!("histograms keep up to five digits of any time")
        };
        Self { last_reload: None, last_patch: None, applied: 0, refused: 0, swaps }
    }
}

impl History {
    /// Takes down a reload, after which `running` runs.
    pub(super) fn reloaded(
        &mut self,
        by: Peer,
        from: String,
        result: &Result<Reloaded, ReloadError>,
        running: &Running,
    ) {
        if let Ok(Reloaded { changed: true, swap, .. }) = result {
            self.swapped(*swap);
        }
        let error = result.as_ref().err().map(ReloadError::to_string);
        self.last_reload = Some(Attempt::new(by, from, running, error));
    }

    /// Takes down a patch.
    pub(super) fn patched(&mut self, by: Peer, from: String, result: &Result<Patched, PatchError>, running: &Running) {
        match result {
            Ok(Patched { changed: true, swap, .. }) => {
                self.applied += 1;
                self.swapped(*swap);
            }
            Ok(_) => {}
            // It is published all the same.
            Err(PatchError::Late { .. } | PatchError::NotKept { published: true, .. }) => self.applied += 1,
            Err(_) => self.refused += 1,
        }
        let prefixes = result.as_ref().map_or(0, |done| done.prefixes);
        let error = result.as_ref().err().map(PatchError::to_string);
        self.last_patch = Some((Attempt::new(by, from, running, error), prefixes));
    }

    fn swapped(&mut self, time: Duration) {
        self.swaps.saturating_record(report::micros(time));
    }

    pub(super) fn last_reload(&self) -> Option<ReloadStatus> {
        self.last_reload.as_ref().map(|last| ReloadStatus {
            at: report::timestamp(last.at),
            by: last.by.to_string(),
            from: last.from.clone(),
            generation: last.generation,
            ok: last.error.is_none(),
            error: last.error.clone(),
        })
    }

    pub(super) fn patches(&self) -> PatchesStatus {
        let last = self.last_patch.as_ref().map(|(last, prefixes)| PatchStatus {
            at: report::timestamp(last.at),
            by: last.by.to_string(),
            from: last.from.clone(),
            generation: last.generation,
            revision: last.revision,
            prefixes: *prefixes,
            ok: last.error.is_none(),
            error: last.error.clone(),
        });
        PatchesStatus { applied: self.applied, refused: self.refused, last }
    }

    pub(super) fn swap_times(&self) -> SwapTimes {
        let at = |quantile| self.swaps.value_at_quantile(quantile);
        SwapTimes { count: self.swaps.len(), p50: at(0.5), p99: at(0.99), max: self.swaps.max() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slow_swaps_are_shown_as_slow() {
        let mut history = History::default();
        for millis in [70, 4_999, 60_000] {
            history.swapped(Duration::from_millis(millis));
            let max = history.swap_times().max;
            let shown = millis.min(10_000) * 1000;
            assert!((shown..=shown + shown / 100).contains(&max), "{max} us for {millis} ms");
        }
        let SwapTimes { count, p50, .. } = history.swap_times();
        assert!(count == 3 && (4_999_000..5_050_000).contains(&p50), "{count} of {p50} us");
    }
}
