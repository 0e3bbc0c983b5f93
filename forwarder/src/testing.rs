// SPDX-License-Identifier: MIT OR Apache-2.0
//! A small network and packets for it, for the tests of what lies above the pipeline.

use std::net::Ipv4Addr;

use tables::Source;
use tables::table::Viewpoint;

use crate::io::offload::Offloads;
use crate::settings::{Device, Dscp, Echo, FragmentLimits, Icmp, Settings, Underlay};
use crate::state::ForwardingState;
use crate::wire::MacAddr;

/// Where [`OWNED_PORT`] of [`SLICED`] goes in [`table`].
pub(crate) const FIRST_OWNER: Ipv4Addr = Ipv4Addr::new(10, 0, 1, 1);
/// Where it goes after the move.
pub(crate) const SECOND_OWNER: Ipv4Addr = Ipv4Addr::new(10, 0, 1, 2);
/// A sliced address.
pub(crate) const SLICED: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 1);
/// An address in nobody's hands.
pub(crate) const UNASSIGNED: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 200);
/// An address outside the table.
pub(crate) const ELSEWHERE: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 1);
/// A port in the one slice that somebody owns.
pub(crate) const OWNED_PORT: u16 = 2_100;
/// A port in a slice that nobody owns.
pub(crate) const FREE_PORT: u16 = 100;

/// Ethernet, outer IPv4, UDP, GUE: what a forwarded frame has more than the packet in it.
pub(crate) const OUTER_LEN: usize = 14 + 20 + 8 + 4;

/// The table in which `owner` (`lhr-1` or `lhr-2`) has the second slice of [`SLICED`].
pub(crate) fn table(owner: &str) -> Source {
    let json = format!(
        r#"{{"version": 1,
            "datacenters": {{"LHR": {{"forwarders": ["10.0.0.1"]}}}},
            "servers": {{"lhr-1": {{"datacenter": "LHR", "address": "{FIRST_OWNER}"}},
                         "lhr-2": {{"datacenter": "LHR", "address": "{SECOND_OWNER}"}}}},
            "egress": [
                {{"prefix": "{SLICED}/32", "datacenter": "LHR", "slices": {{"ports": 2048, "owners": [null, "{owner}"]}}}},
                {{"prefix": "198.51.100.0/24", "unassigned": true}}]}}"#
    );
    Source::from_slice(json.as_bytes()).unwrap()
}

pub(crate) fn viewpoint() -> Viewpoint {
    Viewpoint { datacenter: "LHR".into(), ipv4: Some(Ipv4Addr::new(10, 0, 0, 1)), ipv6: None }
}

pub(crate) fn state(generation: u64, owner: &str, settings: &Settings) -> Box<ForwardingState> {
    Box::new(ForwardingState::build(&table(owner), generation, &viewpoint(), settings).unwrap())
}

/// Two devices: one with a next hop and a kernel path, one with neither.
pub(crate) fn settings() -> Settings {
    let device = |name: &str, next_hop, kernel_path| Device {
        name: name.into(),
        mtu: 1_600,
        mac: MacAddr([2, 0, 0, 0, 0, 1]),
        next_hop,
        vlan: None,
        kernel_path,
        gue: true,
        offloads: Offloads::default(),
    };
    Settings {
        underlay: Underlay { ipv4: viewpoint().ipv4, ipv6: None, gue_port: 6080 },
        flow_key: *b"0123456789abcdef",
        dscp: Dscp::Copy,
        icmp: Icmp { echo: Echo::Answer, rate: 1_000, source4: None, source6: None },
        devices: vec![device("wan0", Some(MacAddr([2, 0, 0, 0, 0, 2])), true), device("wan1", None, false)],
        fragments: FragmentLimits { contexts: 64, packets: 16, bytes: 16_384 },
        workers: 1,
        unknown_next_hop: None,
    }
}

/// A UDP packet from 192.0.2.1 port 53 in an Ethernet frame; the eight bytes of `id` are its payload.
pub(crate) fn udp(destination: Ipv4Addr, port: u16, id: u64) -> Vec<u8> {
    let mut frame = b"\x02\0\0\0\0\x01\x02\0\0\0\0\x09\x08\0".to_vec();
    let mut header = *b"\x45\0\0\x24\0\0\x40\0\x40\x11\0\0\xc0\0\x02\x01\0\0\0\0";
    header[16..].copy_from_slice(&destination.octets());
    let sum: u32 = header.chunks(2).map(|pair| u32::from(u16::from_be_bytes([pair[0], pair[1]]))).sum();
    header[10..12].copy_from_slice(&(!((sum & 0xffff) + (sum >> 16)) as u16).to_be_bytes());
    frame.extend(header);
    frame.extend(b"\0\x35");
    frame.extend(port.to_be_bytes());
    frame.extend(b"\0\x10\0\0");
    frame.extend(id.to_be_bytes());
    frame
}

/// An ARP request, which is the kernel's to answer.
pub(crate) fn arp() -> Vec<u8> {
    b"\xff\xff\xff\xff\xff\xff\x02\0\0\0\0\x09\x08\x06\0\x01\x08\0\x06\x04\0\x01\x02\0\0\0\0\x09\xc0\0\x02\x01\
      \0\0\0\0\0\0\x0a\0\0\x01"
        .to_vec()
}

/// Where a forwarded frame goes, and the id of the packet in it.
pub(crate) fn forwarded(frame: &[u8]) -> (Ipv4Addr, u64) {
    let to = <[u8; 4]>::try_from(&frame[30..34]).unwrap();
    (Ipv4Addr::from(to), u64::from_be_bytes(*frame.last_chunk().unwrap()))
}
