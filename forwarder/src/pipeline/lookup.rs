// SPDX-License-Identifier: MIT OR Apache-2.0
//! What is found out for a whole burst at once: the table's answers, level by level over all packets, so that the cache misses
//! of one packet overlap with those of the others; and the flow hashes, several side by side, while the last misses are on
//! their way.

use std::slice;

use tables::prefetch::prefetch;
use tables::table::Found;

use super::flow::{self, FlowHash, WORDS_V4, WORDS_V6, message_v4, message_v6};
use super::packet::{Addresses, NotForwarded, Packet};
use super::route::route;
use super::upper::Selector;
use crate::state::{Destination, ForwardingState};

/// What is found out of the packets of one burst.
#[derive(Debug)]
pub(super) struct Lookup {
    v4: Family<WORDS_V4>,
    v6: Family<WORDS_V6>,
}

/// The packets of one IP version in a burst, in their order.
#[derive(Debug)]
struct Family<const WORDS: usize> {
    /// What their flow hashes are taken over; destination and port are in there, too.
    messages: Vec<[u64; WORDS]>,
    found: Vec<Found>,
    hashes: Vec<u64>,
    answers: Vec<Answer>,
}

/// Where a sound packet goes whose port decides, or what becomes of it instead.
pub(super) type Route = Result<Destination, NotForwarded>;

/// What was found out about one packet.
#[derive(Debug, Clone, Copy)]
pub(super) struct Answer {
    /// Its flow hash.
    pub(super) flow: u64,
    /// Where it goes if its port decides.
    pub(super) route: Route,
    /// What the table says of its destination.
    pub(super) found: Found,
}

/// The answers for the packets of one version, in their order.
pub(super) type Answers<'a> = slice::Iter<'a, Answer>;

impl Lookup {
    /// Room for `burst` packets.
    pub(super) fn new(burst: usize) -> Self {
        Self { v4: Family::new(burst), v6: Family::new(burst) }
    }

    /// Begins a burst.
    #[inline(always)]
    pub(super) fn clear(&mut self) {
        self.v4.clear();
        self.v6.clear();
    }

    /// Takes in a packet of any kind.
    #[inline]
    pub(super) fn push(&mut self, packet: &Packet) {
        let (protocol, ports) = (packet.upper.protocol, packet.upper.ports);
        match packet.addresses {
            Addresses::V4(from, to) => self.push_v4(message_v4(from, to, protocol, ports)),
            Addresses::V6(from, to) => self.push_v6(message_v6(from, to, protocol, ports)),
        }
    }

    /// Takes in an IPv4 packet, by what its flow hash is taken over.
    #[inline(always)]
    pub(super) fn push_v4(&mut self, message: [u64; WORDS_V4]) {
        self.v4.messages.push(message);
    }

    /// The same of an IPv6 packet.
    #[inline(always)]
    pub(super) fn push_v6(&mut self, message: [u64; WORDS_V6]) {
        self.v6.messages.push(message);
    }

    /// Finds out all of what was taken in, step by step for all packets. What a step reads was asked for by the one before: the
    /// table's levels and port plans while flows are hashed, outer headers while the next packets are decided.
    #[inline(never)]
    pub(super) fn find(&mut self, state: &ForwardingState, flow_hash: &FlowHash) {
        let (Self { v4, v6 }, table) = (self, &state.table);
        if !v4.messages.is_empty() {
            v4.found.resize(v4.messages.len(), Found::ABSENT);
            table.address_burst(&v4.messages, flow::destination_v4, flow::port, &mut v4.found);
        }
        if !v6.messages.is_empty() {
            v6.found.resize(v6.messages.len(), Found::ABSENT);
            table.address_burst6(&v6.messages, flow::destination_v6, flow::port, &mut v6.found);
        }
        v4.decide(state, flow_hash);
        v6.decide(state, flow_hash);
    }

    /// The answers for IPv4 packets, and those for IPv6 packets.
    #[inline(always)]
    pub(super) fn answers(&self) -> [Answers<'_>; 2] {
        [self.v4.answers.iter(), self.v6.answers.iter()]
    }
}

impl<const WORDS: usize> Family<WORDS> {
    fn new(burst: usize) -> Self {
        Self {
            messages: Vec::with_capacity(burst),
            found: Vec::with_capacity(burst),
            hashes: Vec::with_capacity(burst),
            answers: Vec::with_capacity(burst),
        }
    }

    #[inline(always)]
    fn clear(&mut self) {
        self.messages.clear();
        self.found.clear();
    }

    #[inline(always)]
    fn decide(&mut self, state: &ForwardingState, flow_hash: &FlowHash) {
        let Self { messages, found, hashes, answers } = self;
        hashes.resize(messages.len(), 0);
        flow_hash.siphash().hash_burst(messages, hashes);
        answers.clear();
        answers.extend(found.iter().zip(messages).zip(hashes).map(|((&found, message), &mut flow)| {
            let route = match state.table.owner(found) {
                Some(owner) => Ok(Destination::Server(owner)),
                None => route(&state.table, found.address(), Selector::Port(flow::port(message))),
            };
            if let Ok(destination) = route {
                // Where the kernel's next hops are gone by, another forwarder of a data centre may be chosen, and there is a link to
                // read, too. To find those out here was measured: it takes more than it saves.
                prefetch(state.headers(destination, flow));
            }
            Answer { flow, route, found }
        }));
    }
}
