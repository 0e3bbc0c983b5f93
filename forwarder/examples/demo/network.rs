// SPDX-License-Identifier: MIT OR Apache-2.0
//! The network of the demo: three data centres, the servers of one of them, who owns which address and port in
//! generation 1, and what generation 2 moves.

use std::collections::BTreeMap;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use serde_json::{Value, json};

/// Ports in a slice; the first slice holds the well-known ports and is nobody's, which leaves 31.
pub(crate) const SLICE: u16 = 2048;
/// Servers in the data centre of the demo, one for each slice of an address.
pub(crate) const SERVERS: usize = 31;
/// Shared addresses that are sliced among the servers.
const SLICED: u8 = 4;

/// Underlay addresses of the forwarder itself.
pub(crate) const UNDERLAY4: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);
/// The same for IPv6.
pub(crate) const UNDERLAY6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0xa, 0, 0, 0, 0, 1);

/// Somewhere packets go: a server here, or another data centre as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Place {
    /// `lhr-01` is number 1.
    Server(usize),
    /// CDG or MAN.
    Datacenter(&'static str),
}

impl Place {
    /// Every place, in the order of the report.
    pub(crate) fn all() -> impl Iterator<Item = Self> {
        (1..=SERVERS).map(Self::Server).chain([Self::Datacenter("CDG"), Self::Datacenter("MAN")])
    }

    /// The underlay addresses that stand for it. Every fourth server has only an IPv6 address.
    pub(crate) fn addresses(self) -> Vec<IpAddr> {
        let texts = match self {
            Self::Server(number) if number % 4 == 0 => vec![format!("2001:db8:a:1::{number}")],
            Self::Server(number) => vec![format!("10.0.1.{number}")],
            Self::Datacenter("CDG") => vec!["10.1.0.1".into(), "10.1.0.2".into()],
            Self::Datacenter(_) => vec!["10.2.0.1".into(), "2001:db8:c::1".into()],
        };
        texts.iter().filter_map(|text| text.parse().ok()).collect()
    }

    /// The server of the table document that owns here; the remote data centres have one each.
    fn owner(self) -> String {
        match self {
            Self::Server(_) => self.to_string(),
            Self::Datacenter(name) => format!("{}-1", name.to_lowercase()),
        }
    }

    fn datacenter(self) -> &'static str {
        match self {
            Self::Server(_) => "LHR",
            Self::Datacenter(name) => name,
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Server(number) => f.pad(&format!("lhr-{number:02}")),
            Self::Datacenter(name) => f.pad(name),
        }
    }
}

/// An egress prefix that is in use.
#[derive(Debug, Clone)]
pub(crate) struct Egress {
    /// Network address.
    pub(crate) address: IpAddr,
    /// Prefix length.
    pub(crate) length: u8,
    owners: Owners,
}

#[derive(Debug, Clone)]
enum Owners {
    Whole(Place),
    /// Owner of each slice from the second one on, and the previous owner of those that drain.
    Slices(Vec<Place>, BTreeMap<usize, Place>),
}

impl Egress {
    fn whole(address: impl Into<IpAddr>, owner: Place) -> Self {
        let address = address.into();
        Self { address, length: if address.is_ipv4() { 32 } else { 64 }, owners: Owners::Whole(owner) }
    }

    /// Whose `port` is; nobody's in the first slice.
    pub(crate) fn owner(&self, port: u16) -> Option<Place> {
        match &self.owners {
            Owners::Whole(place) => Some(*place),
            Owners::Slices(places, _) => places.get(usize::from(port / SLICE).checked_sub(1)?).copied(),
        }
    }

    /// One port range for every distinct holding: each slice, or all ports of a whole address.
    pub(crate) fn ranges(&self) -> Vec<(u16, u16)> {
        match &self.owners {
            Owners::Whole(_) => vec![(1024, u16::MAX)],
            Owners::Slices(places, _) => {
                (1..=places.len() as u16).map(|slice| (slice * SLICE, slice * SLICE + (SLICE - 1))).collect()
            }
        }
    }

    fn json(&self) -> Value {
        let prefix = format!("{}/{}", self.address, self.length);
        match &self.owners {
            Owners::Whole(place) => {
                json!({ "prefix": prefix, "datacenter": place.datacenter(), "server": place.owner() })
            }
            Owners::Slices(places, previous) => {
                let owners: Vec<_> = std::iter::once(None).chain(places.iter().map(|p| Some(p.owner()))).collect();
                let last = previous.keys().max().map_or(0, |slice| slice + 1);
                let previous: Vec<_> = (0..last).map(|slice| previous.get(&slice).map(|p| p.owner())).collect();
                let slices = json!({ "ports": SLICE, "owners": owners, "previous": previous });
                json!({ "prefix": prefix, "datacenter": "LHR", "slices": slices, "tags": { "country": "GB" } })
            }
        }
    }
}

/// Something that changes hands with generation 2.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Move {
    /// Index of the prefix, the same in both generations.
    pub(crate) egress: usize,
    /// First and last port.
    pub(crate) ports: (u16, u16),
    /// Owner in generation 1.
    pub(crate) from: Place,
    /// Owner in generation 2.
    pub(crate) to: Place,
    /// Whether the old owner is named to the new one while its connections drain.
    pub(crate) draining: bool,
}

/// Both generations of the table.
pub(crate) struct Network {
    before: Vec<Egress>,
    after: Vec<Egress>,
    /// Where they differ.
    pub(crate) moves: Vec<Move>,
}

impl Network {
    /// The network, always the same.
    pub(crate) fn new() -> Self {
        let mut before: Vec<_> = (1..=SLICED)
            .map(|last| {
                let owner = |slice| Place::Server((slice + 7 * usize::from(last)) % SERVERS + 1);
                let owners = Owners::Slices((0..SERVERS).map(owner).collect(), BTreeMap::new());
                Egress { address: Ipv4Addr::new(198, 51, 100, last).into(), length: 32, owners }
            })
            .collect();
        before.push(Egress::whole([198, 51, 100, 5], Place::Server(13)));
        before.push(Egress::whole([198, 51, 100, 17], Place::Datacenter("CDG")));
        before.push(Egress::whole([198, 51, 100, 18], Place::Datacenter("MAN")));
        let ipv6 = |subnet| Ipv6Addr::new(0x2001, 0xdb8, 0xe, subnet, 0, 0, 0, 0);
        before.extend(
            (1..).take(SERVERS).zip(1..).map(|(subnet, number)| Egress::whole(ipv6(subnet), Place::Server(number))),
        );
        before.push(Egress::whole(ipv6(0x101), Place::Datacenter("CDG")));
        before.push(Egress::whole(ipv6(0x102), Place::Datacenter("MAN")));

        let mut network = Self { after: before.clone(), before, moves: Vec::new() };
        network.move_slice(0, 5, Place::Server(21), false);
        network.move_slice(1, 11, Place::Server(2), true);
        network.move_slice(2, 20, Place::Server(28), false);
        network.move_whole(4, Place::Datacenter("CDG"));
        network.move_whole(13, Place::Server(9));
        network
    }

    fn move_slice(&mut self, egress: usize, slice: u16, to: Place, draining: bool) {
        let ports = (slice * SLICE, slice * SLICE + (SLICE - 1));
        let Some(Egress { owners: Owners::Slices(places, previous), .. }) = self.after.get_mut(egress) else { return };
        let Some(owner) = places.get_mut(usize::from(slice) - 1) else { return };
        let from = std::mem::replace(owner, to);
        if draining {
            previous.insert(usize::from(slice), from);
        }
        self.moves.push(Move { egress, ports, from, to, draining });
    }

    fn move_whole(&mut self, egress: usize, to: Place) {
        let Some(Egress { owners: Owners::Whole(owner), .. }) = self.after.get_mut(egress) else { return };
        let from = std::mem::replace(owner, to);
        self.moves.push(Move { egress, ports: (0, u16::MAX), from, to, draining: false });
    }

    /// The prefixes in use as generation 1 has them.
    pub(crate) fn egress(&self) -> &[Egress] {
        &self.before
    }

    /// Whose `port` of a prefix is, in generation 1 and in generation 2.
    pub(crate) fn owners(&self, egress: usize, port: u16) -> Option<[Place; 2]> {
        Some([self.before.get(egress)?.owner(port)?, self.after.get(egress)?.owner(port)?])
    }

    /// The table document of generation 1 or 2.
    pub(crate) fn table(&self, generation: u32) -> Value {
        // Who owns in the other data centres stands for all of theirs, behind their forwarders.
        let server = |place: Place| {
            let address = match place {
                Place::Server(_) => place.addresses().first().map(ToString::to_string).unwrap_or_default(),
                Place::Datacenter(name) => if name == "CDG" { "10.1.1.1" } else { "10.2.1.1" }.to_owned(),
            };
            (place.owner(), json!({ "datacenter": place.datacenter(), "address": address }))
        };
        let servers: serde_json::Map<_, _> = Place::all().map(server).collect();
        let forwarders = |name| json!({ "forwarders": Place::Datacenter(name).addresses() });
        let egress = if generation == 1 { &self.before } else { &self.after };
        let unassigned = json!({ "prefix": "198.51.100.0/24", "unassigned": true });
        json!({
            "version": 1,
            "generation": generation,
            "datacenters": {
                "LHR": { "forwarders": [UNDERLAY4.to_string(), UNDERLAY6.to_string()] },
                "CDG": forwarders("CDG"),
                "MAN": forwarders("MAN"),
            },
            "servers": servers,
            "egress": egress.iter().map(Egress::json).chain([unassigned]).collect::<Vec<_>>(),
        })
    }
}
