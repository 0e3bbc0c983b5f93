// SPDX-License-Identifier: MIT OR Apache-2.0
//! From a received frame to one that leaves: its link header and padding go, the outer headers come in front. The packet
//! inside is not touched.

use super::exit::Exit;
use super::packet::Packet;
use super::plain::Plain;
use crate::counters::DropReason;
use crate::io::PacketBuf;
use crate::io::offload::{Offloads, Unfinished};
use crate::wire::outer::{Checksum, Inner, OuterHeaders, Private};
use crate::wire::{ethernet, protocol};

/// How frames leave behind a link header by a device that does something by itself.
#[derive(Debug, Clone, Copy)]
pub(super) struct Leave {
    /// The header as it is written.
    link: ethernet::Template,
    /// What is left to the device behind an IPv4 header, and behind an IPv6 header. A driver that puts tags in by software grows the
    /// frame, as its device would: what is received has more headroom than any headers take.
    rest: [Unfinished; 2],
}

impl Leave {
    #[inline(always)]
    pub(super) fn new(link: &ethernet::Template, offloads: Offloads) -> Self {
        let (link, tag) = if offloads.tag { (link.without_tag(), link.vlan()) } else { (*link, None) };
        let checksum = offloads.checksum.then_some(link.len() as u8);
        Self { link, rest: [Unfinished { checksum, tag }, Unfinished { checksum: None, tag }] }
    }

    #[inline(always)]
    fn rest(&self, headers: &OuterHeaders) -> Unfinished {
        let [v4, v6] = self.rest;
        if headers.is_v6() { v6 } else { v4 }
    }
}

/// Turns `frame`, which holds the packet `plain` without tags in front, into one that carries it behind all that `headers`
/// can have; how long that one is, or `None` if there is no room. The checksum of an IPv4 header may be left.
#[inline(always)]
pub(super) fn encapsulate_plain<B: PacketBuf>(
    frame: &mut B,
    plain: Plain,
    link: &ethernet::Template,
    headers: &OuterHeaders,
    traffic_class: u8,
    flow: u64,
    checksum: Checksum,
) -> Option<usize> {
    let len = usize::from(plain.len());
    let front = link.len() + headers.whole_len();
    let bytes = frame.replace_front(ethernet::HEADER_LEN, len, front)?;
    let protocol = if plain.is_v6() { protocol::IPV6 } else { protocol::IPV4 };
    let inner = Inner { len, protocol, traffic_class, flow, hops: 0 };
    // The version is asked for once.
    if headers.is_v6() {
        headers.write_whole_v6(link.write(bytes, ethernet::IPV6)?, inner)?;
    } else {
        headers.write_whole_v4(link.write(bytes, ethernet::IPV4)?, inner, checksum)?;
    }
    Some(front + len)
}

/// The same by a device that does something by itself; how long the frame is when it has done so.
#[inline(always)]
pub(super) fn leave_plain<B: PacketBuf>(
    frame: &mut B,
    plain: Plain,
    leave: &Leave,
    headers: &OuterHeaders,
    traffic_class: u8,
    flow: u64,
) -> Option<usize> {
    let rest = leave.rest(headers);
    let len = encapsulate_plain(frame, plain, &leave.link, headers, traffic_class, flow, rest.writer())?;
    if !rest.is_nothing() {
        frame.leave_unfinished(rest);
    }
    Some(len + rest.growth())
}

/// Turns `frame`, which holds `packet`, into one that carries it behind the headers of `exit`. `traffic_class` is what the outer
/// header shows, `flow` the packet's flow hash.
pub(super) fn encapsulate<B: PacketBuf>(
    frame: &mut B,
    packet: &Packet,
    exit: &Exit,
    traffic_class: u8,
    flow: u64,
) -> Result<(), DropReason> {
    let headers = &exit.headers;
    let private = fitting(packet, headers)?;
    let offloads = if B::CAN_BE_UNFINISHED { exit.offloads } else { Offloads::default() };
    let leave = Leave::new(&exit.link, offloads);
    let (link, rest) = (&leave.link, leave.rest(headers));
    let front = link.len() + headers.len(private);
    let bytes = frame.replace_front(packet.offset.into(), packet.len, front).ok_or(DropReason::NoHeadroom)?;
    let hops = packet.origin.hops();
    let inner = Inner { len: packet.len, protocol: packet.addresses.protocol(), traffic_class, flow, hops };
    link.write(bytes, headers.ethertype())
        .and_then(|bytes| headers.write(bytes, private, inner, rest.writer()))
        .ok_or(DropReason::NoHeadroom)?;
    if !rest.is_nothing() {
        frame.leave_unfinished(rest);
    }
    Ok(())
}

/// The private data to send `packet` with.
pub(super) fn private(packet: &Packet, headers: &OuterHeaders) -> Private {
    match headers.private() {
        Private::PreviousOwner if !packet.upper.can_be_redirected() => Private::None,
        private => private,
    }
}

/// The private data to send `packet` with, so that it fits the MTU.
fn fitting(packet: &Packet, headers: &OuterHeaders) -> Result<Private, DropReason> {
    let fits = |private| headers.len(private) + packet.len <= headers.mtu();
    let wanted = private(packet, headers);
    if fits(wanted) {
        Ok(wanted)
    } else if wanted == Private::PreviousOwner && !packet.dont_fragment && fits(Private::None) {
        // Whole without the hop serves more connections than in pieces, which can't have one.
        Ok(Private::None)
    } else {
        Err(DropReason::TooBig)
    }
}
