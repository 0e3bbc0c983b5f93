// SPDX-License-Identifier: MIT OR Apache-2.0
//! A patch's names in the ids of the source that it is applied to.

use super::Patch;
use crate::source::check::{self, Scope};
use crate::source::draft::{DatacenterDraft, Names, Registry, ServerDraft};
use crate::source::faults::FaultList;
use crate::source::path::Path;
use crate::source::{Datacenter, DatacenterId, Owner, ServerId, Source};

/// What a patch's names stand for once it is applied.
pub(super) struct Resolved<'a> {
    source: &'a Source,
    patch: &'a Patch,
    /// The patch's own names, and what those that it does not set stand for in the source. What it removes stands for
    /// nothing.
    pub(super) names: Names,
    /// By the patch's id: the source's, which for a new one is behind all that the source has.
    servers: Vec<Option<ServerId>>,
    datacenters: Vec<Option<DatacenterId>>,
}

impl<'a> Resolved<'a> {
    /// Looks all names up; what they don't lead to is a fault.
    pub(super) fn new(source: &'a Source, patch: &'a Patch, faults: &mut FaultList) -> Self {
        let mut names = patch.names.clone();
        (names.servers.known, names.datacenters.known) = (true, true);
        let mut resolved = Self { source, patch, names, servers: Vec::new(), datacenters: Vec::new() };
        let root = Path::Root.key("set");
        resolved.name_datacenters_of_changed_entries();
        resolved.find_datacenters();
        // Now, while no other servers are there than those that the patch sets.
        check::check_servers(resolved.scope(&root), faults);
        resolved.find_servers();
        resolved.find_datacenters();
        check::check_owners(resolved.scope(&root), faults);
        let Self { names, .. } = &resolved;
        let find = |id: u32| source.find_server(names.servers.name(id)).map(|id| id.0);
        let servers = ids(&patch.names.servers, names.servers.len(), source.servers.len(), find);
        let find = |id: u32| source.find_datacenter(names.datacenters.name(id)).map(|id| id.0);
        let datacenters = ids(&patch.names.datacenters, names.datacenters.len(), source.datacenters.len(), find);
        let (servers, datacenters) =
            (servers.map(|id| id.map(ServerId)).collect(), datacenters.map(|id| id.map(DatacenterId)).collect());
        Self { servers, datacenters, ..resolved }
    }

    /// The source's id of a server of the patch, also of one that is removed; none if there is no such server.
    pub(super) fn server(&self, id: ServerId) -> Option<ServerId> {
        self.servers.get(id.0 as usize).copied().flatten()
    }

    /// The same of a data centre.
    pub(super) fn datacenter(&self, id: DatacenterId) -> Option<DatacenterId> {
        self.datacenters.get(id.0 as usize).copied().flatten()
    }

    /// An owner that exists, in ids of the source.
    pub(super) fn owner(&self, server: ServerId, previous: Option<ServerId>) -> Option<Owner> {
        Some(Owner { server: self.server(server)?, previous: previous.and_then(|previous| self.server(previous)) })
    }

    fn scope<'b>(&'b self, root: &'b Path<'b>) -> Scope<'b> {
        Scope { names: &self.names, egress: &self.patch.egress, ranks: self.patch.ranks.0, root }
    }

    /// Where entries are whose ports change, is asked for later.
    fn name_datacenters_of_changed_entries(&mut self) {
        let mut before = None;
        for change in &self.patch.ports {
            let entry = (before != Some(change.prefix)).then(|| self.source.entry(change.prefix)).flatten();
            before = Some(change.prefix);
            if let Some(datacenter) = entry.and_then(|(_, entry)| entry.datacenter) {
                self.names.datacenters.refer(&self.source.datacenter(datacenter).name);
            }
        }
    }

    /// Takes over from the source what the data centres are that the patch names and does not set.
    fn find_datacenters(&mut self) {
        let Self { source, patch, names, .. } = self;
        let gone = gone(names.datacenters.len(), patch.removed.datacenters.iter().map(|(_, id)| id.0));
        for (id, _) in (0_u32..).zip(gone).filter(|(_, gone)| !gone) {
            let found = source.find_datacenter(names.datacenters.name(id));
            if let (None, Some(found)) = (names.datacenters.get(id), found) {
                let Datacenter { forwarders, mtu, .. } = source.datacenter(found);
                let datacenter = DatacenterDraft { forwarders: forwarders.clone(), mtu: *mtu, faulty: false };
                names.datacenters.define(id, datacenter);
            }
        }
    }

    /// The same of servers.
    fn find_servers(&mut self) {
        let Self { source, patch, names, .. } = self;
        let gone = gone(names.servers.len(), patch.removed.servers.iter().map(|(_, id)| id.0));
        for (id, _) in (0_u32..).zip(gone).filter(|(_, gone)| !gone) {
            let found = source.find_server(names.servers.name(id));
            if let (None, Some(found)) = (names.servers.get(id), found) {
                let server = source.server(found);
                let datacenter = names.datacenters.refer(&source.datacenter(server.datacenter).name).map(DatacenterId);
                names.servers.define(id, ServerDraft { datacenter, address: Some(server.address), mtu: server.mtu });
            }
        }
    }
}

/// By id, whether it is among `ids`.
fn gone(length: usize, ids: impl Iterator<Item = u32>) -> Vec<bool> {
    let mut gone = vec![false; length];
    for id in ids {
        if let Some(gone) = gone.get_mut(id as usize) {
            *gone = true;
        }
    }
    gone
}

/// By the patch's id, the source's: what `find` finds, or for what the patch sets anew the next one behind `length`.
fn ids<'a, T>(
    set: &'a Registry<T>,
    names: usize,
    length: usize,
    find: impl Fn(u32) -> Option<u32> + 'a,
) -> impl Iterator<Item = Option<u32>> + 'a {
    let mut next = length as u32;
    (0..names as u32).map(move |id| {
        let fresh = || {
            set.get(id).map(|_| {
                next += 1;
                next - 1
            })
        };
        find(id).or_else(fresh)
    })
}
