// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a patch says twice, or in two ways: since nothing depends on order, nobody could tell which one is meant.

use std::hash::Hash;

use hashbrown::HashMap;

use crate::ports::Ports;
use crate::prefix::Prefix;
use crate::source::check::{self, Scope};
use crate::source::draft::Draft;
use crate::source::faults::FaultList;
use crate::source::parse::ownership::find_overlaps;
use crate::source::parse::patch::PatchDraft;
use crate::source::path::Path;

/// Adds the faults of a completely read patch; returns the entries that it sets in the order of their prefixes.
pub(super) fn check(draft: &mut Draft, patch: &PatchDraft) -> Vec<u32> {
    let mut faults = std::mem::take(&mut draft.faults);
    let root = Path::Root.key("set");
    let scope = Scope { names: &draft.names, egress: &draft.egress, ranks: draft.ranks, root: &root };
    let by_prefix = check::sort_prefixes(scope, &mut faults);
    let mut set = HashMap::new();
    for &index in by_prefix.iter().rev() {
        set.extend(draft.egress.entries.get(index as usize).map(|entry| (entry.prefix, index)));
    }
    let removed = check_removed(draft, patch, &set, &mut faults);
    check_ports(patch, &set, &removed, &mut faults);
    draft.faults = faults;
    by_prefix
}

/// Nothing is removed twice, or set as well; returns the prefixes that are removed.
fn check_removed(
    draft: &Draft,
    patch: &PatchDraft,
    set: &HashMap<Prefix, u32>,
    faults: &mut FaultList,
) -> HashMap<Prefix, u32> {
    let root = Path::Root.key("remove");
    let (names, removed) = (&draft.names, &patch.removed);
    let mut list = Removals { path: root.key("servers"), rank: patch.ranks.servers, faults };
    list.check(&removed.servers, |id| {
        names.servers.get(id.0).map(|_| "this patch sets that server: it can't remove it too".into())
    });
    let mut list = Removals { path: root.key("datacenters"), rank: patch.ranks.datacenters, faults };
    list.check(&removed.datacenters, |id| {
        names.datacenters.get(id.0).map(|_| "this patch sets that data centre: it can't remove it too".into())
    });
    let mut list = Removals { path: root.key("egress"), rank: patch.ranks.egress, faults };
    list.check(&removed.egress, |prefix| {
        set.get(prefix).map(|index| format!("set.egress[{index}] sets {prefix}: a patch can't remove it too"))
    })
}

/// One list of `remove`.
struct Removals<'a> {
    path: Path<'a>,
    rank: u8,
    faults: &'a mut FaultList,
}

impl Removals<'_> {
    /// Adds a fault for each element that came before or is `set`; returns where each was first.
    fn check<T: Copy + Eq + Hash>(
        &mut self,
        elements: &[(u32, T)],
        set: impl Fn(&T) -> Option<String>,
    ) -> HashMap<T, u32> {
        let mut seen = HashMap::with_capacity(elements.len());
        for &(index, element) in elements {
            self.faults.position = (self.rank, index);
            let here = self.path.index(index as usize);
            let first = *seen.entry(element).or_insert(index);
            if first != index {
                self.faults.add(&here, format!("is removed by {} already", self.path.index(first as usize)));
            } else if let Some(message) = set(&element) {
                self.faults.add(&here, message);
            }
        }
        seen
    }
}

/// Ports belong to entries that are there before and after, and no port is changed twice.
fn check_ports(patch: &PatchDraft, set: &HashMap<Prefix, u32>, removed: &HashMap<Prefix, u32>, faults: &mut FaultList) {
    let path = Path::Root.key("ports");
    let mut of_prefix = HashMap::<Prefix, Vec<(usize, Ports)>>::new();
    for (index, change) in patch.ports.iter().enumerate() {
        let Some(prefix) = change.prefix else { continue };
        faults.position = (patch.ranks.ports, index as u32);
        let place = path.index(index);
        if let Some(set) = set.get(&prefix) {
            let message = format!("set.egress[{set}] sets {prefix}: say there who has its ports");
            faults.add(&place.key("prefix"), message);
        } else if let Some(removed) = removed.get(&prefix) {
            faults.add(&place.key("prefix"), format!("remove.egress[{removed}] removes {prefix}"));
        }
        of_prefix.entry(prefix).or_default().extend(change.ports.map(|ports| (index, ports)));
    }
    for changes in of_prefix.values() {
        find_overlaps(changes.iter().copied(), |index, message| {
            faults.position = (patch.ranks.ports, index as u32);
            faults.add(&path.index(index).key("ports"), message);
        });
    }
}
