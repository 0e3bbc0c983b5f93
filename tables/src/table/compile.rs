// SPDX-License-Identifier: MIT OR Apache-2.0
//! From a source to a table: one pass over the entries in the order of their prefixes, so near linear.

use std::net::IpAddr;

use hashbrown::HashMap;

use super::intervals6::Flatten6;
use super::networks::Networks;
use super::plans::{Plans, TargetRun};
use super::targets::Targets;
use super::trie4::Trie4;
use super::viewpoint::Place;
use super::word::Word;
use super::{PlanRef, Table, Viewpoint};
use crate::fault::{Fault, Faults};
use crate::source::{Entry, Owner, Ownership, PlanId, Run, ServerId, Source};

pub(super) fn compile(source: &Source, viewpoint: &Viewpoint) -> Result<Table, Faults> {
    let place = Place::new(source, viewpoint)?;
    let mut owners = Owners::new(source);
    let mut trie = Trie4::default();
    let mut flatten = Flatten6::default();
    let mut networks = Networks::default();
    for (_, entry) in source.entries_by_prefix() {
        let word = owners.word(entry, &place)?;
        match entry.prefix.address() {
            IpAddr::V4(address) => trie.paint(address.to_bits(), entry.prefix.length(), word),
            IpAddr::V6(address) => flatten.paint(address.to_bits(), entry.prefix.length(), word),
        }
        networks.push(entry.prefix);
    }
    Ok(Table {
        trie: trie.finish(),
        intervals: flatten.finish(),
        plans: owners.plans.finish(),
        targets: owners.targets.finish(),
        remotes: place.into_remotes(),
        forwarders: forwarders(source),
        networks: networks.finish(),
    })
}

/// What entries own, stored once for all that own the same.
struct Owners<'a> {
    source: &'a Source,
    targets: Targets<'a>,
    plans: Plans,
    /// Where each plan is stored; once more for each other portless owner.
    stored: HashMap<(PlanId, Option<ServerId>), PlanRef>,
    /// The runs of the plan that is being stored.
    runs: Vec<TargetRun>,
}

impl<'a> Owners<'a> {
    fn new(source: &'a Source) -> Self {
        let (targets, plans) = (Targets::new(source), Plans::default());
        Self { source, targets, plans, stored: HashMap::with_capacity(source.plans()), runs: Vec::new() }
    }

    /// What the addresses of an entry resolve to.
    fn word(&mut self, entry: &Entry, place: &Place) -> Result<Word, Faults> {
        if let Some(remote) = entry.datacenter.and_then(|datacenter| place.remote(datacenter)) {
            return Ok(remote.into());
        }
        Ok(match entry.ownership {
            Ownership::Unassigned => Word::UNASSIGNED,
            Ownership::Whole(owner) => self.targets.id(owner)?.into(),
            Ownership::Sliced { plan, portless } => self.plan(plan, portless)?.into(),
        })
    }

    fn plan(&mut self, id: PlanId, portless: Option<ServerId>) -> Result<PlanRef, Faults> {
        if let Some(&plan) = self.stored.get(&(id, portless)) {
            return Ok(plan);
        }
        self.runs.clear();
        for Run { first, last, owner } in self.source.runs(id) {
            self.runs.push(TargetRun { first, last, target: self.targets.id(owner)? });
        }
        let target = portless.map(|server| self.targets.id(Owner { server, previous: None })).transpose()?;
        let plan = self.plans.add(&self.runs, target).ok_or_else(too_large)?;
        self.stored.insert((id, portless), plan);
        Ok(plan)
    }
}

/// The addresses that peers send from, sorted.
fn forwarders(source: &Source) -> Box<[IpAddr]> {
    let mut all: Vec<IpAddr> = source.datacenters().iter().flat_map(|it| it.forwarders.iter().copied()).collect();
    all.sort_unstable();
    all.dedup();
    all.into()
}

fn too_large() -> Faults {
    let message = "the distinct port plans of this data centre need more than 4 GiB; use larger slices or fewer plans";
    Faults(vec![Fault { path: "egress".into(), message: message.into() }])
}
