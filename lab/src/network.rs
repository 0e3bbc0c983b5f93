// SPDX-License-Identifier: MIT OR Apache-2.0
//! The namespaces, and the wires between them.
//!
//! ```text
//!                    origin
//!                      │
//!                   internet
//!                  ╱        ╲
//!      lhr ─────── backbone ─────── cdg
//!     ╱ │ ╲                        ╱ │ ╲
//!  f1 f2  1 2 3                 f1 f2  1 2 3
//! ```

use anyhow::{Context, Result};

use crate::netns::Netns;
use crate::plan::{self, BACKBONE, INTERNET, ORIGIN, ORIGIN4, ORIGIN6, Place, SITES, Site};

/// All namespaces, wired.
pub(crate) struct Network {
    all: Vec<Netns>,
}

impl Network {
    pub(crate) fn new() -> Result<Self> {
        let routers = [INTERNET].into_iter().chain(SITES.map(|site| site.short));
        let mut all = routers.map(|name| Netns::new(name, true)).collect::<Result<Vec<_>>>()?;
        let leaves = [ORIGIN.to_owned()]
            .into_iter()
            .chain(plan::servers().map(Place::server))
            .chain(plan::forwarders().map(Place::forwarder));
        for name in leaves {
            all.push(Netns::new(&name, false)?);
        }
        let network = Self { all };
        network.connect_origin()?;
        let [lhr, cdg] = SITES.map(|site| network.named(site.short));
        let (lhr, cdg) = (lhr?, cdg?);
        lhr.wire(cdg, ["backbone", "backbone"], BACKBONE)?;
        for site in SITES {
            network.connect_site(site)?;
        }
        for place in plan::servers() {
            network.connect_server(place)?;
        }
        for place in plan::forwarders() {
            network.connect_forwarder(place)?;
        }
        Ok(network)
    }

    /// # Errors
    /// There is none of that name.
    pub(crate) fn named(&self, name: &str) -> Result<&Netns> {
        self.all.iter().find(|netns| netns.name == name).with_context(|| format!("there is no namespace {name}"))
    }

    pub(crate) fn server(&self, place: Place) -> Result<&Netns> {
        self.named(&place.server())
    }

    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.all.iter().map(|netns| &*netns.name)
    }

    fn connect_origin(&self) -> Result<()> {
        let (internet, origin) = (self.named(INTERNET)?, self.named(ORIGIN)?);
        internet.cable(origin, ["origin", "eth0"])?;
        internet.ip("address add 203.0.113.1/24 dev origin")?;
        internet.ip("address add 2001:db8:f::1/64 dev origin nodad")?;
        origin.add_address("eth0", ORIGIN4.into(), 24)?;
        origin.add_address("eth0", ORIGIN6.into(), 64)?;
        origin.ip("route add default via 203.0.113.1")?;
        origin.ip("-6 route add default via 2001:db8:f::1")?;
        // By addresses and ports: a flow keeps to one data centre, and all flows use both.
        internet.set("ipv4.fib_multipath_hash_policy", "1")?;
        internet.set("ipv6.fib_multipath_hash_policy", "1")
    }

    fn connect_site(&self, site: Site) -> Result<()> {
        let (internet, router) = (self.named(INTERNET)?, self.named(site.short)?);
        internet.wire(router, [site.short, "internet"], site.transit())?;
        router.default_routes(site.transit(), "internet")?;
        for family in ["ipv4", "ipv6"] {
            // By all of that but the source address. All routers of the lab have one kernel and one hash: with the same
            // fields a router would find all flows of one kind that the router before has sorted already.
            router.set(&format!("{family}.fib_multipath_hash_policy"), "3")?;
            router.set(&format!("{family}.fib_multipath_hash_fields"), &FIELDS.to_string())?;
        }
        Ok(())
    }

    fn connect_server(&self, place: Place) -> Result<()> {
        let (router, server) = (self.named(place.site.short)?, self.server(place)?);
        router.wire(server, [&place.server(), "eth0"], place.server_wire())?;
        // Straight to the Internet: only what comes back passes a forwarder.
        server.default_routes(place.server_wire(), "eth0")
    }

    /// The forwarder's kernel has its addresses on the TAP interface; the wire itself belongs to `sluiced`.
    fn connect_forwarder(&self, place: Place) -> Result<()> {
        let (router, forwarder) = (self.named(place.site.short)?, self.named(&place.forwarder())?);
        let (name, wire) = (place.forwarder(), place.forwarder_wire());
        router.cable(forwarder, [&name, "wan0"])?;
        router.add_address(&name, wire.v4[0].into(), 31)?;
        router.add_address(&name, wire.v6[0].into(), 127)?;
        for (netns, interface) in [(router, &*name), (forwarder, "wan0")] {
            // A device that knows nothing of offloads must get whole frames with checksums.
            netns.run(&format!("ethtool -K {interface} tx off rx off tso off gso off gro off"))?;
        }
        // The kernel sees frames here as well as on the TAP interface, and is to look at those of the latter alone.
        forwarder.ip("link set wan0 arp off")?;
        forwarder.set("ipv6.conf.wan0.disable_ipv6", "1")?;
        forwarder.set("ipv4.conf.wan0.rp_filter", "1")?;
        // One that lasts keeps its addresses, and BIRD its interface, while no sluiced runs.
        forwarder.ip("tuntap add dev wan0-k mode tap")?;
        forwarder.add_address("wan0-k", wire.v4[1].into(), 31)?;
        forwarder.add_address("wan0-k", wire.v6[1].into(), 127)?;
        forwarder.ip("link set wan0-k up")?;
        forwarder.default_routes(wire, "wan0-k")?;
        forwarder.ip(&format!("route add local {} dev lo", place.site.underlay4(place.number)))?;
        forwarder.ip(&format!("-6 route add local {} dev lo", place.site.underlay6(place.number)))?;
        forwarder.ip("tuntap add dev sluice-ready mode tun user nobody")?;
        forwarder.ip("link set sluice-ready up").map(drop)
    }
}

/// Destination address, protocol, source port, destination port.
const FIELDS: u32 = 0b11_0110;
