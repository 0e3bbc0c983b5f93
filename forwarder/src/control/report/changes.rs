// SPDX-License-Identifier: MIT OR Apache-2.0
//! What changes of the table did.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use tables::impact::Impact;

use super::{Preview, micros};
use crate::control::generations::{PatchError, Patched, ReloadError, Reloaded};
use crate::control::guards::Tripped;

/// What a reload did: `reload`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ReloadReport {
    /// The generation that runs now, or would after a dry run.
    pub generation: u64,
    /// Patches of it that came back with a rollback.
    #[serde(default)]
    pub revision: u64,
    /// The generation that ran before.
    pub previous: u64,
    /// Whether a new table was published, or would be.
    pub changed: bool,
    /// Whether this was a dry run.
    pub dry_run: bool,
    /// Whether the rule of generations or a guard was overridden.
    pub forced: bool,
    /// Guards that were overridden.
    #[serde(default)]
    pub guards: Vec<Tripped>,
    /// How much it moves.
    #[serde(default)]
    pub impact: Impact,
    /// Whether it is in the state folder.
    #[serde(default)]
    pub kept: bool,
    /// After a dry run, what would move.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub preview: Option<Preview>,
    /// How many patches of the table before went with it, or would.
    pub discarded_patches: u64,
    /// Reading and validating, in milliseconds.
    pub parse_ms: f64,
    /// Compiling, in milliseconds.
    pub build_ms: f64,
    /// From publishing until every worker forwards by it and the old table is freed, in microseconds.
    pub swap_us: u64,
}

impl ReloadReport {
    /// Of a reload that ended well.
    pub fn new(reloaded: &Reloaded, dry_run: bool) -> Self {
        Self {
            generation: reloaded.generation,
            revision: reloaded.revision,
            previous: reloaded.previous,
            changed: reloaded.changed,
            dry_run,
            forced: reloaded.forced,
            guards: reloaded.overridden.as_ref().map(|objection| objection.guards.clone()).unwrap_or_default(),
            impact: reloaded.impact.clone(),
            kept: reloaded.kept,
            preview: reloaded.preview.clone(),
            discarded_patches: reloaded.discarded_patches,
            parse_ms: milliseconds(reloaded.parse),
            build_ms: milliseconds(reloaded.build),
            swap_us: micros(reloaded.swap),
        }
    }
}

/// Why a reload did not end well, for the `data` of an error.
pub fn reload_error(error: &ReloadError) -> Value {
    match error {
        ReloadError::Refused { faults, running, .. } => json!({ "faults": faults, "generation": running }),
        ReloadError::Guarded { objection, preview, running, .. } => {
            json!({ "guards": objection.guards, "impact": objection.impact, "preview": preview, "generation": running })
        }
        ReloadError::NotKept { running, .. } => json!({ "generation": running, "published": false }),
        ReloadError::Late { generation, workers } => json!({ "generation": generation, "late": workers }),
    }
}

/// What a patch did: `patch`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PatchReport {
    /// The generation that runs.
    pub generation: u64,
    /// The revision that runs now, or would after a dry run.
    pub revision: u64,
    /// Whether a changed table was published, or would be.
    pub changed: bool,
    /// Whether this was a dry run.
    pub dry_run: bool,
    /// Entries that came, went or say something else, or would.
    pub prefixes: usize,
    /// Guards that were overridden.
    #[serde(default)]
    pub guards: Vec<Tripped>,
    /// How much it moves.
    #[serde(default)]
    pub impact: Impact,
    /// Whether it is in the state folder.
    #[serde(default)]
    pub kept: bool,
    /// After a dry run, what would move.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub preview: Option<Preview>,
    /// Reading, in milliseconds.
    pub parse_ms: f64,
    /// Validating, applying and compiling, in milliseconds.
    pub build_ms: f64,
    /// From publishing until every worker forwards by it, in microseconds.
    pub swap_us: u64,
}

impl PatchReport {
    /// Of a patch that ended well.
    pub fn new(patched: &Patched, dry_run: bool) -> Self {
        Self {
            generation: patched.generation,
            revision: patched.revision,
            changed: patched.changed,
            dry_run,
            prefixes: patched.prefixes,
            guards: patched.overridden.as_ref().map(|objection| objection.guards.clone()).unwrap_or_default(),
            impact: patched.impact.clone(),
            kept: patched.kept,
            preview: patched.preview.clone(),
            parse_ms: milliseconds(patched.parse),
            build_ms: milliseconds(patched.build),
            swap_us: micros(patched.swap),
        }
    }
}

/// Why a patch did not end well, for the `data` of an error.
pub fn patch_error(error: &PatchError) -> Value {
    match error {
        PatchError::Refused { faults, generation, revision, .. } => {
            json!({ "faults": faults, "generation": generation, "revision": revision })
        }
        PatchError::Guarded { objection, preview, generation, revision, .. } => json!({
            "guards": objection.guards, "impact": objection.impact, "preview": preview,
            "generation": generation, "revision": revision,
        }),
        PatchError::NotKept { published, generation, revision, .. } => {
            json!({ "generation": generation, "revision": revision, "published": published })
        }
        PatchError::WrongBase { generation, revision, .. } => json!({ "generation": generation, "revision": revision }),
        PatchError::Late { generation, revision, workers } => {
            json!({ "generation": generation, "revision": revision, "late": workers })
        }
    }
}

/// Milliseconds, to the microsecond.
fn milliseconds(duration: Duration) -> f64 {
    duration.as_micros() as f64 / 1000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_numbers_with_a_unit_in_their_name() {
        let done = Reloaded {
            previous: 41,
            generation: 42,
            revision: 0,
            changed: true,
            forced: false,
            overridden: None,
            impact: Impact { allocated_ports: 9, ..Impact::default() },
            kept: true,
            preview: None,
            discarded_patches: 3,
            parse: Duration::from_micros(1500),
            build: Duration::from_millis(2),
            swap: Duration::from_nanos(7900),
        };
        let expected = json!({
            "generation": 42, "revision": 0, "previous": 41, "changed": true, "dry_run": false, "forced": false,
            "guards": [], "kept": true,
            "impact": {
                "addresses": 0, "allocated_ports": 9, "removed_ports": 0, "moved_ports": 0, "emptied_datacenters": []
            },
            "discarded_patches": 3, "parse_ms": 1.5, "build_ms": 2.0, "swap_us": 7,
        });
        assert_eq!(serde_json::to_value(ReloadReport::new(&done, false)).unwrap(), expected);
    }
}
