// SPDX-License-Identifier: MIT OR Apache-2.0
//! Where there are several data centres, each that has egress entries needs a forwarder that takes its packets.

use hashbrown::HashMap;

use super::consequences::Consequences;
use crate::source::DatacenterId;
use crate::source::faults::FaultList;
use crate::source::path::Path;

/// Adds a fault for each data centre that would lack one, at what of the patch makes it so.
pub(super) fn check(consequences: &Consequences<'_>, faults: &mut FaultList) {
    let Consequences { source, patch, resolved } = consequences;
    let before = source.datacenters.len();
    let removed = patch.removed.datacenters.iter().filter(|(_, id)| resolved.datacenter(*id).is_some()).count();
    let added = consequences.added().count();
    if before + added < 2 + removed {
        return;
    }
    check_set_entries(consequences, faults);
    if patch.names.datacenters.defined() > 0 {
        check_datacenters(consequences, faults);
    }
}

/// A member of `set.datacenters`.
#[derive(Clone, Copy)]
struct Member {
    rank: u32,
    id: u32,
    /// Whether it is what lacks forwarders; else it is the second data centre of the table.
    lacks: bool,
}

impl Consequences<'_> {
    /// The data centres that the patch adds.
    fn added(&self) -> impl Iterator<Item = Member> {
        let datacenters = self.patch.names.datacenters.iter();
        let new = |id| {
            self.resolved.datacenter(DatacenterId(id)).is_some_and(|id| id.0 as usize >= self.source.datacenters.len())
        };
        datacenters.filter(move |&(_, id, _)| new(id)).map(|(rank, id, _)| Member { rank, id, lacks: false })
    }
}

/// No entry may be put where nobody takes its packets.
fn check_set_entries(consequences: &Consequences<'_>, faults: &mut FaultList) {
    let Consequences { patch, resolved, .. } = consequences;
    let path = Path::Root.key("set");
    let path = path.key("egress");
    for (index, entry) in (0_u32..).zip(&patch.egress.entries) {
        let Some(id) = entry.datacenter.map(|id| id.0) else { continue };
        let left_alone = patch.names.datacenters.get(id).is_none();
        if left_alone && resolved.names.datacenters.get(id).is_some_and(|datacenter| datacenter.forwarders.is_empty()) {
            faults.position = (patch.ranks.0.egress, index);
            let name = resolved.names.datacenters.name(id);
            let message = format!("{name:?} has no forwarder that the other data centres could send to; give it one");
            faults.add(&path.index(index as usize).key("datacenter"), message);
        }
    }
}

/// A data centre that has entries may not be left without, nor be the only one no longer.
fn check_datacenters(consequences: &Consequences<'_>, faults: &mut FaultList) {
    let Consequences { source, patch, resolved } = consequences;
    let mut lacking = HashMap::new();
    if source.datacenters.len() < 2
        && let Some(second) = consequences.added().min_by_key(|member| member.rank)
    {
        let ids = (0..).map(DatacenterId).zip(&source.datacenters);
        lacking.extend(ids.filter(|(_, it)| it.forwarders.is_empty()).map(|(id, _)| (id, second)));
    }
    for (rank, id, datacenter) in patch.names.datacenters.iter() {
        let Some(found) = resolved.datacenter(DatacenterId(id)) else { continue };
        if datacenter.forwarders.is_empty() {
            lacking.insert(found, Member { rank, id, lacks: true });
        } else {
            lacking.remove(&found);
        }
    }
    let set = patch.egress.entries.iter().filter_map(|entry| resolved.datacenter(entry.datacenter?));
    for datacenter in set {
        // What is set into the only data centre so far was looked at before.
        if let Some(member) = lacking.get(&datacenter).copied().filter(|member| member.lacks) {
            lacking.remove(&datacenter);
            consequences.report_lacking(datacenter, member, faults);
        }
    }
    if lacking.is_empty() {
        return;
    }
    for datacenter in consequences.untouched().filter_map(|entry| entry.datacenter) {
        if let Some(member) = lacking.remove(&datacenter) {
            consequences.report_lacking(datacenter, member, faults);
        }
    }
}

impl Consequences<'_> {
    fn report_lacking(&self, datacenter: DatacenterId, member: Member, faults: &mut FaultList) {
        faults.position = (self.patch.ranks.0.datacenters, member.rank);
        let root = Path::Root.key("set");
        let path = root.key("datacenters");
        let path = path.key(self.patch.names.datacenters.name(member.id));
        if member.lacks {
            let message = "egress entries lead here, so the other data centres need a forwarder to send to";
            faults.add(&path.key("forwarders"), message);
        } else {
            let name = &self.source.datacenter(datacenter).name;
            let message = format!("egress entries lead to {name:?}, which needs a forwarder once it is not alone");
            faults.add(&path, message);
        }
    }
}
