// SPDX-License-Identifier: MIT OR Apache-2.0
//! Netlink's messages in our words. What is not for us is left out: other tables, other families, routes that hosts keep for
//! themselves.

use std::net::IpAddr;

use netlink_packet_route::AddressFamily;
use netlink_packet_route::link::{LinkAttribute, LinkFlags, LinkMessage};
use netlink_packet_route::neighbour::{NeighbourAddress, NeighbourAttribute, NeighbourMessage, NeighbourState};
use netlink_packet_route::route::{
    RouteAddress, RouteAttribute, RouteFlags, RouteHeader, RouteMessage, RouteMetric, RouteNextHopFlags, RouteType,
    RouteVia,
};

use crate::control::next_hops::kernel::{Gateway, Interface, Neighbour, Place, Route};
use crate::wire::MacAddr;

/// An interface, and its index.
pub(super) fn interface(message: LinkMessage) -> Option<(u32, Interface)> {
    let flags = message.header.flags;
    let is_up = flags.contains(LinkFlags::Up | LinkFlags::Running);
    message.attributes.into_iter().find_map(|attribute| match attribute {
        LinkAttribute::IfName(name) => Some((message.header.index, Interface { name, is_up })),
        _ => None,
    })
}

/// A neighbour, and where it is.
pub(super) fn neighbour(message: NeighbourMessage) -> Option<(Place, Neighbour)> {
    let state = message.header.state;
    let has_answered = !matches!(state, NeighbourState::None | NeighbourState::Incomplete | NeighbourState::Failed);
    let (mut address, mut mac) = (None, None);
    for attribute in message.attributes {
        match attribute {
            NeighbourAttribute::Destination(NeighbourAddress::Inet(to)) => address = Some(IpAddr::V4(to)),
            NeighbourAttribute::Destination(NeighbourAddress::Inet6(to)) => address = Some(IpAddr::V6(to)),
            NeighbourAttribute::LinkLayerAddress(bytes) => mac = <[u8; 6]>::try_from(bytes).ok().map(MacAddr),
            _ => {}
        }
    }
    let mac = mac.filter(|mac| has_answered && !mac.is_group() && mac.0 != [0; 6]);
    let neighbour = Neighbour { mac, is_stale: state == NeighbourState::Stale };
    Some(((message.header.ifindex, address?), neighbour))
}

/// A route of the main table. A gateway that the kernel itself does not use is left out, and a route without any other with it.
pub(super) fn route(message: RouteMessage) -> Option<Route> {
    let RouteMessage { header, attributes, .. } = message;
    const MAIN: u32 = RouteHeader::RT_TABLE_MAIN as u32;
    let mut table = u32::from(header.table);
    let mut metric = 0;
    let mut prefix = None;
    let mut mtu = None;
    let mut several = Vec::new();
    for attribute in &attributes {
        match attribute {
            RouteAttribute::Table(number) => table = *number,
            RouteAttribute::Priority(number) => metric = *number,
            RouteAttribute::Destination(address) => prefix = unicast(address),
            RouteAttribute::Metrics(metrics) => mtu = metrics.iter().find_map(mtu_of).or(mtu),
            RouteAttribute::MultiPath(hops) => several.clone_from(hops),
            _ => {}
        }
    }
    if table != MAIN || header.tos != 0 || header.flags.contains(RouteFlags::Cloned) {
        return None;
    }
    let prefix = match (prefix, header.destination_prefix_length, header.address_family) {
        (Some(prefix), ..) => prefix,
        (None, 0, AddressFamily::Inet) => IpAddr::V4([0; 4].into()),
        (None, 0, AddressFamily::Inet6) => IpAddr::V6([0; 16].into()),
        _ => return None,
    };
    let mut route = Route { prefix, len: header.destination_prefix_length, metric, gateways: Vec::new(), mtu };
    match header.kind {
        RouteType::Unicast => {}
        RouteType::BlackHole | RouteType::Unreachable | RouteType::Prohibit | RouteType::Throw => return Some(route),
        _ => return None,
    }
    if several.is_empty() {
        let interface = attributes.iter().find_map(|attribute| match attribute {
            RouteAttribute::Oif(interface) => Some(*interface),
            _ => None,
        });
        let gateway = Gateway { interface: interface?, via: router(&attributes), weight: 1 };
        route.gateways.extend((!header.flags.contains(RouteFlags::Dead)).then_some(gateway));
    } else {
        let alive = several.iter().filter(|hop| !hop.flags.contains(RouteNextHopFlags::Dead));
        route.gateways.extend(alive.map(|hop| Gateway {
            interface: hop.interface_index,
            via: router(&hop.attributes),
            weight: u16::from(hop.hops) + 1,
        }));
    }
    (!route.gateways.is_empty()).then_some(route)
}

fn router(attributes: &[RouteAttribute]) -> Option<IpAddr> {
    attributes.iter().find_map(|attribute| match attribute {
        RouteAttribute::Gateway(address) => unicast(address),
        RouteAttribute::Via(RouteVia::Inet(address)) => Some(IpAddr::V4(*address)),
        RouteAttribute::Via(RouteVia::Inet6(address)) => Some(IpAddr::V6(*address)),
        _ => None,
    })
}

fn unicast(address: &RouteAddress) -> Option<IpAddr> {
    match address {
        RouteAddress::Inet(address) => Some(IpAddr::V4(*address)),
        RouteAddress::Inet6(address) => Some(IpAddr::V6(*address)),
        _ => None,
    }
}

fn mtu_of(metric: &RouteMetric) -> Option<u16> {
    match metric {
        RouteMetric::Mtu(mtu) => Some(u16::try_from(*mtu).unwrap_or(u16::MAX)).filter(|mtu| *mtu > 0),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use netlink_packet_route::route::RouteNextHop;

    use super::*;

    fn message(attributes: Vec<RouteAttribute>) -> RouteMessage {
        let mut message = RouteMessage::default();
        message.header.address_family = AddressFamily::Inet;
        message.header.table = RouteHeader::RT_TABLE_MAIN;
        message.header.kind = RouteType::Unicast;
        message.header.destination_prefix_length = 24;
        message.attributes = [RouteAttribute::Destination(RouteAddress::Inet([10, 0, 1, 0].into()))].into();
        message.attributes.extend(attributes);
        message
    }

    fn by(interface: u32, last: u8, weight: u8, flags: RouteNextHopFlags) -> RouteNextHop {
        let mut hop = RouteNextHop::default();
        (hop.interface_index, hop.hops, hop.flags) = (interface, weight - 1, flags);
        hop.attributes = vec![RouteAttribute::Gateway(RouteAddress::Inet([10, 0, 0, last].into()))];
        hop
    }

    #[test]
    fn a_route_with_one_gateway_and_one_with_several() {
        let gateway = RouteAttribute::Gateway(RouteAddress::Inet([10, 0, 0, 2].into()));
        let mtu = RouteAttribute::Metrics(vec![RouteMetric::Hoplimit(3), RouteMetric::Mtu(1400)]);
        let read = route(message(vec![RouteAttribute::Oif(7), gateway, RouteAttribute::Priority(20), mtu])).unwrap();
        assert_eq!((read.prefix, read.len), ([10, 0, 1, 0].into(), 24));
        assert_eq!((read.metric, read.mtu), (20, Some(1400)));
        assert_eq!(read.gateways, [Gateway { interface: 7, via: Some([10, 0, 0, 2].into()), weight: 1 }]);

        let hops = vec![
            by(7, 2, 3, RouteNextHopFlags::default()),
            by(8, 3, 1, RouteNextHopFlags::Dead | RouteNextHopFlags::Linkdown),
            by(9, 4, 1, RouteNextHopFlags::Linkdown),
        ];
        let read = route(message(vec![RouteAttribute::MultiPath(hops)])).unwrap();
        let gateways: Vec<_> = read.gateways.iter().map(|gateway| (gateway.interface, gateway.weight)).collect();
        assert_eq!(gateways, [(7, 3), (9, 1)], "the kernel uses no dead one");
    }

    #[test]
    fn what_is_not_for_us_is_left_out() {
        let whole = || message(vec![RouteAttribute::Oif(7)]);
        assert!(route(whole()).is_some());
        assert_eq!(route(message(vec![RouteAttribute::Oif(7), RouteAttribute::Table(100)])), None, "another table");
        let mut local = whole();
        local.header.kind = RouteType::Local;
        assert_eq!(route(local), None);
        let mut dead = whole();
        dead.header.flags = RouteFlags::Dead;
        assert_eq!(route(dead), None);
        assert_eq!(route(message(vec![])), None, "it leads nowhere");
        let mut blackhole = message(vec![]);
        blackhole.header.kind = RouteType::BlackHole;
        assert_eq!(route(blackhole).map(|route| route.gateways), Some(vec![]), "one that refuses says so");
    }

    #[test]
    fn a_neighbour_counts_while_it_has_answered() {
        let read = |state, bytes: &[u8]| {
            let mut message = NeighbourMessage::default();
            (message.header.ifindex, message.header.state) = (7, state);
            message.attributes.push(NeighbourAttribute::Destination(NeighbourAddress::Inet([10, 0, 0, 2].into())));
            message.attributes.push(NeighbourAttribute::LinkLayerAddress(bytes.to_vec()));
            let (place, neighbour) = neighbour(message).unwrap();
            assert_eq!(place, (7, [10, 0, 0, 2].into()));
            (neighbour.mac.is_some(), neighbour.is_stale)
        };
        let bytes = [2, 0, 0, 0, 0, 2];
        for state in
            [NeighbourState::Reachable, NeighbourState::Delay, NeighbourState::Probe, NeighbourState::Permanent]
        {
            assert_eq!(read(state, &bytes), (true, false), "{state}");
        }
        assert_eq!(read(NeighbourState::Stale, &bytes), (true, true));
        for state in [NeighbourState::None, NeighbourState::Incomplete, NeighbourState::Failed] {
            assert_eq!(read(state, &bytes), (false, false), "{state}: what it once was does not count");
        }
        for odd in [&[1, 0, 0, 0, 0, 2][..], &[0; 6], &[2; 20]] {
            assert_eq!(read(NeighbourState::Reachable, odd), (false, false), "{odd:?}");
        }
    }
}
