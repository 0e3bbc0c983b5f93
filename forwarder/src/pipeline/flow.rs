// SPDX-License-Identifier: MIT OR Apache-2.0
//! The flow hash: the same number for every packet of a flow, at every forwarder with the same key (contract section 5).

use std::net::{Ipv4Addr, Ipv6Addr};

use super::packet::{Addresses, Packet};
use crate::wire::siphash::SipHash13;

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
            Addresses::V4(source, destination) => self.hash_words(&[word_v4(source, destination)], protocol, ports),
            Addresses::V6(source, destination) => {
                let ([s0, s1], [d0, d1]) = (words_v6(source), words_v6(destination));
                self.hash_words(&[s0, s1, d0, d1], protocol, ports)
            }
        }
    }

    #[inline]
    fn hash_words(&self, addresses: &[u64], protocol: u8, ports: Option<[u8; 4]>) -> u64 {
        match ports {
            Some([s0, s1, d0, d1]) => self.0.hash(addresses, [protocol, s0, s1, d0, d1]),
            None => self.0.hash(addresses, [protocol]),
        }
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
