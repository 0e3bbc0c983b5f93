// SPDX-License-Identifier: MIT OR Apache-2.0
//! What would move between two tables, seen from one data centre.
//!
//! Both tables are flattened to disjoint addresses and walked together in order, so the time taken grows with their
//! size and nothing but the differences is kept; of an [`Overview`], only their sums.

mod moves;
mod targets;
mod view;

use serde::Serialize;

pub use self::moves::Move;
use self::moves::Moves;
pub use self::targets::TargetChange;
use self::view::{Held, Party, View, Views, differences};
use crate::flatten::Addresses;
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
    /// The changes of hands by owners, the most ports first.
    pub moves: Vec<Move<'a>>,
    /// How much all that is.
    pub summary: Summary,
}

/// What a [`Diff`] sums up, without where: as large as there are pairs of owners, however many addresses change.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Overview<'a> {
    /// How much changes hands.
    pub summary: Summary,
    /// The same by owners, the most ports first.
    pub moves: Vec<Move<'a>>,
    /// Addresses that come into the table: before, their packets went to the kernel.
    pub entering: u128,
    /// Addresses that leave the table.
    pub leaving: u128,
    /// Servers and data centres of both tables whose packets will be sent differently.
    pub targets: Vec<TargetChange<'a>>,
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
    let mut diff = Diff { targets: targets::changes(a, b), ..Diff::default() };
    let mut moves = Moves::default();
    let views = Views::new(a, b, datacenter);
    views.each_difference(|addresses, from, to, before, after| {
        diff.compare_ports(addresses, before, after, &mut moves);
        diff.compare_portless(addresses, (&views.before, from), (&views.after, to));
        match (from, to) {
            (None, Some(_)) => diff.entering.extend(addresses.prefixes()),
            (Some(_), None) => diff.leaving.extend(addresses.prefixes()),
            _ => {}
        }
    });
    diff.moves = moves.finish();
    diff
}

/// The sums of [`diff`].
pub fn overview<'a>(a: &'a Source, b: &'a Source, datacenter: &str) -> Overview<'a> {
    let mut overview = Overview { targets: targets::changes(a, b), ..Overview::default() };
    let (mut moves, mut runs) = (Moves::default(), Vec::new());
    Views::new(a, b, datacenter).each_difference(|addresses, from, to, before, after| {
        runs.clear();
        differences(before, after, owner, |ports, from, to| runs.push((ports, from, to)));
        overview.summary.add(addresses.count(), &runs);
        moves.add(addresses.count(), &runs);
        match (from, to) {
            (None, Some(_)) => overview.entering = overview.entering.saturating_add(addresses.count()),
            (Some(_), None) => overview.leaving = overview.leaving.saturating_add(addresses.count()),
            _ => {}
        }
    });
    overview.moves = moves.finish();
    overview
}

fn owner<'a>(held: &Held<'a>) -> Option<Party<'a>> {
    Some(held.owner)
}

/// Ports of each of some addresses that change hands.
type Runs<'a> = [(Ports, Option<Party<'a>>, Option<Party<'a>>)];

impl<'a> Diff<'a> {
    /// Whether nothing would be forwarded differently. Tags don't count.
    pub fn is_empty(&self) -> bool {
        let Self { changes, previous, portless, entering, leaving, targets, moves: _, summary: _ } = self;
        changes.is_empty()
            && previous.is_empty()
            && portless.is_empty()
            && entering.is_empty()
            && leaving.is_empty()
            && targets.is_empty()
    }

    fn compare_ports(
        &mut self,
        addresses: Addresses,
        before: &[Held<'a>],
        after: &[Held<'a>],
        by_owners: &mut Moves<'a>,
    ) {
        if before == after {
            return;
        }
        let mut moves = Vec::new();
        differences(before, after, owner, |ports, from, to| moves.push((ports, from, to)));
        self.summary.add(addresses.count(), &moves);
        by_owners.add(addresses.count(), &moves);
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
    fn add(&mut self, addresses: u128, moves: &Runs<'_>) {
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
