// SPDX-License-Identifier: MIT OR Apache-2.0
//! From the bytes of a frame to what is known without the table, in the order of checks that the contract fixes
//! (section 8): link, IP lengths and checksum, addresses that are the kernel's.

use tables::Table;

use super::address::{is_for_kernel, is_link_local, is_martian};
use super::packet::{Addresses, NotForwarded, Origin, Packet};
use super::upper::Upper;
use super::{options, peer};
use crate::counters::DropReason;
use crate::settings::Underlay;
use crate::wire::{ethernet, ipv4, ipv6};

/// VLAN tags that are looked through.
const MAX_TAGS: usize = 2;

const MALFORMED: NotForwarded = NotForwarded::Drop(DropReason::Malformed);

/// What a frame is seen by.
#[derive(Debug, Clone, Copy)]
pub struct Receiver<'a> {
    /// The forwarder's own addresses and GUE port.
    pub own: &'a Underlay,
    /// Whose forwarders GUE is taken from; nobody's on a device that takes none.
    pub peers: Option<&'a Table>,
}

/// The packet in a frame that came from the wire, or inside GUE that came from a peer, if it is one to look up.
#[inline(never)]
pub fn frame(frame: &[u8], receiver: Receiver<'_>) -> Result<Packet, NotForwarded> {
    let (header, mut rest) = ethernet::Header::split(frame).ok_or(MALFORMED)?;
    let mut ethertype = header.ethertype();
    let mut offset = ethernet::HEADER_LEN;
    for _ in 0..MAX_TAGS {
        if !ethernet::is_tag(ethertype) {
            break;
        }
        let (tag, inner) = ethernet::Tag::split(rest).ok_or(MALFORMED)?;
        (ethertype, rest) = (tag.ethertype(), inner);
        offset += ethernet::TAG_LEN;
    }
    if header.destination().is_group() {
        return Err(NotForwarded::Kernel);
    }
    match ethertype {
        ethernet::IPV4 => packet_v4(rest, offset, receiver, Origin::Wire),
        ethernet::IPV6 => packet_v6(rest, offset, receiver, Origin::Wire),
        _ => Err(NotForwarded::Kernel),
    }
}

/// The IPv4 packet at the front of `bytes`, which start at `offset` of their frame.
#[inline]
pub(super) fn packet_v4(
    bytes: &[u8],
    offset: usize,
    receiver: Receiver<'_>,
    origin: Origin,
) -> Result<Packet, NotForwarded> {
    let (header, _) = ipv4::Header::split(bytes).ok_or(MALFORMED)?;
    let len = header.total_len();
    let packet = bytes.get(..len).ok_or(MALFORMED)?;
    let (options, payload) = header.split_options(packet).ok_or(MALFORMED)?;
    if header.version() != 4 || !header.is_checksum_right(options) || header.ttl() == 0 {
        return Err(MALFORMED);
    }
    let (source, destination) = (header.source(), header.destination());
    if is_link_local(source.into()) || is_for_kernel(destination.into(), receiver.own) {
        return peer::packet_in_v4(header, payload, offset + len, receiver, origin);
    }
    Ok(Packet {
        addresses: Addresses::V4(source, destination),
        offset: offset as u16,
        len,
        traffic_class: header.traffic_class(),
        dont_fragment: header.dont_fragment(),
        upper: Upper::of_ipv4(header.protocol(), header.is_fragment(), payload),
        fault: if is_martian(source.into()) { Some(DropReason::MartianSource) } else { options::fault(options) },
        origin,
    })
}

/// The IPv6 packet at the front of `bytes`, which start at `offset` of their frame.
#[inline]
pub(super) fn packet_v6(
    bytes: &[u8],
    offset: usize,
    receiver: Receiver<'_>,
    origin: Origin,
) -> Result<Packet, NotForwarded> {
    let (header, rest) = ipv6::Header::split(bytes).ok_or(MALFORMED)?;
    let payload = rest.get(..header.payload_len()).ok_or(MALFORMED)?;
    if header.version() != 6 || header.hop_limit() == 0 {
        return Err(MALFORMED);
    }
    let (source, destination) = (header.source(), header.destination());
    let len = ipv6::HEADER_LEN + payload.len();
    if is_link_local(source.into()) || is_for_kernel(destination.into(), receiver.own) {
        return peer::packet_in_v6(header, payload, offset + len, receiver, origin);
    }
    Ok(Packet {
        addresses: Addresses::V6(source, destination),
        offset: offset as u16,
        len,
        traffic_class: header.traffic_class(),
        dont_fragment: true,
        upper: Upper::of_ipv6(header.next_header(), payload)?,
        fault: is_martian(source.into()).then_some(DropReason::MartianSource),
        origin,
    })
}
