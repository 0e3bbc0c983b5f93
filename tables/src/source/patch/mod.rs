// SPDX-License-Identifier: MIT OR Apache-2.0
//! Patches (contract section 4): small changes to a source, made wholly or not at all.
//!
//! A patch is read like a table document, by the same code, into a draft of its own with names of its own. To apply it,
//! `resolve` tells its names in the ids of the source, the checks of the document and those of `consequences` say
//! whether the changed table would be a right one, `stage` writes down what is to be done, and only then `commit` does
//! it, which can't fail.

mod before;
mod commit;
mod conflicts;
mod consequences;
mod directory;
mod forwarders;
mod index;
mod overlay;
mod renumber;
mod resolve;
mod stage;

pub use self::before::Before;
pub use self::stage::Staged;
use super::draft::{EgressDraft, Names, Ranks};
use super::parse::parse_patch;
use super::parse::patch::{PatchRanks, Removed};
use super::{PlanId, ServerId, Source};
use crate::fault::Faults;
use crate::ports::Ports;
use crate::prefix::Prefix;

/// A patch document that makes sense by itself; whether it fits a table is for [`Source::apply`] to say.
#[derive(Debug)]
pub struct Patch {
    base: Option<(u64, u64)>,
    names: Names,
    /// What it sets.
    egress: EgressDraft,
    /// Indices of the entries that it sets, in the order of their prefixes.
    by_prefix: Vec<u32>,
    /// By prefix where they are prefixes.
    removed: Removed,
    /// In the order of prefixes and ports.
    ports: Vec<PortChange>,
    ranks: (Ranks, PatchRanks),
}

/// An element of `ports`; ids are the patch's own.
#[derive(Debug, Clone, Copy)]
struct PortChange {
    prefix: Prefix,
    ports: Ports,
    /// Its index in the document.
    index: u32,
    server: Option<ServerId>,
    previous: Option<ServerId>,
}

/// What a patch changed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Changes {
    /// Entries that came, went or say something else than before (their tags included): ascending, distinct.
    pub prefixes: Vec<Prefix>,
    /// Whether servers or data centres were added, changed or removed.
    pub directory: bool,
    /// Whether servers or data centres were removed, so that the ids of others may have changed: what is kept by
    /// [`ServerId`] or [`DatacenterId`](super::DatacenterId) is void. Plans keep their ids even then.
    pub renumbered: bool,
    /// Plans that no entry uses any more. Their ids are given to other plans by later patches, not by this one.
    pub freed_plans: Vec<PlanId>,
}

impl Changes {
    /// Whether the source means what it meant before.
    pub fn is_empty(&self) -> bool {
        self.prefixes.is_empty() && !self.directory
    }
}

impl Patch {
    /// Reads a patch. Its faults are those that show without the table that it is for.
    pub fn from_slice(json: &[u8]) -> Result<Self, Faults> {
        let (mut draft, patch, complete) = parse_patch(json);
        let by_prefix = if complete { conflicts::check(&mut draft, &patch) } else { Vec::new() };
        draft.faults.finish()?;
        let mut removed = patch.removed;
        removed.egress.sort_unstable_by_key(|&(_, prefix)| prefix);
        let changes = (0_u32..).zip(&patch.ports).filter_map(|(index, change)| {
            let (prefix, ports) = (change.prefix?, change.ports?);
            Some(PortChange { prefix, ports, index, server: change.server, previous: change.previous })
        });
        let mut ports: Vec<PortChange> = changes.collect();
        ports.sort_unstable_by_key(|change| (change.prefix, change.ports));
        let ranks = (draft.ranks, patch.ranks);
        Ok(Self { base: patch.base, names: draft.names, egress: draft.egress, by_prefix, removed, ports, ranks })
    }

    /// The generation and revision that it is for; none if it is for whatever runs.
    pub fn base(&self) -> Option<(u64, u64)> {
        self.base
    }

    /// The place of the entry that the patch sets for `prefix`.
    fn set(&self, prefix: Prefix) -> Option<u32> {
        let set = |index: u32| self.egress.entries.get(index as usize).map(|entry| entry.prefix);
        let at = self.by_prefix.binary_search_by_key(&Some(prefix), |&index| set(index)).ok()?;
        self.by_prefix.get(at).copied()
    }

    /// Whether it removes the entry of `prefix`.
    fn removes(&self, prefix: Prefix) -> bool {
        self.removed.egress.binary_search_by_key(&prefix, |&(_, removed)| removed).is_ok()
    }

    /// Its changes to the ports of `prefix`, ascending.
    fn ports_of(&self, prefix: Prefix) -> &[PortChange] {
        let start = self.ports.partition_point(|change| change.prefix < prefix);
        let rest = self.ports.get(start..).unwrap_or_default();
        rest.get(..rest.partition_point(|change| change.prefix == prefix)).unwrap_or_default()
    }
}

impl Source {
    /// Makes all changes of a patch, or none and says what is wrong with it. The patch's base is not looked at: a
    /// source does not know its revision.
    pub fn apply(&mut self, patch: &Patch) -> Result<Changes, Faults> {
        let staged = self.stage(patch)?;
        Ok(self.commit(staged))
    }

    /// Finds out what a patch would do, for [`Self::commit`] to do it; or what is wrong with it.
    pub fn stage<'a>(&self, patch: &'a Patch) -> Result<Staged<'a>, Faults> {
        stage::stage(self, patch)
    }

    /// Makes changes that were staged by this source as it is.
    pub fn commit(&mut self, staged: Staged<'_>) -> Changes {
        commit::commit(self, staged)
    }
}
