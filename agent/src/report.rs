// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the agent tells: the results of its methods, which `--json` prints.

use serde::{Deserialize, Serialize};

use crate::guard::Caught;
use crate::sockets::Slice;

/// The result of `status`.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Status {
    /// The program's version.
    pub version: String,
    /// This server's name in the table.
    pub server: String,
    /// The table's generation; 0 if it gives none.
    pub generation: u64,
    /// The table's file.
    pub table: String,
    /// When the table that runs was taken, in seconds since 1970.
    pub since: u64,
    /// Seconds since the agent started.
    pub uptime_seconds: u64,
    /// Whether all is well.
    #[serde(flatten)]
    pub health: Health,
    /// What an operator should know although all is well.
    pub warnings: Vec<String>,
    /// Where GUE arrives.
    pub devices: Vec<Device>,
    /// What is held.
    pub addresses: Vec<Address>,
    /// What the kernel chooses ports from.
    pub ports: Option<Choice>,
    /// Sockets on ports that this server does not own, any more or at all.
    pub draining: u64,
    /// Who sent from what others own.
    pub guard: GuardReport,
}

/// What the egress guard does, and has done.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct GuardReport {
    /// `drop` or `count`.
    pub action: String,
    /// The latest last, a hundred at most.
    pub caught: Vec<Caught>,
}

/// Whether all is well. The result of `health`.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Health {
    /// `ok` or `degraded`.
    pub state: String,
    /// Why it is degraded, a line each.
    pub reasons: Vec<String>,
}

/// A device of the underlay.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Device {
    /// Its name.
    pub device: String,
    /// `native` where the program that receives runs in the driver, else `generic`.
    pub xdp: String,
    /// Why it is not native, if nobody asked for that.
    pub why: Option<String>,
}

/// A prefix that is held.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Address {
    /// The prefix.
    pub prefix: String,
    /// Why.
    pub role: Role,
    /// Sockets that programs have with addresses of it.
    pub sockets: u64,
    /// Somebody else has put it here, and it stays when the agent goes.
    pub foreign: bool,
}

/// Why a prefix is held.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// This server owns something of it.
    Owned,
    /// This server is a previous owner of something of it, and owns nothing of it.
    Draining,
    /// By the table this server has nothing to do with it, and there are sockets that use it.
    Lingering,
}

/// What the kernel chooses ports from.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Choice {
    /// `net.ipv4.ip_local_port_range`, LO-HI.
    pub range: String,
    /// `net.ipv4.ip_local_reserved_ports`.
    pub reserved: String,
}

/// The result of `slices`.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Slices {
    /// This server's name in the table.
    pub server: String,
    /// The table's generation; 0 if it gives none.
    pub generation: u64,
    /// What is owned, and what else has sockets.
    pub slices: Vec<Slice>,
}

/// The result of `reload`.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Reloaded {
    /// The generation that ran before.
    pub previous: u64,
    /// The one that runs now.
    pub generation: u64,
    /// Whether anything is another for this server.
    pub changed: bool,
}
