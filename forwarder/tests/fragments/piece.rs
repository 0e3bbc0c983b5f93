// SPDX-License-Identifier: MIT OR Apache-2.0
//! A fragment that may be of this or that datagram, and its bytes.

use proptest::prelude::*;

/// A fragment; the bytes of the datagrams are such that any pieces fit together.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Piece {
    pub(crate) to: To,
    pub(crate) upper: Upper,
    pub(crate) id: u8,
    /// In units of 8 bytes.
    pub(crate) offset: u16,
    pub(crate) len: u16,
    pub(crate) more: bool,
    pub(crate) is_owned: bool,
    pub(crate) is_martian: bool,
    /// From another forwarder, in GUE.
    pub(crate) is_from_peer: bool,
}

/// A sliced address of the vectors' plain world.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum To {
    /// Without an owner of what has no ports.
    V4,
    /// With one.
    V4Portless,
    /// With one, too.
    V6,
}

/// What a datagram begins with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Upper {
    Udp,
    Tcp,
    EchoReply,
    EchoRequest,
    /// About a UDP packet of the owner's.
    Error,
    /// Neighbour discovery.
    Discovery,
    Gre,
    /// Destination options in front of UDP. Of IPv4 they are a protocol without ports.
    Options,
}

/// So many bytes of a quote are needed: an ICMP header, an IPv4 header and ports.
pub(crate) const QUOTE: u16 = 8 + 20 + 4;

pub(crate) fn piece() -> impl Strategy<Value = Piece> {
    let to = prop::sample::select(vec![To::V4, To::V4Portless, To::V6]);
    let upper = prop_oneof![
        4 => Just(Upper::Udp),
        2 => prop::sample::select(vec![
            Upper::Tcp, Upper::EchoReply, Upper::EchoRequest, Upper::Error, Upper::Discovery, Upper::Gre, Upper::Options
        ]),
    ];
    let offset = prop_oneof![4 => Just(0), 6 => 1..8_u16, 1 => prop::sample::select(vec![0x1ffd_u16, 0x1ffe, 0x1fff])];
    let len = prop_oneof![8 => (0..6_u16).prop_map(|units| units * 8), 1 => 1..50_u16];
    let rare = (prop::bool::weighted(0.8), prop::bool::weighted(0.03), prop::bool::weighted(0.2));
    (to, upper, 0..2_u8, offset, len, any::<bool>(), rare).prop_map(
        |(to, upper, id, offset, len, more, (is_owned, is_martian, is_from_peer))| {
            let upper = match (to, upper) {
                // What IPv6 quotes is left to the golden vectors.
                (To::V6, Upper::Error) => Upper::Discovery,
                (To::V4 | To::V4Portless, Upper::Discovery) => Upper::Udp,
                _ => upper,
            };
            // Without offset or more it would be whole.
            Piece { to, upper, id, offset, len, more: more || offset == 0, is_owned, is_martian, is_from_peer }
        },
    )
}

impl Piece {
    pub(crate) fn protocol(&self) -> u8 {
        match (self.upper, self.to) {
            (Upper::Udp, _) => 17,
            (Upper::Tcp, _) => 6,
            (Upper::Gre, _) => 47,
            (Upper::Options, _) => 60,
            (_, To::V6) => 58,
            (..) => 1,
        }
    }

    /// The last byte of a frame: of those that are long enough, the number that [`Self::frame`] wrote there.
    pub(crate) fn number(frame: &[u8]) -> u8 {
        *frame.last().expect("no frame is empty")
    }

    /// The frame; its last byte says `number`.
    pub(crate) fn frame(&self, number: u8) -> Vec<u8> {
        let port: u16 = if self.is_owned { 2_100 } else { 100 };
        let [high, low] = port.to_be_bytes();
        let ports = [0, 53, high, low, 0, 0, 0, 0];
        let mut payload = match (self.upper, self.to) {
            (Upper::Options, _) => [&[17, 0, 1, 4, 0, 0, 0, 0], &ports[..]].concat(),
            (Upper::EchoReply, To::V6) => vec![129, 0, 0, 0, high, low, 0, 1],
            (Upper::Discovery, _) => vec![135, 0, 0, 0, 0, 0, 0, 0],
            (Upper::EchoReply, _) => vec![0, 0, 0, 0, high, low, 0, 1],
            (Upper::EchoRequest, To::V6) => vec![128, 0, 0, 0, high, low, 0, 1],
            (Upper::EchoRequest, _) => vec![8, 0, 0, 0, high, low, 0, 1],
            (Upper::Error, _) => {
                let mut error = vec![3, 3, 0, 0, 0, 0, 0, 0];
                error.extend([0x45, 0, 0, 99, 0, 7, 0, 0, 1, 17, 0, 0]);
                error.extend(self.destination());
                error.extend([203, 0, 113, 9, high, low, 0, 53]);
                error
            }
            _ => ports.to_vec(),
        };
        if self.offset > 0 {
            payload.clear();
        }
        payload.resize(self.len.into(), 0xaa);
        if let Some(last) = payload.get_mut(self.numbered_from()..).and_then(<[u8]>::last_mut) {
            *last = number;
        }
        let (packet, ethertype) = match self.to {
            To::V6 => (self.packet_v6(&payload), [0x86, 0xdd]),
            _ => (self.packet_v4(&payload), [0x08, 0]),
        };
        let (packet, ethertype) = match self.is_from_peer {
            true => (self.in_gue(&packet), [0x08, 0]),
            false => (packet, ethertype),
        };
        [&[2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 9], &ethertype[..], &packet].concat()
    }

    /// The packet as a forwarder of CDG sends it to the own address, without private data.
    fn in_gue(&self, packet: &[u8]) -> Vec<u8> {
        let len = packet.len() as u16;
        let mut outer = header_v4(12 + len, [0, 0], [0x40, 0], 17, [10, 1, 0, 1], &[10, 0, 0, 1]);
        outer.extend([0xc0, 0, 0x17, 0xc0]);
        outer.extend((12 + len).to_be_bytes());
        outer.extend([0, 0, 0, if self.to == To::V6 { 41 } else { 4 }, 0, 0]);
        outer.extend(packet);
        outer
    }

    /// Where there is room for the number, behind what decides.
    fn numbered_from(&self) -> usize {
        match (self.offset, self.upper) {
            (0, Upper::Error) => usize::from(QUOTE),
            (0, Upper::Options) => 14,
            (0, _) => 6,
            _ => 0,
        }
    }

    /// The last byte of its packet.
    pub(crate) fn last_byte(&self, number: u8) -> u8 {
        Self::number(&self.frame(number))
    }

    fn destination(&self) -> Vec<u8> {
        match self.to {
            To::V4 => vec![198, 51, 100, 1],
            To::V4Portless => vec![198, 51, 100, 2],
            To::V6 => vec![0x20, 0x01, 0x0d, 0xb8, 0, 0x0e, 0, 1, 0, 0, 0, 0, 0, 0, 0, 7],
        }
    }

    fn packet_v4(&self, payload: &[u8]) -> Vec<u8> {
        let fragmentation = (self.offset | (u16::from(self.more) << 13)).to_be_bytes();
        let source = [if self.is_martian { 127 } else { 203 }, 0, 113, 9];
        let (len, id) = (payload.len() as u16, [0, self.id]);
        let mut packet = header_v4(len, id, fragmentation, self.protocol(), source, &self.destination());
        packet.extend(payload);
        packet
    }

    fn packet_v6(&self, payload: &[u8]) -> Vec<u8> {
        let mut packet = vec![0x60, 0, 0, 0];
        packet.extend((8 + payload.len() as u16).to_be_bytes());
        packet.extend([44, 57, if self.is_martian { 0xff } else { 0x20 }]);
        packet.extend(b"\x01\x0d\xb8\0\x0f\0\0\0\0\0\0\0\0\0\x09");
        packet.extend(self.destination());
        packet.extend([self.protocol(), 0]);
        packet.extend(((self.offset << 3) | u16::from(self.more)).to_be_bytes());
        packet.extend([0, 0, 0, self.id]);
        packet.extend(payload);
        packet
    }
}

fn header_v4(
    len: u16,
    id: [u8; 2],
    fragmentation: [u8; 2],
    protocol: u8,
    source: [u8; 4],
    destination: &[u8],
) -> Vec<u8> {
    let mut header = vec![0x45, 0];
    header.extend((20 + len).to_be_bytes());
    header.extend([id, fragmentation, [57, protocol], [0, 0]].concat());
    header.extend(source);
    header.extend(destination);
    let sum: u32 = header.chunks(2).map(|pair| u32::from(u16::from_be_bytes([pair[0], pair[1]]))).sum();
    header[10..12].copy_from_slice(&(!((sum & 0xffff) + (sum >> 16)) as u16).to_be_bytes());
    header
}
