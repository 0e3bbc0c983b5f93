// SPDX-License-Identifier: MIT OR Apache-2.0
//! The return traffic: many flows from the Internet to every slice and prefix of the network, in sizes as they are
//! met there, and a little of what nobody asked for. The same at every run.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::network::{Network, Place, SLICE, UNDERLAY4};
use crate::packet::{self, Flow, Protocol, Random};
use crate::pcap;

/// Packets in the capture.
pub(crate) const PACKETS: usize = 8192;
/// Flows to each slice, or to each prefix that is one server's.
const FLOWS: usize = 16;
/// One packet in this many is noise.
const NOISE: u32 = 32;
/// Time between packets.
const GAP_MICROS: u32 = 10;

/// What must become of a packet.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Fate {
    /// It goes to these, in generation 1 and in generation 2.
    Forwarded {
        /// Index of its prefix.
        egress: usize,
        /// Destination port.
        port: u16,
        /// The owners.
        owners: [Place; 2],
    },
    /// It dies of this.
    Dropped(&'static str),
}

/// The capture that plays over and over.
pub(crate) struct Traffic {
    /// The pcap file.
    pub(crate) file: Vec<u8>,
    /// Where the records of the file end; the file header counts as the first of them.
    pub(crate) ends: Vec<usize>,
    /// What must become of each packet.
    pub(crate) fates: Vec<Fate>,
    /// Which packet it is, by its bytes from the IP header on; only those that go somewhere.
    pub(crate) by_content: HashMap<Vec<u8>, usize>,
    /// Different addresses on the Internet that packets come from.
    pub(crate) sources: usize,
}

impl Traffic {
    /// The traffic to `network`.
    pub(crate) fn new(network: &Network) -> Result<Self, String> {
        let mut random = Random(0x5eed_50f7_0c1a_57e5);
        let flows = flows(network, &mut random);
        let sources = flows.iter().map(|(_, flow)| flow.source).collect::<HashSet<_>>().len();
        let file = pcap::file_header();
        let mut traffic = Self { ends: vec![file.len()], file, fates: Vec::new(), by_content: HashMap::new(), sources };
        while traffic.fates.len() < PACKETS {
            if random.one_in(NOISE) {
                let (packet, reason) = noise(&mut random);
                traffic.push(&packet, Fate::Dropped(reason));
                continue;
            }
            let pick = random.next() as usize % flows.len().max(1);
            let (egress, flow) = flows.get(pick).ok_or("the network has no prefix to send to")?;
            let packet = packet::packet(flow, size(&mut random), &mut random);
            let port = flow.destination_port;
            let owners = network.owners(*egress, port).ok_or("a flow to a port that nobody owns")?;
            if traffic.by_content.insert(packet.clone(), traffic.fates.len()).is_some() {
                return Err("two packets of the capture are equal".into());
            }
            traffic.push(&packet, Fate::Forwarded { egress: *egress, port, owners });
        }
        Ok(traffic)
    }

    fn push(&mut self, packet: &[u8], fate: Fate) {
        let time = GAP_MICROS * self.fates.len() as u32;
        self.file.extend(pcap::record(time, &packet::frame(packet)));
        self.ends.push(self.file.len());
        self.fates.push(fate);
    }

    /// How often packet `index` is among the first `fed`.
    pub(crate) fn times(&self, index: usize, fed: u64) -> u64 {
        let whole = fed / PACKETS as u64;
        whole + u64::from((index as u64) < fed % PACKETS as u64)
    }

    /// The drops, by reason, that the first `fed` packets must bring.
    pub(crate) fn drops(&self, fed: u64) -> BTreeMap<&'static str, u64> {
        let mut drops = BTreeMap::new();
        for (index, fate) in self.fates.iter().enumerate() {
            if let Fate::Dropped(reason) = fate {
                *drops.entry(*reason).or_default() += self.times(index, fed);
            }
        }
        drops
    }

    /// Packets of the capture that go nowhere.
    pub(crate) fn noise(&self) -> usize {
        PACKETS - self.by_content.len()
    }
}

/// Flows to every range of ports, with the index of their prefix.
fn flows(network: &Network, random: &mut Random) -> Vec<(usize, Flow)> {
    let mut flows = Vec::new();
    for (index, egress) in network.egress().iter().enumerate() {
        for (low, high) in egress.ranges() {
            flows.extend((0..FLOWS).map(|_| {
                let protocol = if random.one_in(3) { Protocol::Udp } else { Protocol::Tcp };
                let source_port = if random.one_in(8) { random.between(1024, 65_535) } else { 443 };
                let (source, destination) = match egress.address {
                    IpAddr::V4(address) => (internet4(random).into(), address.into()),
                    IpAddr::V6(prefix) => (internet6(random).into(), host(prefix, random).into()),
                };
                (
                    index,
                    Flow { source, destination, protocol, source_port, destination_port: random.between(low, high) },
                )
            }));
        }
    }
    flows
}

/// An IPv4 address that plays an Internet host: 198.18.0.0/15, set aside for tests (RFC 2544).
fn internet4(random: &mut Random) -> Ipv4Addr {
    let [_, a, b, c] = random.next().to_be_bytes();
    Ipv4Addr::new(198, 18 | (a & 1), b, c)
}

/// The same for IPv6: 2001:2::/48 (RFC 5180).
fn internet6(random: &mut Random) -> Ipv6Addr {
    Ipv6Addr::from((0x2001_0002_u128 << 96) | (u128::from(random.next()) << 32) | u128::from(random.next()))
}

/// An address inside a /64.
fn host(prefix: Ipv6Addr, random: &mut Random) -> Ipv6Addr {
    Ipv6Addr::from(u128::from(prefix) | u128::from(random.next()))
}

/// An IP length from the simple Internet mix: seven small ones for four of medium size and one large.
fn size(random: &mut Random) -> usize {
    match random.next() % 12 {
        0..7 => 40,
        7..11 => 576,
        _ => 1500,
    }
}

/// A packet that goes nowhere, and why.
fn noise(random: &mut Random) -> (Vec<u8>, &'static str) {
    let source = internet4(random);
    let shared = Ipv4Addr::new(198, 51, 100, 1 + (random.next() % 4) as u8);
    let tcp = |source: Ipv4Addr, destination: Ipv4Addr, destination_port, random: &mut Random| {
        let (source, destination) = (source.into(), destination.into());
        let flow = Flow { source, destination, protocol: Protocol::Tcp, source_port: 443, destination_port };
        packet::packet(&flow, 40, random)
    };
    let port = random.between(SLICE, 65_535);
    match random.next() % 16 {
        // Scans of the well-known ports are most of what nobody asked for.
        0..8 => {
            let port = random.between(1, SLICE - 1);
            (tcp(source, shared, port, random), "unallocated_port")
        }
        8..11 => {
            let spare = Ipv4Addr::new(198, 51, 100, 128 | random.next() as u8);
            (tcp(source, spare, port, random), "unassigned_address")
        }
        11 => (tcp(Ipv4Addr::new(127, 0, 0, 1), shared, port, random), "martian_source"),
        12 => {
            let mut packet = tcp(source, shared, port, random);
            if let Some(checksum) = packet.get_mut(10) {
                *checksum ^= 0xff;
            }
            (packet, "malformed")
        }
        13 => (packet::ipv4(source, shared, 47, &[], &[0, 0, 8, 0], random), "no_port"),
        14 => {
            let [a, b, c, d] = UNDERLAY4.octets();
            let source_route = [131, 7, 4, a, b, c, d, 0];
            (packet::ipv4(source, shared, 6, &source_route, &[0; 20], random), "ip_options")
        }
        _ => (tcp(source, Ipv4Addr::new(203, 0, 113, 9), port, random), "no_kernel_path"),
    }
}
