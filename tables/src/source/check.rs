// SPDX-License-Identifier: MIT OR Apache-2.0
//! What can be said only when the whole document is known: whether names lead somewhere, and prefixes are distinct.

use super::draft::{Draft, EgressDraft, Names, Ranks, Spelled, SpelledRange, Spelling};
use super::faults::FaultList;
use super::path::Path;
use super::plan::Runs;
use super::{DatacenterId, Entry, Owner, Ownership, PlanId, Run, ServerId};

/// What is checked: a document, or the part of a patch that looks like one.
#[derive(Clone, Copy)]
pub(super) struct Scope<'a> {
    pub(super) names: &'a Names,
    pub(super) egress: &'a EgressDraft,
    pub(super) ranks: Ranks,
    /// Where all that is.
    pub(super) root: &'a Path<'a>,
}

/// Adds the faults of a completely read document; returns the entries in the order of their prefixes.
pub(super) fn check(draft: &mut Draft) -> Vec<u32> {
    // The list is taken out for the while, so that the rest of the draft can be read.
    let mut faults = std::mem::take(&mut draft.faults);
    let scope = Scope { names: &draft.names, egress: &draft.egress, ranks: draft.ranks, root: &Path::Root };
    check_servers(scope, &mut faults);
    check_forwarders(scope, &mut faults);
    check_owners(scope, &mut faults);
    let by_prefix = sort_prefixes(scope, &mut faults);
    draft.faults = faults;
    by_prefix
}

/// Servers are in data centres that exist.
pub(super) fn check_servers(Scope { names, ranks, root, .. }: Scope<'_>, faults: &mut FaultList) {
    let path = root.key("servers");
    for (rank, id, server) in names.servers.iter() {
        if let Some(datacenter) = server.datacenter {
            faults.position = (ranks.servers, rank);
            check_datacenter(names, datacenter, &path.key(names.servers.name(id)).key("datacenter"), faults);
        }
    }
}

fn check_datacenter(names: &Names, datacenter: DatacenterId, path: &Path<'_>, faults: &mut FaultList) {
    if names.datacenters.known && names.datacenters.get(datacenter.0).is_none() {
        faults.add(path, format!("there is no data centre {:?}", names.datacenters.name(datacenter.0)));
    }
}

/// A data centre that others send packets to needs somebody who takes them.
fn check_forwarders(Scope { names, egress, ranks, root }: Scope<'_>, faults: &mut FaultList) {
    if names.datacenters.defined() < 2 {
        return;
    }
    let mut used = vec![false; names.datacenters.len()];
    for datacenter in egress.entries.iter().filter_map(|entry| entry.datacenter) {
        if let Some(used) = used.get_mut(datacenter.0 as usize) {
            *used = true;
        }
    }
    let path = root.key("datacenters");
    for (rank, id, datacenter) in names.datacenters.iter() {
        let needed = used.get(id as usize) == Some(&true);
        if needed && datacenter.forwarders.is_empty() && !datacenter.faulty {
            faults.position = (ranks.datacenters, rank);
            let message = "egress entries lead here, so the other data centres need a forwarder to send to";
            faults.add(&path.key(names.datacenters.name(id)).key("forwarders"), message);
        }
    }
}

/// Entries name servers and data centres that exist and fit together.
pub(super) fn check_owners(scope: Scope<'_>, faults: &mut FaultList) {
    let Scope { names, egress, ranks, root } = scope;
    let homes: Vec<Home> =
        (0..egress.plans.items().len()).map(|plan| home_of_plan(scope, PlanId(plan as u32))).collect();
    let mut kept = egress.kept.iter().peekable();
    let path = root.key("egress");
    for (index, (entry, &spelling)) in (0_u32..).zip(egress.entries.iter().zip(&egress.spellings)) {
        let kept = kept.next_if(|(of, _)| *of == index).map(|(_, spelled)| spelled);
        let home = match entry.ownership {
            _ if spelling == Spelling::Kept => Home::Unclear,
            Ownership::Unassigned => Home::Nowhere,
            Ownership::Whole(owner) => home_of_owner(names, owner),
            Ownership::Sliced { plan, portless } => {
                let plan = homes.get(plan.0 as usize).copied().unwrap_or(Home::Unclear);
                portless.map_or(plan, |server| plan.and(home_of_server(names, server)))
            }
        };
        let fine = match (home, entry.datacenter) {
            (Home::Nowhere, None) => true,
            (Home::Nowhere, Some(datacenter)) => names.datacenters.get(datacenter.0).is_some(),
            (Home::In(home), Some(datacenter)) => home == datacenter,
            _ => false,
        };
        if !fine {
            faults.position = (ranks.egress, index);
            let path = path.index(index as usize);
            let spelled = kept.cloned().unwrap_or_else(|| spell(egress, entry, spelling));
            Places { names, datacenter: entry.datacenter, faults }.check(&path, &spelled);
        }
    }
}

/// Where the servers of something are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Home {
    /// There are none.
    Nowhere,
    /// All in this data centre, which exists.
    In(DatacenterId),
    /// In several, or some are unknown.
    Unclear,
}

impl Home {
    fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::Nowhere, home) | (home, Self::Nowhere) => home,
            (one, other) if one == other => one,
            _ => Self::Unclear,
        }
    }
}

fn home_of_server(names: &Names, server: ServerId) -> Home {
    let datacenter = names.servers.get(server.0).and_then(|server| server.datacenter);
    datacenter.filter(|datacenter| names.datacenters.get(datacenter.0).is_some()).map_or(Home::Unclear, Home::In)
}

/// A previous owner may be anywhere, but it must exist.
fn home_of_owner(names: &Names, owner: Owner) -> Home {
    match owner.previous {
        Some(previous) if names.servers.get(previous.0).is_none() => Home::Unclear,
        _ => home_of_server(names, owner.server),
    }
}

fn home_of_plan(Scope { names, egress, .. }: Scope<'_>, plan: PlanId) -> Home {
    let runs = Runs::new(egress.plans.items().get(plan.0));
    runs.map(|run| home_of_owner(names, run.owner)).fold(Home::Nowhere, Home::and)
}

/// How the document spelled an entry that was compressed.
fn spell(egress: &EgressDraft, entry: &Entry, spelling: Spelling) -> Spelled {
    let mut spelled = Spelled::default();
    match entry.ownership {
        Ownership::Unassigned => {}
        Ownership::Whole(Owner { server, previous }) => {
            (spelled.server, spelled.previous) = (Some(server), previous);
        }
        Ownership::Sliced { plan, portless } => {
            spelled.portless = portless;
            let runs = Runs::new(egress.plans.items().get(plan.0));
            match spelling {
                Spelling::Slices(log) => {
                    for Run { first, last, owner } in runs {
                        // Wider than a port: the one slice of 65536 is a shift by 16.
                        let (from, to) = (u32::from(first) >> log, (u32::from(last) >> log) + 1);
                        spelled.owners.resize(from as usize, None);
                        spelled.owners.resize(to as usize, Some(owner.server));
                        spelled.owners_previous.resize(from as usize, None);
                        spelled.owners_previous.resize(to as usize, owner.previous);
                    }
                }
                _ => {
                    let range =
                        |Owner { server, previous }| SpelledRange { ports: None, server: Some(server), previous };
                    spelled.ranges.extend(runs.map(|run| range(run.owner)));
                }
            }
        }
    }
    spelled
}

/// Names every place of an entry that leads nowhere, or into another data centre.
struct Places<'a> {
    names: &'a Names,
    datacenter: Option<DatacenterId>,
    faults: &'a mut FaultList,
}

impl Places<'_> {
    fn check(&mut self, path: &Path<'_>, spelled: &Spelled) {
        if let Some(datacenter) = self.datacenter {
            check_datacenter(self.names, datacenter, &path.key("datacenter"), self.faults);
        }
        let slices = path.key("slices");
        for (key, names) in [("owners", &spelled.owners), ("previous", &spelled.owners_previous)] {
            let path = slices.key(key);
            for (index, &name) in names.iter().enumerate() {
                self.server(name, &path.index(index), key == "owners");
            }
        }
        let ranges = path.key("ranges");
        for (index, range) in spelled.ranges.iter().enumerate() {
            let path = ranges.index(index);
            self.server(range.server, &path.key("server"), true);
            self.server(range.previous, &path.key("previous"), false);
        }
        self.server(spelled.server, &path.key("server"), true);
        self.server(spelled.previous, &path.key("previous"), false);
        self.server(spelled.portless, &path.key("portless"), true);
    }

    /// Checks one name; `here` if it must be in the entry's own data centre.
    fn server(&mut self, server: Option<ServerId>, path: &Path<'_>, here: bool) {
        let flaw = server.and_then(|server| flaw_of_server(self.names, server, self.datacenter.filter(|_| here)));
        if let Some(flaw) = flaw {
            self.faults.add(path, flaw);
        }
    }
}

/// Why a server can't be named here; it must be in `datacenter` if that is given.
pub(super) fn flaw_of_server(names: &Names, id: ServerId, datacenter: Option<DatacenterId>) -> Option<String> {
    let name = names.servers.name(id.0);
    let Some(server) = names.servers.get(id.0) else {
        return names.servers.known.then(|| format!("there is no server {name:?}"));
    };
    // Where one of both data centres is unknown, that is the fault.
    let exists = |id: &DatacenterId| names.datacenters.get(id.0).is_some();
    let (home, entry) = (server.datacenter.filter(exists)?, datacenter.filter(exists)?);
    let datacenter = |id: DatacenterId| names.datacenters.name(id.0);
    (home != entry)
        .then(|| format!("server {name:?} is in {:?}, the entry in {:?}", datacenter(home), datacenter(entry)))
}

/// The entries in the order of their prefixes; one that comes twice is a fault.
pub(super) fn sort_prefixes(Scope { egress, ranks, root, .. }: Scope<'_>, faults: &mut FaultList) -> Vec<u32> {
    let prefix = |index: u32| egress.entries.get(index as usize).map(|entry| entry.prefix);
    let mut sorted: Vec<u32> =
        (0..egress.entries.len() as u32).filter(|index| egress.unplaced.binary_search(index).is_err()).collect();
    // Stable, so that of equal ones the first in the document stays first; and quick where they come sorted.
    sorted.sort_by_key(|&index| prefix(index));
    let path = root.key("egress");
    let mut first = None;
    for &index in &sorted {
        match first.filter(|&first| prefix(first) == prefix(index)) {
            Some(first) => {
                faults.position = (ranks.egress, index);
                let message = prefix(index)
                    .map(|prefix| format!("{prefix} is the prefix of {} already", path.index(first as usize)));
                faults.add(&path.index(index as usize).key("prefix"), message.unwrap_or_default());
            }
            None => first = Some(index),
        }
    }
    sorted
}
