// SPDX-License-Identifier: MIT OR Apache-2.0
//! From a received frame to one that leaves: its link header and padding go, the outer headers come in front. The packet
//! inside is not touched.

use super::packet::Packet;
use crate::counters::DropReason;
use crate::io::PacketBuf;
use crate::wire::outer::{Inner, OuterHeaders, Private};
use crate::wire::{ethernet, gue};

/// Turns `frame`, which holds `packet`, into one that carries it behind `headers`. `traffic_class` is what the outer
/// header shows, `flow` the packet's flow hash.
#[inline]
pub(super) fn encapsulate<B: PacketBuf>(
    frame: &mut B,
    packet: &Packet,
    link: &ethernet::Template,
    headers: &OuterHeaders,
    traffic_class: u8,
    flow: u64,
) -> Result<(), DropReason> {
    let private = fitting(packet, headers)?;
    let offset = usize::from(packet.offset);
    frame.truncate(offset + packet.len);
    let bytes = replace_front(frame, offset, link.len() + headers.len(private)).ok_or(DropReason::NoHeadroom)?;
    let inner = Inner { len: packet.len, protocol: packet.addresses.protocol(), traffic_class, flow };
    link.write(bytes, headers.ethertype())
        .and_then(|bytes| headers.write(bytes, private, inner))
        .ok_or(DropReason::NoHeadroom)
}

/// Makes the first `old` bytes of a frame `new` bytes, whose content is unspecified; `None` if there is no room.
#[inline]
fn replace_front<B: PacketBuf>(frame: &mut B, old: usize, new: usize) -> Option<&mut [u8]> {
    if let Some(growth) = new.checked_sub(old) {
        frame.prepend(growth)
    } else {
        // A peer's headers can be longer than ours.
        frame.trim_front(old - new);
        Some(frame.data_mut())
    }
}

/// The private data to send `packet` with.
#[inline]
pub(super) fn private(packet: &Packet, headers: &OuterHeaders) -> Private {
    match headers.private() {
        Private::PreviousOwner(_) if !packet.upper.can_be_redirected() => Private::None,
        Private::Datacenter(word) => Private::Datacenter(gue::hops_later(word, packet.origin.hops())),
        private => private,
    }
}

/// The private data to send `packet` with, so that it fits the MTU.
#[inline]
fn fitting(packet: &Packet, headers: &OuterHeaders) -> Result<Private, DropReason> {
    let fits = |private| headers.len(private) + packet.len <= headers.mtu();
    let wanted = private(packet, headers);
    if fits(wanted) {
        Ok(wanted)
    } else if matches!(wanted, Private::PreviousOwner(_)) && !packet.dont_fragment && fits(Private::None) {
        // Whole without the hop serves more connections than in pieces, which can't have one.
        Ok(Private::None)
    } else {
        Err(DropReason::TooBig)
    }
}
