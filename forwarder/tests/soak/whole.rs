// SPDX-License-Identifier: MIT OR Apache-2.0
//! Packets that are no fragments: the traffic between which the fragments come.

use super::bytes::{
    DONT_FRAGMENT, SHARED_V4, SOURCE_V4, UNASSIGNED, arp, frame, icmp, packet_v4, packet_v6, with_ports,
};

/// A frame that comes again and again, of other flows each time.
pub(crate) struct Template {
    pub(crate) frame: Vec<u8>,
    /// Where its source port is, if no checksum is over it.
    pub(crate) source_port: Option<usize>,
    /// How many of a thousand packets are such.
    pub(crate) share: u64,
    /// What is counted for each, beside `rx`.
    pub(crate) counted: &'static [(&'static str, u64)],
}

const SENT: &[(&str, u64)] = &[("tx", 1)];

/// Behind Ethernet and IPv4; and IPv6.
const PORTS_V4: usize = 14 + 20;
const PORTS_V6: usize = 14 + 40;

/// All of them; their shares are a thousand.
pub(crate) fn templates() -> Vec<Template> {
    let v4 = |to, protocol, payload: &[u8]| frame(&packet_v4(to, protocol, 0, DONT_FRAGMENT, payload));
    let v6 = |next, payload: &[u8]| frame(&packet_v6(next, payload));
    let quoted = packet_v4(SOURCE_V4, 17, 0, DONT_FRAGMENT, &[0x10, 0x92, 0, 53, 0, 8, 0, 0]);
    let quote = [&quoted[..12], &SHARED_V4, &SOURCE_V4, &quoted[20..]].concat();
    let all = [
        (v4(SHARED_V4, 6, &with_ports(2_100, 20)), Some(PORTS_V4), 300, SENT),
        (v4(SHARED_V4, 6, &with_ports(4_242, 1_400)), Some(PORTS_V4), 5, SENT),
        (v4(SHARED_V4, 17, &with_ports(4_200, 60)), Some(PORTS_V4), 250, SENT),
        (v6(6, &with_ports(2_100, 20)), Some(PORTS_V6), 200, SENT),
        (v6(17, &with_ports(4_200, 60)), Some(PORTS_V6), 120, SENT),
        // The one behind a destination option.
        (v6(60, &[&[17, 0, 1, 4, 0, 0, 0, 0], &with_ports(4_200, 60)[..]].concat()), Some(PORTS_V6 + 8), 10, SENT),
        // Echo replies, and echo requests, which are answered: fewer than the thousand a second that may be.
        (v4(SHARED_V4, 1, &icmp(0, [0x10, 0x92, 0, 1], &[])), None, 20, SENT),
        (v6(58, &icmp(129, [0x10, 0x92, 0, 1], &[])), None, 10, SENT),
        (v4(SHARED_V4, 1, &icmp(8, [0, 1, 0, 1], b"echo")), None, 20, SENT),
        (v4(SHARED_V4, 1, &icmp(3, [0; 4], &quote)), None, 15, SENT),
        (v4(SHARED_V4, 17, &with_ports(100, 60)), Some(PORTS_V4), 15, &[("unallocated_port", 1)]),
        (v6(6, &with_ports(2_047, 20)), Some(PORTS_V6), 10, &[("unallocated_port", 1)]),
        (v4(SHARED_V4, 47, &[0; 40]), None, 5, &[("no_port", 1)]),
        (v4(UNASSIGNED, 17, &with_ports(4_200, 60)), Some(PORTS_V4), 10, &[("unassigned_address", 1)]),
        // Too big for the way: told of, or cut in two.
        (
            v4(SHARED_V4, 6, &with_ports(2_100, 1_600)),
            Some(PORTS_V4),
            1,
            &[("tx", 1), ("originated", 1), ("too_big", 1)],
        ),
        (
            frame(&packet_v4(SHARED_V4, 17, 0, 0, &with_ports(2_100, 1_600))),
            Some(PORTS_V4),
            4,
            &[("tx", 2), ("originated", 1)],
        ),
        (arp(), None, 5, &[("exception", 1)]),
    ];
    all.map(|(frame, source_port, share, counted)| Template { frame, source_port, share, counted }).into()
}
