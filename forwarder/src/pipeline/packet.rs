// SPDX-License-Identifier: MIT OR Apache-2.0
//! What classification learns of a packet: all that its bytes say, nothing that the table says.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::flow::Flow;
use super::upper::Upper;
use crate::counters::DropReason;
use crate::wire::{ethernet, protocol};

/// An IP packet inside a frame, its lengths checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Packet {
    /// From where to where.
    pub addresses: Addresses,
    /// Where in the frame the IP header starts. Fits: tags, outer IP and its at most eight extension headers, UDP and GUE
    /// are less.
    pub offset: u16,
    /// Bytes of the packet, without what the link padded.
    pub len: usize,
    /// DSCP and ECN to show outside: the packet's own, with the congestion that an outer header told of.
    pub traffic_class: u8,
    /// Whether it must travel in one piece: DF, or IPv6.
    pub dont_fragment: bool,
    /// What is above IP.
    pub upper: Upper,
    /// Why it is dropped if its destination is in the table: a martian source or bad options.
    pub fault: Option<DropReason>,
    /// Who sent it here.
    pub origin: Origin,
}

/// Who sent a packet here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// Whoever the Internet brings.
    Wire,
    /// A forwarder, in GUE.
    Peer {
        /// Hops between data centres that the packet has made.
        hops: u8,
    },
}

impl Origin {
    /// What becomes of a packet from there that is not for the dataplane: the kernel gets what the Internet brings, while
    /// a peer's has no business here.
    #[inline]
    pub fn not_ours(self) -> NotForwarded {
        match self {
            Self::Wire => NotForwarded::Kernel,
            Self::Peer { .. } => NotForwarded::Drop(DropReason::GueNotOurs),
        }
    }

    /// Hops between data centres so far.
    #[inline]
    pub fn hops(self) -> u8 {
        match self {
            Self::Wire => 0,
            Self::Peer { hops } => hops,
        }
    }
}

impl Packet {
    /// What its flow hash is taken over, unless an ICMP error tells of another flow.
    #[inline]
    pub(super) fn flow(&self) -> Flow {
        Flow { addresses: self.addresses, protocol: self.upper.protocol, ports: self.upper.ports }
    }

    /// Its bytes, in the frame that holds it.
    #[inline]
    pub(super) fn bytes<'a>(&self, frame: &'a [u8]) -> Option<&'a [u8]> {
        frame.get(usize::from(self.offset)..)?.get(..self.len)
    }
}

/// Source, then destination.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Addresses {
    /// Of an IPv4 packet.
    V4(Ipv4Addr, Ipv4Addr),
    /// Of an IPv6 packet.
    V6(Ipv6Addr, Ipv6Addr),
}

impl Addresses {
    /// The protocol number of the packet itself inside another.
    #[inline]
    pub fn protocol(self) -> u8 {
        match self {
            Self::V4(..) => protocol::IPV4,
            Self::V6(..) => protocol::IPV6,
        }
    }

    /// The type of a frame that holds the packet itself.
    #[inline]
    pub fn ethertype(self) -> u16 {
        match self {
            Self::V4(..) => ethernet::IPV4,
            Self::V6(..) => ethernet::IPV6,
        }
    }

    /// Where the packet comes from.
    #[inline]
    pub fn source(self) -> IpAddr {
        match self {
            Self::V4(source, _) => source.into(),
            Self::V6(source, _) => source.into(),
        }
    }

    /// Where the packet wants to go.
    #[inline]
    pub fn destination(self) -> IpAddr {
        match self {
            Self::V4(_, destination) => destination.into(),
            Self::V6(_, destination) => destination.into(),
        }
    }

    /// Those of an answer.
    #[inline]
    pub fn turned_round(self) -> Self {
        match self {
            Self::V4(source, destination) => Self::V4(destination, source),
            Self::V6(source, destination) => Self::V6(destination, source),
        }
    }
}

/// What becomes of a packet that is not forwarded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotForwarded {
    /// It is for the kernel, the frame as received.
    Kernel,
    /// It is dropped.
    Drop(DropReason),
}

impl From<DropReason> for NotForwarded {
    fn from(reason: DropReason) -> Self {
        Self::Drop(reason)
    }
}
