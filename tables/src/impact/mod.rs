// SPDX-License-Identifier: MIT OR Apache-2.0
//! How much a change moves, in figures: what guards against mistakes look at.
//!
//! Unlike a [diff](crate::diff) it is nobody's point of view, so that all forwarders judge a change alike, and that of a
//! patch takes time by what the patch touches. Ports count once for each address that they are on. An IPv6 entry counts
//! as one address, whatever its length, or a single one would weigh more than all of IPv4; and one that goes counts as
//! removed, even if a shorter prefix takes its addresses over.

mod said;

use serde::{Deserialize, Serialize};

pub(crate) use self::said::{Owned, Said};
use crate::flatten::{Addresses, flatten_prefixes, zip};
use crate::prefix::Prefix;
use crate::source::patch::Staged;
use crate::source::{DatacenterId, ServerId, Source};

/// What a table has.
#[derive(Debug, Clone, Default)]
pub struct Census {
    addresses: u64,
    /// Allocated ports by [`DatacenterId`].
    ports: Vec<u64>,
}

/// What a change does to a table.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Impact {
    /// Addresses in somebody's hands before the change.
    pub addresses: u64,
    /// Ports allocated on them.
    pub allocated_ports: u64,
    /// Of those, ports that belong to nobody afterwards.
    pub removed_ports: u64,
    /// Of those, ports that belong to another server afterwards.
    pub moved_ports: u64,
    /// Data centres that had ports and have none afterwards.
    pub emptied_datacenters: Vec<String>,
}

impl Census {
    /// Counts what a source has: a look at all of it.
    pub fn of(source: &Source) -> Self {
        let mut census = Self::default();
        for (addresses, said) in flatten_prefixes(v4(source)) {
            census.add(said, weight(addresses));
        }
        v6(source).for_each(|(_, said)| census.add(said, 1));
        census
    }

    /// Addresses in somebody's hands.
    pub fn addresses(&self) -> u64 {
        self.addresses
    }

    /// Ports that somebody owns.
    pub fn allocated_ports(&self) -> u64 {
        self.ports.iter().sum()
    }

    fn add(&mut self, said: Said<'_>, weight: u64) {
        if let Some((addresses, ports, of)) = self.slot(said, weight) {
            self.addresses += addresses;
            if let Some(slot) = self.ports.get_mut(of) {
                *slot += ports;
            }
        }
    }

    fn take(&mut self, said: Said<'_>, weight: u64) {
        if let Some((addresses, ports, of)) = self.slot(said, weight) {
            self.addresses = self.addresses.saturating_sub(addresses);
            if let Some(slot) = self.ports.get_mut(of) {
                *slot = slot.saturating_sub(ports);
            }
        }
    }

    /// Addresses, ports and the place of their data centre, which there is afterwards.
    fn slot(&mut self, said: Said<'_>, weight: u64) -> Option<(u64, u64, usize)> {
        let index = said.datacenter.filter(|_| said.owned != Owned::Nobody)?.0 as usize;
        if self.ports.len() <= index {
            self.ports.resize(index + 1, 0);
        }
        Some((weight, said.allocated() * weight, index))
    }

    fn of_datacenter(&self, id: DatacenterId) -> u64 {
        self.ports.get(id.0 as usize).copied().unwrap_or_default()
    }

    fn impact(&self) -> Impact {
        Impact { addresses: self.addresses, allocated_ports: self.allocated_ports(), ..Impact::default() }
    }
}

impl Impact {
    fn count(&mut self, before: Said<'_>, after: Said<'_>, weight: u64, server: impl Fn(ServerId) -> Option<ServerId>) {
        let fate = before.fate(after, server);
        self.removed_ports += fate.removed * weight;
        self.moved_ports += fate.moved * weight;
    }
}

const NOTHING: Said<'static> = Said { datacenter: None, owned: Owned::Nobody };

/// What it does to put `b` in the place of `a`, of which `census` was taken; and the census of `b`.
pub fn between(a: &Source, census: &Census, b: &Source) -> (Impact, Census) {
    let servers: Vec<Option<ServerId>> = a.servers().iter().map(|server| b.find_server(&server.name)).collect();
    let server = |id: ServerId| servers.get(id.0 as usize).copied().flatten();
    // Where all ids mean the same, bytes are faster to compare than what they mean.
    let mut datacenters = a.datacenters().iter().map(|datacenter| b.find_datacenter(&datacenter.name)).zip(0..);
    let alike = servers.iter().zip(0..).all(|(there, here)| *there == Some(ServerId(here)))
        && datacenters.all(|(there, here)| there == Some(DatacenterId(here)));
    let (mut impact, mut after) = (census.impact(), if alike { census.clone() } else { Census::default() });
    let mut count = |from: Option<Said<'_>>, to: Option<Said<'_>>, weight| {
        let (from, to) = (from.unwrap_or(NOTHING), to.unwrap_or(NOTHING));
        if alike && from == to {
            return;
        }
        if alike {
            after.take(from, weight);
        }
        after.add(to, weight);
        impact.count(from, to, weight, server);
    };
    zip(flatten_prefixes(v4(a)), flatten_prefixes(v4(b))).for_each(|(at, from, to)| count(from, to, weight(at)));
    join(v6(a), v6(b), |from, to| count(from, to, 1));
    let emptied = (0..).map(DatacenterId).zip(a.datacenters()).filter(|(id, datacenter)| {
        let there = b.find_datacenter(&datacenter.name).map_or(0, |id| after.of_datacenter(id));
        census.of_datacenter(*id) > 0 && there == 0
    });
    impact.emptied_datacenters = emptied.map(|(_, datacenter)| datacenter.name.to_string()).collect();
    (impact, after)
}

/// What it does to commit what is `staged` to a source, of which `census` was taken; and the census afterwards, which
/// goes by the ids of data centres before any is removed.
pub fn of_patch(source: &Source, census: &Census, staged: &Staged<'_>) -> (Impact, Census) {
    let (mut impact, mut after) = (census.impact(), census.clone());
    let mut count = |from: Option<Said<'_>>, to: Option<Said<'_>>, weight| {
        let (from, to) = (from.unwrap_or(NOTHING), to.unwrap_or(NOTHING));
        after.take(from, weight);
        after.add(to, weight);
        impact.count(from, to, weight, Some);
    };
    let mut counted: Option<Prefix> = None;
    for prefix in staged.touched() {
        if prefix.address().is_ipv6() {
            let before = source.entry(prefix).map(|(_, entry)| Said::of(source, entry));
            count(before, staged.entry(prefix), 1);
        } else if !counted.is_some_and(|counted| counted.covers(prefix)) {
            // What longer ones say was counted with the shorter one around them.
            counted = Some(prefix);
            // Where the prefix is there before and after, nobody else gets any of it.
            let stays = source.entry(prefix).is_some() && staged.entry(prefix).is_some();
            let around = if stays { None } else { source.longest_around(prefix) };
            let around = around.map(|(_, entry)| (prefix, Said::of(source, entry)));
            let before = source.entries_inside(prefix).map(|(_, entry)| (entry.prefix, Said::of(source, entry)));
            // A prefix that comes twice counts as it comes last.
            let before = flatten_prefixes(around.into_iter().chain(before));
            let after = flatten_prefixes(around.into_iter().chain(staged.inside(source, prefix)));
            zip(before, after).for_each(|(at, from, to)| count(from, to, weight(at)));
        }
    }
    let emptied = (0..source.datacenters().len() as u32).map(DatacenterId);
    let emptied = emptied.filter(|&id| census.of_datacenter(id) > 0 && after.of_datacenter(id) == 0);
    impact.emptied_datacenters = emptied.map(|id| source.datacenter(id).name.to_string()).collect();
    (impact, after)
}

/// IPv4 addresses: at most 2^32.
fn weight(addresses: Addresses) -> u64 {
    addresses.count() as u64
}

/// What IPv4 entries say, in the order of their prefixes.
fn v4(source: &Source) -> impl Iterator<Item = (Prefix, Said<'_>)> {
    all(source).take_while(|(prefix, _)| prefix.address().is_ipv4())
}

/// What IPv6 entries say, which come behind those.
fn v6(source: &Source) -> impl Iterator<Item = (Prefix, Said<'_>)> {
    all(source).skip_while(|(prefix, _)| prefix.address().is_ipv4())
}

fn all(source: &Source) -> impl Iterator<Item = (Prefix, Said<'_>)> {
    source.entries_by_prefix().map(|(_, entry)| (entry.prefix, Said::of(source, entry)))
}

/// Each prefix of two ascending lists, with the values of one of them or both.
fn join<T>(
    a: impl Iterator<Item = (Prefix, T)>,
    b: impl Iterator<Item = (Prefix, T)>,
    mut each: impl FnMut(Option<T>, Option<T>),
) {
    let (mut a, mut b) = (a.peekable(), b.peekable());
    while let Some(first) = a.peek().into_iter().chain(b.peek()).map(|(prefix, _)| *prefix).min() {
        let left = a.next_if(|(prefix, _)| *prefix == first).map(|(_, value)| value);
        let right = b.next_if(|(prefix, _)| *prefix == first).map(|(_, value)| value);
        each(left, right);
    }
}

#[cfg(test)]
mod tests;
