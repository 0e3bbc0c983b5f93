// SPDX-License-Identifier: MIT OR Apache-2.0
//! The forwarder that the tables are compiled for.

use std::net::{Ipv4Addr, Ipv6Addr};

use forwarder::settings::{Device, Dscp, Echo, FragmentLimits, Icmp, Settings, Underlay};
use forwarder::wire::MacAddr;
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
