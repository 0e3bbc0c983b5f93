// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a patch would break of the table that it leaves alone: entries whose servers go or move house.
//!
//! Only a patch that touches servers or data centres makes this look at the whole table.

use hashbrown::{HashMap, HashSet};

use super::Patch;
use super::resolve::Resolved;
use super::stage::kept;
use crate::source::faults::FaultList;
use crate::source::path::Path;
use crate::source::{DatacenterId, Entry, Ownership, PlanId, Run, ServerId, Source};

/// Adds a fault for each server and data centre that can't go, or not where it is set to.
pub(super) fn check(consequences: &Consequences<'_>, faults: &mut FaultList) {
    consequences.check_servers(faults);
    consequences.check_removed_datacenters(faults);
}

/// A patch and what it is applied to.
pub(super) struct Consequences<'a> {
    pub(super) source: &'a Source,
    pub(super) patch: &'a Patch,
    pub(super) resolved: &'a Resolved<'a>,
}

/// Why entries may not name a server any more, or not as their owner.
#[derive(Clone, Copy)]
enum Cause {
    /// The element of that index removes it.
    Removed(u32),
    /// The patch sets it into another data centre; its rank and id in the patch.
    Moved { rank: u32, id: u32, to: Option<DatacenterId> },
}

/// How an entry uses a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Role {
    Owner,
    Previous,
    Portless,
}

impl Role {
    fn name(self) -> &'static str {
        match self {
            Self::Owner => "owner",
            Self::Previous => "previous owner",
            Self::Portless => "portless owner",
        }
    }
}

impl Consequences<'_> {
    /// The entries that the patch neither sets nor removes. It may still change their ports.
    pub(super) fn untouched(&self) -> impl Iterator<Item = &Entry> {
        let entries = self.source.entries_by_prefix().map(|(_, entry)| entry);
        entries.filter(|entry| self.patch.set(entry.prefix).is_none() && !self.patch.removes(entry.prefix))
    }

    fn affected(&self) -> HashMap<ServerId, Cause> {
        let removed = self.patch.removed.servers.iter();
        let removed = removed.filter_map(|&(index, id)| Some((self.resolved.server(id)?, Cause::Removed(index))));
        let moved = self.patch.names.servers.iter().filter_map(|(rank, id, server)| {
            let found = self.resolved.server(ServerId(id))?;
            let to = server.datacenter.and_then(|datacenter| self.resolved.datacenter(datacenter));
            let before = self.source.servers.get(found.0 as usize)?.datacenter;
            (to != Some(before)).then_some((found, Cause::Moved { rank, id, to }))
        });
        removed.chain(moved).collect()
    }

    /// Reports the first use of each server that goes, and of each one that moves away from its entries.
    fn check_servers(&self, faults: &mut FaultList) {
        let mut affected = self.affected();
        if affected.is_empty() {
            return;
        }
        let mut named = self.plans_that_name(&affected);
        let (mut runs, mut uses) = (Vec::new(), Vec::new());
        for entry in self.untouched() {
            if affected.is_empty() {
                break;
            }
            self.uses(entry, &named, &mut runs, &mut uses);
            for (server, role) in uses.drain(..) {
                if let Some(&cause) = affected.get(&server)
                    && self.report(entry, role, cause, faults)
                {
                    affected.remove(&server);
                }
            }
            // Thousands of entries may share a plan, and what one says with all of it, the others can't add to: they are in
            // the data centre of its owners, too.
            if let Some(plan) = entry.plan().filter(|_| self.patch.ports_of(entry.prefix).is_empty())
                && let Some(named) = named.get_mut(plan.0 as usize)
            {
                *named = false;
            }
        }
    }

    /// By plan: whether it names one of these servers, so that it is worth a look.
    fn plans_that_name(&self, affected: &HashMap<ServerId, Cause>) -> Vec<bool> {
        let mut servers = vec![false; self.source.servers.len()];
        for id in affected.keys() {
            if let Some(server) = servers.get_mut(id.0 as usize) {
                *server = true;
            }
        }
        let is_affected = |id: ServerId| servers.get(id.0 as usize) == Some(&true);
        let names = |plan: u32| {
            self.source
                .runs(PlanId(plan))
                .any(|Run { owner, .. }| is_affected(owner.server) || owner.previous.is_some_and(is_affected))
        };
        (0..self.source.plans() as u32).map(names).collect()
    }

    /// Collects the servers that an entry uses; those of its plan only if the plan is one of `named`.
    fn uses(&self, entry: &Entry, named: &[bool], runs: &mut Vec<Run>, uses: &mut Vec<(ServerId, Role)>) {
        runs.clear();
        match entry.ownership {
            Ownership::Unassigned => {}
            Ownership::Whole(owner) => {
                uses.push((owner.server, Role::Owner));
                uses.extend(owner.previous.map(|server| (server, Role::Previous)));
            }
            Ownership::Sliced { plan, portless } => {
                uses.extend(portless.map(|server| (server, Role::Portless)));
                if named.get(plan.0 as usize) == Some(&true) {
                    kept(self.source, entry, self.patch.ports_of(entry.prefix), runs);
                }
            }
        }
        for Run { owner, .. } in runs {
            uses.push((owner.server, Role::Owner));
            uses.extend(owner.previous.map(|server| (server, Role::Previous)));
        }
    }

    /// Adds the fault, if this use is one.
    fn report(&self, entry: &Entry, role: Role, cause: Cause, faults: &mut FaultList) -> bool {
        let (prefix, role_name) = (entry.prefix, role.name());
        match cause {
            Cause::Removed(index) => {
                faults.position = (self.patch.ranks.1.servers, index);
                let message = format!("is still used: {prefix} names it as {role_name}");
                faults.add(&Path::Root.key("remove").key("servers").index(index as usize), message);
                true
            }
            Cause::Moved { rank, id, to } => {
                // A previous owner may be anywhere.
                let fault = role != Role::Previous && entry.datacenter != to;
                if let Some(home) = entry.datacenter.filter(|_| fault) {
                    faults.position = (self.patch.ranks.0.servers, rank);
                    let home = &self.source.datacenter(home).name;
                    let message = format!("leaves {home:?}, where {prefix} names this server as {role_name}");
                    let (root, name) = (Path::Root.key("set"), self.patch.names.servers.name(id));
                    faults.add(&root.key("servers").key(name).key("datacenter"), message);
                }
                fault
            }
        }
    }

    /// Nothing that stays may be in a data centre that goes.
    fn check_removed_datacenters(&self, faults: &mut FaultList) {
        let removed = self.patch.removed.datacenters.iter();
        let mut removed: HashMap<DatacenterId, u32> =
            removed.filter_map(|&(index, id)| Some((self.resolved.datacenter(id)?, index))).collect();
        if removed.is_empty() {
            return;
        }
        let mut report = |datacenter: DatacenterId, user: &dyn Fn() -> String| {
            if let Some(index) = removed.remove(&datacenter) {
                faults.position = (self.patch.ranks.1.datacenters, index);
                let message = format!("is still used: {} is in it", user());
                faults.add(&Path::Root.key("remove").key("datacenters").index(index as usize), message);
            }
        };
        let gone = self.patch.removed.servers.iter().map(|&(_, id)| id);
        let set = self.patch.names.servers.iter().map(|(_, id, _)| ServerId(id));
        let touched: HashSet<ServerId> = gone.chain(set).filter_map(|id| self.resolved.server(id)).collect();
        for (id, server) in (0..).map(ServerId).zip(&self.source.servers) {
            if !touched.contains(&id) {
                report(server.datacenter, &|| format!("server {:?}", server.name));
            }
        }
        for entry in self.untouched() {
            entry.datacenter.into_iter().for_each(|datacenter| report(datacenter, &|| entry.prefix.to_string()));
        }
    }
}
