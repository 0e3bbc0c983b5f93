// SPDX-License-Identifier: MIT OR Apache-2.0
//! Who is where: names and addresses of the lab, and the first table. All addresses follow from a data centre's number
//! and a place's number in it.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use serde_json::{Value, json};

/// A data centre.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Site {
    /// As in the table.
    pub(crate) name: &'static str,
    /// As in names of namespaces; its router's namespace is called so.
    pub(crate) short: &'static str,
    pub(crate) number: u8,
}

pub(crate) const LHR: Site = Site { name: "LHR", short: "lhr", number: 0 };
pub(crate) const CDG: Site = Site { name: "CDG", short: "cdg", number: 1 };
pub(crate) const SITES: [Site; 2] = [LHR, CDG];

pub(crate) const ORIGIN: &str = "origin";
pub(crate) const INTERNET: &str = "internet";
/// The name that the origin's DNS knows.
pub(crate) const DOMAIN: &str = "origin.example";
pub(crate) const ORIGIN4: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 10);
pub(crate) const ORIGIN6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0xf, 0, 0, 0, 0, 0x10);
/// In the origin's network, and nobody is there.
pub(crate) const NOBODY4: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 99);
pub(crate) const NOBODY6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0xf, 0, 0, 0, 0, 0x99);

/// Addresses of one server alone, which are going to move.
pub(crate) const MOVING4: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 3);
pub(crate) const MOVING6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0xe, 3, 0, 0, 0, 1);

/// What is announced: egress addresses of both families.
pub(crate) const EGRESS: [&str; 2] = ["198.51.100.0/24", "2001:db8:e::/48"];
/// Ports in a slice.
pub(crate) const SLICE: u32 = 2048;

impl Site {
    pub(crate) fn other(self) -> Self {
        if self == LHR { CDG } else { LHR }
    }

    /// The /32 that its three servers share.
    pub(crate) fn shared4(self) -> Ipv4Addr {
        Ipv4Addr::new(198, 51, 100, self.number + 1)
    }

    /// The /128 that its three servers share.
    pub(crate) fn shared6(self) -> Ipv6Addr {
        Ipv6Addr::new(0x2001, 0xdb8, 0xe, u16::from(self.number) + 1, 0, 0, 0, 1)
    }

    /// Both shared addresses.
    pub(crate) fn shared(self) -> [IpAddr; 2] {
        [self.shared4().into(), self.shared6().into()]
    }

    /// The underlay address of a forwarder, by its number from 1.
    pub(crate) fn underlay4(self, forwarder: u8) -> Ipv4Addr {
        Ipv4Addr::new(10, self.number, 0, forwarder)
    }

    /// The same of IPv6.
    pub(crate) fn underlay6(self, forwarder: u8) -> Ipv6Addr {
        Ipv6Addr::new(0x2001, 0xdb8, self.group(), 0, 0, 0, 0, u16::from(forwarder))
    }

    /// The wire from its router to a place; the router's end has the even address, the place's the odd one.
    pub(crate) fn wire(self, place: u8) -> Wire {
        let v4 = |last| Ipv4Addr::new(10, self.number, place, last);
        let v6 = |last| Ipv6Addr::new(0x2001, 0xdb8, self.group(), u16::from(place), 0, 0, 0, last);
        Wire { v4: [v4(0), v4(1)], v6: [v6(0), v6(1)] }
    }

    /// The wire from the Internet to its router.
    pub(crate) fn transit(self) -> Wire {
        let v4 = |last| Ipv4Addr::new(192, 0, 2, 2 * self.number + last);
        let v6 = |last| Ipv6Addr::new(0x2001, 0xdb8, 0xd, u16::from(self.number), 0, 0, 0, last);
        Wire { v4: [v4(0), v4(1)], v6: [v6(0), v6(1)] }
    }

    /// The AS of its router.
    pub(crate) fn autonomous_system(self) -> u32 {
        65001 + u32::from(self.number)
    }

    /// The third group of its IPv6 addresses.
    fn group(self) -> u16 {
        0xa + u16::from(self.number)
    }
}

/// Addresses of the ends of a wire.
#[derive(Clone, Copy)]
pub(crate) struct Wire {
    pub(crate) v4: [Ipv4Addr; 2],
    pub(crate) v6: [Ipv6Addr; 2],
}

/// The backbone: LHR's end first.
pub(crate) const BACKBONE: Wire = Wire {
    v4: [Ipv4Addr::new(10, 255, 0, 0), Ipv4Addr::new(10, 255, 0, 1)],
    v6: [Ipv6Addr::new(0x2001, 0xdb8, 0xc, 0, 0, 0, 0, 0), Ipv6Addr::new(0x2001, 0xdb8, 0xc, 0, 0, 0, 0, 1)],
};

/// A server or a forwarder: its data centre, and its number there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) site: Site,
    pub(crate) number: u8,
}

impl Place {
    /// A server's name, in the table and of its namespace.
    pub(crate) fn server(self) -> String {
        format!("{}-{}", self.site.short, self.number)
    }

    /// A forwarder's name.
    pub(crate) fn forwarder(self) -> String {
        format!("{}-f{}", self.site.short, self.number)
    }

    pub(crate) fn server_wire(self) -> Wire {
        self.site.wire(self.number)
    }

    pub(crate) fn forwarder_wire(self) -> Wire {
        self.site.wire(10 + self.number)
    }

    /// Where the table says that a server is: of each data centre one server has the other address family than its
    /// neighbours, so that packets of both travel over both.
    pub(crate) fn address(self) -> IpAddr {
        let wire = self.server_wire();
        let four = (self.site == LHR) == (self.number != 3);
        if four { wire.v4[1].into() } else { wire.v6[1].into() }
    }
}

fn places(each: u8) -> impl Iterator<Item = Place> {
    SITES.into_iter().flat_map(move |site| (1..=each).map(move |number| Place { site, number }))
}

/// All six, LHR's first.
pub(crate) fn servers() -> impl Iterator<Item = Place> {
    places(3)
}

/// All four, LHR's first.
pub(crate) fn forwarders() -> impl Iterator<Item = Place> {
    places(2)
}

/// The table that the lab starts with. In each data centre the three servers share a /32 and a /128; the first server of
/// LHR has an address for itself as well, which is going to move.
pub(crate) fn table() -> Value {
    let datacenters: serde_json::Map<_, _> = SITES
        .into_iter()
        .map(|site| {
            let own = [1, 2].map(|number| [json!(site.underlay4(number)), json!(site.underlay6(number))]).concat();
            (site.name.to_owned(), json!({ "forwarders": own }))
        })
        .collect();
    let servers: serde_json::Map<_, _> = servers()
        .map(|place| (place.server(), json!({ "datacenter": place.site.name, "address": place.address() })))
        .collect();
    let mut egress = vec![];
    for site in SITES {
        let owners: Vec<_> = (0..=3).map(|number| (number > 0).then(|| Place { site, number }.server())).collect();
        let country = if site == LHR { "GB" } else { "FR" };
        for (address, length) in site.shared().into_iter().zip([32, 128]) {
            egress.push(json!({
                "prefix": format!("{address}/{length}"), "datacenter": site.name,
                "slices": { "ports": SLICE, "owners": owners }, "tags": { "country": country, "use": "web" },
            }));
        }
    }
    for (address, length) in [(IpAddr::V4(MOVING4), 32), (IpAddr::V6(MOVING6), 128)] {
        egress.push(json!({
            "prefix": format!("{address}/{length}"), "datacenter": LHR.name, "server": Place { site: LHR, number: 1 }.server(),
            "tags": { "use": "mail" },
        }));
    }
    egress.extend(EGRESS.map(|prefix| json!({ "prefix": prefix, "unassigned": true })));
    json!({ "version": 1, "generation": 1, "datacenters": datacenters, "servers": servers, "egress": egress })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_one() {
        assert!(tables::Source::from_slice(table().to_string().as_bytes()).is_ok());
    }

    #[test]
    fn in_each_data_centre_servers_have_addresses_of_both_families() {
        for site in SITES {
            let of_site = || servers().filter(move |place| place.site == site);
            assert_eq!(of_site().count(), 3);
            assert!(
                of_site().any(|place| place.address().is_ipv4()) && of_site().any(|place| place.address().is_ipv6())
            );
        }
    }
}
