// SPDX-License-Identifier: MIT OR Apache-2.0
//! Guards against mistakes: a change that takes away too much at once is refused unless it is forced.

use std::fmt;

use serde::{Deserialize, Serialize};
use tables::impact::Impact;

/// How much a change may do. Of the table that runs, whatever part of it is local: all forwarders judge alike.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Guards {
    /// A table of fewer addresses is not guarded.
    pub min_addresses: u64,
    /// How many of a hundred allocated ports may be nobody's afterwards.
    pub max_removed_percent: u8,
    /// How many of a hundred allocated ports may be another server's afterwards.
    pub max_moved_percent: u8,
    /// Whether a data centre that has ports may have none afterwards.
    pub allow_empty_datacenter: bool,
}

impl Default for Guards {
    fn default() -> Self {
        Self { min_addresses: 1000, max_removed_percent: 10, max_moved_percent: 25, allow_empty_datacenter: false }
    }
}

/// What guards have against a change. In JSON, the `data` of their refusal.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Objection {
    /// Each guard that objects.
    pub guards: Vec<Tripped>,
    /// What the change does.
    pub impact: Impact,
}

/// A guard that objects.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Tripped {
    /// Its key in the configuration.
    pub guard: String,
    /// The most that it lets pass; for data centres, none.
    pub limit: u64,
    /// What the change does, in the same unit.
    pub value: f64,
}

impl Guards {
    /// What they have against a change, if anything.
    pub fn judge(&self, impact: &Impact) -> Option<Objection> {
        if impact.addresses < self.min_addresses {
            return None;
        }
        let percent = |ports: u64| 100.0 * ports as f64 / (impact.allocated_ports.max(1)) as f64;
        let emptied = impact.emptied_datacenters.len();
        let empty = if self.allow_empty_datacenter { emptied } else { 0 };
        let all = [
            ("max_removed_percent", u64::from(self.max_removed_percent), percent(impact.removed_ports)),
            ("max_moved_percent", u64::from(self.max_moved_percent), percent(impact.moved_ports)),
            ("allow_empty_datacenter", empty as u64, emptied as f64),
        ];
        let tripped = all.into_iter().filter(|(_, limit, value)| *value > *limit as f64);
        let guards: Vec<Tripped> =
            tripped.map(|(guard, limit, value)| Tripped { guard: guard.to_owned(), limit, value }).collect();
        (!guards.is_empty()).then(|| Objection { guards, impact: impact.clone() })
    }
}

impl fmt::Display for Objection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Impact { allocated_ports, removed_ports, moved_ports, emptied_datacenters, .. } = &self.impact;
        for (index, Tripped { guard, limit, value }) in self.guards.iter().enumerate() {
            f.write_str(if index == 0 { "it would " } else { ", and " })?;
            match guard.as_str() {
                "max_removed_percent" => write!(
                    f,
                    "take away {removed_ports} of {allocated_ports} allocated ports ({value:.1} %; {guard} is {limit})"
                )?,
                "max_moved_percent" => write!(
                    f,
                    "move {moved_ports} of {allocated_ports} allocated ports ({value:.1} %; {guard} is {limit})"
                )?,
                _ => write!(f, "leave no port to {}", emptied_datacenters.join(", "))?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn impact(removed_ports: u64, moved_ports: u64, emptied: &[&str]) -> Impact {
        Impact {
            addresses: 1000,
            allocated_ports: 1_000_000,
            removed_ports,
            moved_ports,
            emptied_datacenters: emptied.iter().map(|&name| name.to_owned()).collect(),
        }
    }

    fn text(guards: &Guards, impact: &Impact) -> Option<String> {
        guards.judge(impact).map(|objection| objection.to_string())
    }

    #[test]
    fn what_is_at_the_limit_passes_and_what_is_above_does_not() {
        let guards = Guards::default();
        assert_eq!(text(&guards, &impact(100_000, 250_000, &[])), None);
        let told = "it would take away 100001 of 1000000 allocated ports (10.0 %; max_removed_percent is 10), and move \
                    250001 of 1000000 allocated ports (25.0 %; max_moved_percent is 25), and leave no port to CDG, MAN";
        assert_eq!(text(&guards, &impact(100_001, 250_001, &["CDG", "MAN"])).as_deref(), Some(told));
    }

    #[test]
    fn each_guard_can_be_switched_off() {
        let off = Guards {
            max_removed_percent: 100,
            max_moved_percent: 100,
            allow_empty_datacenter: true,
            ..Guards::default()
        };
        assert_eq!(text(&off, &impact(1_000_000, 1_000_000, &["CDG"])), None);
        let small = Impact { addresses: 999, ..impact(1_000_000, 0, &["CDG"]) };
        assert_eq!(text(&Guards::default(), &small), None);
    }
}
