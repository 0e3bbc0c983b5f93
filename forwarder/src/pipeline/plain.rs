// SPDX-License-Identifier: MIT OR Apache-2.0
//! The packets that nearly all are: TCP or UDP in one piece, from the wire, without tags, options or extension headers, sound, and
//! not the kernel's. They are read at one go, and only what their way depends on is written down.
//!
//! Nothing is decided here that [`super::classify`] does not decide for any packet: what it would say otherwise, or what
//! this module is not sure of, is not plain. A test holds both against each other.

use std::net::IpAddr;

use super::address::{is_for_kernel, is_link_local, is_martian};
use super::flow::{message_v4, message_v6};
use super::lookup::Lookup;
use crate::settings::Underlay;
use crate::wire::{ethernet, ipv4, ipv6, protocol};

/// Bytes of both ports.
const PORTS_LEN: usize = 4;

/// A plain packet, as far as its way depends on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Plain {
    /// Bytes of the packet, without what the link padded.
    pub(super) len: u16,
    /// DSCP and ECN.
    pub(super) traffic_class: u8,
    /// Whether it is an IPv6 packet.
    pub(super) is_v6: bool,
}

impl Plain {
    /// In the place of a packet that is not plain.
    pub(super) const NONE: Self = Self { len: 0, traffic_class: 0, is_v6: false };

    /// Whether there is a plain packet.
    #[inline(always)]
    pub(super) fn is_some(self) -> bool {
        self.len != 0
    }

    /// The plain packet in a frame, to be looked up by `lookup`.
    #[inline(always)]
    pub(super) fn read(frame: &[u8], own: &Underlay, lookup: &mut Lookup) -> Option<Self> {
        let (header, bytes) = ethernet::Header::split(frame)?;
        match header.ethertype() {
            _ if header.destination().is_group() => None,
            ethernet::IPV4 => Self::read_v4(bytes, own, lookup),
            ethernet::IPV6 => Self::read_v6(bytes, own, lookup),
            _ => None,
        }
    }

    #[inline(always)]
    fn read_v4(bytes: &[u8], own: &Underlay, lookup: &mut Lookup) -> Option<Self> {
        const LEN: usize = ipv4::HEADER_LEN + PORTS_LEN;
        let start: &[u8; LEN] = bytes.first_chunk()?;
        let (header, ports) = ipv4::Header::split(start)?;
        let (len, protocol) = (header.total_len(), header.protocol());
        let is_plain = header.is_without_options()
            && !header.is_fragment()
            && has_ports(protocol)
            && (LEN..=bytes.len()).contains(&len)
            && header.ttl() != 0
            && header.is_checksum_right(&[]);
        let (source, destination) = (header.source(), header.destination());
        if !is_plain || !is_regular(source.into(), destination.into(), own) {
            return None;
        }
        lookup.push_v4(message_v4(source, destination, protocol, ports.first_chunk().copied()));
        Some(Self { len: len as u16, traffic_class: header.traffic_class(), is_v6: false })
    }

    #[inline(always)]
    fn read_v6(bytes: &[u8], own: &Underlay, lookup: &mut Lookup) -> Option<Self> {
        const LEN: usize = ipv6::HEADER_LEN + PORTS_LEN;
        let start: &[u8; LEN] = bytes.first_chunk()?;
        let (header, ports) = ipv6::Header::split(start)?;
        let (len, protocol) = (ipv6::HEADER_LEN + header.payload_len(), header.next_header());
        let is_plain = header.version() == 6
            && has_ports(protocol)
            && (LEN..=bytes.len().min(u16::MAX.into())).contains(&len)
            && header.hop_limit() != 0;
        let (source, destination) = (header.source(), header.destination());
        if !is_plain || !is_regular(source.into(), destination.into(), own) {
            return None;
        }
        lookup.push_v6(message_v6(source, destination, protocol, ports.first_chunk().copied()));
        Some(Self { len: len as u16, traffic_class: header.traffic_class(), is_v6: true })
    }
}

/// Fewer protocols than [`protocol::has_ports`]: those that nearly all packets have.
#[inline(always)]
fn has_ports(protocol: u8) -> bool {
    matches!(protocol, protocol::TCP | protocol::UDP)
}

#[inline(always)]
fn is_regular(source: IpAddr, destination: IpAddr, own: &Underlay) -> bool {
    !is_martian(source) && !is_link_local(source) && !is_for_kernel(destination, own)
}
