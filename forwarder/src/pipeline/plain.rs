// SPDX-License-Identifier: MIT OR Apache-2.0
//! The packets that nearly all are: TCP or UDP in one piece, from the wire, without tags, options or extension headers, sound, and
//! not the kernel's. They are read at one go, and only what their way depends on is written down.
//!
//! Nothing is decided here that [`super::classify`] does not decide for any packet: what it would say otherwise, or what
//! this module is not sure of, is not plain. A test holds both against each other.

use std::net::IpAddr;

use super::address::{is_for_kernel, is_link_local, is_martian};
use super::flow::{message_v4, message_v6};
use super::lookup::Lookup;
use crate::settings::Underlay;
use crate::wire::{ethernet, ipv4, ipv6, protocol};

/// Bytes of both ports.
const PORTS_LEN: usize = 4;

/// A plain packet, as far as its way depends on it, in one register: bits 0–15 the bytes of the packet, without what the link
/// padded, never none; bits 16–23 DSCP and ECN; bit 24 whether it is IPv6.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Plain(u32);

const IS_V6: u32 = 1 << 24;

impl Plain {
    /// In the place of a packet that is not plain.
    pub(super) const NONE: Self = Self(0);

    #[inline(always)]
    fn new(len: usize, traffic_class: u8, version: u32) -> Self {
        Self(len as u32 | u32::from(traffic_class) << 16 | version)
    }

    /// Whether there is a plain packet.
    #[inline(always)]
    pub(super) fn is_some(self) -> bool {
        self != Self::NONE
    }

    /// Bytes of the packet.
    #[inline(always)]
    pub(super) fn len(self) -> u16 {
        self.0 as u16
    }

    /// DSCP and ECN.
    #[inline(always)]
    pub(super) fn traffic_class(self) -> u8 {
        (self.0 >> 16) as u8
    }

    /// Whether it is an IPv6 packet.
    #[inline(always)]
    pub(super) fn is_v6(self) -> bool {
        self.0 & IS_V6 != 0
    }

    /// The plain packet in a frame, to be looked up by `lookup`.
    #[inline(always)]
    pub(super) fn read(frame: &[u8], own: &Underlay, lookup: &mut Lookup) -> Option<Self> {
        let (header, bytes) = ethernet::Header::split(frame)?;
        match header.ethertype() {
            _ if header.destination().is_group() => None,
            ethernet::IPV4 => Self::read_v4(bytes, own, lookup),
            ethernet::IPV6 => Self::read_v6(bytes, own, lookup),
            _ => None,
        }
    }

    #[inline(always)]
    fn read_v4(bytes: &[u8], own: &Underlay, lookup: &mut Lookup) -> Option<Self> {
        const LEN: usize = ipv4::HEADER_LEN + PORTS_LEN;
        let start: &[u8; LEN] = bytes.first_chunk()?;
        let (header, ports) = ipv4::Header::split(start)?;
        let (len, protocol) = (header.total_len(), header.protocol());
        let is_plain = header.is_without_options()
            && !header.is_fragment()
            && has_ports(protocol)
            && (LEN..=bytes.len()).contains(&len)
            && header.ttl() != 0
            && header.is_checksum_right(&[]);
        let (source, destination) = (header.source(), header.destination());
        if !is_plain || !is_regular(source.into(), destination.into(), own) {
            return None;
        }
        lookup.push_v4(message_v4(source, destination, protocol, ports.first_chunk().copied()));
        Some(Self::new(len, header.traffic_class(), 0))
    }

    #[inline(always)]
    fn read_v6(bytes: &[u8], own: &Underlay, lookup: &mut Lookup) -> Option<Self> {
        const LEN: usize = ipv6::HEADER_LEN + PORTS_LEN;
        let start: &[u8; LEN] = bytes.first_chunk()?;
        let (header, ports) = ipv6::Header::split(start)?;
        let (len, protocol) = (ipv6::HEADER_LEN + header.payload_len(), header.next_header());
        let is_plain = header.version() == 6
            && has_ports(protocol)
            && (LEN..=bytes.len().min(u16::MAX.into())).contains(&len)
            && header.hop_limit() != 0;
        let (source, destination) = (header.source(), header.destination());
        if !is_plain || !is_regular(source.into(), destination.into(), own) {
            return None;
        }
        lookup.push_v6(message_v6(source, destination, protocol, ports.first_chunk().copied()));
        Some(Self::new(len, header.traffic_class(), IS_V6))
    }
}

/// Fewer protocols than [`protocol::has_ports`]: those that nearly all packets have.
#[inline(always)]
fn has_ports(protocol: u8) -> bool {
    matches!(protocol, protocol::TCP | protocol::UDP)
}

#[inline(always)]
fn is_regular(source: IpAddr, destination: IpAddr, own: &Underlay) -> bool {
    !is_martian(source) && !is_link_local(source) && !is_for_kernel(destination, own)
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, Ipv6Addr};

    use proptest::prelude::*;

    use super::super::classify::{self, Receiver};
    use super::super::packet::{Addresses, Origin};
    use super::super::upper::Selector;
    use super::*;
    use crate::wire::checksum;

    const SOURCE: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 7);
    const DESTINATION: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 1);
    const SOURCE_V6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 7);
    const DESTINATION_V6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0xe, 0, 0, 0, 0, 1);

    /// A frame with a plain packet of `payload` bytes, ports included, and with `padding`.
    fn plain(is_v6: bool, is_udp: bool, payload: usize, padding: usize) -> Vec<u8> {
        let protocol = if is_udp { protocol::UDP } else { protocol::TCP };
        let mut frame = vec![2; 12];
        if is_v6 {
            frame.extend(ethernet::IPV6.to_be_bytes());
            let mut header = ipv6::template(SOURCE_V6, DESTINATION_V6, protocol, 64);
            ipv6::complete(&mut header, payload as u16, 0xb9, 0xabcde);
            frame.extend(header);
        } else {
            frame.extend(ethernet::IPV4.to_be_bytes());
            let mut header = ipv4::template(SOURCE, DESTINATION, protocol, 64);
            ipv4::complete(&mut header, (ipv4::HEADER_LEN + payload) as u16, 0xb9);
            frame.extend(header);
        }
        frame.extend((0..payload).map(|n| n as u8 ^ 0xa0));
        frame.extend(vec![0; padding]);
        frame
    }

    /// Makes the checksum of the IPv4 header right again, options or not.
    fn right(frame: &mut [u8]) {
        let len = frame.get(14).map_or(0, |first| usize::from(first & 15) * 4).max(ipv4::HEADER_LEN);
        if let Some(header) = frame.get_mut(14..14 + len) {
            header[10..12].fill(0);
            let sum = !checksum::sum(header);
            header[10..12].copy_from_slice(&sum.to_be_bytes());
        }
    }

    fn own() -> Underlay {
        Underlay { ipv4: Some(Ipv4Addr::new(10, 0, 0, 1)), ipv6: Some(Ipv6Addr::LOCALHOST), gue_port: 6080 }
    }

    /// Holds what is read of a frame at one go against what [`classify`] says of it; whether it is plain.
    fn check(frame: &[u8]) -> Result<bool, TestCaseError> {
        let own = own();
        let mut lookup = Lookup::new(1);
        let read = Plain::read(frame, &own, &mut lookup);
        let mut expected = Lookup::new(1);
        if let Some(plain) = read {
            let packet = classify::frame(frame, Receiver { own: &own, peers: None });
            prop_assert!(packet.is_ok(), "plain, but {:?}: {:02x?}", packet, frame);
            if let Ok(packet) = packet {
                prop_assert_eq!((packet.fault, packet.origin, packet.offset), (None, Origin::Wire, 14));
                prop_assert!(matches!(packet.upper.selector, Selector::Port(_)), "{:?}", packet.upper);
                let is_v6 = matches!(packet.addresses, Addresses::V6(..));
                let says = (usize::from(plain.len()), plain.traffic_class(), plain.is_v6());
                prop_assert_eq!(says, (packet.len, packet.traffic_class, is_v6));
                expected.push(&packet);
            }
        }
        prop_assert_eq!(format!("{lookup:?}"), format!("{expected:?}"), "what is looked up");
        Ok(read.is_some())
    }

    proptest! {
        #[test]
        fn plain_packets_are_read(is_v6: bool, is_udp: bool, payload in 4..100_usize, padding in 0..20_usize) {
            prop_assert!(check(&plain(is_v6, is_udp, payload, padding))?);
        }

        /// Some bytes are others, and the end may be missing: if that is plain still, it is what it is for [`classify`].
        #[test]
        fn nothing_is_plain_that_is_not(
            is_v6: bool,
            is_udp: bool,
            payload in 0..30_usize,
            damage in prop::collection::vec((0..58_usize, prop_oneof![any::<u8>(), prop::sample::select(vec![0, 1, 4, 6, 8, 17, 0x45, 0x60, 127, 169, 224, 254, 255])]), 0..4),
            is_righted: bool,
            cut in 0..60_usize,
        ) {
            let mut frame = plain(is_v6, is_udp, payload, 4);
            for (at, byte) in damage {
                if let Some(place) = frame.get_mut(at) {
                    *place = byte;
                }
            }
            if is_righted && !is_v6 {
                right(&mut frame);
            }
            frame.truncate(frame.len() - cut.saturating_sub(40).min(frame.len()));
            check(&frame)?;
        }
    }

    /// A byte of each kind that makes a packet something else.
    #[test]
    fn what_makes_a_packet_something_else() {
        let others_v4: [(usize, &[u8]); 12] = [
            (0, &[1]),            // a group
            (12, &[0x81, 0]),     // a tag
            (14, &[0x46]),        // options
            (14, &[0x55]),        // a version
            (16, &[0, 23]),       // too short for ports
            (20, &[0x20]),        // a first fragment
            (21, &[1]),           // a later one
            (22, &[0]),           // no time to live
            (23, &[132]),         // SCTP
            (26, &[127]),         // a martian
            (30, &[224]),         // multicast
            (30, &[10, 0, 0, 1]), // the forwarder's own
        ];
        for (at, bytes) in others_v4 {
            let mut frame = plain(false, false, 40, 0);
            frame[at..at + bytes.len()].copy_from_slice(bytes);
            right(&mut frame);
            assert!(!check(&frame).unwrap(), "{bytes:x?} at {at}");
        }
        let mut wrong = plain(false, false, 40, 0);
        wrong[24] ^= 1;
        assert!(!check(&wrong).unwrap(), "a wrong checksum");
        let others_v6: [(usize, &[u8]); 8] = [
            (0, &[1]),           // a group
            (14, &[0x40]),       // a version
            (18, &[0, 3]),       // too short for ports
            (20, &[0]),          // an extension header
            (21, &[0]),          // no hops left
            (22, &[0xff]),       // a martian
            (38, &[0xfe, 0x80]), // link-local
            (38, &[0; 15]),      // the forwarder's own, ::1
        ];
        for (at, bytes) in others_v6 {
            let mut frame = plain(true, false, 40, 0);
            frame[at..at + bytes.len()].copy_from_slice(bytes);
            assert!(!check(&frame).unwrap(), "{bytes:x?} at {at}");
        }
    }
}
