// SPDX-License-Identifier: MIT OR Apache-2.0
//! A packet of which perhaps only the beginning is there, as an ICMP error quotes it.

use super::packet::Addresses;
use super::upper::MAX_EXTENSIONS;
use crate::wire::ipv6::Extension;
use crate::wire::{ipv4, ipv6, protocol};

/// The headers of a packet. Its lengths, checksum and TTL are not judged: a quote is cut where it pleases the router, and
/// the rest has changed on the way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Excerpt<'a> {
    /// From where to where.
    pub(super) addresses: Addresses,
    /// The protocol, behind the extension headers that could be walked.
    pub(super) protocol: u8,
    /// Whether it is a fragment other than the first, in which no upper header starts.
    pub(super) is_later_fragment: bool,
    /// The bytes behind IP, options and extension headers; to the end of the excerpt.
    pub(super) payload: &'a [u8],
}

impl<'a> Excerpt<'a> {
    /// Reads the packet that `bytes` begin with; `None` if its headers make no sense or are cut.
    pub(super) fn read(bytes: &'a [u8]) -> Option<Self> {
        match bytes.first()? >> 4 {
            4 => Self::read_v4(bytes),
            6 => Self::read_v6(bytes),
            _ => None,
        }
    }

    /// Whether the payload is ICMP of the packet's own IP version.
    pub(super) fn is_icmp(&self) -> bool {
        match self.addresses {
            Addresses::V4(..) => self.protocol == protocol::ICMP,
            Addresses::V6(..) => self.protocol == protocol::ICMPV6,
        }
    }

    fn read_v4(bytes: &'a [u8]) -> Option<Self> {
        let (header, _) = ipv4::Header::split(bytes)?;
        let (_, payload) = header.split_options(bytes)?;
        Some(Self {
            addresses: Addresses::V4(header.source(), header.destination()),
            protocol: header.protocol(),
            is_later_fragment: header.fragment_offset() != 0,
            payload,
        })
    }

    fn read_v6(bytes: &'a [u8]) -> Option<Self> {
        let (header, payload) = ipv6::Header::split(bytes)?;
        let addresses = Addresses::V6(header.source(), header.destination());
        let mut excerpt = Self { addresses, protocol: header.next_header(), is_later_fragment: false, payload };
        for _ in 0..MAX_EXTENSIONS {
            if !Extension::is_extension(excerpt.protocol) || excerpt.is_later_fragment {
                break;
            }
            let extension = Extension::split(excerpt.protocol, excerpt.payload)?;
            (excerpt.protocol, excerpt.payload) = (extension.next_header, extension.rest);
            excerpt.is_later_fragment = extension.fragment_offset != 0;
        }
        Some(excerpt)
    }
}
