// SPDX-License-Identifier: MIT OR Apache-2.0
//! The model: a network as a list of entries, what it says of a packet, and the document that describes it.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use serde_json::{Map, Value, json};
use tables::table::Viewpoint;

pub(crate) const DATACENTERS: [&str; 3] = ["LHR", "CDG", "FRA"];
/// Servers a data centre; those with an odd number have an IPv6 address in a network of both families.
pub(crate) const SERVERS: usize = 4;

/// A server, by data centre and number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Server(pub(crate) usize, pub(crate) usize);

/// An owner and the one before.
pub(crate) type Owner = (Server, Option<Server>);

/// What an entry says, servers given by number in the entry's data centre.
#[derive(Debug, Clone)]
pub(crate) enum Kind {
    Unassigned,
    Whole(LocalOwner),
    /// Slice size and owners.
    Slices(u32, Vec<Option<LocalOwner>>, Option<usize>),
    /// First port, last port and owner.
    Ranges(Vec<(u16, u16, LocalOwner)>, Option<usize>),
}

/// The number of a server in the entry's data centre, and any server as the previous one.
pub(crate) type LocalOwner = (usize, Option<Server>);

#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub(crate) network: IpAddr,
    pub(crate) length: u8,
    pub(crate) datacenter: usize,
    pub(crate) kind: Kind,
}

#[derive(Debug)]
pub(crate) struct Network {
    /// Whether there are IPv6 servers, and the viewpoint has both families.
    pub(crate) both_families: bool,
    pub(crate) entries: Vec<Entry>,
}

/// What becomes of a packet to an address and a port; no port for protocols that carry none.
#[derive(Debug, PartialEq)]
pub(crate) enum Fate {
    Absent,
    Unassigned,
    Remote(String),
    Server { name: String, address: IpAddr, previous: Option<(String, IpAddr)>, whole: bool },
    Nobody,
}

pub(crate) fn bits(address: IpAddr) -> (u128, u32) {
    match address {
        IpAddr::V4(address) => (u128::from(address.to_bits()), 32),
        IpAddr::V6(address) => (address.to_bits(), 128),
    }
}

/// `address` with the bits of `change` flipped, of which the family has as many as it needs.
pub(crate) fn flipped(address: IpAddr, change: u128) -> IpAddr {
    match address {
        IpAddr::V4(address) => Ipv4Addr::from_bits(address.to_bits() ^ (change >> 96) as u32).into(),
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() ^ change).into(),
    }
}

/// The bits behind the first `length`, left-aligned as [`flipped`] takes them.
pub(crate) fn host_mask(length: u8) -> u128 {
    u128::MAX.checked_shr(length.into()).unwrap_or(0)
}

pub(crate) fn offset(address: IpAddr, by: i128) -> IpAddr {
    match address {
        IpAddr::V4(address) => Ipv4Addr::from_bits(address.to_bits().wrapping_add(by as u32)).into(),
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits().wrapping_add(by as u128)).into(),
    }
}

impl Entry {
    fn contains(&self, address: IpAddr) -> bool {
        let ((a, width), (b, other)) = (bits(self.network), bits(address));
        width == other && (0..self.length).all(|bit| (a ^ b) >> (width - 1 - u32::from(bit)) & 1 == 0)
    }

    pub(crate) fn last(&self) -> IpAddr {
        flipped(self.network, host_mask(self.length))
    }

    fn owner(&self, (server, previous): LocalOwner) -> Owner {
        (Server(self.datacenter, server), previous)
    }

    /// The owner of a port of a sliced entry.
    pub(crate) fn port(&self, port: u16) -> Option<Owner> {
        let owner = match &self.kind {
            _ if port == 0 => None,
            Kind::Slices(size, owners, _) => owners.get((u32::from(port) / size) as usize).copied().flatten(),
            Kind::Ranges(ranges, _) => {
                ranges.iter().find(|&&(first, last, _)| first <= port && port <= last).map(|&(.., owner)| owner)
            }
            _ => unreachable!("only sliced entries have a plan"),
        };
        owner.map(|owner| self.owner(owner))
    }

    /// Ports around every bound of the plan.
    pub(crate) fn bounds(&self) -> impl Iterator<Item = u16> {
        let firsts: Vec<u16> = match &self.kind {
            Kind::Slices(size, owners, _) => (0..=owners.len() as u32).map(|slice| (slice * size) as u16).collect(),
            Kind::Ranges(ranges, _) => {
                ranges.iter().flat_map(|&(first, last, _)| [first, last.wrapping_add(1)]).collect()
            }
            _ => unreachable!("only sliced entries have a plan"),
        };
        let around = |first: u16| [first.wrapping_sub(1), first, first.wrapping_add(1)];
        firsts.into_iter().flat_map(around).chain([0, 1, u16::MAX])
    }

    fn portless(&self) -> Option<Owner> {
        match self.kind {
            Kind::Slices(_, _, portless) | Kind::Ranges(_, portless) => portless.map(|it| self.owner((it, None))),
            _ => unreachable!("only sliced entries have a portless owner"),
        }
    }

    fn json(&self) -> Value {
        let mut entry = Map::new();
        entry.insert("prefix".into(), json!(format!("{}/{}", self.network, self.length)));
        let name = |server: usize| json!(name(Server(self.datacenter, server)));
        let previous = |(_, previous): LocalOwner| previous.map(|server| json!(self::name(server)));
        match &self.kind {
            Kind::Unassigned => {
                entry.insert("unassigned".into(), json!(true));
                return entry.into();
            }
            Kind::Whole(owner) => {
                entry.insert("server".into(), name(owner.0));
                entry.extend(previous(*owner).map(|previous| ("previous".into(), previous)));
            }
            Kind::Slices(size, owners, portless) => {
                let names: Vec<Value> = owners.iter().map(|it| it.map_or(Value::Null, |it| name(it.0))).collect();
                let before: Vec<Value> = owners.iter().map(|it| it.and_then(previous).unwrap_or(Value::Null)).collect();
                entry.insert("slices".into(), json!({ "ports": size, "owners": names, "previous": before }));
                entry.extend(portless.map(|it| ("portless".into(), name(it))));
            }
            Kind::Ranges(ranges, portless) => {
                let range = |&(first, last, owner): &(u16, u16, LocalOwner)| {
                    let mut range = Map::new();
                    range.insert("ports".into(), json!(format!("{first}-{last}")));
                    range.insert("server".into(), name(owner.0));
                    range.extend(previous(owner).map(|previous| ("previous".into(), previous)));
                    range
                };
                entry.insert("ranges".into(), ranges.iter().map(range).collect());
                entry.extend(portless.map(|it| ("portless".into(), name(it))));
            }
        }
        entry.insert("datacenter".into(), json!(DATACENTERS[self.datacenter]));
        entry.into()
    }
}

fn name(Server(datacenter, number): Server) -> String {
    format!("{}-{number}", DATACENTERS[datacenter].to_lowercase())
}

impl Network {
    pub(crate) fn server_address(&self, Server(datacenter, number): Server) -> IpAddr {
        if self.both_families && number % 2 == 1 {
            Ipv6Addr::new(0x2001, 0xdb8, datacenter as u16, 1, 0, 0, 0, number as u16).into()
        } else {
            Ipv4Addr::new(10, datacenter as u8, 1, number as u8).into()
        }
    }

    /// Two IPv4 forwarders around one of IPv6.
    pub(crate) fn forwarders(datacenter: usize) -> [IpAddr; 3] {
        [
            Ipv4Addr::new(10, datacenter as u8, 0, 9).into(),
            Ipv6Addr::new(0x2001, 0xdb8, datacenter as u16, 0, 0, 0, 0, 1).into(),
            Ipv4Addr::new(10, datacenter as u8, 0, 1).into(),
        ]
    }

    pub(crate) fn viewpoint(&self, datacenter: usize) -> Viewpoint {
        Viewpoint {
            datacenter: DATACENTERS[datacenter].into(),
            ipv4: Some(Ipv4Addr::new(10, datacenter as u8, 0, 1)),
            ipv6: self.both_families.then(|| Ipv6Addr::new(0x2001, 0xdb8, datacenter as u16, 0, 0, 0, 0, 1)),
        }
    }

    pub(crate) fn document(&self) -> Value {
        let all =
            || (0..DATACENTERS.len()).flat_map(|datacenter| (0..SERVERS).map(move |number| Server(datacenter, number)));
        let datacenters: BTreeMap<&str, Value> = (0..DATACENTERS.len())
            .map(|index| (DATACENTERS[index], json!({ "forwarders": Self::forwarders(index) })))
            .collect();
        let servers: BTreeMap<String, Value> = all()
            .map(|it| (name(it), json!({ "datacenter": DATACENTERS[it.0], "address": self.server_address(it) })))
            .collect();
        let egress: Vec<Value> = self.entries.iter().map(Entry::json).collect();
        json!({ "version": 1, "datacenters": datacenters, "servers": servers, "egress": egress })
    }

    pub(crate) fn longest(&self, address: IpAddr) -> Option<&Entry> {
        self.entries.iter().filter(|entry| entry.contains(address)).max_by_key(|entry| entry.length)
    }

    pub(crate) fn server(&self, (server, previous): Owner, whole: bool) -> Fate {
        let known = |server: Server| (name(server), self.server_address(server));
        let (name, address) = known(server);
        Fate::Server { name, address, previous: previous.map(known), whole }
    }

    /// What the model says of a packet, seen from a data centre.
    pub(crate) fn fate(&self, viewpoint: usize, address: IpAddr, port: Option<u16>) -> Fate {
        let Some(entry) = self.longest(address) else { return Fate::Absent };
        match &entry.kind {
            Kind::Unassigned => Fate::Unassigned,
            _ if entry.datacenter != viewpoint => Fate::Remote(DATACENTERS[entry.datacenter].into()),
            Kind::Whole(owner) => self.server(entry.owner(*owner), true),
            _ => match port {
                Some(port) => entry.port(port),
                None => entry.portless(),
            }
            .map_or(Fate::Nobody, |owner| self.server(owner, false)),
        }
    }
}
