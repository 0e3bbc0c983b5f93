// SPDX-License-Identifier: MIT OR Apache-2.0
//! Data centres whose tables disagree, while some have reloaded and some have not: a packet that they send one another is
//! delivered or dropped after two hops, whatever each of them believes.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test may stop at the first surprise"
)]

mod decode;
mod world;

use std::net::IpAddr;
use std::path::Path;

use decode::{Encapsulated, ones_complement_sum};
use forwarder::control::config::{Config, Purpose};
use forwarder::counters::DropReason;
use proptest::collection::vec;
use proptest::prelude::*;
use serde_json::{Map, Value, json};
use tables::Source;
use world::{Fate, World};

/// How a packet ends.
#[derive(Debug, PartialEq, Eq)]
enum End {
    /// At the server of this data centre.
    Delivered(usize),
    Loop,
}

/// The forwarder of data centre `own`, to whose mind `198.51.100.ADDRESS` belongs to `owners[ADDRESS]`.
fn forwarder(own: usize, owners: &[usize], datacenters: usize, ipv6: bool) -> World {
    let forwarder = |dc: usize| if ipv6 { format!("2001:db8:{dc:x}::1") } else { format!("10.{dc}.0.1") };
    let each = |entry: &dyn Fn(usize) -> Value, name: &str| -> Map<String, Value> {
        (0..datacenters).map(|dc| (format!("{name}{dc}"), entry(dc))).collect()
    };
    let server = |dc: usize| if ipv6 { format!("2001:db8:{dc:x}:1::1") } else { format!("10.{dc}.1.1") };
    let egress: Vec<_> = owners
        .iter()
        .enumerate()
        .map(|(address, owner)| {
            json!({"prefix": format!("198.51.100.{address}/32"), "datacenter": format!("DC{owner}"), "server": format!("s{owner}")})
        })
        .collect();
    let table = json!({
        "version": 1,
        "generation": 100 + own,
        "datacenters": each(&|dc| json!({"forwarders": [forwarder(dc)]}), "DC"),
        "servers": each(&|dc| json!({"datacenter": format!("DC{dc}"), "address": server(dc)}), "s"),
        "egress": egress,
    });
    let config = format!(
        r#"datacenter = "DC{own}"
           table = "none"
           [underlay]
           {} = "{}"
           [[device]]
           name = "wan0"
           next_hop_mac = "02:00:00:00:00:02""#,
        if ipv6 { "ipv6" } else { "ipv4" },
        forwarder(own),
    );
    let config = Config::parse(config.as_bytes(), Path::new("config.toml"), Purpose::Replay).unwrap();
    World::build(&config, &Source::from_slice(table.to_string().as_bytes()).unwrap(), |_| {})
}

/// Which data centre an outer destination is in, and whether it is the server's.
fn place(address: IpAddr) -> (usize, bool) {
    match address {
        IpAddr::V4(address) => (usize::from(address.octets()[1]), address.octets()[2] == 1),
        IpAddr::V6(address) => (usize::from(address.segments()[2]), address.segments()[3] == 1),
    }
}

/// A UDP packet to that address, from the Internet.
fn frame(address: u8) -> Vec<u8> {
    let mut frame = vec![2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0xff, 1, 8, 0];
    frame.extend([0x45, 0, 0, 28, 0, 7, 0, 0, 57, 17, 0, 0, 203, 0, 113, 9, 198, 51, 100, address]);
    let checksum = !ones_complement_sum(&frame[14..]);
    frame[24..26].copy_from_slice(&checksum.to_be_bytes());
    frame.extend([0, 53, 16, 146, 0, 8, 0, 0]);
    frame
}

/// Carries a packet from forwarder to forwarder to its end; the data centres that it has been to, in order.
fn follow(worlds: &mut [World], first: usize, address: u8) -> (Vec<usize>, End) {
    let arrives = frame(address);
    let (mut at, mut carried, mut way) = (first, arrives.clone(), vec![first]);
    loop {
        assert!(way.len() <= 3, "three hops: {way:?}");
        let looped = worlds[at].counters.dropped(DropReason::RedirectLoop);
        let Fate::Transmit(sent) = worlds[at].process(&[carried]).remove(0) else {
            assert_eq!(worlds[at].counters.dropped(DropReason::RedirectLoop), looped + 1, "another drop");
            return (way, End::Loop);
        };
        let [(_, sent)] = &sent[..] else { panic!("{} frames of one", sent.len()) };
        let outer = Encapsulated::read(sent);
        assert_eq!(outer.inner, &arrives[14..], "the packet inside never changes");
        let (datacenter, is_server) = place(outer.destination);
        if is_server {
            assert_eq!(datacenter, at, "a server of another data centre");
            assert!(outer.private.is_empty());
            return (way, End::Delivered(at));
        }
        let word = [&[0x53, 0x01, way.len() as u8, 0][..], &(100 + at as u32).to_be_bytes()].concat();
        assert_eq!(outer.private, word, "hop count and generation of the sender");
        way.push(datacenter);
        (at, carried) = (datacenter, sent.clone());
    }
}

/// What the contract says of the same.
fn expected(beliefs: &[Vec<usize>], first: usize, address: usize) -> (Vec<usize>, End) {
    let mut way = vec![first];
    loop {
        let at = way[way.len() - 1];
        let owner = beliefs[at][address];
        if owner == at {
            return (way, End::Delivered(at));
        }
        if way.len() == 3 {
            return (way, End::Loop);
        }
        way.push(owner);
    }
}

#[test]
fn two_data_centres_that_each_believe_the_other_to_be_the_owner() {
    for ipv6 in [false, true] {
        let mut worlds = [forwarder(0, &[1], 2, ipv6), forwarder(1, &[0], 2, ipv6)];
        assert_eq!(follow(&mut worlds, 0, 0), (vec![0, 1, 0], End::Loop));
        assert_eq!(follow(&mut worlds, 1, 0), (vec![1, 0, 1], End::Loop));
    }
}

#[test]
fn a_move_between_two_data_centres_seen_at_every_skew() {
    let (before, after) = ([0], [1]);
    for (first, second) in [(before, before), (after, before), (before, after), (after, after)] {
        let mut worlds = [forwarder(0, &first, 2, false), forwarder(1, &second, 2, false)];
        for arrival in [0, 1] {
            let (way, end) = follow(&mut worlds, arrival, 0);
            let both_refuse = first == after && second == before;
            assert_eq!(end == End::Loop, both_refuse, "{first:?} {second:?} from {arrival}: {way:?}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Every data centre believes what it likes of every address.
    #[test]
    fn any_beliefs_end_after_two_hops(
        (datacenters, beliefs) in (2..=6usize).prop_flat_map(|n| (Just(n), vec(vec(0..n, 4), n))),
        ipv6: bool,
    ) {
        let mut worlds: Vec<_> = beliefs
            .iter()
            .enumerate()
            .map(|(own, owners)| forwarder(own, owners, datacenters, ipv6))
            .collect();
        for first in 0..datacenters {
            for address in 0..4u8 {
                prop_assert_eq!(follow(&mut worlds, first, address), expected(&beliefs, first, address.into()));
            }
        }
    }
}
