// SPDX-License-Identifier: MIT OR Apache-2.0
//! What there is to say of next hops: which servers and data centres can't be reached, and why.

use std::collections::BTreeMap;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use super::Underlay;
use crate::hops::{NextHops, Unresolved};
use crate::state::ForwardingState;

/// So many are listed one by one.
const LISTED: usize = 100;

/// Next hops from the kernel, in `status`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct NextHopsStatus {
    /// Servers without a next hop: what is for them is dropped.
    pub servers_unresolved: usize,
    /// Data centres none of whose forwarders has one: the same.
    pub datacenters_unresolved: usize,
    /// Forwarders of other data centres without one: others get their share, if there are any.
    pub forwarders_unresolved: usize,
    /// The first hundred of all these.
    pub unresolved: Vec<UnresolvedStatus>,
    /// Addresses whose paths take less than their devices do.
    pub paths_lowered: usize,
    /// The first hundred of those.
    pub lowered: Vec<LoweredStatus>,
    /// Least that the way to any address of the table takes, in bytes; none if there is no way.
    pub least_mtu: Option<u16>,
}

/// An address without a next hop.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnresolvedStatus {
    /// `server` or `forwarder`.
    pub kind: String,
    /// The server's name, or that of the forwarder's data centre.
    pub name: String,
    /// Where packets would be sent.
    pub address: IpAddr,
    /// Why they are not.
    pub why: String,
}

/// A path that takes less than its device.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LoweredStatus {
    /// Where to.
    pub address: IpAddr,
    /// What it takes, in bytes.
    pub mtu: u16,
}

impl NextHopsStatus {
    /// Whether there are next hops for nobody, though there is somebody.
    pub fn is_cut_off(&self) -> bool {
        self.least_mtu.is_none() && self.servers_unresolved + self.forwarders_unresolved > 0
    }

    /// Of a state that goes by the kernel's next hops; none of another.
    pub fn of(state: &ForwardingState, underlay: &Underlay) -> Option<Self> {
        let hops = state.hops()?;
        let lowered = underlay.lowered();
        let mut status = Self {
            paths_lowered: lowered.len(),
            lowered: lowered.into_iter().take(LISTED).map(|(address, mtu)| LoweredStatus { address, mtu }).collect(),
            least_mtu: least_mtu(hops),
            ..Self::default()
        };
        let targets =
            state.table.targets().iter().zip(&hops.servers).filter(|(target, way)| !target.is_gone && !way.is_open());
        // A server is there once for each previous owner.
        let servers: BTreeMap<&str, IpAddr> = targets.map(|(target, _)| (&*target.name, target.address)).collect();
        for (name, address) in servers {
            status.servers_unresolved += 1;
            status.list("server", name, address, hops);
        }
        let mut remotes: Vec<_> = state.table.remotes().iter().zip(&hops.datacenters).collect();
        // What is lost comes before what others carry.
        remotes.sort_by_key(|(_, usable)| !usable.is_empty());
        for (remote, usable) in remotes {
            status.datacenters_unresolved += usize::from(usable.is_empty());
            for (number, &address) in (0..=u16::MAX).zip(&remote.forwarders) {
                if usable.iter().all(|usable| usable.forwarder != number) {
                    status.forwarders_unresolved += 1;
                    status.list("forwarder", &remote.name, address, hops);
                }
            }
        }
        Some(status)
    }

    fn list(&mut self, kind: &str, name: &str, address: IpAddr, hops: &NextHops) {
        if self.unresolved.len() < LISTED {
            let why = hops.unresolved.get(&address).map(Unresolved::to_string).unwrap_or_default();
            self.unresolved.push(UnresolvedStatus { kind: kind.to_owned(), name: name.to_owned(), address, why });
        }
    }

    /// What makes the forwarder less than ready, in a sentence.
    pub fn problem(&self) -> Option<String> {
        let Self { servers_unresolved: servers, datacenters_unresolved: datacenters, .. } = self;
        if servers + datacenters == 0 {
            return None;
        }
        let first = self.unresolved.first().map_or_else(String::new, |first| {
            format!("; {} {} at {}: {}", first.kind, first.name, first.address, first.why)
        });
        Some(format!("{servers} servers and {datacenters} data centres have no next hop{first}"))
    }
}

fn least_mtu(hops: &NextHops) -> Option<u16> {
    let forwarders = hops.datacenters.iter().flatten().map(|usable| usable.way);
    hops.servers.iter().copied().chain(forwarders).filter(|way| way.is_open()).map(|way| way.mtu).min()
}
