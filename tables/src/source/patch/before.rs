// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a patch's entries were, so that it can be taken back when somebody else refuses what came of it.

use std::ops::Range;

use super::stage::{Staged, StagedEntry};
use super::{Patch, commit};
use crate::prefix::Prefix;
use crate::source::{Entry, Source};

/// The entries that a patch touches, as they were. It costs what the patch does, where a copy of the source costs all of it.
#[derive(Debug)]
pub struct Before {
    /// In the order of their prefixes.
    entries: Vec<Old>,
    /// Those that were not there, in their order.
    absent: Vec<Prefix>,
    /// The plans, end to end.
    plans: Vec<u8>,
    /// The sets of tags, end to end.
    tags: Vec<u8>,
}

#[derive(Debug)]
struct Old {
    entry: Entry,
    plan: Range<usize>,
    tags: Range<usize>,
}

impl Patch {
    /// Whether it touches nothing but entries.
    fn keeps_directory(&self) -> bool {
        let Self { names, removed, .. } = self;
        let set = names.servers.defined() > 0 || names.datacenters.defined() > 0;
        !set && removed.servers.is_empty() && removed.datacenters.is_empty()
    }

    /// The prefixes of all entries that it touches, ascending.
    fn touched(&self) -> Vec<Prefix> {
        let set = self.egress.entries.iter().map(|entry| entry.prefix);
        let removed = self.removed.egress.iter().map(|&(_, prefix)| prefix);
        let mut all: Vec<Prefix> = set.chain(removed).chain(self.ports.iter().map(|change| change.prefix)).collect();
        all.sort_unstable();
        all.dedup();
        all
    }
}

impl Source {
    /// What [`Self::put_back`] needs to take `patch` back, which is still to be applied; none if the patch touches servers
    /// or data centres: keep a clone of the source then.
    pub fn before(&self, patch: &Patch) -> Option<Before> {
        if !patch.keeps_directory() {
            return None;
        }
        let mut before = Before { entries: Vec::new(), absent: Vec::new(), plans: Vec::new(), tags: Vec::new() };
        for prefix in patch.touched() {
            let Some((index, entry)) = self.entry(prefix) else {
                before.absent.push(prefix);
                continue;
            };
            let plan = entry.plan().map(|plan| self.plans.items().get(plan.0)).unwrap_or_default();
            let tags = self.tags_of_entry.get(index).map(|&tags| self.tags.items().get(tags)).unwrap_or_default();
            let old =
                Old { entry: *entry, plan: append(&mut before.plans, plan), tags: append(&mut before.tags, tags) };
            before.entries.push(old);
        }
        Some(before)
    }

    /// Makes the source mean what it meant before one patch. The order of the entries and the ids of plans may be others.
    pub fn put_back(&mut self, before: Before) {
        let Before { entries, absent, plans, tags } = before;
        let staged = entries.iter().map(|Old { entry, plan, tags: old }| StagedEntry {
            entry: *entry,
            plan: plan.clone(),
            tags: Some(tags.get(old.clone()).unwrap_or_default()),
            index: self.entry(entry.prefix).map(|(index, _)| index),
        });
        let staged = Staged {
            entries: staged.collect(),
            removed: absent.into_iter().filter(|&prefix| self.entry(prefix).is_some()).collect(),
            plans,
            servers: Vec::new(),
            datacenters: Vec::new(),
            removed_servers: Vec::new(),
            removed_datacenters: Vec::new(),
        };
        commit::commit(self, staged);
    }
}

/// Where `bytes` are in `all` from now on.
fn append(all: &mut Vec<u8>, bytes: &[u8]) -> Range<usize> {
    let start = all.len();
    all.extend_from_slice(bytes);
    start..all.len()
}
