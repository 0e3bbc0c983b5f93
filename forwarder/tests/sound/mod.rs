// SPDX-License-Identifier: MIT OR Apache-2.0
//! Packets to addresses of the plain world, as they may come: sound, and not quite.

#![allow(dead_code, reason = "each test binary uses its own part")]

use std::hash::Hasher;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

use super::decode::ones_complement_sum;

/// A sound packet to an address of the plain world, and how it arrives.
#[derive(Debug, Clone)]
pub(crate) struct Sound {
    pub(crate) source: IpAddr,
    pub(crate) destination: IpAddr,
    pub(crate) protocol: u8,
    pub(crate) ports: [u16; 2],
    pub(crate) traffic_class: u8,
    /// Of IPv4: whether it must not be cut.
    pub(crate) dont_fragment: bool,
    /// Words of IPv4 options, or IPv6 destination-options headers of 8 bytes.
    pub(crate) extras: usize,
    pub(crate) payload: Vec<u8>,
    pub(crate) tags: Vec<u16>,
    pub(crate) padding: usize,
}

impl Sound {
    /// The bytes of the packet.
    pub(crate) fn packet(&self) -> Vec<u8> {
        let mut body = self.ports.map(u16::to_be_bytes).concat();
        body.extend(&self.payload);
        match (self.source, self.destination) {
            (IpAddr::V4(source), IpAddr::V4(destination)) => self.packet_v4(source, destination, &body),
            (IpAddr::V6(source), IpAddr::V6(destination)) => self.packet_v6(source, destination, &body),
            _ => panic!("mixed families"),
        }
    }

    fn packet_v4(&self, source: Ipv4Addr, destination: Ipv4Addr, body: &[u8]) -> Vec<u8> {
        let header_len = 20 + 4 * self.extras;
        let mut packet = vec![0x45 + self.extras as u8, self.traffic_class];
        packet.extend(((header_len + body.len()) as u16).to_be_bytes());
        packet.extend([0x12, 0x34, u8::from(self.dont_fragment) << 6, 0, 57, self.protocol, 0, 0]);
        packet.extend(source.octets());
        packet.extend(destination.octets());
        packet.extend(std::iter::repeat_n(1, 4 * self.extras)); // no-operations
        let checksum = !ones_complement_sum(&packet);
        packet[10..12].copy_from_slice(&checksum.to_be_bytes());
        packet.extend(body);
        packet
    }

    fn packet_v6(&self, source: Ipv6Addr, destination: Ipv6Addr, body: &[u8]) -> Vec<u8> {
        let mut packet = vec![0x60 | self.traffic_class >> 4, self.traffic_class << 4 | 0xa, 0xbc, 0xde];
        packet.extend(((8 * self.extras + body.len()) as u16).to_be_bytes());
        packet.extend([if self.extras == 0 { self.protocol } else { 60 }, 57]);
        packet.extend(source.octets());
        packet.extend(destination.octets());
        for i in 1..=self.extras {
            packet.extend([if i == self.extras { self.protocol } else { 60 }, 0, 1, 4, 0, 0, 0, 0]);
        }
        packet.extend(body);
        packet
    }

    /// The frame that it arrives in.
    pub(crate) fn frame(&self) -> Vec<u8> {
        let mut frame = vec![2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0xff, 1];
        for tag in &self.tags {
            frame.extend([0x81, 0x00]);
            frame.extend(tag.to_be_bytes());
        }
        frame.extend(if self.destination.is_ipv4() { [0x08, 0x00] } else { [0x86, 0xdd] });
        frame.extend(self.packet());
        frame.extend(std::iter::repeat_n(0xee, self.padding));
        frame
    }

    /// The packet that the receiver sends back.
    pub(crate) fn turned_round(&self) -> Self {
        let [source_port, destination_port] = self.ports;
        Self {
            source: self.destination,
            destination: self.source,
            ports: [destination_port, source_port],
            ..self.clone()
        }
    }

    /// The contract's flow hash, by the siphasher crate; of a piece without the ports.
    pub(crate) fn flow_hash(&self, key: &[u8; 16], is_piece: bool) -> u64 {
        let mut hash = siphasher::sip::SipHasher13::new_with_key(key);
        for address in [self.source, self.destination] {
            match address {
                IpAddr::V4(address) => hash.write(&address.octets()),
                IpAddr::V6(address) => hash.write(&address.octets()),
            }
        }
        hash.write(&[self.protocol]);
        if !is_piece && matches!(self.protocol, 6 | 17 | 33 | 132 | 136) {
            self.ports.iter().for_each(|port| hash.write(&port.to_be_bytes()));
        }
        hash.finish()
    }
}

const V4: &[&str] = &["198.51.100.1", "198.51.100.2", "198.51.100.3", "198.51.100.4", "198.51.100.5", "198.51.100.6"];
const V6: &[&str] = &["2001:db8:e::1", "2001:db8:e:1::1", "2001:db8:e:2::1", "2001:db8:e:3::1"];

/// Any sound packet.
pub(crate) fn sound() -> impl Strategy<Value = Sound> {
    let addresses = prop_oneof![
        (1u8..=126, any::<[u8; 3]>(), select(V4)).prop_map(|(first, [b, c, d], destination)| {
            (Ipv4Addr::new(first, b, c, d).into(), destination.parse::<IpAddr>().unwrap())
        }),
        (any::<u64>(), select(V6)).prop_map(|(low, destination)| {
            let source = Ipv6Addr::from(0x2001_0db8_000f_0000_u128 << 64 | u128::from(low));
            (source.into(), destination.parse::<IpAddr>().unwrap())
        }),
    ];
    let protocol = prop_oneof![4 => select(&[6, 17, 33, 132, 136][..]), 1 => select(&[2, 47, 50, 51, 89, 255][..])];
    let payload = prop_oneof![vec(any::<u8>(), 0..64), vec(any::<u8>(), 1400..1700)];
    (
        addresses,
        protocol,
        any::<[u16; 2]>(),
        (any::<u8>(), any::<bool>()),
        0..=8usize,
        payload,
        vec(any::<u16>(), 0..=2),
        0..20usize,
    )
        .prop_map(
            |(
                (source, destination),
                protocol,
                ports,
                (traffic_class, dont_fragment),
                extras,
                payload,
                tags,
                padding,
            )| Sound {
                source,
                destination,
                protocol,
                ports,
                traffic_class,
                dont_fragment,
                extras,
                payload,
                tags,
                padding,
            },
        )
}

/// Frames near sound ones, and near ICMP about such: some bytes changed, the end cut off.
pub(crate) fn damaged() -> impl Strategy<Value = Vec<u8>> {
    let changes = vec((any::<prop::sample::Index>(), any::<u8>()), 0..4);
    let message = prop::option::of((any::<u8>(), any::<bool>()));
    (sound(), message, changes, prop::option::of(any::<prop::sample::Index>()), any::<bool>()).prop_map(
        |(sound, message, changes, cut, repair)| {
            let mut frame = match message {
                // echo requests and replies quote, too
                Some((kind, right)) => {
                    let kinds = if sound.destination.is_ipv4() { [0, 3, 8, 11, 12] } else { [1, 2, 3, 128, 129] };
                    let kind = *kinds.get(usize::from(kind % 8)).unwrap_or(&kind);
                    error(kind, &sound, &sound.turned_round().packet(), right)
                }
                None => sound.frame(),
            };
            for (index, byte) in changes {
                let header = frame.len().min(100);
                frame[index.index(header)] = byte;
            }
            let start = 14 + 4 * sound.tags.len();
            if repair && sound.destination.is_ipv4() {
                let end = start + 4 * usize::from(frame[start] & 15);
                if let Some(header) = frame.get_mut(start..end).filter(|header| header.len() >= 20) {
                    header[10..12].fill(0);
                    let checksum = !ones_complement_sum(header);
                    header[10..12].copy_from_slice(&checksum.to_be_bytes());
                }
            }
            if let Some(cut) = cut {
                frame.truncate(cut.index(frame.len()));
            }
            frame
        },
    )
}

/// The frame of an ICMP error about `quote` to the receiver of `answer`, from a router on the way.
pub(crate) fn error(kind: u8, answer: &Sound, quote: &[u8], is_checksum_right: bool) -> Vec<u8> {
    let router: IpAddr = match answer.destination {
        IpAddr::V4(_) => [192, 0, 2, 200].into(),
        IpAddr::V6(_) => "2001:db8:99::1".parse().unwrap(),
    };
    let mut message = [&[kind, 0, 0, 0, 0, 0, 0, 0], quote].concat();
    let pseudo = match (router, answer.destination) {
        (IpAddr::V6(source), IpAddr::V6(destination)) => {
            let len = (message.len() as u32).to_be_bytes();
            [&source.octets()[..], &destination.octets(), &len, &[0, 0, 0, 58]].concat()
        }
        _ => Vec::new(),
    };
    let checksum = !ones_complement_sum(&[&pseudo[..], &message].concat()) ^ u16::from(!is_checksum_right);
    message[2..4].copy_from_slice(&checksum.to_be_bytes());
    let protocol = if answer.destination.is_ipv4() { 1 } else { 58 };
    let ports = [0, 2].map(|at| u16::from_be_bytes([message[at], message[at + 1]]));
    Sound { source: router, protocol, ports, payload: message.split_off(4), ..answer.clone() }.frame()
}
