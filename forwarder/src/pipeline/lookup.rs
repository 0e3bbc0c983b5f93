// SPDX-License-Identifier: MIT OR Apache-2.0
//! What is found out for a whole burst at once: the table's answers, level by level over all packets, so that the cache misses
//! of one packet overlap with those of the others; and the flow hashes, several side by side, while the last misses are on
//! their way.

use std::slice;

use tables::prefetch::prefetch;
use tables::table::Word;

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
    /// What the table says of their destinations.
    words: Vec<Word>,
    hashes: Vec<u64>,
    answers: Vec<Answer>,
}

/// Where a sound packet to a port goes, or what becomes of it instead.
pub(super) type Route = Result<Destination, NotForwarded>;

/// What is known of a packet.
#[derive(Debug, Clone, Copy)]
pub(super) struct Answer {
    /// Its flow hash.
    pub(super) flow: u64,
    /// What the table says of its destination.
    pub(super) word: Word,
    /// Where it goes if its port decides.
    pub(super) route: Route,
}

impl Lookup {
    /// Room for `burst` packets.
    pub(super) fn new(burst: usize) -> Self {
        Self { v4: Family::new(burst), v6: Family::new(burst) }
    }

    /// Begins a burst.
    #[inline(always)]
    pub(super) fn clear(&mut self) {
        self.v4.messages.clear();
        self.v6.messages.clear();
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

    /// Finds out all of what was taken in.
    #[inline(never)]
    pub(super) fn find(&mut self, state: &ForwardingState, flow_hash: &FlowHash) {
        let Self { v4, v6 } = self;
        v4.words.resize(v4.messages.len(), Word::ABSENT);
        state.table.address_burst(&v4.messages, flow::destination_v4, &mut v4.words);
        v4.find(state, flow_hash);
        v6.words.resize(v6.messages.len(), Word::ABSENT);
        state.table.address_burst6(&v6.messages, flow::destination_v6, &mut v6.words);
        v6.find(state, flow_hash);
    }

    /// The answers for IPv4 packets, and those for IPv6 packets, in their order.
    #[inline(always)]
    pub(super) fn answers(&self) -> [slice::Iter<'_, Answer>; 2] {
        [self.v4.answers.iter(), self.v6.answers.iter()]
    }
}

impl<const WORDS: usize> Family<WORDS> {
    fn new(burst: usize) -> Self {
        Self {
            messages: Vec::with_capacity(burst),
            words: Vec::with_capacity(burst),
            hashes: Vec::with_capacity(burst),
            answers: Vec::with_capacity(burst),
        }
    }

    /// Finds out the rest, once the table has been asked for the addresses. What is read next is asked for first: port plans
    /// come into the cache while flows are hashed, and outer headers until they are written.
    #[inline(always)]
    fn find(&mut self, state: &ForwardingState, flow_hash: &FlowHash) {
        for (word, message) in self.words.iter().zip(&self.messages) {
            if let Some(plan) = word.plan() {
                state.table.prefetch_port(plan, flow::port(message));
            }
        }
        self.hashes.resize(self.messages.len(), 0);
        flow_hash.siphash().hash_burst(&self.messages, &mut self.hashes);
        self.answers.clear();
        let all = self.words.iter().zip(&self.messages).zip(&self.hashes);
        self.answers.extend(all.map(|((&word, message), &flow)| {
            let route = route(&state.table, word.address(), Selector::Port(flow::port(message)));
            if let Ok(destination) = route {
                prefetch(state.headers(destination, flow));
            }
            Answer { flow, word, route }
        }));
    }
}
