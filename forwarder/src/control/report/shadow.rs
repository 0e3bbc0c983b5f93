// SPDX-License-Identifier: MIT OR Apache-2.0
//! What was seen of a shadow.

use std::collections::BTreeMap;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use super::Preview;
use crate::counters::Traffic;
use crate::explain::Verdict;

/// Whether there is a shadow, and what was seen of it: `shadow`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShadowStatus {
    /// None if there is none.
    pub shadow: Option<ShadowReport>,
}

/// A shadow and what was seen of it. Packets are those of the sample.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShadowReport {
    /// The generation that it would be.
    pub generation: u64,
    /// Where its table is from.
    pub from: String,
    /// On whose behalf.
    pub by: String,
    /// Since when packets are held against it.
    pub since: u64,
    /// One packet in so many is.
    pub sample: u64,
    /// Packets that were.
    pub packets: u64,
    /// Their bytes, Ethernet header included, FCS not.
    pub bytes: u64,
    /// The same by how their fates differ.
    pub kinds: BTreeMap<String, ShadowTraffic>,
    /// The same by where they go and would go, the most packets first; those that differ.
    pub pairs: Vec<ShadowPair>,
    /// How many more there are of those.
    pub more_pairs: usize,
    /// Packets that differ and are in no pair, since there were too many.
    pub unpaired: u64,
    /// What stands against publishing it, unless it is forced; as it was when it began.
    pub obstacle: Option<String>,
    /// What would move by the documents; only when it begins.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub preview: Option<Preview>,
}

/// Which shadow there is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShadowSummary {
    /// The generation that it would be.
    pub generation: u64,
    /// Where its table is from.
    pub from: String,
    /// Since when packets are held against it.
    pub since: u64,
}

/// Packets and bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShadowTraffic {
    /// Frames.
    pub packets: u64,
    /// Their bytes.
    pub bytes: u64,
}

impl From<Traffic> for ShadowTraffic {
    fn from(Traffic { packets, bytes }: Traffic) -> Self {
        Self { packets, bytes }
    }
}

/// Packets that go one way and would go another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShadowPair {
    /// How both differ.
    pub kind: String,
    /// Where they go.
    pub from: ShadowParty,
    /// Where they would go.
    pub to: ShadowParty,
    /// Frames.
    pub packets: u64,
    /// Their bytes.
    pub bytes: u64,
    /// The first of them.
    pub examples: Vec<ShadowExample>,
}

/// Where packets go, or what becomes of them instead.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShadowParty {
    /// What.
    pub verdict: Verdict,
    /// The server or data centre.
    pub target: Option<String>,
    /// Why it is dropped.
    pub reason: Option<String>,
}

impl ShadowParty {
    /// The one of its words that says the most.
    pub fn name(&self) -> &str {
        let name = self.target.as_ref().or(self.reason.as_ref());
        let nobody = if self.verdict == Verdict::Answer { "answered here" } else { "the kernel" };
        name.map_or(nobody, String::as_str)
    }
}

/// A packet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShadowExample {
    /// Who sent it; none if it can't be read.
    pub source: Option<IpAddr>,
    /// Whom to.
    pub destination: Option<IpAddr>,
    /// IP protocol number.
    pub protocol: u8,
    /// Destination port, if its owner goes by that.
    pub port: Option<u16>,
    /// Bytes of the frame.
    pub bytes: u32,
}
