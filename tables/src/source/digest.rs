// SPDX-License-Identifier: MIT OR Apache-2.0
//! A number that says whether two documents mean the same.
//!
//! Not part of any format: it is compared within one program, never stored or sent. Names are put in order first, so
//! that neither the order of the document nor the ids it led to count; plans and prefixes are in order by themselves.

#![expect(clippy::indexing_slicing, reason = "ids of a source always index it, and ranks are one for each")]

use std::hash::{Hash, Hasher};

use siphasher::sip128::{Hasher128, SipHasher13};

use super::{Owner, Ownership, PlanId, Source};

pub(super) fn digest(source: &Source) -> u128 {
    let mut hasher = SipHasher13::new();
    let datacenters = ranks(source.datacenters.iter().map(|datacenter| &*datacenter.name));
    let servers = ranks(source.servers.iter().map(|server| &*server.name));

    in_order(&datacenters, |index| source.datacenters[index].hash(&mut hasher));
    in_order(&servers, |index| {
        let server = &source.servers[index];
        let datacenter = datacenters[server.datacenter.0 as usize];
        (&server.name, datacenter, server.address, server.mtu).hash(&mut hasher);
    });

    let owner = |owner: Owner| (servers[owner.server.0 as usize], owner.previous.map(|id| servers[id.0 as usize]));
    let plans: Vec<u128> = (0..source.plans() as u32).map(|plan| digest_of_plan(source, PlanId(plan), owner)).collect();
    source.by_prefix.len().hash(&mut hasher);
    for (index, entry) in source.entries_by_prefix() {
        entry.prefix.hash(&mut hasher);
        entry.datacenter.map(|id| datacenters[id.0 as usize]).hash(&mut hasher);
        match entry.ownership {
            Ownership::Unassigned => 0_u8.hash(&mut hasher),
            Ownership::Whole(whole) => (1_u8, owner(whole)).hash(&mut hasher),
            Ownership::Sliced { plan, portless } => {
                let portless = portless.map(|id| servers[id.0 as usize]);
                (2_u8, plans[plan.0 as usize], portless).hash(&mut hasher);
            }
        }
        source.tags.items().get(source.tags_of_entry[index]).hash(&mut hasher);
    }
    hasher.finish128().as_u128()
}

/// A plan's own digest, so that one that many entries share is hashed once.
fn digest_of_plan(source: &Source, plan: PlanId, owner: impl Fn(Owner) -> (u32, Option<u32>)) -> u128 {
    let mut hasher = SipHasher13::new();
    for run in source.runs(plan) {
        let (server, previous) = owner(run.owner);
        // One write a run: a million plans of thirty runs should not take a second.
        let ports = u64::from(run.first) << 16 | u64::from(run.last);
        let previous = previous.map_or(0, |previous| u128::from(previous) + 1);
        hasher.write_u128(previous << 64 | u128::from(server) << 32 | u128::from(ports));
    }
    hasher.finish128().as_u128()
}

/// The place of each name among all in order.
fn ranks<'a>(names: impl Iterator<Item = &'a str>) -> Vec<u32> {
    let mut sorted: Vec<(&str, usize)> = names.zip(0..).collect();
    sorted.sort_unstable();
    let mut ranks = vec![0; sorted.len()];
    for (rank, (_, index)) in (0..).zip(sorted) {
        ranks[index] = rank;
    }
    ranks
}

/// Visits indices in the order of their ranks.
fn in_order(ranks: &[u32], mut visit: impl FnMut(usize)) {
    let mut order: Vec<usize> = (0..ranks.len()).collect();
    order.sort_unstable_by_key(|&index| ranks[index]);
    order.into_iter().for_each(&mut visit);
}
