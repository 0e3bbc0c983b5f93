// SPDX-License-Identifier: MIT OR Apache-2.0
//! What becomes of packets to an address and port: of every whole packet of that kind, whoever sends it.

use std::net::SocketAddr;

use tables::source::Asked;
use tables::table::Address;

use super::{Explanation, Query, QueryError, Subject, ports};
use crate::counters::DropReason;
use crate::pipeline::address::is_for_kernel;
use crate::pipeline::packet::NotForwarded;
use crate::pipeline::route::route;
use crate::pipeline::upper::{Selector, Upper};
use crate::state::Destination;
use crate::wire::protocol;

/// Asks what `subject` would do.
pub fn explain(subject: Subject<'_>, query: Query) -> Result<Explanation, QueryError> {
    let Query { address, port, protocol } = query;
    let Subject { state, settings, .. } = subject;
    let number = protocol.number(address);
    let mut explanation = Explanation::new(state);
    (explanation.address, explanation.port, explanation.protocol) = (Some(address), port, Some(number));
    if is_for_kernel(address, &settings.underlay) {
        explanation.conclude("multicast, link-local or the forwarder's own address: for the kernel".to_owned());
        return Ok(explanation);
    }
    let entry = state.table.address(address);
    let selector = Selector::of_flow(address, number, port.unwrap_or_default());
    if let (Address::Sliced(_), Selector::Port(_), None) = (entry, selector, port) {
        return Err(QueryError::NoPort(SocketAddr::new(address, 4242)));
    }
    explanation.tell_entry(subject, entry, selector);
    match route(&state.table, entry, selector) {
        Ok(destination) => {
            let upper = Upper { protocol: number, ports: None, selector };
            explanation.tell_way(state, settings, destination, &upper, 0);
            explanation.tell_previous_hop(state, destination);
            let owned = explanation.owned(entry, selector, destination);
            if state.hops().is_some() && explanation.outer.is_none() {
                explanation.dropped(DropReason::NextHopUnresolved);
                explanation.conclude(format!("{owned}; dropped, since no next hop is known"));
                return Ok(explanation);
            }
            let why = owned + &explanation.draining();
            explanation.tell_outer();
            explanation.conclude(why);
        }
        Err(NotForwarded::Kernel) => explanation.conclude("not in the table: for the kernel".to_owned()),
        Err(NotForwarded::Drop(reason)) => {
            explanation.dropped(reason);
            let why = explanation.nobodys(reason);
            explanation.conclude(why);
        }
    }
    Ok(explanation)
}

impl Explanation {
    /// Tells what the table says of the address, and by which rule what `selector` picks is decided.
    pub(super) fn tell_entry(&mut self, subject: Subject<'_>, entry: Address, selector: Selector) {
        let Subject { state, source, .. } = subject;
        let asked = match (entry, selector) {
            (Address::Remote(_), _) => Asked::Datacenter,
            (_, Selector::Port(port)) => Asked::Port(port),
            (Address::Sliced(_), Selector::Icmp | Selector::Fragment | Selector::Cut) => Asked::Entry,
            _ => Asked::Portless,
        };
        let rule = self.address.and_then(|address| source.rule(address, asked));
        let Some(rule) = rule else { return self.step("entry", "the address is not in the table".to_owned()) };
        self.prefix = Some(rule.prefix.to_string());
        self.path = rule.path;
        if let (Address::Sliced(plan), Selector::Port(port)) = (entry, selector) {
            let (first, last) = state.table.run_around(plan, port);
            self.ports = ports(first, last);
        }
        let kind = match (entry, selector) {
            (Address::Absent, _) => "absent",
            (Address::Unassigned, _) => "in nobody's hands",
            (Address::Whole(_), _) => "a whole address",
            (Address::Remote(_), _) => "of another data centre",
            (Address::Sliced(_), Selector::Port(_)) => "shared by port",
            (Address::Sliced(_), Selector::Portless) => {
                "shared by port; protocols without ports have one owner or none"
            }
            (Address::Sliced(_), _) => "shared by port",
        };
        self.step("entry", format!("{}: {kind}", rule.prefix));
    }

    /// Whose the packet is, in a sentence.
    pub(super) fn owned(&self, entry: Address, selector: Selector, destination: Destination) -> String {
        let target = self.target.as_deref().unwrap_or_default();
        if let Destination::Datacenter(_) = destination {
            return format!("{} belongs to data centre {target}", self.where_());
        }
        let (what, verb) = match (entry, selector) {
            (Address::Sliced(_), Selector::Port(_)) => (self.run(), "belong"),
            (Address::Sliced(_), _) => ("protocols without ports".to_owned(), "belong"),
            _ => ("the whole address".to_owned(), "belongs"),
        };
        format!("{what} of {} {verb} to {target}", self.where_())
    }

    /// Notes why the packet is dropped.
    pub(super) fn dropped(&mut self, reason: DropReason) {
        self.verdict = super::Verdict::Drop;
        self.reason = Some(reason.name().to_owned());
    }

    /// Why it is dropped, in a sentence.
    pub(super) fn nobodys(&self, reason: DropReason) -> String {
        match reason {
            DropReason::UnassignedAddress => format!("{} is announced, but in nobody's hands", self.where_()),
            DropReason::UnallocatedPort => format!("{} of {} belong to nobody", self.run(), self.where_()),
            DropReason::NoPort => format!("{} names no owner for protocols without ports", self.where_()),
            other => other.name().replace('_', " "),
        }
    }

    /// The ports that share the fate, or what an echo reply has instead.
    fn run(&self) -> String {
        let has_ports = self.protocol.is_none_or(protocol::has_ports);
        format!("{} {}", if has_ports { "ports" } else { "echo identifiers" }, self.ports)
    }

    fn where_(&self) -> &str {
        self.prefix.as_deref().unwrap_or("the address")
    }
}
