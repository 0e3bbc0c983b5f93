// SPDX-License-Identifier: MIT OR Apache-2.0
//! A table as one data centre sees it.

use crate::flatten::{Addresses, flatten, zip};
use crate::ports::Ports;
use crate::source::{DatacenterId, Entry, Ownership, Source};

/// Whom packets go to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Party<'a> {
    /// A server of this data centre; also a previous owner, wherever that is.
    Server(&'a str),
    /// Another data centre.
    Datacenter(&'a str),
}

/// Ports of an address that go to somebody.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Held<'a> {
    pub(super) ports: Ports,
    pub(super) owner: Party<'a>,
    pub(super) previous: Option<Party<'a>>,
}

/// A table and the data centre that looks at it.
pub(super) struct View<'a> {
    source: &'a Source,
    datacenter: Option<DatacenterId>,
}

impl<'a> View<'a> {
    pub(super) fn new(source: &'a Source, datacenter: &str) -> Self {
        Self { source, datacenter: source.find_datacenter(datacenter) }
    }

    /// The data centre that an entry's packets are sent to, if that is another.
    fn remote(&self, entry: &Entry) -> Option<Party<'a>> {
        let id = entry.datacenter.filter(|_| entry.datacenter != self.datacenter)?;
        Some(Party::Datacenter(&self.source.datacenter(id).name))
    }

    /// Puts into `held` what an entry says of ports, in their order.
    pub(super) fn hold(&self, entry: Option<&Entry>, held: &mut Vec<Held<'a>>) {
        held.clear();
        let Some(entry) = entry else { return };
        let server = |id| Party::Server(&self.source.server(id).name);
        if let Some(owner) = self.remote(entry) {
            held.push(Held { ports: Ports::ALL, owner, previous: None });
            return;
        }
        match entry.ownership {
            Ownership::Unassigned => {}
            Ownership::Whole(owner) => {
                let (owner, previous) = (server(owner.server), owner.previous.map(server));
                held.push(Held { ports: Ports::ALL, owner, previous });
            }
            Ownership::Sliced { plan, .. } => held.extend(self.source.runs(plan).filter_map(|run| {
                let (owner, previous) = (server(run.owner.server), run.owner.previous.map(server));
                Some(Held { ports: Ports::new(run.first, run.last)?, owner, previous })
            })),
        }
    }

    /// Whether ports of this entry are told apart here.
    pub(super) fn is_sliced(&self, entry: Option<&Entry>) -> bool {
        entry.is_some_and(|entry| {
            matches!(entry.ownership, Ownership::Sliced { .. }) && entry.datacenter == self.datacenter
        })
    }

    /// Who gets the protocols without ports.
    pub(super) fn portless(&self, entry: Option<&Entry>) -> Option<Party<'a>> {
        let entry = entry?;
        let server = match entry.ownership {
            Ownership::Unassigned => None,
            Ownership::Whole(owner) => Some(owner.server),
            Ownership::Sliced { portless, .. } => portless,
        };
        self.remote(entry).or_else(|| Some(Party::Server(&self.source.server(server?).name)))
    }
}

/// Two tables and the data centre that looks at them.
pub(super) struct Views<'a> {
    pub(super) before: View<'a>,
    pub(super) after: View<'a>,
    /// Whether an id means the same in both, where both have it.
    alike: bool,
}

impl<'a> Views<'a> {
    pub(super) fn new(a: &'a Source, b: &'a Source, datacenter: &str) -> Self {
        let servers = a.servers().iter().zip(b.servers()).all(|(a, b)| a.name == b.name);
        let datacenters = a.datacenters().iter().zip(b.datacenters()).all(|(a, b)| a.name == b.name);
        Self { before: View::new(a, datacenter), after: View::new(b, datacenter), alike: servers && datacenters }
    }

    /// Calls `each` with addresses about which the tables may not say the same, their entries, and what those hold.
    pub(super) fn each_difference(
        &self,
        mut each: impl FnMut(Addresses, Option<&'a Entry>, Option<&'a Entry>, &[Held<'a>], &[Held<'a>]),
    ) {
        let (mut before, mut after) = (Vec::new(), Vec::new());
        for (addresses, from, to) in zip(flatten(self.before.source), flatten(self.after.source)) {
            let (from, to) = (from.map(|(_, entry)| entry), to.map(|(_, entry)| entry));
            if !self.is_same(from, to) {
                self.before.hold(from, &mut before);
                self.after.hold(to, &mut after);
                each(addresses, from, to, &before, &after);
            }
        }
    }

    /// Sees at a glance that nothing has changed, which is what most entries are like.
    fn is_same(&self, from: Option<&Entry>, to: Option<&Entry>) -> bool {
        let (Some(from), Some(to), true) = (from, to, self.alike) else { return false };
        let owned = match (from.ownership, to.ownership) {
            (Ownership::Sliced { plan: a, portless: b }, Ownership::Sliced { plan: c, portless: d }) => {
                b == d && self.before.source.plan_bytes(a) == self.after.source.plan_bytes(c)
            }
            (from, to) => from == to,
        };
        owned && from.datacenter == to.datacenter
    }
}

/// Calls `differ` with each widest run of ports for which `value` differs between two lists, and both its values.
pub(super) fn differences<'a, T: Copy + PartialEq>(
    before: &[Held<'a>],
    after: &[Held<'a>],
    value: impl Fn(&Held<'a>) -> Option<T>,
    mut differ: impl FnMut(Ports, Option<T>, Option<T>),
) {
    let (mut before, mut after) = (before.iter().peekable(), after.iter().peekable());
    let mut wide: Option<(Ports, Option<T>, Option<T>)> = None;
    let mut next = Some(0_u16);
    while let Some(first) = next {
        let mut last = u16::MAX;
        // The value at `first`; `last` goes no further than it lasts.
        let mut at = |list: &mut std::iter::Peekable<std::slice::Iter<'_, Held<'a>>>| {
            while list.next_if(|held| held.ports.last() < first).is_some() {}
            let held = list.peek()?;
            let inside = held.ports.first() <= first;
            last = last.min(if inside { held.ports.last() } else { held.ports.first().saturating_sub(1) });
            value(held).filter(|_| inside)
        };
        let (from, to) = (at(&mut before), at(&mut after));
        next = last.checked_add(1);
        let goes_on = wide.filter(|&(_, a, b)| (a, b) == (from, to)).map(|(ports, ..)| ports.first());
        if goes_on.is_none()
            && let Some((ports, from, to)) = wide
        {
            differ(ports, from, to);
        }
        wide = Ports::new(goes_on.unwrap_or(first), last).filter(|_| from != to).map(|ports| (ports, from, to));
    }
    if let Some((ports, from, to)) = wide {
        differ(ports, from, to);
    }
}
