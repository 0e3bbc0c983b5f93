// SPDX-License-Identifier: MIT OR Apache-2.0
//! The shared addresses on this server: a single one is put on a device, a wider prefix becomes a route to the machine
//! itself. Neither is chosen as a source by default.
//!
//! What the agent puts bears its mark, a protocol number that the kernel keeps: so an agent that starts after a kill knows
//! what another has put, and nobody else's address is ever taken away.

use std::collections::BTreeSet;
use std::fmt;
use std::io::{self, ErrorKind};
use std::net::{IpAddr, Ipv6Addr};

use forwarder::control::netlink::Questions;
use netlink_packet_core::{NLM_F_CREATE, NLM_F_EXCL};
use netlink_packet_route::address::{
    AddressAttribute, AddressFlags, AddressMessage, AddressProtocol, AddressScope, CacheInfo,
};
use netlink_packet_route::link::{LinkAttribute, LinkMessage};
use netlink_packet_route::route::{RouteAddress, RouteAttribute, RouteMessage, RouteProtocol, RouteScope, RouteType};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};
use netlink_sys::protocols::NETLINK_ROUTE;
use tables::Prefix;

use crate::nest::Nest;

/// The mark (`IFA_PROTO`, `rtm_protocol`), which nothing in Linux's `rt_protos` has.
pub const MARK: u8 = 83;
/// The kernel's table of its own addresses.
const LOCAL_TABLE: u8 = 255;
const FOREVER: u32 = u32::MAX;

/// Why the kernel can't be told of addresses.
#[derive(Debug, thiserror::Error)]
pub enum AddressError {
    /// Nothing has that name.
    #[error("addresses.device: there is no device {0}; make it (ip link add {0} type dummy), or name another")]
    NoDevice(String),
    /// The kernel refuses.
    #[error("cannot {what}: {error}{}", advice(error))]
    System {
        /// What was tried.
        what: String,
        /// What came of it.
        error: io::Error,
    },
}

fn advice(error: &io::Error) -> &'static str {
    match error.kind() {
        ErrorKind::PermissionDenied => "; sluice-agent needs CAP_NET_ADMIN: start it as root or by its unit",
        _ => "",
    }
}

/// What the kernel is given.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Object {
    /// A single address on the device.
    Address(IpAddr),
    /// A route to the machine itself.
    Route(Prefix),
}

impl fmt::Display for Object {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(address) => write!(f, "the address {address}"),
            Self::Route(prefix) => write!(f, "the local route {prefix}"),
        }
    }
}

/// Of so many single IPv4 addresses each becomes a route: the kernel looks through all addresses of a device to put one more,
/// so that a hundred thousand would take it minutes.
const MANY: usize = 1000;

/// What makes the addresses of all `prefixes` this machine's.
pub fn all_objects(prefixes: impl Iterator<Item = Prefix> + Clone) -> BTreeSet<Object> {
    let singles = prefixes.clone().filter(|prefix| prefix.length() == 32 && prefix.address().is_ipv4());
    let many = singles.count() > MANY;
    let object = |object| match object {
        Object::Address(address) if many && address.is_ipv4() => Object::Route(Prefix::host(address)),
        object => object,
    };
    prefixes.flat_map(objects).map(object).collect()
}

/// What makes the addresses of `prefix` this machine's, where there are few. A wider IPv6 prefix has its first address as well: without an
/// address that it knows, the kernel lets no program bind in there.
pub fn objects(prefix: Prefix) -> impl Iterator<Item = Object> {
    let host = Prefix::host(prefix.address()) == prefix;
    let first = match prefix.address() {
        IpAddr::V6(network) if !host => Some(Ipv6Addr::from_bits(network.to_bits() | 1).into()),
        address => host.then_some(address),
    };
    first.map(Object::Address).into_iter().chain((!host).then_some(Object::Route(prefix)))
}

/// The prefixes that made `objects`.
pub fn prefixes(objects: &BTreeSet<Object>) -> Vec<Prefix> {
    let wide = objects.iter().filter_map(|object| match object {
        Object::Route(prefix) => Some(*prefix),
        Object::Address(_) => None,
    });
    let single = objects.iter().filter_map(|object| match object {
        Object::Address(address) => Some(Prefix::host(*address)),
        Object::Route(_) => None,
    });
    let wide: Nest<()> = wide.map(|wide| (wide, ())).collect();
    let single: Vec<Prefix> = single.filter(|single| wide.around(*single).is_none()).collect();
    single.into_iter().chain(wide.all()).collect()
}

/// The kernel's side of them.
pub struct Addresses {
    netlink: Questions<RouteNetlinkMessage>,
    device: u32,
}

impl Addresses {
    /// On the device of that name.
    pub fn open(device: &str) -> Result<Self, AddressError> {
        let system = |error| AddressError::System { what: "ask the kernel for its devices".to_owned(), error };
        let mut netlink = Questions::open(NETLINK_ROUTE).map_err(system)?;
        let question = RouteNetlinkMessage::GetLink(LinkMessage::default());
        let named = netlink.dump(question, |answer| match answer {
            RouteNetlinkMessage::NewLink(message) => {
                message.attributes.contains(&LinkAttribute::IfName(device.to_owned())).then_some(message.header.index)
            }
            _ => None,
        });
        let device = named.map_err(system)?.pop().ok_or_else(|| AddressError::NoDevice(device.to_owned()))?;
        Ok(Self { netlink, device })
    }

    /// All that bears the mark, from whichever agent.
    pub fn ours(&mut self) -> Result<BTreeSet<Object>, AddressError> {
        let system = |error| AddressError::System { what: "ask the kernel for its addresses".to_owned(), error };
        let device = self.device;
        let question = RouteNetlinkMessage::GetAddress(AddressMessage::default());
        let addresses = self.netlink.dump(question, |answer| match answer {
            RouteNetlinkMessage::NewAddress(message) if message.header.index == device => our_address(&message),
            _ => None,
        });
        let mut ours: BTreeSet<Object> = addresses.map_err(system)?.into_iter().collect();
        for family in [AddressFamily::Inet, AddressFamily::Inet6] {
            let mut question = RouteMessage::default();
            question.header.address_family = family;
            let routes = self.netlink.dump(RouteNetlinkMessage::GetRoute(question), |answer| match answer {
                // A kernel without that version answers with the other's.
                RouteNetlinkMessage::NewRoute(message) if message.header.address_family == family => {
                    our_route(&message)
                }
                _ => None,
            });
            ours.extend(routes.map_err(system)?);
        }
        Ok(ours)
    }

    /// Gives the kernel one. False if it has it from somebody else, whose it stays.
    pub fn add(&mut self, object: Object) -> Result<bool, AddressError> {
        let order = match object {
            Object::Address(address) => RouteNetlinkMessage::NewAddress(address_message(address, self.device)),
            Object::Route(prefix) => RouteNetlinkMessage::NewRoute(route_message(prefix, self.device)),
        };
        match self.netlink.tell(order, NLM_F_CREATE | NLM_F_EXCL) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(false),
            Err(error) => Err(AddressError::System { what: format!("put {object}"), error }),
        }
    }

    /// Takes one back that [`Self::ours`] has told of; it may have gone meanwhile.
    pub fn remove(&mut self, object: Object) -> Result<(), AddressError> {
        let order = match object {
            Object::Address(address) => RouteNetlinkMessage::DelAddress(address_message(address, self.device)),
            Object::Route(prefix) => RouteNetlinkMessage::DelRoute(route_message(prefix, self.device)),
        };
        match self.netlink.tell(order, 0) {
            // No such address, no such route.
            Err(error) if matches!(error.kind(), ErrorKind::AddrNotAvailable | ErrorKind::NotFound) => Ok(()),
            Err(error) if error.raw_os_error() == Some(rustix::io::Errno::SRCH.raw_os_error()) => Ok(()),
            Err(error) => Err(AddressError::System { what: format!("take {object} back"), error }),
            Ok(()) => Ok(()),
        }
    }
}

fn our_address(message: &AddressMessage) -> Option<Object> {
    if !message.attributes.contains(&AddressAttribute::Protocol(AddressProtocol::Other(MARK))) {
        return None;
    }
    message.attributes.iter().find_map(|attribute| match attribute {
        AddressAttribute::Address(address) => Some(Object::Address(*address)),
        _ => None,
    })
}

fn our_route(message: &RouteMessage) -> Option<Object> {
    let header = &message.header;
    if header.table != LOCAL_TABLE || header.kind != RouteType::Local || header.protocol != RouteProtocol::Other(MARK) {
        return None;
    }
    let address = message.attributes.iter().find_map(|attribute| match attribute {
        RouteAttribute::Destination(RouteAddress::Inet(address)) => Some(IpAddr::V4(*address)),
        RouteAttribute::Destination(RouteAddress::Inet6(address)) => Some(IpAddr::V6(*address)),
        _ => None,
    });
    Prefix::new(address?, header.destination_prefix_length).ok().map(Object::Route)
}

fn family(address: IpAddr) -> AddressFamily {
    if address.is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 }
}

fn address_message(address: IpAddr, device: u32) -> AddressMessage {
    let mut message = AddressMessage::default();
    message.header.family = family(address);
    message.header.prefix_len = Prefix::host(address).length();
    message.header.index = device;
    let attributes = &mut message.attributes;
    attributes.extend([AddressAttribute::Local(address), AddressAttribute::Address(address)]);
    attributes.push(AddressAttribute::Protocol(AddressProtocol::Other(MARK)));
    if address.is_ipv4() {
        // What the kernel chooses by itself for far destinations has a wider scope.
        message.header.scope = AddressScope::Link;
    } else {
        // Others have the address too, so nobody is to be asked whether; and what is not preferred is not chosen.
        attributes.push(AddressAttribute::Flags(AddressFlags::Nodad));
        let mut times = CacheInfo::default();
        (times.ifa_preferred, times.ifa_valid) = (0, FOREVER);
        attributes.push(AddressAttribute::CacheInfo(times));
    }
    message
}

fn route_message(prefix: Prefix, device: u32) -> RouteMessage {
    let mut message = RouteMessage::default();
    let header = &mut message.header;
    header.address_family = family(prefix.address());
    header.destination_prefix_length = prefix.length();
    (header.table, header.kind) = (LOCAL_TABLE, RouteType::Local);
    (header.protocol, header.scope) = (RouteProtocol::Other(MARK), RouteScope::Host);
    let destination = match prefix.address() {
        IpAddr::V4(address) => RouteAddress::Inet(address),
        IpAddr::V6(address) => RouteAddress::Inet6(address),
    };
    message.attributes.extend([RouteAttribute::Destination(destination), RouteAttribute::Oif(device)]);
    if Prefix::host(prefix.address()) == prefix {
        // Beside the one that comes and goes with an address, so that each can take the other's place without a gap.
        message.attributes.push(RouteAttribute::Priority(MARK.into()));
    }
    message
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefixes_and_what_is_put_for_them() {
        let object_texts =
            |text: &str| objects(text.parse().unwrap()).map(|object| object.to_string()).collect::<Vec<_>>().join(", ");
        assert_eq!(object_texts("192.0.2.1/32"), "the address 192.0.2.1");
        assert_eq!(object_texts("192.0.2.0/24"), "the local route 192.0.2.0/24");
        assert_eq!(object_texts("2001:db8::5/128"), "the address 2001:db8::5");
        assert_eq!(object_texts("2001:db8::/64"), "the address 2001:db8::1, the local route 2001:db8::/64");
        let all =
            ["192.0.2.1/32", "192.0.3.0/24", "2001:db8::/64", "2001:db8:1::1/128"].map(|text| text.parse().unwrap());
        let mut back = prefixes(&all.into_iter().flat_map(objects).collect());
        back.sort();
        assert_eq!(back, all);
    }

    #[test]
    fn many_single_ones_are_routes() {
        let prefix = |number: u32| Prefix::host(std::net::Ipv4Addr::from_bits(number).into());
        let others = ["2001:db8::5/128", "2001:db8:1::/64"].map(|text| text.parse().unwrap());
        let of = |count| all_objects((0..count).map(prefix).chain(others));
        assert!(of(1000).contains(&Object::Address([0, 0, 0, 7].into())));
        let many = of(1001);
        assert!(many.contains(&Object::Route(prefix(7))) && !many.contains(&Object::Address([0, 0, 0, 7].into())));
        assert_eq!(many.iter().filter(|object| matches!(object, Object::Address(_))).count(), 2);
        assert_eq!(prefixes(&many).len(), 1003);
    }

    /// This machine's own addresses, none of which is an agent's or is touched.
    #[test]
    fn the_kernel_answers() {
        let mut addresses = Addresses::open("lo").unwrap();
        assert!(!addresses.ours().unwrap().contains(&Object::Address([127, 0, 0, 1].into())));
        let error = Addresses::open("no-such").map(drop).unwrap_err();
        assert!(error.to_string().contains("there is no device no-such"), "{error}");
    }
}
