// SPDX-License-Identifier: MIT OR Apache-2.0
//! What would move between two tables, seen from one data centre.
//!
//! Both tables are flattened to disjoint addresses and walked together in order, so the time taken grows with their
//! size and nothing but the differences is kept.

mod targets;
mod view;

use serde::Serialize;

pub use self::targets::TargetChange;
use self::view::{Held, Party, View, differences};
use crate::flatten::{Addresses, flatten, zip};
use crate::ports::Ports;
use crate::prefix::Prefix;
use crate::source::{Entry, Source};

/// All differences, in the order of addresses and ports. As JSON, what `sluice table diff` prints.
///
/// Prefixes are as long as both tables need: every address of one has the same entry in each. Who owns an address is
/// said as seen from the data centre: a server's name for its own addresses, a data centre's for those of others,
/// none for ports and addresses that are in nobody's hands or not in the table at all.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Diff<'a> {
    /// Ports that go from one owner to another.
    pub changes: Vec<Change<'a>>,
    /// Ports whose previous owner changes, whether or not they move: from the one named before to the one named after.
    pub previous: Vec<Change<'a>>,
    /// Sliced addresses whose protocols without ports go elsewhere.
    pub portless: Vec<PortlessChange<'a>>,
    /// Addresses that come into the table: before, their packets went to the kernel.
    pub entering: Vec<Prefix>,
    /// Addresses that leave the table.
    pub leaving: Vec<Prefix>,
    /// Servers and data centres of both tables whose packets will be sent differently.
    pub targets: Vec<TargetChange<'a>>,
    /// How much all that is.
    pub summary: Summary,
}

/// Ports on each address of a prefix that change hands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Change<'a> {
    /// The addresses.
    pub prefix: Prefix,
    /// The ports, as wide as they go; all of them for whole and remote addresses.
    pub ports: Ports,
    /// Whose they were.
    pub from: Option<&'a str>,
    /// Whose they will be.
    pub to: Option<&'a str>,
}

/// Who gets the protocols that carry no ports, on each address of a prefix.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct PortlessChange<'a> {
    /// The addresses.
    pub prefix: Prefix,
    /// Who got them.
    pub from: Option<&'a str>,
    /// Who will get them.
    pub to: Option<&'a str>,
}

/// The changes in figures. Ports count once for each address that they are on.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Summary {
    /// Addresses with at least one port that changes hands.
    pub addresses: u128,
    /// Ports that change hands: the sum of the five that follow.
    pub ports: u128,
    /// From one server to another here, or from one remote data centre to another.
    pub moved: u128,
    /// From nobody to somebody.
    pub newly_served: u128,
    /// From somebody to nobody: their packets will be dropped, or go to the kernel.
    pub newly_dropped: u128,
    /// From a server here to another data centre.
    pub newly_remote: u128,
    /// From another data centre to a server here.
    pub newly_local: u128,
}

/// What would move if `b` took the place of `a`, seen from the data centre of that name.
pub fn diff<'a>(a: &'a Source, b: &'a Source, datacenter: &str) -> Diff<'a> {
    let views = (View::new(a, datacenter), View::new(b, datacenter));
    let mut diff = Diff { targets: targets::changes(a, b), ..Diff::default() };
    let (mut before, mut after) = (Vec::new(), Vec::new());
    for (addresses, from, to) in zip(flatten(a), flatten(b)) {
        let (from, to) = (from.map(|(_, entry)| entry), to.map(|(_, entry)| entry));
        views.0.hold(from, &mut before);
        views.1.hold(to, &mut after);
        diff.compare_ports(addresses, &before, &after);
        diff.compare_portless(addresses, (&views.0, from), (&views.1, to));
        match (from, to) {
            (None, Some(_)) => diff.entering.extend(addresses.prefixes()),
            (Some(_), None) => diff.leaving.extend(addresses.prefixes()),
            _ => {}
        }
    }
    diff
}

impl<'a> Diff<'a> {
    /// Whether nothing would be forwarded differently. Tags don't count.
    pub fn is_empty(&self) -> bool {
        let Self { changes, previous, portless, entering, leaving, targets, summary: _ } = self;
        changes.is_empty()
            && previous.is_empty()
            && portless.is_empty()
            && entering.is_empty()
            && leaving.is_empty()
            && targets.is_empty()
    }

    fn compare_ports(&mut self, addresses: Addresses, before: &[Held<'a>], after: &[Held<'a>]) {
        if before == after {
            return;
        }
        let mut moves = Vec::new();
        let owner = |held: &Held<'a>| Some(held.owner);
        differences(before, after, owner, |ports, from, to| moves.push((ports, from, to)));
        self.summary.add(addresses.count(), &moves);
        let mut drains = Vec::new();
        let previous = |held: &Held<'a>| held.previous;
        differences(before, after, previous, |ports, from, to| drains.push((ports, from, to)));
        for prefix in addresses.prefixes() {
            let change = |&(ports, from, to): &_| Change { prefix, ports, from: name(from), to: name(to) };
            self.changes.extend(moves.iter().map(change));
            self.previous.extend(drains.iter().map(change));
        }
    }

    /// A change of a whole address says itself where its other protocols go.
    fn compare_portless(
        &mut self,
        addresses: Addresses,
        (before, from): (&View<'a>, Option<&Entry>),
        (after, to): (&View<'a>, Option<&Entry>),
    ) {
        if before.is_sliced(from) || after.is_sliced(to) {
            let (from, to) = (before.portless(from), after.portless(to));
            if from != to {
                let change = |prefix| PortlessChange { prefix, from: name(from), to: name(to) };
                self.portless.extend(addresses.prefixes().map(change));
            }
        }
    }
}

fn name(party: Option<Party<'_>>) -> Option<&str> {
    match party? {
        Party::Server(name) | Party::Datacenter(name) => Some(name),
    }
}

impl Summary {
    fn add(&mut self, addresses: u128, moves: &[(Ports, Option<Party<'_>>, Option<Party<'_>>)]) {
        // IPv6 prefixes shorter than /16 hold more ports than 128 bits count.
        let add = |to: &mut u128, ports: Ports| {
            *to = to.saturating_add(addresses.saturating_mul(u128::from(ports.count())));
        };
        if !moves.is_empty() {
            self.addresses = self.addresses.saturating_add(addresses);
        }
        for &(ports, from, to) in moves {
            add(&mut self.ports, ports);
            let kind = match (from, to) {
                (None, _) => &mut self.newly_served,
                (_, None) => &mut self.newly_dropped,
                (Some(Party::Server(_)), Some(Party::Datacenter(_))) => &mut self.newly_remote,
                (Some(Party::Datacenter(_)), Some(Party::Server(_))) => &mut self.newly_local,
                _ => &mut self.moved,
            };
            add(kind, ports);
        }
    }
}
