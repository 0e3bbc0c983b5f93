// SPDX-License-Identifier: MIT OR Apache-2.0
//! Whose an ICMP message is (contract sections 6 and 8): at a shared address a reply's by its identifier, an error's by the
//! packet that it quotes; and the flow that it travels with.

use std::net::IpAddr;

use tables::Table;
use tables::table::Address;

use super::Sender;
use super::excerpt::Excerpt;
use super::flow::Flow;
use super::packet::{Addresses, NotForwarded, Packet};
use super::quote::Quote;
use super::route::route_packet;
use super::upper::{Selector, Upper};
use super::work::Work;
use crate::counters::DropReason;
use crate::io::{Allocator, PacketBuf};
use crate::state::Destination;
use crate::wire::icmp::{Header, is_checksum_right, v4, v6};
use crate::wire::{checksum, protocol};

/// What picks the owner of an ICMP message to `destination`, of which all or the first fragment is there. Its checksum is
/// not looked at. An echo request has no owner at a shared address: it is [`DropReason::IcmpUnwanted`].
pub(super) fn select(message: &[u8], destination: IpAddr) -> Result<Selector, DropReason> {
    match Message::read(message, destination).ok_or(DropReason::Malformed)? {
        Message::EchoReply(identifier) => Ok(Selector::Port(identifier)),
        Message::Error(quote) => quote.and_then(|quote| quote.selector).ok_or(DropReason::IcmpUnroutable),
        Message::EchoRequest | Message::Other => Err(DropReason::IcmpUnwanted),
    }
}

/// Whether a message to `destination` is an echo request.
pub(super) fn is_echo_request(message: &[u8], destination: IpAddr) -> bool {
    matches!(Message::read(message, destination), Some(Message::EchoRequest))
}

/// Whether the sender of the packet that `packet` begins with may be told of an error: not about an error, so that two
/// hosts never go on telling one another, and not about a later IPv4 fragment (RFC 1122, section 3.2.2).
pub(super) fn may_be_told_of(packet: &[u8]) -> bool {
    let Some(excerpt) = Excerpt::read(packet) else { return true };
    match excerpt.addresses {
        Addresses::V4(..) if excerpt.is_later_fragment => false,
        _ if excerpt.is_later_fragment || !excerpt.is_icmp() => true,
        Addresses::V4(..) => !excerpt.payload.first().is_some_and(|&kind| v4::is_error(kind)),
        Addresses::V6(..) => !excerpt.payload.first().is_some_and(|&kind| v6::is_error(kind)),
    }
}

/// The sum of what an ICMP message of `len` bytes is summed up with beside itself.
pub(super) fn pseudo_header(addresses: Addresses, len: usize) -> u64 {
    match addresses {
        Addresses::V4(..) => 0,
        Addresses::V6(source, destination) => {
            checksum::pseudo_header(source.into(), destination.into(), protocol::ICMPV6, len)
        }
    }
}

/// An ICMP message.
enum Message {
    EchoRequest,
    /// With its identifier.
    EchoReply(u16),
    /// With what it quotes, if that is any good.
    Error(Option<Quote>),
    Other,
}

impl Message {
    /// Reads a message to `destination`, whose version is also the message's; `None` if its header is cut.
    fn read(message: &[u8], destination: IpAddr) -> Option<Self> {
        let (header, body) = Header::split(message)?;
        Some(match (destination, header.kind()) {
            (IpAddr::V4(_), v4::ECHO_REQUEST) | (IpAddr::V6(_), v6::ECHO_REQUEST) => Self::EchoRequest,
            (IpAddr::V4(_), v4::ECHO_REPLY) | (IpAddr::V6(_), v6::ECHO_REPLY) => {
                Self::EchoReply(u16::from_be_bytes(header.identifier()))
            }
            (IpAddr::V4(_), v4::UNREACHABLE | v4::TIME_EXCEEDED | v4::PARAMETER_PROBLEM)
            | (IpAddr::V6(_), v6::UNREACHABLE | v6::TOO_BIG | v6::TIME_EXCEEDED | v6::PARAMETER_PROBLEM) => {
                Self::Error(Quote::read(body, destination))
            }
            _ => Self::Other,
        })
    }

    /// The flow that it travels with: an error with that of the packet it is about, turned round.
    fn flow(&self, packet: &Packet) -> Flow {
        match self {
            Self::Error(Some(quote)) => quote.flow,
            _ => packet.flow(),
        }
    }
}

/// What becomes of a message.
enum Fate {
    /// It goes there, in that flow.
    Forward(Destination, Flow),
    /// It is an echo request, and gets its reply.
    Answer,
}

impl Sender {
    /// Sends `frame`, which holds the unfragmented ICMP message `packet`, on its way, or answers it. The table calls its
    /// destination `address`.
    #[cold]
    #[inline(never)]
    pub(super) fn send_icmp<B: PacketBuf, A: Allocator<B>>(
        &mut self,
        work: &mut Work<'_, B, A>,
        address: Address,
        packet: &Packet,
        frame: B,
    ) {
        match self.fate_of_icmp(&work.state.table, address, packet, frame.data()) {
            Ok(Fate::Forward(destination, flow)) => {
                let flow = self.flow_hash.of(&flow);
                // What it met is counted there.
                let _ = self.deliver(work, destination, packet, flow, frame);
            }
            Ok(Fate::Answer) => self.originator.answer(work, packet, frame),
            Err(fate) => work.refuse(fate, frame),
        }
    }

    fn fate_of_icmp(
        &self,
        table: &Table,
        address: Address,
        packet: &Packet,
        frame: &[u8],
    ) -> Result<Fate, NotForwarded> {
        let bytes = packet.bytes(frame).and_then(Excerpt::read).map_or(&[][..], |excerpt| excerpt.payload);
        let destination = packet.addresses.destination();
        let message = Message::read(bytes, destination).ok_or(DropReason::Malformed)?;
        let mut selector = Selector::Icmp;
        if matches!(address, Address::Sliced(_)) && packet.fault.is_none() {
            let is_answered = matches!(message, Message::EchoRequest) && self.originator.answers();
            // Of what only passes through, the receiver looks at the checksum. Here it is trusted.
            let is_trusted = is_answered || matches!(message, Message::Error(_));
            if is_trusted && !is_checksum_right(bytes, pseudo_header(packet.addresses, bytes.len())) {
                return Err(DropReason::Malformed.into());
            }
            if is_answered {
                return Ok(Fate::Answer);
            }
            selector = select(bytes, destination)?;
        }
        let packet = Packet { upper: Upper { selector, ..packet.upper }, ..*packet };
        Ok(Fate::Forward(route_packet(table, address, &packet)?, message.flow(&packet)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const V4: [u8; 4] = [198, 51, 100, 1];

    fn v6() -> IpAddr {
        "2001:db8:e::1".parse().unwrap()
    }

    /// An ICMP header of that type, with `body` behind it.
    fn message(kind: u8, body: &[u8]) -> Vec<u8> {
        [&[kind, 0, 0, 0, 0x12, 0x34, 0, 1], body].concat()
    }

    /// The start of a UDP packet from port 4242 of the sliced address.
    fn quote_v4() -> Vec<u8> {
        let mut quote = b"\x45\0\0\x24\0\0\0\0\x01\x11\0\0".to_vec();
        quote.extend(V4);
        quote.extend([203, 0, 113, 9, 0x10, 0x92, 0, 53]);
        quote
    }

    #[test]
    fn every_type_of_icmp() {
        for kind in 0..=u8::MAX {
            let expected = match kind {
                0 => Ok(Selector::Port(0x1234)),
                3 | 11 | 12 => Ok(Selector::Port(4242)),
                _ => Err(DropReason::IcmpUnwanted),
            };
            assert_eq!(select(&message(kind, &quote_v4()), V4.into()), expected, "type {kind}");
        }
    }

    #[test]
    fn every_type_of_icmpv6() {
        for kind in 0..=u8::MAX {
            let expected = match kind {
                129 => Ok(Selector::Port(0x1234)),
                1..=4 => Err(DropReason::IcmpUnroutable), // the quote is of IPv4
                _ => Err(DropReason::IcmpUnwanted),
            };
            assert_eq!(select(&message(kind, &quote_v4()), v6()), expected, "type {kind}");
        }
    }

    #[test]
    fn a_cut_header_is_malformed() {
        for len in 0..8 {
            assert_eq!(select(&message(0, &[])[..len], V4.into()), Err(DropReason::Malformed), "{len} bytes");
        }
    }

    #[test]
    fn no_errors_about_errors() {
        for kind in 0..=u8::MAX {
            let mut packet = quote_v4();
            (packet[9], packet[20]) = (protocol::ICMP, kind);
            assert_eq!(may_be_told_of(&packet), !matches!(kind, 3 | 4 | 5 | 11 | 12), "ICMP type {kind}");
            packet[9] = protocol::ICMPV6;
            assert!(may_be_told_of(&packet), "type {kind} of a protocol that is no ICMP here");

            let mut packet = vec![0x60, 0, 0, 0, 0, 16, 60, 64];
            packet.extend([0; 32]);
            packet.extend([protocol::ICMPV6, 0, 1, 4, 0, 0, 0, 0, kind]);
            assert_eq!(may_be_told_of(&packet), kind >= 128, "ICMPv6 type {kind} behind an extension header");
        }
    }

    #[test]
    fn fragments_are_told_of_but_later_ones_of_ipv4_are_not() {
        let mut packet = quote_v4();
        packet[6] = 0x20;
        assert!(may_be_told_of(&packet), "a first fragment");
        packet[7] = 1;
        assert!(!may_be_told_of(&packet), "a later fragment");

        let mut packet = vec![0x60, 0, 0, 0, 0, 16, 44, 64];
        packet.extend([0; 32]);
        packet.extend([protocol::ICMPV6, 0, 0, 1, 0, 0, 0, 7, 1]);
        assert!(!may_be_told_of(&packet), "the first fragment of an error");
        packet[43] = 8;
        assert!(may_be_told_of(&packet), "a later fragment of IPv6, whatever looks like a type in it");
    }
}
