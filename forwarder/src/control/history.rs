// SPDX-License-Identifier: MIT OR Apache-2.0
//! What was done to what runs, for `status`. Dry runs are left out.

use std::collections::VecDeque;
use std::time::SystemTime;

use super::generations::{PatchError, Patched, ReloadError, Reloaded, Running};
use super::metrics::{Outcomes, Times};
use super::peer::Peer;
use super::report::{self, PatchStatus, PatchesStatus, ReloadStatus, SwapTimes};

/// Reloads that are kept.
const RELOADS: usize = 5;

/// The newest attempts, and numbers over all of them.
#[derive(Default)]
pub(super) struct History {
    /// The newest last.
    reloads: VecDeque<Attempt>,
    /// With the entries that changed.
    last_patch: Option<(Attempt, usize)>,
    times: Times,
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

    fn report(&self) -> ReloadStatus {
        ReloadStatus {
            at: report::timestamp(self.at),
            by: self.by.to_string(),
            from: self.from.clone(),
            generation: self.generation,
            ok: self.error.is_none(),
            error: self.error.clone(),
        }
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
        self.times.reloaded(result);
        let error = result.as_ref().err().map(ReloadError::to_string);
        if self.reloads.len() == RELOADS {
            self.reloads.pop_front();
        }
        self.reloads.push_back(Attempt::new(by, from, running, error));
    }

    /// Takes down a patch.
    pub(super) fn patched(&mut self, by: Peer, from: String, result: &Result<Patched, PatchError>, running: &Running) {
        self.times.patched(result);
        let prefixes = result.as_ref().map_or(0, |done| done.prefixes);
        let error = result.as_ref().err().map(PatchError::to_string);
        self.last_patch = Some((Attempt::new(by, from, running, error), prefixes));
    }

    /// How often, and how long it took.
    pub(super) fn times(&self) -> &Times {
        &self.times
    }

    pub(super) fn last_reload(&self) -> Option<ReloadStatus> {
        self.reloads.back().map(Attempt::report)
    }

    /// The newest reloads, the newest first.
    pub(super) fn reloads(&self) -> Vec<ReloadStatus> {
        self.reloads.iter().rev().map(Attempt::report).collect()
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
        let Outcomes { done, late, refused, .. } = self.times.patches;
        PatchesStatus { applied: done + late, refused, last }
    }

    pub(super) fn swap_times(&self) -> SwapTimes {
        let at = |quantile| self.times.swap.value_at_quantile(quantile);
        SwapTimes { count: self.times.swap.len(), p50: at(0.5), p99: at(0.99), max: self.times.swap.max() }
    }
}
