// SPDX-License-Identifier: MIT OR Apache-2.0
//! The resolver, case by case and against a naive reading of the same kernel.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use proptest::prelude::*;

use super::Underlay;
use super::kernel::{Gateway, Interface, Kernel, Neighbour, Route, Routes};
use super::path_mtu::LIFETIME;
use super::resolver::{Port, Resolver};
use crate::control::generations::lock;
use crate::hops::{NextHops, Unresolved, Way};
use crate::io::DeviceIndex;
use crate::testing;
use crate::wire::MacAddr;

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn mac(last: u8) -> MacAddr {
    MacAddr([2, 0, 0, 0, 1, last])
}

/// Two devices: wan0 at interface 7, wan1 with another MTU and a VLAN at interface 8. Interface 9 is nobody's.
fn resolver() -> Resolver {
    let port = |index: u8, mtu, vlan| {
        let mut device = testing::settings().devices.remove(usize::from(index));
        (device.mtu, device.vlan) = (mtu, vlan);
        Port { interface: format!("wan{index}-k"), index: DeviceIndex(index), device, has_link: true }
    };
    let mut resolver = Resolver::new(vec![port(0, 1600, None), port(1, 1550, Some(100))]);
    let names = [(7, "wan0-k"), (8, "wan1-k"), (9, "eth0")];
    let interface = |(index, name): (u32, &str)| (index, Interface { name: name.to_owned(), is_up: true });
    resolver.kernel.interfaces = names.into_iter().map(interface).collect();
    resolver
}

fn via(interface: u32, router: &str) -> Gateway {
    Gateway { interface, via: (!router.is_empty()).then(|| ip(router)), weight: 1 }
}

fn route(prefix: &str, len: u8, gateways: Vec<Gateway>) -> Route {
    Route { prefix: ip(prefix), len, metric: 0, gateways, mtu: None }
}

fn is_there(kernel: &mut Kernel, interface: u32, address: &str, last: u8) {
    kernel.neighbours.insert((interface, ip(address)), Neighbour { mac: Some(mac(last)), is_stale: false });
}

/// Devices and MAC addresses that share the way.
fn links(hops: &NextHops, way: Way) -> Vec<(u8, MacAddr)> {
    hops.links(way).iter().map(|link| (link.device.0, link.header.destination())).collect()
}

/// The next hops to these servers and to one data centre with these forwarders.
fn resolve(resolver: &mut Resolver, servers: &[&str], forwarders: &[&str]) -> NextHops {
    let forwarders: Vec<_> = forwarders.iter().map(|text| ip(text)).collect();
    let (hops, needs) =
        resolver.resolve(servers.iter().map(|text| Some(ip(text))), std::iter::once(forwarders.as_slice()));
    resolver.serve(needs);
    hops
}

#[test]
fn a_server_is_reached_by_its_route_and_neighbour() {
    let mut resolver = resolver();
    resolver.kernel.routes4 =
        Routes::new([route("10.0.1.0", 24, vec![via(7, "")]), route("0.0.0.0", 0, vec![via(8, "192.0.2.1")])]);
    is_there(&mut resolver.kernel, 7, "10.0.1.1", 1);
    is_there(&mut resolver.kernel, 8, "192.0.2.1", 9);
    let hops = resolve(&mut resolver, &["10.0.1.1", "10.0.1.2", "10.9.0.1"], &[]);
    let [on_link, silent, far] = *hops.servers else { panic!("three ways") };
    assert_eq!((links(&hops, on_link), on_link.mtu), (vec![(0, mac(1))], 1600));
    assert!(!silent.is_open());
    assert_eq!((links(&hops, far), far.mtu), (vec![(1, mac(9))], 1550), "a server may be reached by the default route");
    assert_eq!(links(&hops, hops.internet[0]), [(1, mac(9))]);
    assert!(!hops.internet[1].is_open());
    let why = Unresolved::Neighbour { address: ip("10.0.1.2"), interface: "wan0-k".to_owned() };
    assert_eq!(hops.unresolved.into_iter().collect::<Vec<_>>(), [(ip("10.0.1.2"), why)]);
    assert_eq!(resolver.wanted(), BTreeSet::from([(7, ip("10.0.1.2"))]));
}

#[test]
fn a_gateway_may_be_of_the_other_family_and_the_tag_is_the_devices() {
    let mut resolver = resolver();
    resolver.kernel.routes4 = Routes::new([route("10.0.1.0", 24, vec![via(8, "fe80::1")])]);
    is_there(&mut resolver.kernel, 8, "fe80::1", 1);
    let hops = resolve(&mut resolver, &["10.0.1.1"], &[]);
    let mut frame = [0; 18];
    hops.links[0].header.write(&mut frame, 0x0800).unwrap();
    assert_eq!(frame, [2, 0, 0, 0, 1, 1, 2, 0, 0, 0, 0, 1, 0x81, 0, 0, 100, 8, 0]);
}

#[test]
fn gateways_share_by_weight_as_far_as_they_answer() {
    let mut resolver = resolver();
    let weighted = |interface, router: &str, weight| Gateway { weight, ..via(interface, router) };
    let gateways = vec![weighted(7, "10.0.0.2", 4), weighted(8, "10.0.8.2", 2), weighted(7, "10.0.0.3", 2)];
    resolver.kernel.routes4 = Routes::new([route("10.0.1.0", 24, gateways)]);
    is_there(&mut resolver.kernel, 7, "10.0.0.2", 2);
    is_there(&mut resolver.kernel, 8, "10.0.8.2", 8);
    let hops = resolve(&mut resolver, &["10.0.1.1", "10.0.1.2"], &[]);
    assert_eq!(links(&hops, hops.servers[0]), [(0, mac(2)), (0, mac(2)), (1, mac(8))]);
    assert_eq!(hops.servers[0].mtu, 1550, "the least of all that share");
    assert_eq!((hops.servers[0], hops.links.len()), (hops.servers[1], 3), "one set of links for both");
    assert_eq!(resolver.wanted(), BTreeSet::from([(7, ip("10.0.0.3"))]), "who does not answer is asked for");
    // A switched-off interface gives its share to the other.
    resolver.kernel.interfaces.get_mut(&7).unwrap().is_up = false;
    let hops = resolve(&mut resolver, &["10.0.1.1"], &[]);
    assert_eq!(links(&hops, hops.servers[0]), [(1, mac(8))]);
    // So does a device that is unplugged, whose interface stays up; when all are, there is no way.
    resolver.kernel.interfaces.get_mut(&7).unwrap().is_up = true;
    assert!(resolver.note_links(|device| device.0 == 0) && !resolver.note_links(|device| device.0 == 0));
    let hops = resolve(&mut resolver, &["10.0.1.1"], &[]);
    assert_eq!(links(&hops, hops.servers[0]), [(0, mac(2))]);
    assert!(resolver.note_links(|_| false));
    let hops = resolve(&mut resolver, &["10.0.1.1"], &[]);
    assert_eq!(hops.unresolved[&ip("10.0.1.1")], Unresolved::LinkDown("wan0-k".to_owned()));
}

#[test]
fn a_forwarder_needs_a_route_of_its_own() {
    let mut resolver = resolver();
    let host = |address: &str| route(address, 32, vec![via(7, "10.0.0.2")]);
    resolver.kernel.routes4 =
        Routes::new([route("0.0.0.0", 0, vec![via(7, "10.0.0.2")]), host("10.1.0.1"), host("10.1.0.3")]);
    resolver.kernel.routes6 = Routes::new([route("::", 0, vec![via(7, "fe80::2")])]);
    is_there(&mut resolver.kernel, 7, "10.0.0.2", 2);
    is_there(&mut resolver.kernel, 7, "fe80::2", 3);
    let forwarders = ["10.1.0.1", "10.1.0.2", "2001:db8:b::1", "10.1.0.3"];
    let hops = resolve(&mut resolver, &["10.1.0.2"], &forwarders);
    let usable: Vec<_> = hops.datacenters[0].iter().map(|usable| usable.forwarder).collect();
    assert_eq!(usable, [0, 3], "in the order of the table");
    assert_eq!(hops.unresolved[&ip("10.1.0.2")], Unresolved::DefaultRoute);
    assert_eq!(hops.unresolved[&ip("2001:db8:b::1")], Unresolved::DefaultRoute);
    assert!(hops.servers[0].is_open(), "the same address as a server's needs none");
}

#[test]
fn each_reason_is_told() {
    let mut resolver = resolver();
    resolver.kernel.routes4 = Routes::new([
        route("10.0.1.0", 24, vec![]),
        route("10.0.2.0", 24, vec![via(9, "10.0.0.2")]),
        route("10.0.3.0", 24, vec![via(8, "10.0.0.2")]),
    ]);
    resolver.kernel.interfaces.get_mut(&8).unwrap().is_up = false;
    let hops = resolve(&mut resolver, &["10.0.0.1", "10.0.1.1", "10.0.2.1", "10.0.3.1"], &[]);
    let expected = [
        Unresolved::NoRoute,
        Unresolved::Refused,
        Unresolved::OtherInterface("eth0".to_owned()),
        Unresolved::LinkDown("wan1-k".to_owned()),
    ];
    assert_eq!(hops.unresolved.into_values().collect::<Vec<_>>(), expected);
    assert!(resolver.wanted().is_empty(), "no neighbour helps");
}

#[test]
fn nobody_is_looked_for_who_is_gone() {
    let mut resolver = resolver();
    resolver.kernel.routes4 = Routes::new([route("10.0.1.0", 24, vec![via(7, "")])]);
    let (hops, needs) = resolver.resolve([None, Some(ip("10.0.1.1"))].into_iter(), std::iter::empty());
    resolver.serve(needs);
    assert_eq!(hops.servers.len(), 2, "ids stay");
    assert_eq!(hops.unresolved.into_keys().collect::<Vec<_>>(), [ip("10.0.1.1")]);
    assert_eq!(resolver.wanted(), BTreeSet::from([(7, ip("10.0.1.1"))]));
}

#[test]
fn the_kernel_is_asked_to_look_after_a_stale_neighbour_that_is_used() {
    let mut resolver = resolver();
    resolver.kernel.routes4 = Routes::new([route("10.0.1.0", 24, vec![via(7, "")])]);
    for last in [1, 2] {
        is_there(&mut resolver.kernel, 7, &format!("10.0.1.{last}"), last);
        resolver.kernel.neighbours.get_mut(&(7, ip(&format!("10.0.1.{last}")))).unwrap().is_stale = true;
    }
    let hops = resolve(&mut resolver, &["10.0.1.1"], &[]);
    assert_eq!(links(&hops, hops.servers[0]), [(0, mac(1))], "it is used meanwhile");
    assert_eq!(resolver.wanted(), BTreeSet::from([(7, ip("10.0.1.1"))]));
}

#[test]
fn a_narrow_path_is_narrow_for_its_address_and_until_it_expires() {
    let mut resolver = resolver();
    let narrow = Route { mtu: Some(1500), ..route("10.0.2.0", 24, vec![via(7, "10.0.0.2")]) };
    resolver.kernel.routes4 = Routes::new([route("10.0.1.0", 24, vec![via(7, "10.0.0.2")]), narrow]);
    is_there(&mut resolver.kernel, 7, "10.0.0.2", 2);
    let servers = ["10.0.1.1", "10.0.1.2", "10.0.2.1"];
    let mtus = |resolver: &mut Resolver| resolve(resolver, &servers, &[]).servers.iter().map(|way| way.mtu).collect();
    let before: Vec<u16> = mtus(&mut resolver);
    assert_eq!(before, [1600, 1600, 1500], "a route may say less than the device");
    let now = Instant::now();
    assert_eq!(resolver.lower(ip("10.0.1.9"), 1400, now), None, "an address that is not in the table");
    assert_eq!(resolver.lower(ip("10.0.1.1"), 1400, now), Some(1400));
    assert_eq!(resolver.lower(ip("10.0.1.1"), 1450, now), None);
    assert_eq!(mtus(&mut resolver) as Vec<u16>, [1400, 1600, 1500]);
    assert_eq!(resolver.lowered().into_iter().collect::<Vec<_>>(), [(ip("10.0.1.1"), 1400)]);
    assert_eq!(resolver.expire(now + LIFETIME), [ip("10.0.1.1")]);
    assert_eq!(mtus(&mut resolver) as Vec<u16>, before);
}

#[test]
fn what_would_be_is_found_once_until_something_changes() {
    let (counts, would_be, reports) = Default::default();
    let underlay = Underlay { resolver: Mutex::new(resolver()), counts, would_be, reports };
    let settings = testing::settings();
    let [shadow, other] = [1, 2].map(|generation| testing::state(generation, "lhr-1", &settings));
    let first = underlay.would_be(&shadow);
    assert!(Arc::ptr_eq(&first, &underlay.would_be(&shadow.clone())));
    assert!(!Arc::ptr_eq(&first, &underlay.would_be(&other)), "those of another table");

    let before = underlay.would_be(&shadow);
    let mut resolver = lock(&underlay.resolver);
    resolver.kernel.routes4 = Routes::new([route("0.0.0.0", 0, vec![via(7, "10.0.0.2")])]);
    is_there(&mut resolver.kernel, 7, "10.0.0.2", 2);
    drop(resolver);
    underlay.has_changed();
    let after = underlay.would_be(&shadow);
    assert_eq!([before, after].map(|hops| hops.servers.iter().any(|way| way.is_open())), [false, true]);
}

/// A gateway: interface, router (0: none), weight.
type Hop = (u32, u8, u16);

proptest! {
    /// Prefixes of 10.0.0.0/8 by their second and third byte; routers 10.0.0.1–3; what is there and what is not, at random.
    #[test]
    fn equals_a_naive_reading(
        routes in prop::collection::vec(
            (0..3_u8, 0..3_u8, prop::sample::select(vec![0_u8, 8, 16, 24]), 0..3_u32,
             prop::collection::vec((7..10_u32, 0..4_u8, 1..4_u16), 0..3)), 0..8),
        neighbours in prop::collection::btree_map((7..10_u32, (0..3_u8, 0..3_u8, 0..4_u8)), prop::option::of(0..9_u8), 0..24),
        up in prop::array::uniform3(any::<bool>()),
        targets in prop::collection::vec((0..3_u8, 0..3_u8, 0..4_u8), 1..6),
    ) {
        let address = |(a, b, c): (u8, u8, u8)| IpAddr::from([10, a, b, c]);
        let mut resolver = resolver();
        for (index, is_up) in (7..10).zip(up) {
            resolver.kernel.interfaces.get_mut(&index).unwrap().is_up = is_up;
        }
        let gateway = |&(interface, router, weight): &Hop| Gateway {
            interface, via: (router > 0).then(|| address((0, 0, router))), weight,
        };
        let all: Vec<_> = routes.iter().map(|(a, b, len, metric, hops)| Route {
            prefix: address((*a, *b, 0)), len: *len, metric: *metric,
            gateways: hops.iter().map(gateway).collect(), mtu: None,
        }).collect();
        resolver.kernel.routes4 = Routes::new(all.clone());
        let state = |(place, last): (_, Option<u8>)| (place, Neighbour { mac: last.map(mac), is_stale: false });
        resolver.kernel.neighbours = neighbours.iter()
            .map(|(&(interface, at), &last)| state(((interface, address(at)), last))).collect();
        let targets: Vec<_> = targets.into_iter().map(address).collect();

        // Naive: every route is looked at, and nothing is remembered from one target to the next.
        let naive = |to: IpAddr, by_default: bool| -> Vec<(u8, MacAddr)> {
            let (IpAddr::V4(v4), mut best) = (to, None::<&Route>) else { return vec![] };
            for route in &all {
                let IpAddr::V4(prefix) = route.prefix else { continue };
                let same = (0..u32::from(route.len)).all(|bit| (prefix.to_bits() ^ v4.to_bits()) >> (31 - bit) & 1 == 0);
                let better = best.is_none_or(|best| {
                    route.len > best.len || route.len == best.len && route.metric < best.metric
                });
                if same && better {
                    best = Some(route);
                }
            }
            let Some(best) = best.filter(|best| by_default || best.len > 0) else { return vec![] };
            let mut open = Vec::new();
            for gateway in &best.gateways {
                let neighbour = neighbours.iter().find(|&(&(interface, at), _)| {
                    interface == gateway.interface && address(at) == gateway.via.unwrap_or(to)
                });
                if let (7 | 8, true, Some((_, Some(last)))) =
                    (gateway.interface, up[gateway.interface as usize - 7], neighbour)
                {
                    open.push(((gateway.interface - 7) as u8, mac(*last), gateway.weight));
                }
            }
            let divisor = (1..=3).rev().find(|divisor| open.iter().all(|(_, _, weight)| weight % divisor == 0)).unwrap();
            open.iter().flat_map(|&(device, mac, weight)| vec![(device, mac); usize::from(weight / divisor)]).collect()
        };

        let (hops, _) = resolver.resolve(targets.iter().copied().map(Some), std::iter::once(targets.as_slice()));
        for (&to, &way) in targets.iter().zip(&hops.servers) {
            prop_assert_eq!(links(&hops, way), naive(to, true), "{}", to);
        }
        let usable: Vec<_> = hops.datacenters[0].iter()
            .map(|usable| (usize::from(usable.forwarder), links(&hops, usable.way))).collect();
        let expected: Vec<_> = targets.iter().enumerate()
            .map(|(number, &to)| (number, naive(to, false))).filter(|(_, links)| !links.is_empty()).collect();
        prop_assert_eq!(usable, expected);
        for &to in &targets {
            prop_assert_eq!(hops.unresolved.contains_key(&to), naive(to, false).is_empty(), "{}", to);
        }
    }
}
