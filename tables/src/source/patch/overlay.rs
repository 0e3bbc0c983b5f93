// SPDX-License-Identifier: MIT OR Apache-2.0
//! A source as it will be after what is staged.

use super::Staged;
use super::stage::StagedEntry;
use crate::impact::{Owned, Said};
use crate::prefix::Prefix;
use crate::source::{Ownership, Source};

impl Staged<'_> {
    /// The prefixes of all entries that it sets, changes or removes; ascending.
    pub(crate) fn touched(&self) -> impl Iterator<Item = Prefix> {
        let mut set = self.entries.iter().map(|staged| staged.entry.prefix).peekable();
        let mut removed = self.removed.iter().copied().peekable();
        std::iter::from_fn(move || match (set.peek(), removed.peek()) {
            (Some(set_next), Some(removed_next)) if set_next < removed_next => set.next(),
            (_, Some(_)) => removed.next(),
            (_, None) => set.next(),
        })
    }

    /// What entries inside a prefix will say, the prefix itself included; in the order of their prefixes.
    pub(crate) fn inside<'s>(&'s self, source: &'s Source, prefix: Prefix) -> impl Iterator<Item = (Prefix, Said<'s>)> {
        let stays = |entry: &Prefix| self.rank(*entry).is_err() && self.removed.binary_search(entry).is_err();
        let old = source.entries_inside(prefix).map(|(_, entry)| (entry.prefix, Said::of(source, entry)));
        let mut old = old.filter(move |(entry, _)| stays(entry)).peekable();
        let (Ok(start) | Err(start)) = self.rank(prefix);
        let new = self.entries.iter().skip(start).take_while(move |staged| prefix.covers(staged.entry.prefix));
        let mut new = new.map(|staged| (staged.entry.prefix, self.said(staged))).peekable();
        std::iter::from_fn(move || match (old.peek(), new.peek()) {
            (Some((old_next, _)), Some((new_next, _))) if old_next < new_next => old.next(),
            (_, Some(_)) => new.next(),
            (_, None) => old.next(),
        })
    }

    /// What the entry of exactly this prefix will say, if it touches it.
    pub(crate) fn entry(&self, prefix: Prefix) -> Option<Said<'_>> {
        self.entries.get(self.rank(prefix).ok()?).map(|staged| self.said(staged))
    }

    fn rank(&self, prefix: Prefix) -> Result<usize, usize> {
        self.entries.binary_search_by_key(&prefix, |staged| staged.entry.prefix)
    }

    fn said(&self, StagedEntry { entry, plan, .. }: &StagedEntry<'_>) -> Said<'_> {
        let owned = match entry.ownership {
            Ownership::Unassigned => Owned::Nobody,
            Ownership::Whole(owner) => Owned::Whole(owner.server),
            Ownership::Sliced { .. } => Owned::Sliced(self.plans.get(plan.clone()).unwrap_or_default()),
        };
        Said { datacenter: entry.datacenter, owned }
    }
}
