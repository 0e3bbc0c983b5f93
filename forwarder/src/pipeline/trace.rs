// SPDX-License-Identifier: MIT OR Apache-2.0
//! The steps of a decision one by one, for those who ask why: the same functions that decide over packets, called apart.

use tables::table::Address;

use super::excerpt::Excerpt;
use super::packet::{NotForwarded, Packet};
use super::upper::Selector;
use super::{fragments, icmp};

/// Whether `packet`, which `frame` holds, is an echo request in one piece.
pub fn is_echo_request(packet: &Packet, frame: &[u8]) -> bool {
    let bytes = packet.bytes(frame).unwrap_or_default();
    let message = Excerpt::read(bytes).map_or(&[][..], |excerpt| excerpt.payload);
    packet.upper.selector == Selector::Icmp && icmp::is_echo_request(message, packet.addresses.destination())
}

/// What picks the owner of `packet`, which `frame` holds and whose destination the table calls `address`: of an ICMP message what
/// it says or quotes, of a first fragment what it begins with. [`Selector::Fragment`] for a later one, which follows its first.
pub fn selector(address: Address, packet: &Packet, frame: &[u8]) -> Result<Selector, NotForwarded> {
    let bytes = packet.bytes(frame).unwrap_or_default();
    match (address, packet.upper.selector) {
        (Address::Sliced(_), Selector::Icmp) => {
            let message = Excerpt::read(bytes).map_or(&[][..], |excerpt| excerpt.payload);
            Ok(icmp::select(message, packet.addresses.destination())?)
        }
        (Address::Sliced(_), Selector::Fragment) => fragments::selector(packet, bytes),
        (_, selector) => Ok(selector),
    }
}
