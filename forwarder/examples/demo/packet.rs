// SPDX-License-Identifier: MIT OR Apache-2.0
//! Builds the frames that come in. Shares nothing with the forwarder, so that it can't share a mistake.

use std::net::{IpAddr, Ipv4Addr};

/// The MAC address of the forwarder's device.
pub(crate) const FORWARDER_MAC: [u8; 6] = [2, 0, 0, 0, 0, 1];
/// The MAC address of the router on the other side.
pub(crate) const ROUTER_MAC: [u8; 6] = [2, 0, 0, 0, 0, 2];

const IPV4: [u8; 2] = [0x08, 0x00];
const IPV6: [u8; 2] = [0x86, 0xdd];
/// Ethernet pads shorter frames up to this (without FCS).
const SHORTEST_FRAME: usize = 60;

/// Transport protocols of the demo's traffic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Protocol {
    /// RFC 9293.
    Tcp = 6,
    /// RFC 768.
    Udp = 17,
}

/// Whose packet it is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Flow {
    /// Address on the Internet.
    pub(crate) source: IpAddr,
    /// Egress address.
    pub(crate) destination: IpAddr,
    /// TCP or UDP.
    pub(crate) protocol: Protocol,
    /// Port on the Internet, host byte order.
    pub(crate) source_port: u16,
    /// Port of the egress address, host byte order.
    pub(crate) destination_port: u16,
}

/// A small, fast, repeatable source of numbers: xorshift64* (Vigna 2016).
pub(crate) struct Random(pub(crate) u64);

impl Random {
    /// The next 32 bits.
    pub(crate) fn next(&mut self) -> u32 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 32) as u32
    }

    /// True once in `times`, on average.
    pub(crate) fn one_in(&mut self, times: u32) -> bool {
        self.next().is_multiple_of(times)
    }

    /// A number in `low..=high`.
    pub(crate) fn between(&mut self, low: u16, high: u16) -> u16 {
        let span = u32::from(high - low) + 1;
        low + (self.next() % span) as u16
    }
}

/// An IP packet of `flow`, `length` bytes long or as long as an IP and a TCP header, all checksums right.
pub(crate) fn packet(flow: &Flow, length: usize, random: &mut Random) -> Vec<u8> {
    let ip_header = if flow.source.is_ipv4() { 20 } else { 40 };
    let l4_header = if flow.protocol == Protocol::Tcp { 20 } else { 8 };
    let length = length.max(ip_header + 20);
    // Letters: random bytes look like all kinds of protocols to Wireshark.
    let payload: Vec<u8> =
        (0..length.saturating_sub(ip_header + l4_header)).map(|_| b'a' + (random.next() % 26) as u8).collect();
    let mut segment = Vec::with_capacity(l4_header + payload.len());
    segment.extend(flow.source_port.to_be_bytes());
    segment.extend(flow.destination_port.to_be_bytes());
    let checksum_at = match flow.protocol {
        Protocol::Tcp => {
            segment.extend(random.next().to_be_bytes());
            segment.extend(random.next().to_be_bytes());
            segment.extend([0x50, 0x18, 0xff, 0xff, 0, 0, 0, 0]); // 20 bytes, PSH and ACK, the widest window
            16
        }
        Protocol::Udp => {
            segment.extend(((l4_header + payload.len()) as u16).to_be_bytes());
            segment.extend([0, 0]);
            6
        }
    };
    segment.extend(payload);
    let pseudo = pseudo_header(flow, segment.len());
    let sum = checksum(&[&pseudo, &segment]);
    // A UDP checksum that comes out as zero is sent as all ones; zero would mean "none".
    let sum = if sum == 0 && flow.protocol == Protocol::Udp { 0xffff } else { sum };
    put(&mut segment, checksum_at, sum);
    match (flow.source, flow.destination) {
        (IpAddr::V4(source), IpAddr::V4(destination)) => {
            ipv4(source, destination, flow.protocol as u8, &[], &segment, random)
        }
        (IpAddr::V6(source), IpAddr::V6(destination)) => {
            let mut packet = vec![0x60, 0, 0, 0];
            packet.extend((segment.len() as u16).to_be_bytes());
            packet.extend([flow.protocol as u8, 58]);
            packet.extend(source.octets());
            packet.extend(destination.octets());
            packet.extend(segment);
            packet
        }
        _ => Vec::new(),
    }
}

/// An IPv4 packet with `options` (a multiple of four bytes) and `payload`.
pub(crate) fn ipv4(
    source: Ipv4Addr,
    destination: Ipv4Addr,
    protocol: u8,
    options: &[u8],
    payload: &[u8],
    random: &mut Random,
) -> Vec<u8> {
    let header = 20 + options.len();
    let mut packet = vec![0x40 | (header / 4) as u8, 0];
    packet.extend(((header + payload.len()) as u16).to_be_bytes());
    packet.extend((random.next() as u16).to_be_bytes());
    packet.extend([0x40, 0, 58, protocol, 0, 0]); // DF, TTL 58
    packet.extend(source.octets());
    packet.extend(destination.octets());
    packet.extend(options);
    let sum = checksum(&[&packet]);
    put(&mut packet, 10, sum);
    packet.extend(payload);
    packet
}

/// An Ethernet frame around an IP packet, padded as Ethernet does.
pub(crate) fn frame(packet: &[u8]) -> Vec<u8> {
    let ethertype = if packet.first().is_some_and(|byte| byte >> 4 == 6) { IPV6 } else { IPV4 };
    let mut frame = [&FORWARDER_MAC[..], &ROUTER_MAC, &ethertype, packet].concat();
    frame.resize(frame.len().max(SHORTEST_FRAME), 0);
    frame
}

fn pseudo_header(flow: &Flow, length: usize) -> Vec<u8> {
    let mut bytes = match (flow.source, flow.destination) {
        (IpAddr::V4(source), IpAddr::V4(destination)) => [source.octets(), destination.octets()].concat(),
        (IpAddr::V6(source), IpAddr::V6(destination)) => [source.octets(), destination.octets()].concat(),
        _ => Vec::new(),
    };
    bytes.extend((length as u32).to_be_bytes());
    bytes.extend([0, 0, 0, flow.protocol as u8]);
    bytes
}

/// The Internet checksum (RFC 1071) over pieces, each but the last of even length.
pub(crate) fn checksum(pieces: &[&[u8]]) -> u16 {
    let words = pieces.iter().flat_map(|piece| piece.chunks(2)).map(|pair| match pair {
        [high, low] => u32::from(u16::from_be_bytes([*high, *low])),
        [high] => u32::from(*high) << 8,
        _ => 0,
    });
    let mut sum: u32 = words.sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16)
}

fn put(bytes: &mut [u8], at: usize, value: u16) {
    if let Some(place) = bytes.get_mut(at..at + 2) {
        place.copy_from_slice(&value.to_be_bytes());
    }
}
