// SPDX-License-Identifier: MIT OR Apache-2.0
//! The forwarder that the tables are compiled for.

use std::net::{Ipv4Addr, Ipv6Addr};

use forwarder::hops::{Link, NextHops, Usable, Way};
use forwarder::io::DeviceIndex;
use forwarder::io::offload::Offloads;
use forwarder::settings::{Device, Dscp, Echo, FragmentLimits, Icmp, Settings, Underlay};
use forwarder::state::ForwardingState;
use forwarder::wire::MacAddr;
use forwarder::wire::ethernet::Template;
use tables::table::Viewpoint;

/// Its IPv4 address.
pub const OWN4: Ipv4Addr = Ipv4Addr::new(10, 1, 0, 1);
/// Its IPv6 address, in no egress network.
pub const OWN6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0xfffe, 0, 0, 0, 0, 1);

/// As many as a benchmark runs on any machine of ours.
const MOST_WORKERS: usize = 64;

/// From where the tables are seen.
pub fn viewpoint() -> Viewpoint {
    Viewpoint { datacenter: "LHR".into(), ipv4: Some(OWN4), ipv6: Some(OWN6) }
}

/// One device, by which everything comes and goes.
pub fn settings(mac: MacAddr) -> Settings {
    let device = Device {
        name: "wan0".into(),
        mtu: 1600,
        mac,
        next_hop: Some(MacAddr([2, 0, 0, 0, 0, 2])),
        vlan: None,
        kernel_path: false,
        gue: true,
        offloads: Offloads::default(),
    };
    Settings {
        underlay: Underlay { ipv4: Some(OWN4), ipv6: Some(OWN6), gue_port: 6080 },
        flow_key: *b"benchmark's key.",
        dscp: Dscp::Copy,
        icmp: Icmp { echo: Echo::Answer, rate: 1000, source4: None, source6: None },
        devices: vec![device],
        fragments: FragmentLimits::default(),
        workers: MOST_WORKERS,
        unknown_next_hop: None,
    }
}

/// So many links share what goes to one address.
const SHARE: u16 = 4;

/// Next hops as the kernel's routes would give them: by `links` neighbours, every address by four of them, or by all that there are.
pub fn hops(state: &ForwardingState, settings: &Settings, links: u16) -> NextHops {
    let header = |link: u16| {
        let [high, low] = link.to_be_bytes();
        let own = settings.devices.first().map(|device| device.mac).unwrap_or_default();
        Template::new(MacAddr([2, 0, 0, 1, high, low]), own, None)
    };
    let count = links.clamp(1, SHARE);
    let way = |address: usize| {
        let first = address * usize::from(count) % usize::from(links - links % count).max(1);
        Way { first: u32::try_from(first).unwrap_or_default(), count, mtu: 1600 }
    };
    let usable = |remote: usize, forwarders: usize| {
        let forwarders = 0..u16::try_from(forwarders).unwrap_or(u16::MAX);
        forwarders.map(|forwarder| Usable { forwarder, way: way(remote + usize::from(forwarder)) }).collect()
    };
    let remotes = state.table.remotes().iter().enumerate();
    NextHops {
        links: (0..links).map(|link| Link { device: DeviceIndex(0), header: header(link) }).collect(),
        servers: (0..state.table.targets().len()).map(way).collect(),
        datacenters: remotes.map(|(number, remote)| usable(number, remote.forwarders.len())).collect(),
        ..NextHops::default()
    }
}
