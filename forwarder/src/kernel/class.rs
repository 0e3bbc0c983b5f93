// SPDX-License-Identifier: MIT OR Apache-2.0
//! What kind of frame it is that goes to the kernel or comes from it: each kind has a budget of its own, so that a flood of
//! one leaves the others alone.

use crate::io::DeviceIndex;
use crate::wire::{ethernet, icmp, ipv4, ipv6, protocol};

const ARP: u16 = 0x0806;
/// Up to this the type is a length, and an LLC header follows.
const LARGEST_LENGTH: u16 = 1500;
/// LLC header and protocol number of IS-IS (ISO 10589).
const IS_IS: [u8; 4] = [0xfe, 0xfe, 0x03, 0x83];
const OSPF: u8 = 89;
const VRRP: u8 = 112;
const BGP: u16 = 179;
/// BFD: control, echo (RFC 5881), and several hops (RFC 5883).
const BFD: [u16; 3] = [3784, 3785, 4784];

/// A kind of frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Class {
    /// BGP, BFD, OSPF, IS-IS, VRRP: what the box's place in the network hangs on.
    Routing,
    /// ARP and neighbour discovery.
    Neighbours,
    /// Other IP packets to one machine: SSH, ping, whatever scans the box.
    Unicast,
    /// The rest: multicast, LLDP, unknown types.
    Other,
}

/// Which frames: of a device, and of a class.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Kind {
    /// The device that they came from, or go to.
    pub device: DeviceIndex,
    /// What they are.
    pub class: Class,
}

impl Class {
    /// All classes, in order.
    pub const ALL: [Self; 4] = [Self::Routing, Self::Neighbours, Self::Unicast, Self::Other];

    /// Its name in the configuration, in counters and labels.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Routing => "routing",
            Self::Neighbours => "neighbours",
            Self::Unicast => "unicast",
            Self::Other => "other",
        }
    }

    /// What `frame` is. Up to two tags are looked through; extension headers are not, and later fragments show no ports.
    pub fn of(frame: &[u8]) -> Self {
        let Some((header, mut rest)) = ethernet::Header::split(frame) else { return Self::Other };
        let mut ethertype = header.ethertype();
        for _ in 0..2 {
            if let (true, Some((tag, inner))) = (ethernet::is_tag(ethertype), ethernet::Tag::split(rest)) {
                (ethertype, rest) = (tag.ethertype(), inner);
            }
        }
        let class = match ethertype {
            ARP => Some(Self::Neighbours),
            ethernet::IPV4 => of_ipv4(rest),
            ethernet::IPV6 => of_ipv6(rest),
            ..=LARGEST_LENGTH if rest.starts_with(&IS_IS) => Some(Self::Routing),
            _ => Some(Self::Other),
        };
        class.unwrap_or(if header.destination().is_group() { Self::Other } else { Self::Unicast })
    }
}

fn of_ipv4(packet: &[u8]) -> Option<Class> {
    let (header, _) = ipv4::Header::split(packet)?;
    let payload = if header.fragment_offset() == 0 { packet.get(header.header_len()..)? } else { &[] };
    of_payload(header.protocol(), payload)
}

fn of_ipv6(packet: &[u8]) -> Option<Class> {
    let (header, payload) = ipv6::Header::split(packet)?;
    match (header.next_header(), payload) {
        (protocol::ICMPV6, [kind, ..]) if icmp::v6::NEIGHBOUR_DISCOVERY.contains(kind) => Some(Class::Neighbours),
        (next, payload) => of_payload(next, payload),
    }
}

fn of_payload(protocol: u8, payload: &[u8]) -> Option<Class> {
    let is_routing = match (protocol, payload) {
        (OSPF | VRRP, _) => true,
        (protocol::TCP, &[a, b, c, d, ..]) => [[a, b], [c, d]].map(u16::from_be_bytes).contains(&BGP),
        (protocol::UDP, &[_, _, c, d, ..]) => BFD.contains(&u16::from_be_bytes([c, d])),
        _ => false,
    };
    is_routing.then_some(Class::Routing)
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOX: [u8; 6] = [2, 0, 0, 0, 0, 1];
    const EVERYBODY: [u8; 6] = [0xff; 6];
    const GROUP: [u8; 6] = [1, 0, 0x5e, 0, 0, 5];

    fn frame(destination: [u8; 6], ethertype: u16, payload: &[u8]) -> Vec<u8> {
        [&destination[..], &[2, 0, 0, 0, 0, 9], &ethertype.to_be_bytes(), payload].concat()
    }

    fn v4(protocol: u8, offset: u8, payload: &[u8]) -> Vec<u8> {
        let header = [0x45, 0, 0, 60, 0, 0, 0, offset, 64, protocol, 0, 0, 192, 0, 2, 1, 192, 0, 2, 2];
        [&header[..], payload].concat()
    }

    fn v6(next: u8, payload: &[u8]) -> Vec<u8> {
        [&[0x60, 0, 0, 0, 0, 8, next, 255][..], &[0xfe; 32], payload].concat()
    }

    fn ports(source: u16, destination: u16) -> Vec<u8> {
        [source.to_be_bytes(), destination.to_be_bytes(), [0; 2], [0; 2]].concat()
    }

    #[test]
    fn each_frame_has_its_class() {
        let frames = [
            (Class::Routing, frame(BOX, 0x0800, &v4(6, 0, &ports(179, 40_000)))),
            (Class::Routing, frame(BOX, 0x86dd, &v6(6, &ports(40_000, 179)))),
            (Class::Routing, frame(BOX, 0x0800, &v4(17, 0, &ports(49_152, 3784)))),
            (Class::Routing, frame(BOX, 0x86dd, &v6(17, &ports(49_152, 4784)))),
            (Class::Routing, frame(GROUP, 0x0800, &v4(89, 0, &[]))),
            (Class::Routing, frame(GROUP, 0x0800, &v4(112, 0, &[]))),
            (Class::Routing, frame(GROUP, 100, &[0xfe, 0xfe, 0x03, 0x83, 1])),
            (Class::Neighbours, frame(EVERYBODY, 0x0806, &[0; 28])),
            (Class::Neighbours, frame(GROUP, 0x86dd, &v6(58, &[135, 0, 0, 0]))),
            (Class::Unicast, frame(BOX, 0x0800, &v4(6, 0, &ports(40_000, 22)))),
            (Class::Unicast, frame(BOX, 0x0800, &v4(17, 0, &ports(3784, 53)))),
            (Class::Unicast, frame(BOX, 0x0800, &v4(1, 0, &[8, 0, 0, 0]))),
            (Class::Unicast, frame(BOX, 0x86dd, &v6(58, &[128, 0, 0, 0]))),
            (Class::Unicast, frame(BOX, 0x86dd, &v6(58, &[]))),
            // A later fragment shows no ports, and what is cut shows nothing.
            (Class::Unicast, frame(BOX, 0x0800, &v4(6, 1, &ports(179, 179)))),
            (Class::Unicast, frame(BOX, 0x0800, &v4(6, 0, &[0, 179]))),
            (Class::Unicast, frame(BOX, 0x0800, &[0x45])),
            (Class::Other, frame(GROUP, 0x0800, &v4(17, 0, &ports(5353, 5353)))),
            (Class::Other, frame(BOX, 0x88cc, &[])),
            (Class::Other, frame(GROUP, 38, &[0x42, 0x42, 3])),
            (Class::Other, vec![0; 13]),
        ];
        for (class, frame) in frames {
            assert_eq!(Class::of(&frame), class, "{frame:02x?}");
            if frame.len() > 13 {
                for tags in [&[0x81, 0, 0, 100][..], &[0x88, 0xa8, 0, 7, 0x81, 0, 0, 100]] {
                    let tagged = [&frame[..12], tags, &frame[12..]].concat();
                    assert_eq!(Class::of(&tagged), class, "{tagged:02x?}");
                }
            }
        }
    }

    #[test]
    fn the_order_is_that_of_the_discriminants() {
        assert!(Class::ALL.into_iter().enumerate().all(|(index, class)| class as usize == index));
    }
}
