// SPDX-License-Identifier: MIT OR Apache-2.0
//! Next hops by a real kernel's routes and neighbours, in network namespaces. What leaves is what counts.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a test may stop at the first surprise, and says when it is skipped"
)]

#[path = "../control_support/mod.rs"]
mod control_support;
mod frames;
mod rig;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::{Duration, Instant};

use forwarder::wire::MacAddr;
use serde_json::json;

use frames::{packet, too_big};
use rig::{DATACENTER, Left, Namespaces, ROUTERS, TABLE, V4_SERVER, V6_SERVER};

/// How many left by each device.
fn shares(left: &[Left]) -> [usize; 2] {
    [0, 1].map(|device| left.iter().filter(|left| left.device == device).count())
}

#[test]
fn a_server_is_resolved_over_either_underlay_without_anybodys_help() {
    let Some(namespaces) = Namespaces::new("resolve") else { return };
    namespaces.forwarder("route add 10.0.1.0/24 via 10.0.9.2");
    namespaces.forwarder("route add 2001:db8:a:1::/64 via 2001:db8:8::2");
    let rig = namespaces.start();
    // Nobody but the forwarder has a reason to look for the routers.
    rig.until_by(V4_SERVER, "by IPv4", 0, ROUTERS[0]);
    rig.until_by(V6_SERVER, "by IPv6", 1, ROUTERS[1]);
    assert_eq!(rig.send(packet(DATACENTER, 53, 28)), None, "no route leads to any of its forwarders");

    let status = rig.status();
    let hops = &status["next_hops"];
    assert_eq!(
        (&hops["servers_unresolved"], &hops["datacenters_unresolved"], &hops["forwarders_unresolved"]),
        (&json!(0), &json!(1), &json!(2)),
        "{hops}"
    );
    assert_eq!(hops["least_mtu"], 1600);
    let reasons = status["health"]["reasons"].as_array().unwrap();
    assert!(reasons.iter().any(|reason| reason["code"] == "next_hops_unresolved"), "{reasons:?}");

    let mut client = rig.running.client();
    let explained = client.result("explain", json!({"address": "198.51.100.1", "port": 80}));
    assert_eq!(explained["outer"]["next_hop"], json!({"device": "wan0", "mac": ROUTERS[0].to_string()}));
    let explained = client.result("explain", json!({"address": "198.51.100.3", "port": 80}));
    assert_eq!((&explained["verdict"], &explained["reason"]), (&json!("drop"), &json!("next_hop_unresolved")));
    assert!(explained["steps"].to_string().contains("no route leads there"), "{explained}");
}

#[test]
fn neighbours_are_found_without_any_rights() {
    let Some(namespaces) = Namespaces::new("rights") else { return };
    namespaces.forwarder("route add 10.0.1.0/24 via 10.0.9.2");
    // Routers have link-local addresses, as a rule.
    namespaces.network("address add fe80::8:2/64 dev up1 nodad");
    namespaces.forwarder("route add 2001:db8:a:1::/64 via fe80::8:2 dev wan1-k");
    let rig = namespaces.start_without_rights();
    rig.until_by(V4_SERVER, "by IPv4", 0, ROUTERS[0]);
    rig.until_by(V6_SERVER, "by IPv6", 1, ROUTERS[1]);
    // Nor does the kernel lose sight of one that gets another address without a word.
    let other = MacAddr([2, 0, 0, 0, 9, 0x22]);
    namespaces.network(&format!("link set up0 address {other}"));
    rig.until_by(V4_SERVER, "the new address", 0, other);
    assert!(rig.running.forwarder.generations().underlay().unwrap().events().requests >= 3);
}

#[test]
fn a_neighbour_that_changes_its_address_is_followed_within_milliseconds() {
    let Some(namespaces) = Namespaces::new("mac") else { return };
    namespaces.forwarder("route add 10.0.1.0/24 via 10.0.9.2");
    namespaces.set_network("net/ipv4/conf/up0/arp_notify", "1");
    let rig = namespaces.start();
    rig.until_by(V4_SERVER, "before", 0, ROUTERS[0]);
    // A router's new card, of which it tells.
    let other = MacAddr([2, 0, 0, 0, 9, 0x22]);
    namespaces.network(&format!("link set up0 address {other}"));
    rig.until_by(V4_SERVER, "the new address", 0, other);

    // And as fast as can be, by the kernel's own word.
    namespaces.make_permanent(other);
    let mut times: Vec<Duration> = (0..20)
        .map(|number| {
            let mac = MacAddr([2, 0, 0, 0, 9, 0x30 + number]);
            namespaces.forwarder(&format!("neigh replace 10.0.9.2 lladdr {mac} dev wan0-k nud permanent"));
            rig.until_by(V4_SERVER, "a change", 0, mac)
        })
        .collect();
    times.sort();
    println!("from the change to a frame that goes by it: {:?} at the median, {:?} at most", times[10], times[19]);
    // Other tests take the cores, too; alone, it takes about a millisecond.
    assert!(times[10] < Duration::from_millis(100), "{times:?}");
}

#[test]
fn two_routers_share_and_one_that_dies_loses_its_share() {
    let Some(namespaces) = Namespaces::new("share") else { return };
    namespaces.forwarder("route add 10.0.1.0/24 nexthop via 10.0.9.2 nexthop via 10.0.8.2");
    let rig = namespaces.start();
    let both = |what: &str| {
        let start = Instant::now();
        loop {
            let left = rig.send_flows(V4_SERVER, 200);
            if let [70..=130, 70..=130] = shares(&left) {
                assert!(left.iter().all(|left| left.to() == ROUTERS[usize::from(left.device)]), "{what}");
                return;
            }
            assert!(start.elapsed() < rig::PATIENCE, "{what}: {:?}", shares(&left));
        }
    };
    both("both routers");
    // A flow keeps its router.
    let first = rig.send(packet(V4_SERVER, 53, 28)).unwrap();
    assert!((0..50).all(|_| rig.send(packet(V4_SERVER, 53, 28)).unwrap() == first));

    // It does not answer any more, though its link is up: found out though the kernel itself sends nothing to it.
    namespaces.network("address delete 10.0.9.2/24 dev up0");
    namespaces.set_network("net/ipv4/conf/up0/arp_ignore", "8");
    let all_by_other = |what: &str| {
        let start = Instant::now();
        while shares(&rig.send_flows(V4_SERVER, 50)) != [0, 50] {
            assert!(start.elapsed() < rig::PATIENCE, "{what}");
        }
    };
    all_by_other("one that does not answer");
    namespaces.set_network("net/ipv4/conf/up0/arp_ignore", "0");
    namespaces.network("address add 10.0.9.2/24 dev up0");
    both("it is back");

    namespaces.network("link set up0 down");
    all_by_other("a link that is down");
    namespaces.network("link set up0 up");
    both("a link that is up again");
    // The device itself, of which the kernel sees nothing.
    rig.links[0].store(false, Ordering::Relaxed);
    all_by_other("a device without a link");
    rig.links[0].store(true, Ordering::Relaxed);
    both("a device with a link again");
    // The kernel tells of no route that goes with an interface that is switched off.
    namespaces.forwarder("link set wan0-k down");
    all_by_other("an interface that is switched off");
}

#[test]
fn a_forwarder_that_only_the_default_route_leads_to_has_no_share() {
    let Some(namespaces) = Namespaces::new("default") else { return };
    namespaces.forwarder("route add default via 10.0.8.2");
    namespaces.forwarder("route add 10.1.0.1/32 via 10.0.9.2");
    let rig = namespaces.start();
    let outer = |left: &[Left]| {
        let mut counts = BTreeMap::new();
        left.iter().for_each(|left| *counts.entry(left.outer()[3]).or_insert(0) += 1);
        counts
    };
    let until = |what: &str, is_right: &dyn Fn(&BTreeMap<u8, i32>) -> bool| {
        let start = Instant::now();
        loop {
            let counts = outer(&rig.send_flows(DATACENTER, 100));
            if is_right(&counts) {
                return;
            }
            assert!(start.elapsed() < rig::PATIENCE, "{what}: {counts:?}; {}", rig.status()["next_hops"]);
        }
    };
    until("only the first announces itself", &|counts| *counts == BTreeMap::from([(1, 100)]));
    rig.until_by(V4_SERVER, "a server by the default route", 1, ROUTERS[1]);
    let mut client = rig.running.client();
    let explained = client.result("explain", json!({"address": "198.51.100.3", "port": 80}));
    assert_eq!(explained["forwarders"], json!(["10.1.0.1"]), "{explained}");

    namespaces.forwarder("route add 10.1.0.2/32 via 10.0.9.2");
    until("the second as well", &|counts| matches!((counts.get(&1), counts.get(&2)), (Some(30..=70), Some(30..=70))));
    namespaces.forwarder("route delete 10.1.0.1/32");
    until("only the second", &|counts| *counts == BTreeMap::from([(2, 100)]));
    let before = rig.unresolved_drops();
    namespaces.forwarder("route delete 10.1.0.2/32");
    until("none", &BTreeMap::is_empty);
    assert!(rig.unresolved_drops() >= before + 100);
}

#[test]
fn a_router_narrows_the_path_to_one_address() {
    let Some(namespaces) = Namespaces::new("mtu") else { return };
    namespaces.forwarder("route add 10.0.1.0/24 via 10.0.9.2");
    namespaces.forwarder("route add 10.1.0.0/24 via 10.0.9.2");
    let rig = namespaces.start();
    rig.until_by(V4_SERVER, "before", 0, ROUTERS[0]);
    rig.until_by(DATACENTER, "before", 0, ROUTERS[0]);
    let large = |to| packet(to, 53, 1_500);
    assert_eq!(rig.send(large(V4_SERVER)).unwrap().frame.len(), 14 + 32 + 1_500);

    let for_kernel = || {
        let stats = rig.running.client().result("stats", json!({}));
        stats["kernel"][0]["to"]["unicast"]["passed"].as_u64().unwrap()
    };
    rig.send(too_big([10, 0, 1, 9], 1_400));
    rig.send(too_big([10, 0, 1, 1], 1_400));
    assert_eq!(for_kernel(), 2, "they are the kernel's as well");
    // The sender is told: ICMP 3/4 with what is left of 1,400 bytes.
    rig.until(V4_SERVER, "word of the narrow path", |_| {
        let left = rig.send(large(V4_SERVER)).unwrap();
        (left.frame.len() < 600).then(|| u16::from_be_bytes([left.frame[40], left.frame[41]])) == Some(1_400 - 32)
    });
    assert_eq!(rig.send(packet(V4_SERVER, 53, 1_368)).unwrap().frame.len(), 14 + 1_400);
    assert_eq!(
        rig.send(large(DATACENTER)).unwrap().frame.len(),
        14 + 40 - 4 + 1_500 + 4,
        "others are as wide as before"
    );
    // Whoever forges one gets no lower, and not at once.
    rig.until(V4_SERVER, "the floor", |_| {
        rig.send(too_big([10, 0, 1, 1], 100));
        rig.status()["next_hops"]["least_mtu"] == 1280
    });
    let hops = &rig.status()["next_hops"];
    assert_eq!(hops["lowered"], json!([{"address": "10.0.1.1", "mtu": 1280}]));
}

#[test]
fn a_server_that_a_patch_takes_away_is_not_missed() {
    let Some(namespaces) = Namespaces::new("gone") else { return };
    // Nobody answers for one, and to the other there is a way.
    namespaces.forwarder("route add 10.0.1.0/24 dev wan0-k");
    namespaces.forwarder("route add 2001:db8:a:1::/64 via 2001:db8:8::2");
    let rig = namespaces.start();
    rig.until_by(V6_SERVER, "before", 1, ROUTERS[1]);
    let mut client = rig.running.client();
    let hops = || rig.status()["next_hops"].clone();
    assert_eq!((&hops()["servers_unresolved"], &hops()["least_mtu"]), (&json!(1), &json!(1600)));
    let asked = || rig.running.forwarder.generations().underlay().unwrap().events().requests;
    assert!(asked() > 0);
    let remove = |server, prefix| json!({"remove": {"servers": [server], "egress": [prefix]}});
    client.result("patch", remove("lhr-1", "198.51.100.1/32"));
    assert_eq!((&hops()["servers_unresolved"], &hops()["unresolved"][0]["kind"]), (&json!(0), &json!("forwarder")));
    let before = asked();
    std::thread::sleep(Duration::from_millis(2_500));
    assert_eq!(asked(), before, "its neighbour is still asked for");
    // The way to one that is gone does not hide that there is none to anybody else.
    client.result("patch", remove("lhr-2", "198.51.100.2/32"));
    assert_eq!(hops()["least_mtu"], json!(null));
}

#[test]
fn tables_and_next_hops_change_at_once_and_every_packet_has_a_fate() {
    let Some(namespaces) = Namespaces::new("both") else { return };
    namespaces.forwarder("route add 10.0.1.0/24 via 10.0.9.2");
    let rig = namespaces.start();
    rig.until_by(V4_SERVER, "before", 0, ROUTERS[0]);
    let macs = [0x41, 0x42].map(|last| MacAddr([2, 0, 0, 0, 9, last]));
    let change = |mac| namespaces.forwarder(&format!("neigh replace 10.0.9.2 lladdr {mac} dev wan0-k nud permanent"));
    namespaces.make_permanent(macs[0]);
    rig.until_by(V4_SERVER, "the first", 0, macs[0]);
    let drops = rig.unresolved_drops();
    let (stop, changes) = (AtomicBool::new(false), AtomicU32::new(0));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                change(macs[changes.fetch_add(1, Ordering::Relaxed) as usize % 2]);
            }
        });
        let mut client = rig.running.client();
        let mut generation = 1;
        while generation < 31 || changes.load(Ordering::Relaxed) < 30 {
            generation += 1;
            let table = TABLE.replace("\"generation\": 1,", &format!("\"generation\": {generation},"));
            // A new server with every second table: ids and next hops are made anew.
            let table = if generation % 2 == 0 { table } else { table.replace("lhr-1", "lhr-9") };
            let table: serde_json::Value = serde_json::from_str(&table).unwrap();
            assert_eq!(client.result("reload", json!({ "table": table }))["generation"], generation);
            for left in rig.send_flows(V4_SERVER, 20) {
                assert!(macs.contains(&left.to()), "{left:?}");
            }
        }
        stop.store(true, Ordering::Relaxed);
    });
    assert_eq!(rig.unresolved_drops(), drops, "there was a next hop all the time");
    let stats = rig.running.client().result("stats", json!({}));
    assert_eq!(stats["conservation"]["imbalance"], 0);
    // A patch that brings a server finds its next hop at once.
    let patch = json!({"set": {
        "servers": {"lhr-3": {"datacenter": "LHR", "address": "10.0.1.3"}},
        "egress": [{"prefix": "198.51.100.4/32", "datacenter": "LHR", "server": "lhr-3"}],
    }});
    rig.running.client().result("patch", patch);
    assert_eq!(rig.send(packet([198, 51, 100, 4], 53, 28)).unwrap().outer(), [10, 0, 1, 3]);
}
