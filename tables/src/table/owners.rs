// SPDX-License-Identifier: MIT OR Apache-2.0
//! What entries own, stored once for all that own the same, from one patch to the next.

use std::collections::{BTreeMap, BTreeSet};
use std::mem;

use super::TargetId;
use super::extents::Extent;
use super::limit::Limit;
use super::plan_store::{PlanStore, TargetRun, lines_for};
use super::targets::Targets;
use super::viewpoint::Place;
use super::word::Word;
use crate::source::{Entry, Owner, Ownership, PlanId, Run, ServerId, Source};

/// The targets and plans of one lineage of tables.
pub(super) struct Owners {
    pub(super) targets: Targets,
    pub(super) plans: PlanStore,
    /// The word of each plan without an owner of protocols without ports, by id; absent if it is not stored.
    plain: Vec<Word>,
    /// A plan is stored once more for each such owner.
    portless: BTreeMap<(PlanId, TargetId), Word>,
    /// When so many are stored, those in `portless` that no entry has any more are looked for.
    sweep_at: usize,
    /// Lines of plans that are stored no longer.
    retired: Vec<Extent>,
    /// The runs of the plan that is being stored.
    runs: Vec<TargetRun>,
}

/// Plans with owners of protocols without ports that are worth no sweep.
const FEW: usize = 1024;

impl Owners {
    /// Nothing is stored yet, but there is room for all that the entries of a source need.
    pub(super) fn new(source: &Source, place: &Place) -> Result<Self, Limit> {
        Ok(Self {
            targets: Targets::default(),
            plans: PlanStore::new(count_lines(source, place))?,
            plain: vec![Word::ABSENT; source.plans()],
            portless: BTreeMap::new(),
            sweep_at: FEW,
            retired: Vec::new(),
            runs: Vec::new(),
        })
    }

    /// What the addresses of an entry resolve to.
    pub(super) fn word(&mut self, source: &Source, place: &Place, entry: &Entry) -> Result<Word, Limit> {
        if let Some(remote) = entry.datacenter.and_then(|datacenter| place.remote(datacenter)) {
            return Ok(remote.into());
        }
        Ok(match entry.ownership {
            Ownership::Unassigned => Word::UNASSIGNED,
            Ownership::Whole(owner) => self.targets.id(source, owner)?.into(),
            Ownership::Sliced { plan, portless } => self.plan(source, plan, portless)?,
        })
    }

    /// Lets a plan go that no entry has any more. Its id may come back with other content.
    pub(super) fn forget(&mut self, plan: PlanId) {
        let all = (plan, TargetId(0))..=(plan, TargetId(u16::MAX));
        let others: Vec<_> = self.portless.range(all).map(|(&key, _)| key).collect();
        let words = others.into_iter().filter_map(|key| self.portless.remove(&key));
        let plain = self.plain.get_mut(plan.0 as usize).map(mem::take);
        words.chain(plain).for_each(|word| retire(&self.plans, &mut self.retired, word));
    }

    /// Lets plans go whose owner of protocols without ports has changed for every entry. Now and then only: the whole
    /// source must be asked.
    pub(super) fn sweep(&mut self, source: &Source) {
        if self.portless.len() < self.sweep_at {
            return;
        }
        let used: BTreeSet<_> = source
            .entries()
            .iter()
            .filter_map(|entry| match entry.ownership {
                Ownership::Sliced { plan, portless } => Some((plan, self.targets.find(settled(portless?))?)),
                _ => None,
            })
            .collect();
        let unused = self.portless.extract_if(.., |key, _| !used.contains(key));
        unused.for_each(|(_, word)| retire(&self.plans, &mut self.retired, word));
        self.swept();
    }

    /// All that is stored is used; the next sweep is worth it when twice as much is.
    pub(super) fn swept(&mut self) {
        self.sweep_at = FEW + 2 * self.portless.len();
    }

    /// The lines that are needed no longer since this was last asked.
    pub(super) fn take_retired(&mut self) -> Vec<Extent> {
        mem::take(&mut self.retired)
    }

    fn plan(&mut self, source: &Source, id: PlanId, portless: Option<ServerId>) -> Result<Word, Limit> {
        let portless = portless.map(|server| self.targets.id(source, settled(server))).transpose()?;
        let stored = match portless {
            None => self.plain.get(id.0 as usize).copied(),
            Some(target) => self.portless.get(&(id, target)).copied(),
        };
        if let Some(word) = stored.filter(|&word| word != Word::ABSENT) {
            return Ok(word);
        }
        self.runs.clear();
        for Run { first, last, owner } in source.runs(id) {
            self.runs.push(TargetRun { first, last, target: self.targets.id(source, owner)? });
        }
        let word = Word::from(self.plans.add(&self.runs, portless)?);
        self.list(id, portless, word);
        Ok(word)
    }

    fn list(&mut self, id: PlanId, portless: Option<TargetId>, word: Word) {
        if let Some(target) = portless {
            self.portless.insert((id, target), word);
            return;
        }
        let index = id.0 as usize;
        if self.plain.len() <= index {
            self.plain.resize(index + 1, Word::ABSENT);
        }
        if let Some(plain) = self.plain.get_mut(index) {
            *plain = word;
        }
    }
}

/// An owner whose predecessor has no connections left.
fn settled(server: ServerId) -> Owner {
    Owner { server, previous: None }
}

fn retire(plans: &PlanStore, retired: &mut Vec<Extent>, word: Word) {
    retired.extend(word.plan().map(|plan| plans.lines_of(plan)));
}

/// The lines that the plans of local entries take.
fn count_lines(source: &Source, place: &Place) -> usize {
    let mut seen = vec![false; source.plans()];
    let mut seen_portless = BTreeSet::new();
    let mut lines = 0;
    for entry in source.entries() {
        let Ownership::Sliced { plan, portless } = entry.ownership else { continue };
        if entry.datacenter.is_some_and(|datacenter| place.remote(datacenter).is_some()) {
            continue;
        }
        let new = match portless {
            None => seen.get_mut(plan.0 as usize).is_some_and(|seen| !mem::replace(seen, true)),
            Some(server) => seen_portless.insert((plan, server)),
        };
        if new {
            lines += lines_for(source.plan_unit_log(plan), || source.runs(plan).map(|run| (run.first, run.last)));
        }
    }
    lines
}
