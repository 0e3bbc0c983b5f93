// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the kernel knows of the underlay, as it was read last: interfaces, routes of the main table, neighbours. Pure: nothing here
//! asks the kernel.

use std::collections::HashMap;
use std::net::IpAddr;

use crate::wire::MacAddr;

/// All of it.
#[derive(Debug, Default)]
pub struct Kernel {
    /// By index.
    pub interfaces: HashMap<u32, Interface>,
    /// IPv4 routes.
    pub routes4: Routes,
    /// IPv6 routes.
    pub routes6: Routes,
    /// Who has which address where.
    pub neighbours: HashMap<Place, Neighbour>,
}

/// A network interface.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Interface {
    /// Its name.
    pub name: String,
    /// Whether it is switched on and has a carrier.
    pub is_up: bool,
}

/// An address on the link of an interface, by the interface's index.
pub type Place = (u32, IpAddr);

/// What is known of who is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Neighbour {
    /// Its address on the link; none while nobody answers.
    pub mac: Option<MacAddr>,
    /// The kernel has not heard of it for a while, and does not look after it unless asked.
    pub is_stale: bool,
}

/// A route.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    /// Its prefix; the bits behind `len` do not count.
    pub prefix: IpAddr,
    /// Bits of the prefix.
    pub len: u8,
    /// Of two routes with one prefix the lower counts.
    pub metric: u32,
    /// Where it leads; none if it refuses packets.
    pub gateways: Vec<Gateway>,
    /// Largest packet that may take it, in bytes, if it says so.
    pub mtu: Option<u16>,
}

/// One of the places that share what takes a route.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gateway {
    /// The interface's index.
    pub interface: u32,
    /// The router; none if receivers are on the link themselves.
    pub via: Option<IpAddr>,
    /// Its share, at least 1.
    pub weight: u16,
}

/// Routes of one IP version.
#[derive(Debug, Default)]
pub struct Routes {
    /// The lengths that there are, the longest first.
    lens: Vec<u8>,
    by_prefix: HashMap<(u8, u128), Route>,
}

impl Routes {
    /// Of several routes with one prefix and one metric the first counts.
    pub fn new(routes: impl IntoIterator<Item = Route>) -> Self {
        let mut all = Self::default();
        for route in routes {
            let key = (route.len, masked(bits(route.prefix), route.len));
            match all.by_prefix.get(&key) {
                Some(best) if best.metric <= route.metric => {}
                _ => drop(all.by_prefix.insert(key, route)),
            }
        }
        all.lens = all.by_prefix.keys().map(|&(len, _)| len).collect();
        all.lens.sort_unstable_by(|a, b| b.cmp(a));
        all.lens.dedup();
        all
    }

    /// The route with the longest prefix around `to`.
    pub fn find(&self, to: IpAddr) -> Option<&Route> {
        let bits = bits(to);
        self.lens.iter().find_map(|&len| self.by_prefix.get(&(len, masked(bits, len))))
    }

    /// The default route.
    pub fn default_route(&self) -> Option<&Route> {
        self.by_prefix.get(&(0, 0))
    }
}

/// An address's bits, the first ones highest.
fn bits(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => u128::from(address.to_bits()) << 96,
        IpAddr::V6(address) => address.to_bits(),
    }
}

fn masked(bits: u128, len: u8) -> u128 {
    match u128::MAX.checked_shl(128_u32.saturating_sub(len.into())) {
        Some(mask) => bits & mask,
        None => 0,
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use proptest::prelude::*;

    use super::*;

    fn route(prefix: &str, len: u8, metric: u32) -> Route {
        Route { prefix: prefix.parse().unwrap(), len, metric, gateways: Vec::new(), mtu: None }
    }

    #[test]
    fn the_longest_prefix_wins_then_the_lowest_metric_then_the_first() {
        let second = Route { mtu: Some(1400), ..route("10.1.0.0", 16, 20) };
        let routes = Routes::new([
            route("0.0.0.0", 0, 0),
            route("10.0.0.0", 8, 0),
            route("10.1.0.0", 16, 50),
            route("10.1.0.0", 16, 20),
            second,
            route("10.1.2.3", 32, 90),
        ]);
        let find = |to: &str| routes.find(to.parse().unwrap()).map(|route| (route.len, route.metric, route.mtu));
        assert_eq!(find("10.1.2.3"), Some((32, 90, None)));
        assert_eq!(find("10.1.2.4"), Some((16, 20, None)));
        assert_eq!(find("10.2.0.0"), Some((8, 0, None)));
        assert_eq!(find("192.0.2.1"), Some((0, 0, None)));
        assert_eq!(routes.default_route().map(|route| route.len), Some(0));
        assert_eq!(Routes::default().find([10, 0, 0, 1].into()), None);
        let v6 = Routes::new([route("2001:db8::", 32, 1), route("2001:db8::1", 128, 1)]);
        assert_eq!(v6.find("2001:db8::1".parse().unwrap()).map(|route| route.len), Some(128));
        assert_eq!(v6.find("2001:db9::1".parse().unwrap()), None);
    }

    proptest! {
        /// A few neighbouring bits only, so that prefixes lie in one another.
        #[test]
        fn equals_a_look_at_every_route(
            routes in prop::collection::vec((0_u32..32, 0_u8..=32, 0_u32..4), 0..24),
            to in 0_u32..32,
        ) {
            let spread = |n: u32| IpAddr::V4(Ipv4Addr::from_bits((n & 3) << 30 | (n >> 2 & 3) << 15 | n >> 4));
            let routes: Vec<_> = routes.into_iter().enumerate().map(|(number, (prefix, len, metric))| Route {
                prefix: spread(prefix), len, metric, gateways: Vec::new(), mtu: Some(number as u16),
            }).collect();
            let to = spread(to);
            let is_in = |route: &&Route| {
                let (IpAddr::V4(prefix), IpAddr::V4(to)) = (route.prefix, to) else { return false };
                (0..u32::from(route.len)).all(|bit| (prefix.to_bits() ^ to.to_bits()) >> (31 - bit) & 1 == 0)
            };
            let naive = routes.iter().filter(is_in).min_by_key(|route| (32 - route.len, route.metric, route.mtu));
            let table = Routes::new(routes.clone());
            prop_assert_eq!(table.find(to), naive);
        }
    }
}
