// SPDX-License-Identifier: MIT OR Apache-2.0
//! From what the kernel knows to next hops: each address by its best route to gateways, each gateway by its neighbour to a MAC
//! address, each interface to the device whose kernel path it is. Pure.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::IpAddr;
use std::time::Instant;

use super::kernel::{Gateway, Interface, Kernel, Neighbour, Place, Route, Routes};
use super::path_mtu::PathMtus;
use crate::hops::{Link, NextHops, Unresolved, Usable, Way};
use crate::io::DeviceIndex;
use crate::settings::Device;
use crate::wire::MacAddr;
use crate::wire::ethernet::Template;

/// A device, and the interface that is its kernel path.
#[derive(Debug, Clone)]
pub struct Port {
    /// The interface's name.
    pub interface: String,
    /// The device's number.
    pub index: DeviceIndex,
    /// What its frames look like.
    pub device: Device,
    /// Whether the device itself has a link, of which its interface knows nothing.
    pub has_link: bool,
}

/// Resolves addresses.
#[derive(Debug, Default)]
pub struct Resolver {
    ports: Vec<Port>,
    /// What is resolved by.
    pub kernel: Kernel,
    narrowed: PathMtus,
    needs: Needs,
}

/// What a table needs of the underlay.
#[derive(Debug, Default)]
pub struct Needs {
    neighbours: BTreeSet<Place>,
    /// What the way to each address takes, in bytes.
    mtus: HashMap<IpAddr, u16>,
}

/// A way to one address.
struct Found {
    links: Vec<Link>,
    mtu: u16,
}

impl Resolver {
    /// For these devices; others send nothing.
    pub fn new(ports: Vec<Port>) -> Self {
        Self { ports, ..Self::default() }
    }

    /// Takes note which devices have links; whether that is news.
    pub fn note_links(&mut self, has_link: impl Fn(DeviceIndex) -> bool) -> bool {
        let mut is_news = false;
        for port in &mut self.ports {
            let before = std::mem::replace(&mut port.has_link, has_link(port.index));
            is_news |= port.has_link != before;
        }
        is_news
    }

    /// From now on neighbours are wanted and paths narrowed for what needs this.
    pub fn serve(&mut self, needs: Needs) {
        self.needs = needs;
    }

    /// The next hops to `servers`, some of which may be gone, and to the forwarders of each of `datacenters`.
    pub fn resolve<'a>(
        &self,
        servers: impl Iterator<Item = Option<IpAddr>>,
        datacenters: impl Iterator<Item = &'a [IpAddr]>,
    ) -> (NextHops, Needs) {
        let mut work = Work { resolver: self, needed: BTreeSet::new(), links: Vec::new(), sets: HashMap::new() };
        let mut known: HashMap<(IpAddr, bool), Way> = HashMap::new();
        let mut unresolved = BTreeMap::new();
        let mut way = |work: &mut Work<'_>, to: IpAddr, by_default: bool| match known.entry((to, by_default)) {
            Entry::Occupied(known) => *known.get(),
            Entry::Vacant(place) => *place.insert(match work.find(to, by_default) {
                Ok(found) => work.way(found),
                Err(why) => {
                    unresolved.insert(to, why);
                    Way::default()
                }
            }),
        };
        let servers = servers.map(|to| to.map_or_else(Way::default, |to| way(&mut work, to, true))).collect();
        let mut datacenter = |forwarders: &[IpAddr]| {
            let ways = (0..=u16::MAX).zip(forwarders).map(|(forwarder, &to)| {
                let way = way(&mut work, to, false);
                Usable { forwarder, way }
            });
            ways.filter(|usable| usable.way.is_open()).collect()
        };
        let datacenters = datacenters.map(&mut datacenter).collect();
        let internet = work.internet();
        let Work { needed, links, .. } = work;
        let mtus = known.into_iter().filter(|(_, way)| way.is_open()).map(|((to, _), way)| (to, way.mtu)).collect();
        let hops = NextHops { links: links.into(), servers, datacenters, internet, unresolved };
        (hops, Needs { neighbours: needed, mtus })
    }

    /// Neighbours that the kernel is to look for, or to look after.
    pub fn wanted(&self) -> BTreeSet<Place> {
        let is_well = |place: &Place| {
            self.kernel.neighbours.get(place).is_some_and(|neighbour| neighbour.mac.is_some() && !neighbour.is_stale)
        };
        self.needs.neighbours.iter().filter(|place| !is_well(place)).copied().collect()
    }

    /// Takes note that the path to `to` takes no more than `mtu`; what it takes from now on if that is less. `None` if it is no
    /// address of the table that has a way.
    pub fn lower(&mut self, to: IpAddr, mtu: u16, now: Instant) -> Option<u16> {
        let now_takes = *self.needs.mtus.get(&to)?;
        let lowered = self.narrowed.lower(to, mtu, now_takes, now)?;
        self.needs.mtus.insert(to, lowered);
        Some(lowered)
    }

    /// Forgets what routers said long ago; the addresses that it was about.
    pub fn expire(&mut self, now: Instant) -> Vec<IpAddr> {
        self.narrowed.expire(now)
    }

    /// Addresses whose paths take less than their devices, and how much.
    pub fn lowered(&self) -> BTreeMap<IpAddr, u16> {
        self.narrowed.iter().filter(|(to, _)| self.needs.mtus.contains_key(to)).collect()
    }
}

/// Next hops in the making.
struct Work<'r> {
    resolver: &'r Resolver,
    needed: BTreeSet<Place>,
    links: Vec<Link>,
    /// Where each set of links begins.
    sets: HashMap<Vec<Link>, u32>,
}

impl Work<'_> {
    /// The way to `to`, by the default route only if `by_default`.
    fn find(&mut self, to: IpAddr, by_default: bool) -> Result<Found, Unresolved> {
        let Kernel { routes4, routes6, .. } = &self.resolver.kernel;
        let routes = if to.is_ipv4() { routes4 } else { routes6 };
        let route = routes.find(to).ok_or(Unresolved::NoRoute)?;
        if route.len == 0 && !by_default {
            return Err(Unresolved::DefaultRoute);
        }
        self.follow(route, Some(to))
    }

    /// The ways by the default routes, over IPv4 and IPv6, as far as they lead to routers.
    fn internet(&mut self) -> [Way; 2] {
        let Kernel { routes4, routes6, .. } = &self.resolver.kernel;
        [routes4, routes6].map(|routes| {
            let found = Routes::default_route(routes).and_then(|route| self.follow(route, None).ok());
            found.map_or_else(Way::default, |found| self.way(found))
        })
    }

    /// Where a route leads: all its gateways whose neighbours are known; if there is none, why the first has no way. Without a
    /// router on it, `to` itself is the neighbour.
    fn follow(&mut self, route: &Route, to: Option<IpAddr>) -> Result<Found, Unresolved> {
        let mut shares = Vec::new();
        let mut mtu = route.mtu.unwrap_or(u16::MAX);
        let mut why = Unresolved::Refused;
        for gateway in route.gateways.iter().rev() {
            match self.link(gateway, to) {
                Ok((link, device_mtu)) => {
                    shares.push((link, gateway.weight.max(1)));
                    mtu = mtu.min(device_mtu);
                }
                Err(problem) => why = problem,
            }
        }
        if shares.is_empty() {
            return Err(why);
        }
        shares.reverse();
        let narrowed = to.and_then(|to| self.resolver.narrowed.get(to));
        Ok(Found { links: by_weight(&shares), mtu: narrowed.map_or(mtu, |narrowed| mtu.min(narrowed)) })
    }

    /// The link to a gateway, and the MTU of its device.
    fn link(&mut self, gateway: &Gateway, to: Option<IpAddr>) -> Result<(Link, u16), Unresolved> {
        let Kernel { interfaces, neighbours, .. } = &self.resolver.kernel;
        let Some(Interface { name, is_up }) = interfaces.get(&gateway.interface) else {
            return Err(Unresolved::OtherInterface(format!("interface {}", gateway.interface)));
        };
        let Some(Port { index, device, has_link, .. }) =
            self.resolver.ports.iter().find(|port| port.interface == *name)
        else {
            return Err(Unresolved::OtherInterface(name.clone()));
        };
        if !is_up || !has_link {
            return Err(Unresolved::LinkDown(name.clone()));
        }
        let address = gateway.via.or(to).ok_or(Unresolved::NoRoute)?;
        let place = (gateway.interface, address);
        self.needed.insert(place);
        let Some(Neighbour { mac: Some(mac), .. }) = neighbours.get(&place) else {
            return Err(Unresolved::Neighbour { address, interface: name.clone() });
        };
        let header = Template::new(MacAddr(mac.0), device.mac, device.vlan);
        Ok((Link { device: *index, header }, device.mtu))
    }

    /// The way by what was found. Equal sets of links are kept once.
    fn way(&mut self, Found { links, mtu }: Found) -> Way {
        let count = u16::try_from(links.len()).unwrap_or(u16::MAX);
        let next = u32::try_from(self.links.len()).unwrap_or(u32::MAX);
        let first = match self.sets.entry(links) {
            Entry::Occupied(known) => *known.get(),
            Entry::Vacant(place) => {
                self.links.extend(place.key());
                *place.insert(next)
            }
        };
        Way { first, count, mtu }
    }
}

/// Each link as often as its weight says, in the smallest numbers that do.
fn by_weight(shares: &[(Link, u16)]) -> Vec<Link> {
    let divisor = shares.iter().fold(0, |divisor, &(_, weight)| gcd(divisor, weight)).max(1);
    let repeated = |&(link, weight): &(Link, u16)| std::iter::repeat_n(link, usize::from(weight / divisor));
    shares.iter().flat_map(repeated).collect()
}

fn gcd(a: u16, b: u16) -> u16 {
    if b == 0 { a } else { gcd(b, a % b) }
}
