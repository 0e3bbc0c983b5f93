// SPDX-License-Identifier: MIT OR Apache-2.0
//! What was sent to each server and data centre, by name, whatever ids tables gave them.

use std::collections::BTreeMap;
use std::sync::Arc;

use tables::growing::Growing;
use tables::table::{RemoteId, Target, TargetId};

use crate::counters::{DestinationTallies, Traffic};
use crate::state::{Destination, ForwardingState};

/// What a name is the name of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// A server of this data centre.
    Server,
    /// Another data centre.
    Datacenter,
}

impl Kind {
    /// The name in labels and documents.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Server => "server",
            Self::Datacenter => "datacenter",
        }
    }
}

type Key = (Kind, Box<str>);

/// One destination of the running table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DestinationTraffic {
    /// What it is.
    pub kind: Kind,
    /// Its name.
    pub name: Box<str>,
    /// Whether it has metrics of its own.
    pub own: bool,
    /// What was sent to it since it was first in a table without a break, or since it has metrics of its own.
    pub traffic: Traffic,
}

/// Keeps the counts of all lineages of tables.
///
/// At most `limit` destinations have metrics of their own: those that were in a table first, and when some of them are gone
/// others in their place. All that have none are one. No number ever falls.
pub struct Destinations {
    limit: usize,
    own: usize,
    /// Those that workers may still count by; the last is the running one.
    live: Vec<Lineage>,
    known: BTreeMap<Key, Known>,
    /// What went to destinations while they had no metrics of their own, and has left `known`.
    gone: Traffic,
}

/// What ids mean to the tallies of one lineage.
struct Lineage {
    tallies: Arc<DestinationTallies>,
    servers: Growing<Target>,
    datacenters: Vec<Box<str>>,
}

struct Known {
    own: bool,
    /// By lineages that are over.
    before: Traffic,
    /// Before it had metrics of its own.
    elsewhere: Traffic,
}

impl Lineage {
    fn new(state: &ForwardingState) -> Self {
        let datacenters = state.table.remotes().iter().map(|remote| remote.name.clone()).collect();
        Self { tallies: Arc::clone(state.tallies()), servers: state.table.targets().clone(), datacenters }
    }

    /// All destinations with what was sent to them; a server comes once for each previous owner.
    fn read(&self) -> impl Iterator<Item = (Key, Traffic)> + '_ {
        let servers = (0..=u16::MAX).zip(self.servers.iter()).map(|(id, target)| {
            ((Kind::Server, target.name.clone()), self.tallies.read(Destination::Server(TargetId(id))))
        });
        let datacenters = (0..=u16::MAX).zip(&self.datacenters).map(|(id, name)| {
            ((Kind::Datacenter, name.clone()), self.tallies.read(Destination::Datacenter(RemoteId(id))))
        });
        servers.chain(datacenters)
    }
}

impl Destinations {
    /// Begins with `state`; at most `limit` destinations get metrics of their own.
    pub fn new(limit: usize, state: &ForwardingState) -> Self {
        let mut destinations =
            Self { limit, own: 0, live: Vec::new(), known: BTreeMap::new(), gone: Traffic::default() };
        destinations.add(state);
        destinations
    }

    /// Takes note of a state that is about to be published.
    pub fn add(&mut self, state: &ForwardingState) {
        let lineage = Lineage::new(state);
        let mut new = 0;
        match self.live.last_mut() {
            Some(last) if Arc::ptr_eq(&last.tallies, &lineage.tallies) => {
                new = last.servers.len();
                last.servers = lineage.servers.clone();
            }
            _ => self.live.push(Lineage { servers: lineage.servers.clone(), ..Lineage::new(state) }),
        }
        let servers = lineage.servers.iter().skip(new).map(|target| (Kind::Server, target.name.clone()));
        let datacenters = lineage.datacenters.into_iter().map(|name| (Kind::Datacenter, name));
        for key in servers.chain(datacenters) {
            let (own, limit) = (&mut self.own, self.limit);
            self.known.entry(key).or_insert_with(|| {
                let has = *own < limit;
                *own += usize::from(has);
                Known { own: has, before: Traffic::default(), elsewhere: Traffic::default() }
            });
        }
    }

    /// All workers have been seen on the state that was added last: nobody counts by the others any more.
    pub fn settle(&mut self) {
        let Some(last) = self.live.len().checked_sub(1).filter(|&last| last > 0) else { return };
        let over: Vec<_> = self.live.drain(..last).collect();
        for (key, traffic) in over.iter().flat_map(Lineage::read) {
            if let Some(known) = self.known.get_mut(&key) {
                known.before = known.before.plus(traffic);
            }
        }
        let Some(running) = self.live.last() else { return };
        let now = by_name(running.read());
        let (gone, own) = (&mut self.gone, &mut self.own);
        self.known.retain(|key, known| {
            let stays = now.contains_key(key);
            match (stays, known.own) {
                (true, _) => {}
                (false, true) => *own -= 1,
                (false, false) => *gone = gone.plus(known.before),
            }
            stays
        });
        let waiting = self.known.iter_mut().filter(|(_, known)| !known.own);
        for (key, known) in waiting.take(self.limit.saturating_sub(self.own)) {
            known.own = true;
            known.elsewhere = known.before.plus(now.get(key).copied().unwrap_or_default());
            self.gone = self.gone.plus(known.elsewhere);
            self.own += 1;
        }
    }

    /// Every destination, and what was sent to those without metrics of their own, the ones that are gone included.
    pub fn read(&self) -> (Vec<DestinationTraffic>, Traffic) {
        let traffic = by_name(self.live.iter().flat_map(Lineage::read));
        let mut other = self.gone;
        let each = self.known.iter().map(|((kind, name), known)| {
            let counted = traffic.get(&(*kind, name.clone())).copied().unwrap_or_default();
            let traffic = known.before.plus(counted).less(known.elsewhere);
            if !known.own {
                other = other.plus(traffic);
            }
            DestinationTraffic { kind: *kind, name: name.clone(), own: known.own, traffic }
        });
        (each.collect(), other)
    }
}

/// A server comes once for each previous owner.
fn by_name(counted: impl Iterator<Item = (Key, Traffic)>) -> BTreeMap<Key, Traffic> {
    let mut sums: BTreeMap<Key, Traffic> = BTreeMap::new();
    for (key, traffic) in counted {
        let sum = sums.entry(key).or_default();
        *sum = sum.plus(traffic);
    }
    sums
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;

    /// The table in which `owner` has a slice.
    fn state(owner: &str) -> Box<ForwardingState> {
        testing::state(1, owner, &testing::settings())
    }

    fn send(state: &ForwardingState, bytes: usize) {
        state.tallies().of_worker(0).count(Destination::Server(TargetId(0)), bytes);
    }

    fn read(destinations: &Destinations) -> (Vec<(String, u64)>, u64) {
        let (each, other) = destinations.read();
        (each.iter().map(|one| (one.name.to_string(), one.traffic.bytes)).collect(), other.bytes)
    }

    #[test]
    fn counts_go_on_by_name_over_a_reload() {
        let (first, second, third) = (state("lhr-1"), state("lhr-1"), state("lhr-2"));
        let mut destinations = Destinations::new(10, &first);
        send(&first, 100);
        destinations.add(&second);
        // Some workers still forward by the first.
        send(&first, 10);
        send(&second, 1);
        let both = (vec![("lhr-1".to_owned(), 111)], 0);
        assert_eq!(read(&destinations), both);
        destinations.settle();
        assert_eq!(read(&destinations), both, "settling changes no number");
        destinations.settle();
        assert_eq!(read(&destinations), both);
        destinations.add(&third);
        send(&third, 5);
        destinations.settle();
        assert_eq!(read(&destinations), (vec![("lhr-2".to_owned(), 5)], 0), "a server that is gone has no metrics");
    }

    #[test]
    fn those_above_the_limit_are_one_whose_count_never_falls() {
        let first = state("lhr-1");
        let mut destinations = Destinations::new(0, &first);
        send(&first, 7);
        assert_eq!(read(&destinations), (vec![("lhr-1".to_owned(), 7)], 7));
        assert!(!destinations.read().0[0].own);
        let second = state("lhr-2");
        destinations.add(&second);
        destinations.settle();
        send(&second, 3);
        assert_eq!(read(&destinations), (vec![("lhr-2".to_owned(), 3)], 10));
    }

    #[test]
    fn who_comes_when_another_goes_gets_its_place() {
        let (first, second) = (state("lhr-1"), state("lhr-2"));
        let mut destinations = Destinations::new(1, &first);
        send(&first, 7);
        destinations.add(&second);
        send(&second, 4);
        assert_eq!(read(&destinations), (vec![("lhr-1".to_owned(), 7), ("lhr-2".to_owned(), 4)], 4));
        destinations.settle();
        assert_eq!(read(&destinations), (vec![("lhr-2".to_owned(), 0)], 4), "what was counted elsewhere stays there");
        send(&second, 3);
        assert_eq!(read(&destinations), (vec![("lhr-2".to_owned(), 3)], 4));
    }
}
