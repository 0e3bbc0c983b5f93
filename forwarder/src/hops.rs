// SPDX-License-Identifier: MIT OR Apache-2.0
//! Where frames go next, by the kernel's routes and neighbours: what control has found out, made for the datapath. Part of
//! what is published, so that a packet is decided by one table and the next hops that were found for it.

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;

use crate::io::DeviceIndex;
use crate::wire::ethernet::Template;

/// The next hops of one table.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct NextHops {
    /// What [`Way`]s are made of.
    pub links: Box<[Link]>,
    /// Toward each server, by `TargetId`.
    pub servers: Box<[Way]>,
    /// By `RemoteId` the forwarders that can be reached, in the order of the table.
    pub datacenters: Box<[Box<[Usable]>]>,
    /// Toward the Internet, over IPv4 and IPv6: by the default routes.
    pub internet: [Way; 2],
    /// Why there is no way to an address.
    pub unresolved: BTreeMap<IpAddr, Unresolved>,
}

/// A neighbour to send to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Link {
    /// By which device.
    pub device: DeviceIndex,
    /// Behind which header.
    pub header: Template,
}

/// Links that share what goes to one address; none if it can't be reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Way {
    /// The first of [`NextHops::links`].
    pub first: u32,
    /// How many there are.
    pub count: u16,
    /// Largest outer IP packet, in bytes.
    pub mtu: u16,
}

/// A forwarder that can be reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Usable {
    /// Which one of its data centre's, by the order of the table.
    pub forwarder: u16,
    /// How.
    pub way: Way,
}

/// Why an address can't be reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unresolved {
    /// No route leads there.
    NoRoute,
    /// The best route is a blackhole or the like.
    Refused,
    /// Only the default route leads there, which does not count for a forwarder.
    DefaultRoute,
    /// The route leaves by an interface that is no device's.
    OtherInterface(String),
    /// The interface is down.
    LinkDown(String),
    /// Nobody has said yet who has this address, or nobody does any more.
    Neighbour {
        /// The gateway, or the address itself.
        address: IpAddr,
        /// Where it should be.
        interface: String,
    },
}

impl Way {
    /// Which of the links the flow hash `flow` chooses. By bits 34–49: headers show the lower ones, which routers behind us choose by,
    /// and the choice among forwarders is made by the highest.
    #[inline(always)]
    pub fn choose(self, flow: u64) -> usize {
        let choice = ((flow >> 34 & 0xffff) * u64::from(self.count)) >> 16;
        self.first as usize + choice as usize
    }

    /// Whether there is a link at all.
    #[inline(always)]
    pub fn is_open(self) -> bool {
        self.count > 0
    }
}

impl NextHops {
    /// The link of `way` that the flow hash `flow` chooses.
    #[inline(always)]
    pub fn link(&self, way: Way, flow: u64) -> Option<&Link> {
        if way.is_open() { self.links.get(way.choose(flow)) } else { None }
    }

    /// The link of what goes to the Internet by itself, over IPv4 or IPv6.
    pub fn internet_link(&self, is_v6: bool) -> Option<&Link> {
        let [v4, v6] = self.internet;
        self.link(if is_v6 { v6 } else { v4 }, 0)
    }

    /// All links of `way`.
    pub fn links(&self, way: Way) -> &[Link] {
        let first = way.first as usize;
        self.links.get(first..first + usize::from(way.count)).unwrap_or_default()
    }
}

impl fmt::Display for Unresolved {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoRoute => f.write_str("no route leads there"),
            Self::Refused => f.write_str("its route refuses packets"),
            Self::DefaultRoute => {
                f.write_str("only the default route leads there; its forwarder announces no route of its own")
            }
            Self::OtherInterface(name) => {
                write!(f, "its route leaves by {name}, which is no device's kernel interface")
            }
            Self::LinkDown(name) => write!(f, "its route leaves by {name}, which is down"),
            Self::Neighbour { address, interface } => write!(f, "nobody at {interface} answers for {address}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_share_whatever_the_choice_among_forwarders_was() {
        // A data centre's forwarders are chosen by the highest bits; those that leave to one of them must still share.
        let way = Way { first: 7, count: 3, mtu: 1500 };
        let mut flow = 0x9e37_79b9_7f4a_7c15_u64;
        let mut chosen = [[0_u32; 3]; 4];
        for _ in 0..40_000 {
            flow = flow.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(0x1405_7b7e_f767_814f);
            let mixed = (flow ^ flow >> 29).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            let mixed = mixed ^ mixed >> 32;
            chosen[(((mixed >> 32) * 4) >> 32) as usize][way.choose(mixed) - 7] += 1;
        }
        assert!(chosen.iter().flatten().all(|&count| (2_900..3_800).contains(&count)), "{chosen:?}");
    }

    #[test]
    fn every_flow_has_a_link_and_a_closed_way_none() {
        let way = Way { first: 1, count: 2, mtu: 1500 };
        assert_eq!([0, u64::MAX].map(|flow| way.choose(flow)), [1, 2]);
        let hops = NextHops::default();
        assert_eq!(hops.link(Way::default(), u64::MAX), None);
        assert_eq!(hops.link(way, 0), None, "and never one that is not there");
    }
}
