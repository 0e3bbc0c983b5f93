// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a frame that leaves says of itself, for those who look at it afterwards: nothing here decides.

use std::net::IpAddr;

use crate::wire::outer::Private;
use crate::wire::{ethernet, gue, icmp, ipv4, ipv6, protocol, udp};

/// A frame that leaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Leaving<'a> {
    /// A packet in GUE.
    Gue(Tunnel<'a>),
    /// A reply to an echo request.
    EchoReply,
    /// Some other message of the forwarder's own: an ICMP error.
    Message,
}

/// A packet in GUE.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Tunnel<'a> {
    /// Outer source address.
    pub(crate) source: IpAddr,
    /// Outer destination address.
    pub(crate) destination: IpAddr,
    /// UDP source port: the low bits of the flow hash.
    pub(crate) source_port: u16,
    /// What is between the GUE base header and the packet.
    pub(crate) private: Private,
    /// Bytes of the outer headers, Ethernet excepted.
    pub(crate) overhead: usize,
    /// The packet inside, as much of it as there is.
    pub(crate) inner: &'a [u8],
}

impl<'a> Leaving<'a> {
    /// Reads a frame that the forwarder made, or the beginning of one. `None` if it is cut inside its headers.
    pub(crate) fn read(frame: &'a [u8], gue_port: u16) -> Option<Self> {
        let (header, mut bytes) = ethernet::Header::split(frame)?;
        let mut ethertype = header.ethertype();
        while ethernet::is_tag(ethertype) {
            let (tag, rest) = ethernet::Tag::split(bytes)?;
            (ethertype, bytes) = (tag.ethertype(), rest);
        }
        // Neither options nor extension headers: the forwarder writes none.
        let (source, destination, protocol, payload): (IpAddr, IpAddr, _, _) = match ethertype {
            ethernet::IPV4 => {
                let (header, payload) = ipv4::Header::split(bytes)?;
                (header.source().into(), header.destination().into(), header.protocol(), payload)
            }
            ethernet::IPV6 => {
                let (header, payload) = ipv6::Header::split(bytes)?;
                (header.source().into(), header.destination().into(), header.next_header(), payload)
            }
            _ => return Some(Self::Message),
        };
        if protocol == protocol::UDP && udp::destination_port(payload) == Some(gue_port) {
            let (_, datagram) = udp::Header::split(payload)?;
            let (header, inner) = gue::Header::split(datagram)?;
            let private = match header.private {
                [] => Private::None,
                [0, ..] => Private::PreviousOwner,
                _ => Private::Datacenter,
            };
            let source_port = u16::from_be_bytes(*payload.first_chunk()?);
            let overhead = bytes.len() - inner.len();
            return Some(Self::Gue(Tunnel { source, destination, source_port, private, overhead, inner }));
        }
        match (protocol, payload.first()?) {
            (protocol::ICMP, &icmp::v4::ECHO_REPLY) | (protocol::ICMPV6, &icmp::v6::ECHO_REPLY) => {
                Some(Self::EchoReply)
            }
            _ => Some(Self::Message),
        }
    }
}
