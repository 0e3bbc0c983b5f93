// SPDX-License-Identifier: MIT OR Apache-2.0
//! The servers and data centres that a patch sets, as the source keeps them.

use super::Patch;
use super::resolve::Resolved;
use crate::source::{Datacenter, DatacenterId, Server, ServerId};

/// The servers, in the order of their ids.
pub(super) fn servers(patch: &Patch, resolved: &Resolved<'_>) -> Vec<(ServerId, Server)> {
    let servers = patch.names.servers.iter().filter_map(|(_, id, server)| {
        let (name, address, mtu) = (patch.names.servers.name(id).into(), server.address?, server.mtu);
        let datacenter = resolved.datacenter(server.datacenter?)?;
        Some((resolved.server(ServerId(id))?, Server { name, datacenter, address, mtu }))
    });
    let mut servers: Vec<_> = servers.collect();
    servers.sort_unstable_by_key(|&(id, _)| id);
    servers
}

/// The data centres, in the order of their ids.
pub(super) fn datacenters(patch: &Patch, resolved: &Resolved<'_>) -> Vec<(DatacenterId, Datacenter)> {
    let datacenters = patch.names.datacenters.iter().filter_map(|(_, id, datacenter)| {
        let name = patch.names.datacenters.name(id).into();
        let datacenter = Datacenter { name, forwarders: datacenter.forwarders.clone(), mtu: datacenter.mtu };
        Some((resolved.datacenter(DatacenterId(id))?, datacenter))
    });
    let mut datacenters: Vec<_> = datacenters.collect();
    datacenters.sort_unstable_by_key(|&(id, _)| id);
    datacenters
}
