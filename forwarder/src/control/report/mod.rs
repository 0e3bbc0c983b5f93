// SPDX-License-Identifier: MIT OR Apache-2.0
//! The documents that the control socket answers with, and that `sluice --json` prints. Keys are stable; times are
//! seconds since 1970.

mod changes;
mod kernel;
mod preview;
mod shadow;
mod top;

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

pub use self::changes::{PatchReport, ReloadReport, patch_error, reload_error};
pub use self::kernel::{ClassReport, KernelReport};
pub use self::preview::{MoveRow, Preview, TargetRow};
pub use self::shadow::{
    ShadowExample, ShadowPair, ShadowParty, ShadowReport, ShadowStatus, ShadowSummary, ShadowTraffic,
};
pub use self::top::{DeviceTop, QueueTop, TargetTop, Top, WorkerTop};
use crate::control::kept::{KeptGeneration, KeptStatus};
use crate::control::next_hops::status::NextHopsStatus;
use crate::counters::{Counters, CountersReport};

/// What runs: `status`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// `forwarding`, `draining` or `stopping`.
    pub state: String,
    /// Whether all is well, and if not, why.
    pub health: Health,
    /// Whether the signals of readiness are given; none if there are none.
    #[serde(default)]
    pub announced: Option<bool>,
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
    /// The table that is being read, if one is.
    pub loading: Option<LoadingStatus>,
    /// The newest attempt to reload, dry runs excepted.
    pub last_reload: Option<ReloadStatus>,
    /// The patches since the daemon started, dry runs excepted.
    pub patches: PatchesStatus,
    /// How long swaps took, in microseconds.
    pub swap_us: SwapTimes,
    /// The state folder; none if nothing is kept.
    #[serde(default)]
    pub kept: Option<KeptStatus>,
    /// The table that is held against live packets; none if none is.
    #[serde(default)]
    pub shadow: Option<ShadowSummary>,
    /// Why what ran before goes on since the start, and not the configured table; none once it was reloaded.
    #[serde(default)]
    pub instead: Option<String>,
    /// What the kernel's next hops lack; none if the configuration has them.
    #[serde(default)]
    pub next_hops: Option<NextHopsStatus>,
}

/// What can be rolled back to: `generations`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeptGenerations {
    /// The state folder; none if nothing is kept.
    pub kept: Option<KeptStatus>,
    /// The newest first.
    pub generations: Vec<KeptGeneration>,
}

/// Whether a forwarder does what it should.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Health {
    /// [`Self::READY`], [`Self::DEGRADED`] or [`Self::DRAINING`].
    pub state: String,
    /// Whether this forwarder should attract traffic: whatever is wrong does not keep it from forwarding, and nobody drains it.
    #[serde(default)]
    pub in_service: bool,
    /// Everything that is wrong, and that it drains.
    pub reasons: Vec<Reason>,
}

impl Health {
    /// Nothing is wrong.
    pub const READY: &str = "ready";
    /// It forwards, and something is wrong.
    pub const DEGRADED: &str = "degraded";
    /// It forwards, and should attract no traffic.
    pub const DRAINING: &str = "draining";
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reason {
    /// What, for programs.
    pub code: String,
    /// What, where and what to do, for people.
    pub message: String,
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

/// How far a table has been read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct LoadingStatus {
    /// Bytes read so far.
    pub read: u64,
    /// Bytes that there are.
    pub of: u64,
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
    /// What it does by itself to what it sends: `ipv4_checksum`, `vlan`.
    #[serde(default)]
    pub offloads: Vec<String>,
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

/// Patches.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PatchesStatus {
    /// How many changed what runs.
    pub applied: u64,
    /// How many were refused, wrong bases among them.
    pub refused: u64,
    /// The newest attempt.
    pub last: Option<PatchStatus>,
}

/// An attempt to patch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PatchStatus {
    /// When.
    pub at: u64,
    /// On whose behalf.
    pub by: String,
    /// From where.
    pub from: String,
    /// What ran after it.
    pub generation: u64,
    /// Its revision.
    pub revision: u64,
    /// Entries that changed.
    pub prefixes: usize,
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
    /// What passed between the devices and the kernel, by device and class.
    #[serde(default)]
    pub kernel: Vec<KernelReport>,
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
}
