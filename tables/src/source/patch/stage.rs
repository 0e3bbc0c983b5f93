// SPDX-License-Identifier: MIT OR Apache-2.0
//! Everything that a patch does to a source, checked and written down in the source's ids.

use std::ops::Range;

use super::consequences::Consequences;
use super::resolve::Resolved;
use super::{Patch, PortChange, consequences, directory, forwarders};
use crate::fault::Faults;
use crate::prefix::Prefix;
use crate::source::check::flaw_of_server;
use crate::source::faults::FaultList;
use crate::source::path::Path;
use crate::source::{Datacenter, DatacenterId, Entry, Ownership, Run, Server, ServerId, Source, plan};

/// What is to be done. Nothing of it can fail.
pub struct Staged<'a> {
    /// In the order of their ids, those that are new behind all of the source.
    pub(super) servers: Vec<(ServerId, Server)>,
    pub(super) datacenters: Vec<(DatacenterId, Datacenter)>,
    pub(super) removed_servers: Vec<ServerId>,
    pub(super) removed_datacenters: Vec<DatacenterId>,
    /// In the order of their prefixes.
    pub(super) entries: Vec<StagedEntry<'a>>,
    /// In their order.
    pub(super) removed: Vec<Prefix>,
    /// The plans of `entries`, end to end.
    pub(super) plans: Vec<u8>,
}

/// An entry that is set, or whose ports change.
pub(super) struct StagedEntry<'a> {
    /// Its plan is still to be stored.
    pub(super) entry: Entry,
    /// Where its plan is in [`Staged::plans`], if it has one.
    pub(super) plan: Range<usize>,
    /// Its tags; none if they stay.
    pub(super) tags: Option<&'a [u8]>,
    /// Its place in the source, if it is there already.
    pub(super) index: Option<usize>,
}

/// Checks a patch against a source, and says what to do.
pub(super) fn stage<'a>(source: &Source, patch: &'a Patch) -> Result<Staged<'a>, Faults> {
    let mut faults = FaultList::default();
    let resolved = Resolved::new(source, patch, &mut faults);
    check_room(source, patch, &mut faults);
    check_removed(source, patch, &resolved, &mut faults);
    check_ports(source, patch, &resolved, &mut faults);
    let consequences = Consequences { source, patch, resolved: &resolved };
    consequences::check(&consequences, &mut faults);
    forwarders::check(&consequences, &mut faults);
    faults.finish()?;
    let mut staged = Staged {
        servers: directory::servers(patch, &resolved),
        datacenters: directory::datacenters(patch, &resolved),
        removed_servers: patch.removed.servers.iter().filter_map(|&(_, id)| resolved.server(id)).collect(),
        removed_datacenters: patch.removed.datacenters.iter().filter_map(|&(_, id)| resolved.datacenter(id)).collect(),
        entries: Vec::with_capacity(patch.by_prefix.len() + patch.ports.len()),
        removed: patch.removed.egress.iter().map(|&(_, prefix)| prefix).collect(),
        plans: Vec::new(),
    };
    let mut runs = Vec::new();
    staged.set_entries(source, patch, &resolved, &mut runs);
    staged.change_ports(source, patch, &resolved, &mut runs);
    staged.entries.sort_unstable_by_key(|staged| staged.entry.prefix);
    Ok(staged)
}

impl<'a> Staged<'a> {
    fn set_entries(&mut self, source: &Source, patch: &'a Patch, resolved: &Resolved<'_>, runs: &mut Vec<Run>) {
        for &index in &patch.by_prefix {
            let index = index as usize;
            let Some(entry) = patch.egress.entries.get(index) else { continue };
            let (mut ownership, mut plan) = (entry.ownership, 0..0);
            match &mut ownership {
                Ownership::Unassigned => {}
                Ownership::Whole(owner) => *owner = resolved.owner(owner.server, owner.previous).unwrap_or(*owner),
                Ownership::Sliced { plan: id, portless } => {
                    *portless = portless.and_then(|portless| resolved.server(portless));
                    runs.clear();
                    runs.extend(plan::Runs::new(patch.egress.plans.items().get(id.0)).filter_map(|run| {
                        Some(Run { owner: resolved.owner(run.owner.server, run.owner.previous)?, ..run })
                    }));
                    plan = self.plan(runs);
                }
            }
            let datacenter = entry.datacenter.and_then(|datacenter| resolved.datacenter(datacenter));
            let tags = patch.egress.tags_of_entry.get(index).map(|&tags| patch.egress.tags.items().get(tags));
            let index = source.entry(entry.prefix).map(|(index, _)| index);
            let entry = Entry { prefix: entry.prefix, datacenter, ownership };
            self.entries.push(StagedEntry { entry, plan, tags, index });
        }
    }

    fn change_ports(&mut self, source: &Source, patch: &Patch, resolved: &Resolved<'_>, runs: &mut Vec<Run>) {
        for changes in patch.ports.chunk_by(|a, b| a.prefix == b.prefix) {
            let found = changes.first().and_then(|change| source.entry(change.prefix));
            let Some((index, &entry)) = found else { continue };
            runs.clear();
            kept(source, &entry, changes, runs);
            runs.extend(changes.iter().filter_map(|change| {
                let owner = resolved.owner(change.server?, change.previous)?;
                Some(Run { first: change.ports.first(), last: change.ports.last(), owner })
            }));
            plan::normalize(runs);
            let plan = self.plan(runs);
            self.entries.push(StagedEntry { entry, plan, tags: None, index: Some(index) });
        }
    }

    fn plan(&mut self, runs: &[Run]) -> Range<usize> {
        let start = self.plans.len();
        plan::encode(runs, &mut self.plans);
        start..self.plans.len()
    }
}

/// The runs of an entry without the ports that change; changes ascend.
pub(super) fn kept(source: &Source, entry: &Entry, changes: &[PortChange], kept: &mut Vec<Run>) {
    for run in entry.plan().into_iter().flat_map(|plan| source.runs(plan)) {
        let start = changes.partition_point(|change| change.ports.last() < run.first);
        let here = changes.iter().skip(start).map(|change| change.ports);
        plan::cut(run, here.take_while(|ports| ports.first() <= run.last), kept);
    }
}

/// Ids are numbers of 32 bits.
fn check_room(source: &Source, patch: &Patch, faults: &mut FaultList) {
    let entries = patch.by_prefix.len() + patch.ports.len();
    let fits = |length: usize, more: usize| length + more < u32::MAX as usize;
    let fine = fits(source.entries.len(), entries)
        && fits(source.servers.len(), patch.names.servers.len())
        && fits(source.datacenters.len(), patch.names.datacenters.len())
        && source.plans.has_room(entries)
        && source.tags.has_room(entries);
    if !fine {
        faults.add(&Path::Root, "the table would hold more than 4294967295 entries, servers or data centres");
    }
}

/// What is removed is there.
fn check_removed(source: &Source, patch: &Patch, resolved: &Resolved<'_>, faults: &mut FaultList) {
    let (removed, ranks, names) = (&patch.removed, patch.ranks.1, &resolved.names);
    let root = Path::Root.key("remove");
    let path = root.key("servers");
    for &(index, id) in removed.servers.iter().filter(|&&(_, id)| resolved.server(id).is_none()) {
        faults.position = (ranks.servers, index);
        faults.add(&path.index(index as usize), format!("there is no server {:?}", names.servers.name(id.0)));
    }
    let path = root.key("datacenters");
    for &(index, id) in removed.datacenters.iter().filter(|&&(_, id)| resolved.datacenter(id).is_none()) {
        faults.position = (ranks.datacenters, index);
        faults.add(&path.index(index as usize), format!("there is no data centre {:?}", names.datacenters.name(id.0)));
    }
    let path = root.key("egress");
    for &(index, prefix) in removed.egress.iter().filter(|&&(_, prefix)| source.entry(prefix).is_none()) {
        faults.position = (ranks.egress, index);
        faults.add(&path.index(index as usize), format!("there is no entry {prefix}"));
    }
}

/// Ports are those of sliced entries, and go to servers that may have them.
fn check_ports(source: &Source, patch: &Patch, resolved: &Resolved<'_>, faults: &mut FaultList) {
    let path = Path::Root.key("ports");
    for change in &patch.ports {
        faults.position = (patch.ranks.1.ports, change.index);
        let place = path.index(change.index as usize);
        let entry = source.entry(change.prefix).map(|(_, entry)| entry);
        let flaw = match entry.map(|entry| entry.ownership) {
            Some(Ownership::Sliced { .. }) => None,
            Some(Ownership::Whole(_)) => {
                Some("belongs to one server as a whole; to share its ports out, set the entry")
            }
            Some(Ownership::Unassigned) => Some("is unassigned; to give its ports to somebody, set the entry"),
            None => Some("has no entry of its own; set one to give its ports to somebody"),
        };
        if let Some(flaw) = flaw {
            faults.add(&place.key("prefix"), format!("{} {flaw}", change.prefix));
        }
        let datacenter = entry.and_then(|entry| entry.datacenter).map(|id| &source.datacenter(id).name);
        let datacenter = datacenter.and_then(|name| resolved.names.datacenters.find(name)).map(DatacenterId);
        for (key, server, here) in [("server", change.server, datacenter), ("previous", change.previous, None)] {
            if let Some(flaw) = server.and_then(|id| flaw_of_server(&resolved.names, id, here)) {
                faults.add(&place.key(key), flaw);
            }
        }
    }
}
