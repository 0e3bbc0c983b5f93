// SPDX-License-Identifier: MIT OR Apache-2.0
//! The flow hash: the same number for every packet of a flow, at every forwarder with the same key (contract section 5).

use std::net::{Ipv4Addr, Ipv6Addr};

use super::packet::{Addresses, Packet};
use crate::wire::siphash::{SipHash13, last_word};

/// Words that the hash reads of a flow of either version.
pub(super) const WORDS_V4: usize = 2;
pub(super) const WORDS_V6: usize = 5;

/// What a flow hash is taken over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Flow {
    /// From where to where.
    pub(super) addresses: Addresses,
    /// The IP protocol.
    pub(super) protocol: u8,
    /// Source and destination port in network byte order; of an ICMP echo the identifier twice. None where there are none,
    /// and for fragments.
    pub(super) ports: Option<[u8; 4]>,
}

/// The keyed hash of a packet's flow.
#[derive(Debug, Clone, Copy)]
pub(super) struct FlowHash(SipHash13);

impl FlowHash {
    /// The hash under `key`, its bytes in the order written.
    pub(super) fn new(key: [u8; 16]) -> Self {
        Self(SipHash13::new(key))
    }

    /// Over source, destination, protocol (one byte), source port and destination port in network byte order; without the
    /// ports if there are none.
    #[inline(always)]
    pub(super) fn of(&self, flow: &Flow) -> u64 {
        self.hash(&flow.addresses, flow.protocol, flow.ports)
    }

    /// Over the flow of the packet itself, which need not be copied for it: most packets come this way.
    #[inline(always)]
    pub(super) fn of_packet(&self, packet: &Packet) -> u64 {
        self.hash(&packet.addresses, packet.upper.protocol, packet.upper.ports)
    }

    #[inline(always)]
    fn hash(&self, addresses: &Addresses, protocol: u8, ports: Option<[u8; 4]>) -> u64 {
        match *addresses {
            Addresses::V4(source, destination) => self.0.hash_words(message_v4(source, destination, protocol, ports)),
            Addresses::V6(source, destination) => self.0.hash_words(message_v6(source, destination, protocol, ports)),
        }
    }

    /// What computes it for a burst.
    pub(super) fn siphash(&self) -> &SipHash13 {
        &self.0
    }
}

/// What is hashed of an IPv4 flow.
#[inline(always)]
pub(super) fn message_v4(
    source: Ipv4Addr,
    destination: Ipv4Addr,
    protocol: u8,
    ports: Option<[u8; 4]>,
) -> [u64; WORDS_V4] {
    [word_v4(source, destination), rest(1, protocol, ports)]
}

/// What is hashed of an IPv6 flow.
#[inline(always)]
pub(super) fn message_v6(
    source: Ipv6Addr,
    destination: Ipv6Addr,
    protocol: u8,
    ports: Option<[u8; 4]>,
) -> [u64; WORDS_V6] {
    let ([s0, s1], [d0, d1]) = (words_v6(source), words_v6(destination));
    [s0, s1, d0, d1, rest(4, protocol, ports)]
}

/// The destination in [`message_v4`], in network byte order.
#[inline(always)]
pub(super) fn destination_v4(&[addresses, _]: &[u64; WORDS_V4]) -> [u8; 4] {
    ((addresses >> 32) as u32).to_le_bytes()
}

/// The destination in [`message_v6`].
#[inline(always)]
pub(super) fn destination_v6(&[_, _, d0, d1, _]: &[u64; WORDS_V6]) -> u128 {
    (u128::from(d0) | u128::from(d1) << 64).swap_bytes()
}

/// The destination port in [`message_v4`] or [`message_v6`]; 0 if there is none.
#[inline(always)]
pub(super) fn port<const WORDS: usize>(message: &[u64; WORDS]) -> u16 {
    let [.., last] = message.as_slice() else { return 0 };
    ((last >> 24) as u16).swap_bytes()
}

/// What comes behind the `words` words of addresses.
#[inline(always)]
fn rest(words: usize, protocol: u8, ports: Option<[u8; 4]>) -> u64 {
    match ports {
        Some([s0, s1, d0, d1]) => last_word(words, [protocol, s0, s1, d0, d1]),
        None => last_word(words, [protocol]),
    }
}

/// Both addresses, as the hash reads them: the source's bytes first.
#[inline]
pub(super) fn word_v4(source: Ipv4Addr, destination: Ipv4Addr) -> u64 {
    let [source, destination] = [source, destination].map(|address| u32::from_le_bytes(address.octets()));
    u64::from(source) | u64::from(destination) << 32
}

#[inline]
pub(super) fn words_v6(address: Ipv6Addr) -> [u64; 2] {
    let both = u128::from_le_bytes(address.octets());
    [both as u64, (both >> 64) as u64]
}
