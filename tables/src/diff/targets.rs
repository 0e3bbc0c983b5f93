// SPDX-License-Identifier: MIT OR Apache-2.0
//! Servers and data centres that keep their name, yet get their packets differently.

use std::fmt::Display;
use std::net::IpAddr;

use serde::Serialize;

use crate::source::Source;

/// One property of a server or data centre that differs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TargetChange<'a> {
    /// Its place in the document: `server` or `datacenter`.
    pub kind: &'static str,
    /// Its name.
    pub name: &'a str,
    /// What differs: `address`, `forwarders`, `mtu`, or `datacenter` for a server that moves house.
    pub what: &'static str,
    /// The value before; none if there was none.
    pub from: Option<String>,
    /// The value after.
    pub to: Option<String>,
}

/// The differences of what both tables have, data centres first. What only one has shows in its ports.
pub(super) fn changes<'a>(a: &'a Source, b: &'a Source) -> Vec<TargetChange<'a>> {
    let mut changes = Vec::new();
    let mut compare = |kind, name, what, from: Option<String>, to: Option<String>| {
        if from != to {
            changes.push(TargetChange { kind, name, what, from, to });
        }
    };
    for before in a.datacenters() {
        let Some(after) = b.find_datacenter(&before.name).map(|id| b.datacenter(id)) else { continue };
        let (kind, name) = ("datacenter", &*before.name);
        compare(kind, name, "forwarders", list(&before.forwarders), list(&after.forwarders));
        compare(kind, name, "mtu", text(before.mtu), text(after.mtu));
    }
    for before in a.servers() {
        let Some(after) = b.find_server(&before.name).map(|id| b.server(id)) else { continue };
        let (kind, name) = ("server", &*before.name);
        let datacenters = [(a, before), (b, after)].map(|(source, server)| &source.datacenter(server.datacenter).name);
        compare(kind, name, "datacenter", text(Some(datacenters[0])), text(Some(datacenters[1])));
        compare(kind, name, "address", text(Some(before.address)), text(Some(after.address)));
        compare(kind, name, "mtu", text(before.mtu), text(after.mtu));
    }
    changes
}

fn text(value: Option<impl Display>) -> Option<String> {
    value.map(|value| value.to_string())
}

/// The choice among forwarders counts on their order, so it is part of the value.
fn list(forwarders: &[IpAddr]) -> Option<String> {
    let texts: Vec<String> = forwarders.iter().map(IpAddr::to_string).collect();
    (!texts.is_empty()).then(|| texts.join(" "))
}
