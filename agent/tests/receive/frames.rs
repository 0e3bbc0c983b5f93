// SPDX-License-Identifier: MIT OR Apache-2.0
//! Packets by hand.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

pub(crate) const TCP: u8 = 6;
pub(crate) const UDP: u8 = 17;
pub(crate) const GRE: u8 = 47;
pub(crate) const SYN: u8 = 2;
pub(crate) const RST: u8 = 4;
pub(crate) const ACK: u8 = 16;

/// The internet checksum over what is already summed up to `sum`.
pub(crate) fn checksum(sum: u32, bytes: &[u8]) -> u16 {
    let words = bytes.chunks(2).map(|pair| u32::from(pair[0]) << 8 | pair.get(1).map_or(0, |low| u32::from(*low)));
    let mut sum = words.fold(sum, |sum, word| sum + word);
    while sum >> 16 != 0 {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16)
}

fn octets(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(address) => address.octets().to_vec(),
        IpAddr::V6(address) => address.octets().to_vec(),
    }
}

fn pseudo(source: IpAddr, destination: IpAddr, protocol: u8, len: usize) -> u32 {
    let all = [octets(source), octets(destination), vec![0, protocol], (len as u16).to_be_bytes().to_vec()].concat();
    u32::from(!checksum(0, &all))
}

/// Puts the right checksum of TCP, UDP or ICMPv6 at `at`.
fn seal(mut l4: Vec<u8>, at: usize, source: IpAddr, destination: IpAddr, protocol: u8) -> Vec<u8> {
    let sum = checksum(pseudo(source, destination, protocol, l4.len()), &l4);
    l4[at..at + 2].copy_from_slice(&sum.to_be_bytes());
    l4
}

/// An IP packet. `tos`: DSCP and ECN.
pub(crate) fn ip(source: IpAddr, destination: IpAddr, protocol: u8, tos: u8, payload: &[u8]) -> Vec<u8> {
    ipv4_options(source, destination, protocol, tos, &[], payload)
}

/// The same, with options where it is IPv4.
pub(crate) fn ipv4_options(
    source: IpAddr,
    destination: IpAddr,
    protocol: u8,
    tos: u8,
    options: &[u8],
    payload: &[u8],
) -> Vec<u8> {
    let mut header = if source.is_ipv4() {
        let ihl = 5 + options.len() / 4;
        let [high, low] = ((ihl * 4 + payload.len()) as u16).to_be_bytes();
        vec![0x40 | ihl as u8, tos, high, low, 0, 0, 0x40, 0, 64, protocol, 0, 0]
    } else {
        let [high, low] = (payload.len() as u16).to_be_bytes();
        vec![0x60 | tos >> 4, tos << 4, 0, 0, high, low, protocol, 64]
    };
    header.extend(octets(source));
    header.extend(octets(destination));
    if source.is_ipv4() {
        header.extend(options);
        let sum = checksum(0, &header).to_be_bytes();
        header[10..12].copy_from_slice(&sum);
    }
    [header, payload.to_vec()].concat()
}

pub(crate) fn tcp(from: SocketAddr, to: SocketAddr, flags: u8) -> Vec<u8> {
    let mut l4 = [from.port().to_be_bytes(), to.port().to_be_bytes()].concat();
    l4.extend([0, 0, 0, 1, 0, 0, 0, 1, 0x50, flags, 0xff, 0xff, 0, 0, 0, 0]);
    ip(from.ip(), to.ip(), TCP, 0, &seal(l4, 16, from.ip(), to.ip(), TCP))
}

pub(crate) fn udp_tos(from: SocketAddr, to: SocketAddr, tos: u8, payload: &[u8]) -> Vec<u8> {
    ip(from.ip(), to.ip(), UDP, tos, &udp_datagram(from, to, payload))
}

pub(crate) fn udp(from: SocketAddr, to: SocketAddr, payload: &[u8]) -> Vec<u8> {
    udp_tos(from, to, 0, payload)
}

pub(crate) fn udp_datagram(from: SocketAddr, to: SocketAddr, payload: &[u8]) -> Vec<u8> {
    let mut l4 = [from.port(), to.port(), (8 + payload.len()) as u16, 0].map(u16::to_be_bytes).concat();
    l4.extend(payload);
    seal(l4, 6, from.ip(), to.ip(), UDP)
}

pub(crate) fn icmp(from: IpAddr, to: IpAddr, kind: u8, rest: [u8; 4], payload: &[u8]) -> Vec<u8> {
    let message = [&[kind, 0, 0, 0], &rest[..], payload].concat();
    if from.is_ipv4() {
        let mut message = message;
        let sum = checksum(0, &message).to_be_bytes();
        message[2..4].copy_from_slice(&sum);
        return ip(from, to, 1, 0, &message);
    }
    ip(from, to, 58, 0, &seal(message, 2, from, to, 58))
}

/// Destination unreachable about `quote`, from a router on its way.
pub(crate) fn unreachable(router: IpAddr, to: IpAddr, quote: &[u8]) -> Vec<u8> {
    icmp(router, to, if router.is_ipv4() { 3 } else { 1 }, [0; 4], quote)
}

/// Echo request or reply.
pub(crate) fn echo(from: IpAddr, to: IpAddr, is_reply: bool, identifier: u16) -> Vec<u8> {
    let kind = match (from.is_ipv4(), is_reply) {
        (true, true) => 0,
        (true, false) => 8,
        (false, true) => 129,
        (false, false) => 128,
    };
    let [high, low] = identifier.to_be_bytes();
    icmp(from, to, kind, [high, low, 0, 1], b"payload")
}

/// Cuts an IP packet in two, the first with `first` bytes of payload, a multiple of 8.
pub(crate) fn fragments(packet: &[u8], id: u16, first: usize) -> [Vec<u8>; 2] {
    let is_ipv4 = packet[0] >> 4 == 4;
    let header = if is_ipv4 { 20 } else { 40 };
    let piece = |from: usize, to: usize| {
        let (payload, more) = (&packet[header + from..header + to], u16::from(header + to < packet.len()));
        let mut piece = packet[..header].to_vec();
        if is_ipv4 {
            piece[2..4].copy_from_slice(&((header + payload.len()) as u16).to_be_bytes());
            piece[4..6].copy_from_slice(&id.to_be_bytes());
            piece[6..8].copy_from_slice(&((from / 8) as u16 | more << 13).to_be_bytes());
            piece[10..12].fill(0);
            let sum = checksum(0, &piece).to_be_bytes();
            piece[10..12].copy_from_slice(&sum);
        } else {
            piece[4..6].copy_from_slice(&((8 + payload.len()) as u16).to_be_bytes());
            let [high, low] = (from as u16 | more).to_be_bytes();
            let [id_high, id_low] = id.to_be_bytes();
            let next = std::mem::replace(&mut piece[6], 44);
            piece.extend([next, 0, high, low, 0, 0, id_high, id_low]);
        }
        [&piece, payload].concat()
    };
    [piece(0, first), piece(first, packet.len() - header)]
}

/// What a forwarder, or another server, puts around a packet.
#[derive(Clone)]
pub(crate) struct Gue {
    pub(crate) from: IpAddr,
    pub(crate) to: IpAddr,
    pub(crate) port: u16,
    pub(crate) tos: u8,
    pub(crate) options: Vec<u8>,
    /// Private data: whole words.
    pub(crate) words: Vec<u8>,
    pub(crate) has_checksum: bool,
}

/// Where the frames of tests come from and go to.
pub(crate) const MACS: [u8; 12] = [2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 9];
pub(crate) const SOURCE_PORT: u16 = 0xc123;

impl Gue {
    pub(crate) fn new(from: IpAddr, to: IpAddr) -> Self {
        Self { from, to, port: 6080, tos: 0, options: Vec::new(), words: Vec::new(), has_checksum: false }
    }

    /// With the previous owner that a forwarder names, and the index of the next hop.
    pub(crate) fn hop(mut self, previous: Ipv4Addr, next: u8) -> Self {
        self.words = [&[0, 0, next, 1], &previous.octets()[..]].concat();
        self
    }

    pub(crate) fn wrap(&self, inner: &[u8]) -> Vec<u8> {
        self.frame(&self.datagram(inner))
    }

    /// UDP, GUE and the packet.
    pub(crate) fn datagram(&self, inner: &[u8]) -> Vec<u8> {
        let protocol = if inner[0] >> 4 == 4 { 4 } else { 41 };
        let len = 8 + 4 + self.words.len() + inner.len();
        let mut udp = [SOURCE_PORT, self.port, len as u16, 0].map(u16::to_be_bytes).concat();
        udp.extend([(self.words.len() / 4) as u8, protocol, 0, 0]);
        udp.extend(&self.words);
        udp.extend(inner);
        if self.has_checksum { seal(udp, 6, self.from, self.to, UDP) } else { udp }
    }

    pub(crate) fn frame(&self, datagram: &[u8]) -> Vec<u8> {
        ethernet(&ipv4_options(self.from, self.to, UDP, self.tos, &self.options, datagram))
    }
}

/// In a frame of the tests.
pub(crate) fn ethernet(packet: &[u8]) -> Vec<u8> {
    let kind: [u8; 2] = if packet[0] >> 4 == 4 { [8, 0] } else { [0x86, 0xdd] };
    [&MACS[..], &kind, packet].concat()
}

pub(crate) fn v6(text: &str) -> IpAddr {
    IpAddr::V6(text.parse::<Ipv6Addr>().unwrap())
}
