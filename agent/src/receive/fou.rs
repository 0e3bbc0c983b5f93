// SPDX-License-Identifier: MIT OR Apache-2.0
//! The kernel's own way to take the outer headers off: fou for GUE on the underlay devices, and the tunnel devices that
//! the inner packets come in by.

use std::io::{self, ErrorKind};
use std::net::IpAddr;

use forwarder::control::netlink::Questions;
use netlink_packet_core::{NLM_F_CREATE, NLM_F_EXCL, NetlinkDeserializable, NetlinkHeader, NetlinkSerializable};
use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::link::{InfoKind, LinkAttribute, LinkFlags, LinkInfo, LinkMessage};
use netlink_sys::protocols::{NETLINK_GENERIC, NETLINK_ROUTE};

use super::surroundings::{Device, Surroundings};
use super::switches::Switches;

/// IPv4 in IPv4, IPv6 in IPv4, and both in IPv6: the devices that take from whomever.
const TUNNELS: [(&str, InfoKind); 3] =
    [("tunl0", InfoKind::IpIp), ("sit0", InfoKind::SitTun), ("ip6tnl0", InfoKind::Ip6Tnl)];

/// Generic netlink: the controller, and what it is asked.
const CONTROLLER: u16 = 16;
const GET_FAMILY: u8 = 3;
const FAMILY_ID: u16 = 1;
const FAMILY_NAME: u16 = 2;

/// `linux/fou.h`.
const ADD: u8 = 1;
const DELETE: u8 = 2;
const PORT: u16 = 1;
const FAMILY: u16 = 2;
const TYPE: u16 = 4;
const LOCAL4: u16 = 6;
const LOCAL6: u16 = 7;
const INTERFACE: u16 = 11;
const GUE: u8 = 2;
/// `AF_INET`, `AF_INET6`.
const INET: u8 = 2;
const INET6: u8 = 10;

/// What was put; taken back when it is dropped.
pub(super) struct Fou {
    generic: Questions<Generic>,
    /// Its number among the families of generic netlink.
    family: u16,
    /// The attributes of each.
    ports: Vec<Vec<u8>>,
    /// What it listens on.
    addresses: Vec<IpAddr>,
    routing: Questions<RouteNetlinkMessage>,
    /// Devices that were down.
    raised: Vec<u32>,
    _unfiltered: Switches,
}

impl Fou {
    pub(super) fn start(devices: &[Device], gue_port: u16) -> io::Result<Self> {
        let mut generic = Questions::open(NETLINK_GENERIC)?;
        let family = family(&mut generic).map_err(|error| because("this kernel has no fou", &error))?;
        let routing = Questions::open(NETLINK_ROUTE)?;
        let mut fou = Self {
            generic,
            family,
            ports: Vec::new(),
            addresses: Vec::new(),
            routing,
            raised: Vec::new(),
            _unfiltered: Switches::default(),
        };
        let all = std::fs::read_to_string("/proc/sys/net/ipv4/conf/all/rp_filter")?;
        if all.trim() != "0" {
            return Err(io::Error::other(
                "net.ipv4.conf.all.rp_filter is on, so no tunnel device can be without; set it to 0",
            ));
        }
        fou.find_foreign()?;
        for (name, kind) in TUNNELS {
            fou.raise(name, kind).map_err(|error| because(name, &error))?;
        }
        for device in devices {
            for address in Surroundings::open()?.addresses(&[device.index])? {
                fou.add(device, gue_port, address).map_err(|error| because("fou's port", &error))?;
                fou.addresses.push(address);
            }
        }
        Ok(fou)
    }

    /// While fou's devices are up the program drops tunnels that are not GUE: what they carry is whoever's.
    fn find_foreign(&mut self) -> io::Result<()> {
        let question = RouteNetlinkMessage::GetLink(LinkMessage::default());
        let foreign = self.routing.dump(question, |answer| match answer {
            RouteNetlinkMessage::NewLink(message) => foreign(&message),
            _ => None,
        });
        match foreign?.pop() {
            Some(name) => Err(io::Error::other(format!(
                "the tunnel {name} would get nothing any more; if nobody uses it, take it down (ip link set {name} down)"
            ))),
            None => Ok(()),
        }
    }

    /// The module of that kind makes the device as it is loaded, and to ask for a device of the kind loads the module.
    fn raise(&mut self, name: &str, kind: InfoKind) -> io::Result<()> {
        let mut order = LinkMessage::default();
        order.attributes.push(LinkAttribute::IfName(name.to_owned()));
        order.attributes.push(LinkAttribute::LinkInfo(vec![LinkInfo::Kind(kind)]));
        match self.routing.tell(RouteNetlinkMessage::NewLink(order), NLM_F_CREATE | NLM_F_EXCL) {
            Err(error) if error.kind() != ErrorKind::AlreadyExists => return Err(error),
            _ => {}
        }
        let question = RouteNetlinkMessage::GetLink(LinkMessage::default());
        let found = self.routing.dump(question, |answer| match answer {
            RouteNetlinkMessage::NewLink(message) => {
                message.attributes.contains(&LinkAttribute::IfName(name.to_owned())).then_some(message.header)
            }
            _ => None,
        });
        let header = found?.pop().ok_or(ErrorKind::NotFound)?;
        // Answers leave by another device than packets come in by.
        self._unfiltered.set(&format!("ipv4/conf/{name}/rp_filter"), "0")?;
        if !header.flags.contains(LinkFlags::Up) {
            self.switch(header.index, LinkFlags::Up)?;
            self.raised.push(header.index);
        }
        Ok(())
    }

    fn switch(&mut self, index: u32, flags: LinkFlags) -> io::Result<()> {
        let mut order = LinkMessage::default();
        order.header.index = index;
        (order.header.flags, order.header.change_mask) = (flags, LinkFlags::Up);
        self.routing.tell(RouteNetlinkMessage::SetLink(order), 0)
    }

    pub(super) fn addresses(&self) -> Vec<IpAddr> {
        self.addresses.clone()
    }

    /// By device, and an address, without which the kernel takes no device: what comes in by others does not pass the
    /// program that says what may.
    fn add(&mut self, device: &Device, port: u16, address: IpAddr) -> io::Result<()> {
        let (version, local) = match address {
            IpAddr::V4(address) => (INET, attribute(LOCAL4, &address.octets())),
            IpAddr::V6(address) => (INET6, attribute(LOCAL6, &address.octets())),
        };
        let attributes = [
            attribute(PORT, &port.to_be_bytes()),
            attribute(FAMILY, &[version]),
            local,
            attribute(INTERFACE, &device.index.to_ne_bytes()),
        ];
        let port = attributes.concat();
        let order = Generic::new(self.family, ADD, &[&port[..], &attribute(TYPE, &[GUE])].concat());
        self.generic.tell(order, 0)?;
        self.ports.push(port);
        Ok(())
    }
}

impl Drop for Fou {
    fn drop(&mut self) {
        // What fails here has gone already.
        for port in std::mem::take(&mut self.ports) {
            let _ = self.generic.tell(Generic::new(self.family, DELETE, &port), 0);
        }
        for index in std::mem::take(&mut self.raised) {
            let _ = self.switch(index, LinkFlags::empty());
        }
    }
}

/// The name of a tunnel that is somebody's own: another than those for whomever, or one of them that is in use already.
fn foreign(message: &LinkMessage) -> Option<String> {
    let is_tunnel = message.attributes.iter().any(|attribute| match attribute {
        LinkAttribute::LinkInfo(infos) => TUNNELS.iter().any(|(_, kind)| infos.contains(&LinkInfo::Kind(kind.clone()))),
        _ => false,
    });
    let name = message.attributes.iter().find_map(|attribute| match attribute {
        LinkAttribute::IfName(name) => Some(name.clone()),
        _ => None,
    });
    let is_up = message.header.flags.contains(LinkFlags::Up);
    name.filter(|name| is_tunnel && (is_up || TUNNELS.iter().all(|(own, _)| own != name)))
}

fn because(what: &str, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{what}: {error}"))
}

/// Asking for it by name loads the module.
fn family(generic: &mut Questions<Generic>) -> io::Result<u16> {
    let question = Generic::new(CONTROLLER, GET_FAMILY, &attribute(FAMILY_NAME, b"fou\0"));
    let found = generic.get(question, |answer| answer.number(FAMILY_ID))?;
    found.first().copied().ok_or(ErrorKind::NotFound.into())
}

fn attribute(kind: u16, value: &[u8]) -> Vec<u8> {
    let length = (4 + value.len()) as u16;
    let mut attribute = [&length.to_ne_bytes()[..], &kind.to_ne_bytes(), value].concat();
    attribute.resize(attribute.len().next_multiple_of(4), 0);
    attribute
}

/// A message of generic netlink, as it travels behind netlink's own header.
#[derive(Debug)]
struct Generic {
    family: u16,
    payload: Vec<u8>,
}

impl Generic {
    fn new(family: u16, command: u8, attributes: &[u8]) -> Self {
        Self { family, payload: [&[command, 1, 0, 0], attributes].concat() }
    }

    /// The attribute `wanted`, of two bytes.
    fn number(&self, wanted: u16) -> Option<u16> {
        let mut rest = self.payload.get(4..)?;
        while let Some(([a, b, c, d], behind)) = rest.split_first_chunk() {
            let (length, kind) = (usize::from(u16::from_ne_bytes([*a, *b])), u16::from_ne_bytes([*c, *d]));
            let value = behind.get(..length.checked_sub(4)?)?;
            if kind == wanted {
                return value.try_into().ok().map(u16::from_ne_bytes);
            }
            rest = behind.get(value.len().next_multiple_of(4)..)?;
        }
        None
    }
}

impl NetlinkSerializable for Generic {
    fn message_type(&self) -> u16 {
        self.family
    }

    fn buffer_len(&self) -> usize {
        self.payload.len()
    }

    fn serialize(&self, buffer: &mut [u8]) {
        buffer.copy_from_slice(&self.payload);
    }
}

impl NetlinkDeserializable for Generic {
    type Error = std::convert::Infallible;

    fn deserialize(header: &NetlinkHeader, payload: &[u8]) -> Result<Self, Self::Error> {
        Ok(Self { family: header.message_type, payload: payload.to_vec() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attributes_are_found_among_others() {
        let attributes = [attribute(FAMILY_NAME, b"fou\0"), attribute(9, &[1]), attribute(FAMILY_ID, &[7, 1])].concat();
        let answer = Generic::new(CONTROLLER, 1, &attributes);
        assert_eq!(answer.number(FAMILY_ID), Some(u16::from_ne_bytes([7, 1])));
        assert_eq!(answer.number(FAMILY_NAME), None, "four bytes are no number of two");
        assert_eq!(answer.number(77), None);
        for length in 0..answer.payload.len() {
            let cut = Generic { family: 0, payload: answer.payload[..length].to_vec() };
            let _ = cut.number(FAMILY_ID);
        }
        let endless = Generic::new(CONTROLLER, 1, &[0; 8]);
        assert_eq!(endless.number(1), None);
    }
}
