// SPDX-License-Identifier: MIT OR Apache-2.0
//! Doing what was staged.

use super::stage::{Staged, StagedEntry};
use super::{Changes, index, renumber};
use crate::prefix::Prefix;
use crate::source::draft::Spelling;
use crate::source::intern::{Interner, make_room};
use crate::source::shared::Shared;
use crate::source::{Entry, Ownership, PlanId, Source};

/// Changes the source.
pub(super) fn commit(source: &mut Source, staged: Staged<'_>) -> Changes {
    let mut commit = Commit { source, changes: Changes::default(), plans: Vec::new(), tags: Vec::new() };
    commit.set_directory(&staged);
    // Entries take hold of their new plans before any lets go of its old one, so that what stays in use is not freed.
    let new = commit.set_entries(&staged);
    commit.remove_entries(&staged.removed);
    commit.add_entries(&new);
    if !staged.removed.is_empty() || !new.is_empty() {
        commit.source.spellings = Vec::new();
    }
    commit.let_go();
    commit.remove_from_directory(&staged);
    commit.changes.prefixes.sort_unstable();
    commit.changes
}

struct Commit<'a> {
    source: &'a mut Source,
    changes: Changes,
    /// Uses that ended, of plans and of sets of tags.
    plans: Vec<u32>,
    tags: Vec<u32>,
}

impl Commit<'_> {
    fn set_directory(&mut self, staged: &Staged<'_>) {
        let Source { datacenters, datacenter_names, servers, server_names, .. } = &mut *self.source;
        let set = staged.datacenters.iter().map(|(id, datacenter)| (id.0, datacenter));
        self.changes.directory |= put_all(datacenters, datacenter_names, set, |datacenter| &datacenter.name);
        let set = staged.servers.iter().map(|(id, server)| (id.0, server));
        self.changes.directory |= put_all(servers, server_names, set, |server| &server.name);
    }

    fn remove_from_directory(&mut self, Staged { removed_servers, removed_datacenters, .. }: &Staged<'_>) {
        renumber::remove_servers(self.source, removed_servers);
        renumber::remove_datacenters(self.source, removed_datacenters);
        self.changes.renumbered = !removed_servers.is_empty() || !removed_datacenters.is_empty();
        self.changes.directory |= self.changes.renumbered;
    }

    /// Changes the entries that are there; returns those that are not yet, with their tags.
    fn set_entries(&mut self, staged: &Staged<'_>) -> Vec<(Entry, u32)> {
        let mut new = Vec::new();
        for StagedEntry { entry, plan, tags, index } in &staged.entries {
            let mut entry = *entry;
            if let Ownership::Sliced { plan: id, .. } = &mut entry.ownership {
                let plan = staged.plans.get(plan.clone()).unwrap_or_default();
                *id = PlanId(self.source.plans.acquire(plan));
            }
            let tags = tags.map(|tags| self.source.tags.acquire(tags));
            match *index {
                Some(index) => self.replace(index, entry, tags),
                None => new.push((entry, tags.unwrap_or_default())),
            }
        }
        new
    }

    fn replace(&mut self, index: usize, entry: Entry, tags: Option<u32>) {
        let Source { entries, tags_of_entry, spellings, .. } = &mut *self.source;
        let (Some(old), Some(old_tags)) = (entries.get_mut(index), tags_of_entry.get_mut(index)) else { return };
        if (entry, tags.unwrap_or(*old_tags)) != (*old, *old_tags) {
            self.changes.prefixes.push(entry.prefix);
            // The document does not say so.
            spellings.get_mut(index).into_iter().for_each(|spelling| *spelling = Spelling::Kept);
        }
        self.plans.extend(old.plan().map(|plan| plan.0));
        *old = entry;
        self.tags.extend(tags.map(|tags| std::mem::replace(old_tags, tags)));
    }

    /// Removes entries; their prefixes ascend. The last ones take their places.
    fn remove_entries(&mut self, removed: &[Prefix]) {
        let ranks: Vec<usize> = removed.iter().filter_map(|&prefix| self.source.rank(prefix).ok()).collect();
        let indices = ranks.iter().filter_map(|&rank| self.source.by_prefix.get(rank).copied());
        let mut indices: Vec<u32> = indices.collect();
        index::take_out(&mut self.source.by_prefix, &ranks);
        // From behind, so that what takes a place is an entry that stays.
        indices.sort_unstable();
        for index in indices.into_iter().rev() {
            self.remove_entry(index);
        }
        self.changes.prefixes.extend(removed);
    }

    /// Removes one that is not in the order of prefixes any more.
    fn remove_entry(&mut self, index: u32) {
        let last = self.source.entries.len().saturating_sub(1) as u32;
        let rank = self.source.prefix_at(last).filter(|_| last != index).and_then(|last| self.source.rank(last).ok());
        if let Some(moved) = rank.and_then(|rank| self.source.by_prefix.get_mut(rank)) {
            *moved = index;
        }
        let entry = self.source.entries.swap_remove(index as usize);
        self.plans.extend(entry.plan().map(|plan| plan.0));
        self.tags.push(self.source.tags_of_entry.swap_remove(index as usize));
    }

    /// Adds entries with their tags; their prefixes ascend.
    fn add_entries(&mut self, new: &[(Entry, u32)]) {
        let Source { entries, tags_of_entry, .. } = &mut *self.source;
        make_room(entries, new.len());
        make_room(tags_of_entry, new.len());
        let first = entries.len() as u32;
        entries.extend(new.iter().map(|(entry, _)| entry));
        tags_of_entry.extend(new.iter().map(|(_, tags)| tags));
        let rank = |prefix: Prefix| self.source.rank(prefix).unwrap_or_else(|rank| rank);
        let places: Vec<(usize, u32)> = new.iter().map(|(entry, _)| rank(entry.prefix)).zip(first..).collect();
        index::put_in(&mut self.source.by_prefix, &places);
        self.changes.prefixes.extend(new.iter().map(|(entry, _)| entry.prefix));
    }

    /// Ends the uses of what entries no longer have.
    fn let_go(&mut self) {
        let free = |shared: &mut Shared, uses: &[u32]| {
            let unused: Vec<u32> = uses.iter().copied().filter(|&id| shared.release(id)).collect();
            shared.free(&unused);
            unused
        };
        free(&mut self.source.tags, &self.tags);
        let mut plans = free(&mut self.source.plans, &self.plans);
        plans.sort_unstable();
        self.changes.freed_plans = plans.into_iter().map(PlanId).collect();
    }
}

/// Puts things at their ids, new ones behind all others; true if that changed anything.
fn put_all<'a, T: Clone + PartialEq + 'a>(
    list: &mut Vec<T>,
    names: &mut Interner,
    things: impl Iterator<Item = (u32, &'a T)>,
    name: impl Fn(&T) -> &str,
) -> bool {
    let mut changed = false;
    for (id, thing) in things {
        match list.get_mut(id as usize) {
            Some(old) if old == thing => {}
            Some(old) => {
                *old = thing.clone();
                changed = true;
            }
            None => {
                names.intern(name(thing).as_bytes());
                list.push(thing.clone());
                changed = true;
            }
        }
    }
    changed
}
