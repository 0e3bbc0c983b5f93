// SPDX-License-Identifier: MIT OR Apache-2.0
//! What an ICMP error quotes: a packet that one of the servers sent, and so its owner.

use std::net::IpAddr;

use super::excerpt::Excerpt;
use super::flow::Flow;
use super::upper::Selector;
use crate::wire::{icmp, protocol};

/// The packet that an error is about, as far as it tells where the error goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Quote {
    /// The flow of the packets that come back: the quoted packet's, turned round.
    pub(super) flow: Flow,
    /// What picks the owner: the quoted packet's source port, or an echo request's identifier. None if the quoted packet did
    /// not come from where the error went.
    pub(super) selector: Option<Selector>,
}

impl Quote {
    /// Reads what an error to `destination` quotes; `None` if it names no flow: it is no packet of that IP version, or its
    /// ports are not in it.
    pub(super) fn read(quote: &[u8], destination: IpAddr) -> Option<Self> {
        let excerpt = Excerpt::read(quote)?;
        let source = excerpt.addresses.source();
        if excerpt.is_later_fragment || source.is_ipv4() != destination.is_ipv4() {
            return None;
        }
        let ports = if protocol::has_ports(excerpt.protocol) {
            let &[s0, s1, d0, d1] = excerpt.payload.first_chunk()?;
            Some([d0, d1, s0, s1])
        } else if excerpt.is_icmp() {
            let (header, _) = icmp::Header::split(excerpt.payload)?;
            let is_request = match destination {
                IpAddr::V4(_) => header.kind() == icmp::v4::ECHO_REQUEST,
                IpAddr::V6(_) => header.kind() == icmp::v6::ECHO_REQUEST,
            };
            let [high, low] = header.identifier();
            // Of what else is in ICMP nobody can tell which server sent it.
            Some(is_request.then_some([high, low, high, low])?)
        } else {
            None
        };
        let selector = match ports {
            Some([_, _, high, low]) => Selector::Port(u16::from_be_bytes([high, low])),
            None => Selector::Portless,
        };
        let flow = Flow { addresses: excerpt.addresses.turned_round(), protocol: excerpt.protocol, ports };
        Some(Self { flow, selector: (source == destination).then_some(selector) })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::packet::Addresses;
    use super::*;

    const OWNER: [u8; 4] = [198, 51, 100, 1];
    const CLIENT: [u8; 4] = [203, 0, 113, 9];

    /// A packet of `protocol` from the owner, with these first bytes behind its header and one word of options.
    fn packet(protocol: u8, payload: &[u8]) -> Vec<u8> {
        let mut packet = vec![0x46, 0, 0, 99, 0, 7, 0, 0, 1, protocol, 0, 0];
        packet.extend(OWNER);
        packet.extend(CLIENT);
        packet.extend([148, 4, 0, 0]);
        packet.extend(payload);
        packet
    }

    #[test]
    fn a_packet_is_turned_round() {
        let quote = Quote::read(&packet(17, &[0x10, 0x92, 0, 53]), OWNER.into()).unwrap();
        assert_eq!(quote.selector.unwrap(), Selector::Port(4242));
        let flow = Flow {
            addresses: Addresses::V4(CLIENT.into(), OWNER.into()),
            protocol: 17,
            ports: Some([0, 53, 0x10, 0x92]),
        };
        assert_eq!(quote.flow, flow);
    }

    #[test]
    fn what_is_needed_depends_on_the_protocol() {
        let payload = [8, 0, 0, 0, 0x12, 0x34, 0, 1];
        for (protocol, needed, selector) in [
            (6, 4, Selector::Port(0x0800)),
            (132, 4, Selector::Port(0x0800)),
            (1, 8, Selector::Port(0x1234)),
            (47, 0, Selector::Portless),
            (58, 0, Selector::Portless),
        ] {
            let packet = packet(protocol, &payload);
            for len in 0..=packet.len() {
                let read = Quote::read(&packet[..len], OWNER.into()).and_then(|quote| quote.selector);
                assert_eq!(read, (len >= 24 + needed).then_some(selector), "{len} bytes of protocol {protocol}");
            }
        }
    }

    #[test]
    fn only_the_owners_packets_pick_an_owner() {
        let foreign = Quote::read(&packet(17, &[0, 53, 0, 54]), CLIENT.into()).unwrap();
        assert_eq!((foreign.selector, foreign.flow.ports), (None, Some([0, 54, 0, 53])), "a flow it has");
        assert!(Quote::read(&packet(17, &[0; 4]), "::ffff:198.51.100.1".parse().unwrap()).is_none());
    }

    proptest! {
        #[test]
        fn any_bytes_can_be_read(bytes in prop::collection::vec(any::<u8>(), 0..120), first in 0x40..0x70_u8) {
            let mut bytes = bytes;
            if let Some(byte) = bytes.first_mut() {
                *byte = first;
            }
            let excerpt = Excerpt::read(&bytes);
            let owner = excerpt.map_or(OWNER.into(), |excerpt| excerpt.addresses.source());
            let quote = Quote::read(&bytes, owner);
            prop_assert!(quote.is_none() || excerpt.is_some_and(|excerpt| !excerpt.is_later_fragment));
        }
    }
}
