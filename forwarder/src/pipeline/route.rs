// SPDX-License-Identifier: MIT OR Apache-2.0
//! The decision: from what the table says of an address and what is above IP to where the packet goes. Pure, and the
//! only place where it is made: `explain` asks the same functions.

use std::net::IpAddr;

use tables::Table;
use tables::table::Address;

use super::packet::{NotForwarded, Packet};
use super::upper::Selector;
use crate::counters::DropReason;
use crate::state::Destination;
use crate::wire::protocol;

/// Hops between data centres that a packet may make: tables differ for a moment while all data centres reload, and what
/// they send one another meanwhile must come to an end.
const MAX_HOPS: u8 = 2;

/// Where `packet` goes, whose destination the table calls `address`.
#[inline(always)]
pub fn route_packet(table: &Table, address: Address, packet: &Packet) -> Result<Destination, NotForwarded> {
    match (address, packet.fault) {
        (Address::Absent, _) => Err(packet.origin.not_ours()),
        (_, Some(reason)) => Err(reason.into()),
        (Address::Remote(_), None) if packet.origin.hops() >= MAX_HOPS => Err(DropReason::RedirectLoop.into()),
        (_, None) => route(table, address, packet.upper.selector),
    }
}

/// Where a sound packet goes, whose destination the table calls `address` and whose owner `selector` picks.
#[inline(always)]
pub fn route(table: &Table, address: Address, selector: Selector) -> Result<Destination, NotForwarded> {
    match address {
        Address::Absent => Err(NotForwarded::Kernel),
        Address::Unassigned => Err(DropReason::UnassignedAddress.into()),
        Address::Whole(target) => Ok(Destination::Server(target)),
        Address::Remote(remote) => Ok(Destination::Datacenter(remote)),
        Address::Sliced(plan) => {
            let owner = match selector {
                Selector::Port(port) => table.port(plan, port).ok_or(DropReason::UnallocatedPort),
                Selector::Portless => table.portless(plan).ok_or(DropReason::NoPort),
                Selector::Icmp => Err(DropReason::IcmpUnwanted),
                Selector::Fragment => Err(DropReason::FragmentUnmatched),
                Selector::Cut => Err(DropReason::Malformed),
            };
            Ok(Destination::Server(owner?))
        }
    }
}

impl Selector {
    /// What picks the owner of a whole packet of `protocol` to `port` of `destination`; of ICMP, of an echo reply with that
    /// identifier.
    pub fn of_flow(destination: IpAddr, protocol: u8, port: u16) -> Self {
        match (protocol, destination) {
            (protocol::ICMP, IpAddr::V4(_)) | (protocol::ICMPV6, IpAddr::V6(_)) => Self::Port(port),
            _ if protocol::has_ports(protocol) => Self::Port(port),
            _ => Self::Portless,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flow_is_picked_by_port_where_its_protocol_has_ports_or_identifiers() {
        let (v4, v6) = (IpAddr::from([198, 51, 100, 1]), "2001:db8:e::1".parse().unwrap());
        for protocol in 0..=u8::MAX {
            let expected = |icmp| match protocol {
                6 | 17 | 33 | 132 | 136 => Selector::Port(4242),
                _ if protocol == icmp => Selector::Port(4242),
                _ => Selector::Portless,
            };
            assert_eq!(Selector::of_flow(v4, protocol, 4242), expected(1), "IPv4 protocol {protocol}");
            assert_eq!(Selector::of_flow(v6, protocol, 4242), expected(58), "IPv6 protocol {protocol}");
        }
    }
}
