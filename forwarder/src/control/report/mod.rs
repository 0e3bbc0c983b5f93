// SPDX-License-Identifier: MIT OR Apache-2.0
//! The documents that the control socket answers with, and that `sluice --json` prints. Keys are stable; times are
//! seconds since 1970.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::generations::{ReloadError, Reloaded};
use crate::counters::{Counters, CountersReport};

/// What runs: `status`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// `forwarding` or `stopping`.
    pub state: String,
    /// The table's generation.
    pub generation: u64,
    /// Patches applied since.
    pub revision: u64,
    /// The daemon's.
    pub version: String,
    /// The daemon's.
    pub pid: u32,
    /// Since the daemon started.
    pub uptime_s: u64,
    /// From whose point of view the table is compiled.
    pub datacenter: String,
    /// The configuration file.
    pub config: String,
    /// The table.
    pub table: TableStatus,
    /// The workers, by number.
    pub workers: Vec<WorkerStatus>,
    /// The devices, in the order of the configuration.
    pub devices: Vec<DeviceStatus>,
    /// The newest attempt to reload, dry runs excepted.
    pub last_reload: Option<ReloadStatus>,
    /// How long swaps took, in microseconds.
    pub swap_us: SwapTimes,
}

/// Times from a publication until every worker was seen on it, since the daemon started: all 0 before the first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct SwapTimes {
    /// How many there were.
    pub count: u64,
    /// Half of them took no longer.
    pub p50: u64,
    /// Of a hundred, 99 took no longer.
    pub p99: u64,
    /// The longest.
    pub max: u64,
}

/// The running table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TableStatus {
    /// The file that is loaded at start and by SIGHUP.
    pub path: String,
    /// When it was published.
    pub since: u64,
    /// Data centres in the document.
    pub datacenters: usize,
    /// Servers in the document.
    pub servers: usize,
    /// Egress prefixes in the document.
    pub prefixes: usize,
    /// Servers that packets may be sent to, counted once for each previous owner.
    pub targets: usize,
    /// Other data centres that packets may be sent to.
    pub remotes: usize,
    /// Memory of the compiled table.
    pub bytes: usize,
}

/// One worker.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorkerStatus {
    /// Its number.
    pub worker: usize,
    /// Its core.
    pub core: usize,
}

/// One device.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeviceStatus {
    /// Its name.
    pub name: String,
    /// Source of what leaves.
    pub mac: String,
    /// Largest outer IP packet.
    pub mtu: u16,
    /// Destination of what leaves.
    pub next_hop_mac: Option<String>,
    /// Whether GUE may arrive.
    pub gue: bool,
}

/// An attempt to reload.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReloadStatus {
    /// When.
    pub at: u64,
    /// On whose behalf.
    pub by: String,
    /// From where.
    pub from: String,
    /// What ran after it.
    pub generation: u64,
    /// Whether it did what it should.
    pub ok: bool,
    /// Why not.
    pub error: Option<String>,
}

/// A time in whole microseconds.
pub(super) fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

/// The counters: `stats`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stats {
    /// The table's generation.
    pub generation: u64,
    /// Since the daemon started, and with it the counters.
    pub uptime_s: u64,
    /// The sum over all workers.
    pub counters: CountersReport,
    /// Whether every packet is accounted for.
    pub conservation: Conservation,
    /// Each worker's own.
    pub workers: Vec<WorkerStats>,
}

/// One worker's counters: one consistent copy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorkerStats {
    /// Its number.
    pub worker: usize,
    /// Its core.
    pub core: usize,
    /// What it counted.
    pub counters: CountersReport,
}

/// `rx + originated` against `tx + exception + held + Σ drops`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Conservation {
    /// The one less the other.
    pub imbalance: i64,
    /// Whether that is 0.
    pub ok: bool,
}

impl From<&Counters> for Conservation {
    fn from(counters: &Counters) -> Self {
        let imbalance = i64::try_from(counters.imbalance()).unwrap_or(i64::MAX);
        Self { imbalance, ok: imbalance == 0 }
    }
}

/// What a reload did: `reload`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ReloadReport {
    /// The generation that runs now, or would after a dry run.
    pub generation: u64,
    /// The generation that ran before.
    pub previous: u64,
    /// Whether a new table was published, or would be.
    pub changed: bool,
    /// Whether this was a dry run.
    pub dry_run: bool,
    /// Whether the rule of generations was overridden.
    pub forced: bool,
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
            previous: reloaded.previous,
            changed: reloaded.changed,
            dry_run,
            forced: reloaded.forced,
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
        ReloadError::Late { generation, workers } => json!({ "generation": generation, "late": workers }),
    }
}

/// Milliseconds, to the microsecond.
fn milliseconds(duration: Duration) -> f64 {
    duration.as_micros() as f64 / 1000.0
}

/// Seconds since 1970.
pub fn timestamp(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::counters::DropReason;

    #[test]
    fn conservation_counts_every_packet() {
        let mut some = Counters::default();
        (some.rx, some.originated, some.tx, some.exception, some.held) = (7, 1, 3, 1, 1);
        some.drop(DropReason::TooBig, 3);
        assert_eq!(Conservation::from(&some), Conservation { imbalance: 0, ok: true });
        some.rx += 1;
        assert_eq!(Conservation::from(&some), Conservation { imbalance: 1, ok: false });
    }

    #[test]
    fn durations_are_numbers_with_a_unit_in_their_name() {
        let done = Reloaded {
            previous: 41,
            generation: 42,
            changed: true,
            forced: false,
            parse: Duration::from_micros(1500),
            build: Duration::from_millis(2),
            swap: Duration::from_nanos(7900),
        };
        let expected = json!({
            "generation": 42, "previous": 41, "changed": true, "dry_run": false, "forced": false,
            "parse_ms": 1.5, "build_ms": 2.0, "swap_us": 7,
        });
        assert_eq!(serde_json::to_value(ReloadReport::new(&done, false)).unwrap(), expected);
    }
}
