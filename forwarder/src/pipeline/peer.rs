// SPDX-License-Identifier: MIT OR Apache-2.0
//! GUE from other forwarders, to the own underlay address (contract sections 5 and 8, "GUE from peers"): whose it may be,
//! what of it must be right, and the packet inside, which is then looked up like one from the wire.

use std::net::IpAddr;

use super::address::is_link_local;
use super::classify::{self, Receiver};
use super::packet::{NotForwarded, Origin, Packet};
use super::upper::MAX_EXTENSIONS;
use crate::counters::DropReason;
use crate::wire::ipv6::Extension;
use crate::wire::{checksum, gue, ipv4, ipv6, protocol, udp};

/// The bits of a traffic class that tell of congestion; both set: congestion experienced (RFC 3168).
const ECN: u8 = 0b11;

/// The first bytes of a UDP datagram, and what its IP header says.
struct Outer<'a> {
    source: IpAddr,
    destination: IpAddr,
    traffic_class: u8,
    is_fragment: bool,
    datagram: &'a [u8],
    /// Where in the frame it ends.
    end: usize,
}

/// The packet inside an IPv4 packet that is not to be looked up itself, with `payload` behind its header and options. The
/// outer packet ends at `end` of the frame.
#[cold]
#[inline(never)]
pub(super) fn packet_in_v4(
    header: ipv4::Header<'_>,
    payload: &[u8],
    end: usize,
    receiver: Receiver<'_>,
    origin: Origin,
) -> Result<Packet, NotForwarded> {
    if header.protocol() != protocol::UDP || header.fragment_offset() != 0 {
        return Err(origin.not_ours());
    }
    let outer = Outer {
        source: header.source().into(),
        destination: header.destination().into(),
        traffic_class: header.traffic_class(),
        is_fragment: header.is_fragment(),
        datagram: payload,
        end,
    };
    outer.packet(receiver, origin)
}

/// The same inside an IPv6 packet.
#[cold]
#[inline(never)]
pub(super) fn packet_in_v6(
    header: ipv6::Header<'_>,
    payload: &[u8],
    end: usize,
    receiver: Receiver<'_>,
    origin: Origin,
) -> Result<Packet, NotForwarded> {
    let (mut protocol, mut payload, mut is_fragment) = (header.next_header(), payload, false);
    for _ in 0..MAX_EXTENSIONS {
        if !Extension::is_extension(protocol) {
            break;
        }
        let extension = Extension::split(protocol, payload).filter(|extension| extension.fragment_offset == 0);
        let Some(extension) = extension else { return Err(origin.not_ours()) };
        (protocol, payload) = (extension.next_header, extension.rest);
        is_fragment |= extension.is_fragment;
    }
    if protocol != protocol::UDP {
        return Err(origin.not_ours());
    }
    let outer = Outer {
        source: header.source().into(),
        destination: header.destination().into(),
        traffic_class: header.traffic_class(),
        is_fragment,
        datagram: payload,
        end,
    };
    outer.packet(receiver, origin)
}

impl Outer<'_> {
    /// The packet inside, if this is GUE from the wire to an own address.
    fn packet(&self, receiver: Receiver<'_>, origin: Origin) -> Result<Packet, NotForwarded> {
        let is_gue = origin == Origin::Wire
            && receiver.own.has(self.destination)
            && !is_link_local(self.source)
            && udp::destination_port(self.datagram) == Some(receiver.own.gue_port);
        if !is_gue {
            return Err(origin.not_ours());
        }
        if !receiver.peers.is_some_and(|table| table.is_forwarder(self.source)) {
            return Err(DropReason::GueUntrusted.into());
        }
        let (header, inner) = self.gue().ok_or(DropReason::GueMalformed)?;
        let congested = self.traffic_class & ECN == ECN;
        let is_sound = stated(header.protocol, inner).is_some_and(|(len, traffic_class)| {
            len <= inner.len() && !(congested && traffic_class & ECN == 0) // RFC 6040, section 4.2
        });
        if !is_sound {
            return Err(DropReason::GueMalformed.into());
        }

        let (offset, origin) = (self.end - inner.len(), Origin::Peer { hops: header.hops() });
        let packet = match header.protocol {
            protocol::IPV4 => classify::packet_v4(inner, offset, receiver, origin),
            _ => classify::packet_v6(inner, offset, receiver, origin),
        };
        match packet {
            Ok(packet) if congested => Ok(Packet { traffic_class: packet.traffic_class | ECN, ..packet }),
            Err(NotForwarded::Kernel) => Err(origin.not_ours()),
            packet => packet,
        }
    }

    /// The GUE header and what is behind it, if all in front of that is right.
    fn gue(&self) -> Option<(gue::Header<'_>, &[u8])> {
        let (header, payload) = udp::Header::split(self.datagram)?;
        let is_sound = !self.is_fragment
            && header.stated_len() == self.datagram.len()
            && (header.is_without_checksum() || self.is_checksum_right());
        if is_sound { gue::Header::split(payload) } else { None }
    }

    fn is_checksum_right(&self) -> bool {
        let Self { source, destination, datagram, .. } = *self;
        let pseudo = checksum::pseudo_header(source, destination, protocol::UDP, datagram.len());
        checksum::fold(pseudo + u64::from(checksum::sum(datagram))) == 0xffff
    }
}

/// Length and traffic class that the IP header of `protocol` at the front of `bytes` states; `None` if there is none.
fn stated(protocol: u8, bytes: &[u8]) -> Option<(usize, u8)> {
    match protocol {
        protocol::IPV4 => {
            let (header, _) = ipv4::Header::split(bytes)?;
            (header.version() == 4).then(|| (header.total_len(), header.traffic_class()))
        }
        protocol::IPV6 => {
            let (header, _) = ipv6::Header::split(bytes)?;
            (header.version() == 6).then(|| (ipv6::HEADER_LEN + header.payload_len(), header.traffic_class()))
        }
        _ => None,
    }
}
