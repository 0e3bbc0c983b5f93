// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a fragment's own bytes say: which datagram it is of, where in it, and, of the first one, whose the datagram is.

use super::coverage::Run;
use super::key::Key;
use super::store::Span;
use crate::counters::DropReason;
use crate::pipeline::excerpt::Excerpt;
use crate::pipeline::icmp;
use crate::pipeline::packet::{Addresses, NotForwarded, Packet};
use crate::pipeline::upper::{MAX_EXTENSIONS, Selector};
use crate::wire::ipv6::Extension;
use crate::wire::{self, fragment, ipv4, ipv6, protocol};

/// What of an upper header must be in a first fragment: ports, and what tells an ICMP message's kind, are in these bytes.
const UPPER_LEN: usize = 8;

/// What a datagram needs to go to its owner. What is the kernel's is so from the wire only: who sent a fragment here is that
/// fragment's own affair, and not the first one's.
pub(super) type Fate = Result<Selector, NotForwarded>;

/// A fragment of a packet to a sliced address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Piece {
    /// Which datagram.
    pub(super) key: Key,
    /// Its bytes' place in the datagram; none if no datagram has such a place.
    pub(super) span: Option<Span>,
    /// What it is to the others.
    pub(super) role: Role,
}

/// What a fragment is to the others of its datagram.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    /// Nothing: its protocol has no ports, so that each fragment goes by itself.
    Portless,
    /// It comes first.
    First {
        /// Where its bytes end.
        end: u16,
        /// What picks the owner, if it can have one.
        fate: Fate,
    },
    /// It follows.
    Later,
}

impl Piece {
    /// Reads the fragment that `packet` has been found to be, of these bytes.
    pub(super) fn read(packet: &Packet, bytes: &[u8]) -> Option<Self> {
        match packet.addresses {
            Addresses::V4(..) => Self::read_v4(packet, bytes),
            Addresses::V6(..) => Self::read_v6(packet, bytes),
        }
    }

    fn read_v4(packet: &Packet, bytes: &[u8]) -> Option<Self> {
        let (header, _) = ipv4::Header::split(bytes)?;
        let (_, payload) = header.split_options(bytes)?;
        let protocol = header.protocol();
        let key = Key { addresses: packet.addresses, id: header.identification().into(), protocol };
        let is_portless = !protocol::has_ports(protocol) && protocol != protocol::ICMP;
        let (offset, len) = (header.fragment_offset(), payload.len());
        let role = if is_portless { Role::Portless } else { Role::of(offset, len, packet, bytes) };
        Some(Self { key, span: span(offset, len, header.more_fragments()), role })
    }

    /// The outermost header of a real fragment counts: that is what the receiver puts together first.
    fn read_v6(packet: &Packet, bytes: &[u8]) -> Option<Self> {
        let (header, mut payload) = ipv6::Header::split(bytes)?;
        let mut next = header.next_header();
        for _ in 0..MAX_EXTENSIONS {
            let extension = Extension::split(next, payload)?;
            if extension.is_fragment {
                break;
            }
            (next, payload) = (extension.next_header, extension.rest);
        }
        let (header, payload) = fragment::Header::split(payload)?;
        let next = header.next_header();
        let key = Key { addresses: packet.addresses, id: header.identification(), protocol: 0 };
        let is_portless = !protocol::has_ports(next) && next != protocol::ICMPV6 && !Extension::is_extension(next);
        let (offset, len) = (usize::from(header.offset()), payload.len());
        let role = if is_portless { Role::Portless } else { Role::of(offset, len, packet, bytes) };
        Some(Self { key, span: span(offset, len, header.more_fragments()), role })
    }
}

/// The place of `len` bytes at `offset`.
fn span(offset: usize, len: usize, more: bool) -> Option<Span> {
    let end = u16::try_from(offset + len).ok()?;
    let is_possible = !more || len.is_multiple_of(8);
    is_possible.then_some(Span { run: Run { start: offset as u16, end }, is_last: !more })
}

impl Role {
    /// Of a fragment of `len` bytes at `offset`.
    fn of(offset: usize, len: usize, packet: &Packet, bytes: &[u8]) -> Self {
        match offset {
            0 => Self::First { end: u16::try_from(len).unwrap_or(u16::MAX), fate: select(packet, bytes) },
            _ => Self::Later,
        }
    }
}

/// What picks the owner of the datagram that a packet of these bytes is the first fragment of.
fn select(packet: &Packet, bytes: &[u8]) -> Fate {
    let excerpt = Excerpt::read(bytes).ok_or(DropReason::Malformed)?;
    if excerpt.is_later_fragment {
        // A datagram cut up twice, and what is inside does not begin at its beginning.
        return Err(DropReason::FragmentMalformed.into());
    }
    if !protocol::has_ports(excerpt.protocol) && !excerpt.is_icmp() {
        return Ok(Selector::Portless);
    }
    let upper = excerpt.payload.first_chunk::<UPPER_LEN>().ok_or(DropReason::FragmentMalformed)?;
    match packet.addresses {
        _ if !excerpt.is_icmp() => Ok(Selector::Port(u16::from_be_bytes([upper[2], upper[3]]))),
        Addresses::V6(..) if wire::icmp::v6::NEIGHBOUR_DISCOVERY.contains(&upper[0]) => Err(NotForwarded::Kernel),
        addresses => Ok(icmp::select(excerpt.payload, addresses.destination())?),
    }
}
