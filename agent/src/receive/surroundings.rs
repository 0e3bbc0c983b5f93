// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the program has to know of the host: its devices, their addresses, and who is next on the way to other servers.

use std::collections::HashSet;
use std::io;
use std::net::IpAddr;

use forwarder::control::netlink::Questions;
use netlink_packet_core::NLM_F_CREATE;
use netlink_packet_route::address::{AddressAttribute, AddressMessage, AddressScope};
use netlink_packet_route::link::{InfoKind, LinkAttribute, LinkInfo, LinkMessage};
use netlink_packet_route::neighbour::{
    NeighbourAddress, NeighbourAttribute, NeighbourFlags, NeighbourMessage, NeighbourState,
};
use netlink_packet_route::route::{RouteAddress, RouteAttribute, RouteMessage, RouteVia};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};
use netlink_sys::protocols::NETLINK_ROUTE;

/// A neighbour's device and address.
type Place = (u32, IpAddr);

/// A device of the underlay.
#[derive(Clone, Debug)]
pub(super) struct Device {
    pub(super) name: String,
    pub(super) index: u32,
    /// A virtual cable: what is sent back natively vanishes unless its other end is prepared for that.
    pub(super) is_veth: bool,
    /// Bytes of the longest IP packet.
    pub(super) mtu: u32,
}

pub(super) struct Surroundings(Questions<RouteNetlinkMessage>);

impl Surroundings {
    pub(super) fn open() -> io::Result<Self> {
        Questions::open(NETLINK_ROUTE).map(Self)
    }

    pub(super) fn devices(&mut self) -> io::Result<Vec<Device>> {
        self.0.dump(RouteNetlinkMessage::GetLink(LinkMessage::default()), |answer| match answer {
            RouteNetlinkMessage::NewLink(message) => device(&message),
            _ => None,
        })
    }

    /// Addresses of the devices with those indices, but for link-local ones.
    pub(super) fn addresses(&mut self, devices: &[u32]) -> io::Result<Vec<IpAddr>> {
        let mut addresses =
            self.0.dump(RouteNetlinkMessage::GetAddress(AddressMessage::default()), |answer| match answer {
                RouteNetlinkMessage::NewAddress(message) if devices.contains(&message.header.index) => {
                    address(&message)
                }
                _ => None,
            })?;
        addresses.sort_unstable();
        addresses.dedup();
        Ok(addresses)
    }

    /// Has the kernel find out, or make sure, who the next hops to `targets` are.
    pub(super) fn resolve(&mut self, targets: &[IpAddr]) -> io::Result<()> {
        if targets.is_empty() {
            return Ok(());
        }
        let settled = self.settled()?;
        for &target in targets {
            // One without a route, or that does not answer, is counted when a packet is for it.
            let Ok(Some(place)) = self.next_hop(target) else { continue };
            if !settled.contains(&place) {
                let _ = self.request(place);
            }
        }
        Ok(())
    }

    /// Neighbours that need no asking. To ask for one that somebody has set for good would make it forgotten.
    fn settled(&mut self) -> io::Result<HashSet<Place>> {
        let question = RouteNetlinkMessage::GetNeighbour(NeighbourMessage::default());
        let settled = self.0.dump(question, |answer| match answer {
            RouteNetlinkMessage::NewNeighbour(message) => settled(&message),
            _ => None,
        });
        Ok(settled?.into_iter().collect())
    }

    fn next_hop(&mut self, target: IpAddr) -> io::Result<Option<Place>> {
        let mut question = RouteMessage::default();
        question.header.address_family = family(target);
        question.header.destination_prefix_length = if target.is_ipv4() { 32 } else { 128 };
        question.attributes.push(RouteAttribute::Destination(match target {
            IpAddr::V4(target) => RouteAddress::Inet(target),
            IpAddr::V6(target) => RouteAddress::Inet6(target),
        }));
        let places = self.0.get(RouteNetlinkMessage::GetRoute(question), |answer| match answer {
            RouteNetlinkMessage::NewRoute(message) => next_hop(&message, target),
            _ => None,
        });
        Ok(places?.pop())
    }

    fn request(&mut self, (device, next): Place) -> io::Result<()> {
        let mut order = NeighbourMessage::default();
        order.header.family = family(next);
        order.header.ifindex = device;
        order.header.flags = NeighbourFlags::Use;
        order.attributes.push(NeighbourAttribute::Destination(match next {
            IpAddr::V4(next) => NeighbourAddress::Inet(next),
            IpAddr::V6(next) => NeighbourAddress::Inet6(next),
        }));
        self.0.tell(RouteNetlinkMessage::NewNeighbour(order), NLM_F_CREATE)
    }
}

fn settled(message: &NeighbourMessage) -> Option<Place> {
    let asks = matches!(message.header.state, NeighbourState::None | NeighbourState::Failed | NeighbourState::Stale);
    let address = message.attributes.iter().find_map(|attribute| match attribute {
        NeighbourAttribute::Destination(NeighbourAddress::Inet(address)) => Some(IpAddr::V4(*address)),
        NeighbourAttribute::Destination(NeighbourAddress::Inet6(address)) => Some(IpAddr::V6(*address)),
        _ => None,
    })?;
    (!asks).then_some((message.header.ifindex, address))
}

fn family(address: IpAddr) -> AddressFamily {
    if address.is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 }
}

fn device(message: &LinkMessage) -> Option<Device> {
    let mut device = Device { name: String::new(), index: message.header.index, is_veth: false, mtu: 0 };
    for attribute in &message.attributes {
        match attribute {
            LinkAttribute::IfName(name) => device.name.clone_from(name),
            LinkAttribute::Mtu(mtu) => device.mtu = *mtu,
            LinkAttribute::LinkInfo(infos) => device.is_veth = infos.contains(&LinkInfo::Kind(InfoKind::Veth)),
            _ => {}
        }
    }
    (!device.name.is_empty()).then_some(device)
}

fn address(message: &AddressMessage) -> Option<IpAddr> {
    if message.header.scope == AddressScope::Link {
        return None;
    }
    let find = |local: bool| {
        message.attributes.iter().find_map(|attribute| match attribute {
            AddressAttribute::Local(address) if local => Some(*address),
            AddressAttribute::Address(address) if !local => Some(*address),
            _ => None,
        })
    };
    // Of a point-to-point device, the address is the other end's.
    find(true).or_else(|| find(false))
}

fn next_hop(route: &RouteMessage, target: IpAddr) -> Option<Place> {
    let device = route.attributes.iter().find_map(|attribute| match attribute {
        RouteAttribute::Oif(device) => Some(*device),
        _ => None,
    })?;
    let router = route.attributes.iter().find_map(|attribute| match attribute {
        RouteAttribute::Gateway(RouteAddress::Inet(router)) | RouteAttribute::Via(RouteVia::Inet(router)) => {
            Some(IpAddr::V4(*router))
        }
        RouteAttribute::Gateway(RouteAddress::Inet6(router)) | RouteAttribute::Via(RouteVia::Inet6(router)) => {
            Some(IpAddr::V6(*router))
        }
        _ => None,
    });
    Some((device, router.unwrap_or(target)))
}
