// SPDX-License-Identifier: MIT OR Apache-2.0
//! Takes apart what leaves the forwarder, by the contract's section 5, with nothing of the forwarder's own code. Whatever
//! never changes from packet to packet is checked here.

#![allow(dead_code, reason = "each test binary uses its own part")]

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// What an encapsulated frame shows.
#[derive(Debug)]
pub(crate) struct Encapsulated<'a> {
    pub(crate) vlan: Option<u16>,
    pub(crate) source: IpAddr,
    pub(crate) destination: IpAddr,
    pub(crate) traffic_class: u8,
    /// Of an IPv6 outer header.
    pub(crate) flow_label: Option<u32>,
    pub(crate) source_port: u16,
    pub(crate) gue_port: u16,
    /// Bytes of the outer IP packet.
    pub(crate) len: usize,
    /// GUE private data, 4-byte words.
    pub(crate) private: &'a [u8],
    /// What GUE says the inner packet is.
    pub(crate) protocol: u8,
    pub(crate) inner: &'a [u8],
}

impl<'a> Encapsulated<'a> {
    /// Reads a frame; panics at whatever is not as it must be.
    pub(crate) fn read(frame: &'a [u8]) -> Self {
        let (vlan, ethertype, packet) = match number(&frame[12..14]) {
            0x8100 => (Some(number(&frame[14..16]) as u16), number(&frame[16..18]), &frame[18..]),
            ethertype => (None, ethertype, &frame[14..]),
        };
        let (source, destination, traffic_class, flow_label, datagram): (IpAddr, IpAddr, _, _, _) = match ethertype {
            0x0800 => {
                assert_eq!(packet[0], 0x45, "version 4, no options");
                assert_eq!(number(&packet[2..4]) as usize, packet.len(), "total length");
                assert_eq!(packet[4..10], [0, 0, 0x40, 0, 64, 17], "ID 0, DF, TTL 64, UDP");
                assert_eq!(ones_complement_sum(&packet[..20]), 0xffff, "header checksum");
                let address = |at: usize| Ipv4Addr::from(number(&packet[at..at + 4]) as u32);
                (address(12).into(), address(16).into(), packet[1], None, &packet[20..])
            }
            0x86dd => {
                assert_eq!(packet[0] >> 4, 6, "version");
                assert_eq!(number(&packet[4..6]) as usize, packet.len() - 40, "payload length");
                assert_eq!(packet[6..8], [17, 64], "UDP, hop limit 64");
                let first = number(&packet[..4]) as u32;
                let address = |at: usize| Ipv6Addr::from(number(&packet[at..at + 16]));
                let (class, label) = ((first >> 20) as u8, first & 0xf_ffff);
                (address(8).into(), address(24).into(), class, Some(label), &packet[40..])
            }
            other => panic!("ethertype {other:04x}"),
        };
        assert_eq!(number(&datagram[4..6]) as usize, datagram.len(), "UDP length");
        assert_eq!(datagram[6..8], [0, 0], "UDP checksum");
        let gue = &datagram[8..];
        assert_eq!(gue[0] & 0xe0, 0, "variant 0, no control message");
        assert_eq!(gue[2..4], [0, 0], "no flags");
        let (private, inner) = gue[4..].split_at(4 * usize::from(gue[0] & 0x1f));
        Self {
            vlan,
            source,
            destination,
            traffic_class,
            flow_label,
            source_port: number(&datagram[..2]) as u16,
            gue_port: number(&datagram[2..4]) as u16,
            len: packet.len(),
            private,
            protocol: gue[1],
            inner,
        }
    }
}

fn number(bytes: &[u8]) -> u128 {
    bytes.iter().fold(0, |number, &byte| number << 8 | u128::from(byte))
}

/// By RFC 1071's definition, one 16-bit word at a time.
pub(crate) fn ones_complement_sum(bytes: &[u8]) -> u16 {
    bytes.chunks(2).fold(0, |sum: u16, word| {
        let (sum, carry) = sum.overflowing_add(u16::from_be_bytes([word[0], *word.get(1).unwrap_or(&0)]));
        sum + u16::from(carry)
    })
}

/// A frame that left.
#[derive(Debug)]
pub(crate) enum Sent<'a> {
    /// It carries a packet.
    Encapsulated(Encapsulated<'a>),
    /// It is a message of the forwarder's own.
    Message(Message<'a>),
}

impl<'a> Sent<'a> {
    /// Reads a frame; panics at whatever is not as it must be.
    pub(crate) fn read(frame: &'a [u8]) -> Self {
        let mut at = 12;
        while matches!(number(&frame[at..at + 2]), 0x8100 | 0x88a8) {
            at += 4;
        }
        let protocol = if number(&frame[at..at + 2]) == 0x0800 { frame[at + 11] } else { frame[at + 8] };
        match protocol {
            17 => Self::Encapsulated(Encapsulated::read(frame)),
            _ => Self::Message(Message::read(&frame[at + 2..])),
        }
    }

    pub(crate) fn encapsulated(&self) -> Option<&Encapsulated<'a>> {
        match self {
            Self::Encapsulated(sent) => Some(sent),
            Self::Message(_) => None,
        }
    }
}

/// An ICMP or ICMPv6 message that the forwarder wrote.
#[derive(Debug)]
pub(crate) struct Message<'a> {
    pub(crate) source: IpAddr,
    pub(crate) destination: IpAddr,
    pub(crate) traffic_class: u8,
    pub(crate) kind: u8,
    pub(crate) code: u8,
    pub(crate) second_word: u32,
    pub(crate) body: &'a [u8],
}

impl<'a> Message<'a> {
    /// Reads a packet; panics at whatever is not as it must be.
    fn read(packet: &'a [u8]) -> Self {
        let (source, destination, traffic_class, message, pseudo): (IpAddr, IpAddr, _, _, _) = if packet[0] == 0x45 {
            assert_eq!(number(&packet[2..4]) as usize, packet.len(), "total length");
            assert_eq!(packet[4..10], [0, 0, 0x40, 0, 64, 1], "ID 0, DF, TTL 64, ICMP");
            assert_eq!(ones_complement_sum(&packet[..20]), 0xffff, "header checksum");
            let address = |at: usize| Ipv4Addr::from(number(&packet[at..at + 4]) as u32);
            (address(12).into(), address(16).into(), packet[1], &packet[20..], Vec::new())
        } else {
            let first = number(&packet[..4]) as u32;
            assert_eq!((first >> 28, first & 0xf_ffff), (6, 0), "version, flow label");
            assert_eq!(number(&packet[4..6]) as usize, packet.len() - 40, "payload length");
            assert_eq!(packet[6..8], [58, 64], "ICMPv6, hop limit 64");
            let address = |at: usize| Ipv6Addr::from(number(&packet[at..at + 16]));
            let pseudo = [&packet[8..40], &[0, 0], &packet[4..6], &[0, 0, 0, 58]].concat();
            (address(8).into(), address(24).into(), (first >> 20) as u8, &packet[40..], pseudo)
        };
        assert_eq!(ones_complement_sum(&[&pseudo[..], message].concat()), 0xffff, "ICMP checksum");
        Self {
            source,
            destination,
            traffic_class,
            kind: message[0],
            code: message[1],
            second_word: number(&message[4..8]) as u32,
            body: &message[8..],
        }
    }
}

/// The payload of an IPv4 packet of which these are the pieces, in order; panics if they don't fit together.
pub(crate) fn reassembled<'a>(pieces: impl Iterator<Item = &'a [u8]>) -> Vec<u8> {
    let mut payload = Vec::new();
    let mut start = None;
    for piece in pieces {
        let header_len = 4 * usize::from(piece[0] & 15);
        assert_eq!(number(&piece[2..4]) as usize, piece.len(), "total length");
        assert_eq!(ones_complement_sum(&piece[..header_len]), 0xffff, "header checksum");
        let offset = 8 * (number(&piece[6..8]) as usize & 0x1fff);
        assert_eq!(offset, *start.get_or_insert(offset) + payload.len(), "a gap or an overlap");
        payload.extend(&piece[header_len..]);
    }
    payload
}
