// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the contract says of every frame of the golden vectors, and the bytes that leave.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test may stop at the first surprise"
)]

mod world;

use std::collections::BTreeMap;
use std::net::IpAddr;

use forwarder::counters::{Counters, Traffic};
use forwarder::state::Destination;
use tables::table::{RemoteId, TargetId};
use world::vectors::{Case, cases_of};
use world::{Fate, World};

/// What the pipeline should count.
fn counted(cases: &[Case]) -> Counters {
    let mut counters = Counters::default();
    counters.originated = cases.iter().map(Case::originated).sum();
    cases.iter().filter_map(|case| case.reason).for_each(|reason| counters.drop(reason, 1));
    counters
}

fn check(world: &str, at_least: usize) {
    let cases = cases_of(world);
    assert!(cases.len() >= at_least, "{} cases in {world}: are the files there?", cases.len());
    let mut world = World::load(world);
    for case in &cases {
        world.counters = Counters::default();
        let fate = world.process(std::slice::from_ref(&case.frame)).remove(0);
        assert_eq!(fate, case.fate, "{}", case.name);
        assert_eq!(world.counters, counted(std::slice::from_ref(case)), "{}", case.name);
    }
}

#[test]
fn every_case_of_the_plain_world() {
    check("plain", 250);
}

#[test]
fn every_case_of_the_tagged_world() {
    check("tagged", 15);
}

/// What becomes of a frame does not depend on those around it.
#[test]
fn all_cases_in_one_burst() {
    let cases = cases_of("plain");
    let frames: Vec<_> = cases.iter().map(|case| case.frame.clone()).collect();
    for burst in [1, 7, frames.len()] {
        let mut world = World::load("plain");
        let fates: Vec<_> = frames.chunks(burst).flat_map(|frames| world.process(frames)).collect();
        assert_eq!(fates.len(), cases.len());
        for (fate, case) in fates.iter().zip(&cases) {
            assert_eq!(fate, &case.fate, "{} in bursts of {burst}", case.name);
        }
        assert_eq!(world.counters, counted(&cases), "bursts of {burst}");
    }
}

/// The outer destination of a frame in GUE, which leaves without a tag here; none of others.
fn destination(frame: &[u8]) -> Option<IpAddr> {
    let gue = 6080_u16.to_be_bytes();
    match frame[12..14] {
        [8, 0] if frame[23] == 17 && frame[36..38] == gue => {
            Some(IpAddr::from(<[u8; 4]>::try_from(&frame[30..34]).unwrap()))
        }
        [0x86, 0xdd] if frame[20] == 17 && frame[56..58] == gue => {
            Some(IpAddr::from(<[u8; 16]>::try_from(&frame[38..54]).unwrap()))
        }
        _ => None,
    }
}

#[test]
fn what_leaves_is_counted_for_its_destination() {
    let mut world = World::load("plain");
    let mut left: BTreeMap<IpAddr, Traffic> = BTreeMap::new();
    for case in cases_of("plain") {
        for fate in world.process(std::slice::from_ref(&case.frame)) {
            let Fate::Transmit(frames) = fate else { continue };
            for (_, frame) in &frames {
                let Some(to) = destination(frame) else { continue };
                let sum = left.entry(to).or_default();
                *sum = sum.plus(Traffic { packets: 1, bytes: frame.len() as u64 });
            }
        }
    }
    let (table, tallies) = (&world.state.table, world.state.tallies());
    let mut counted: BTreeMap<IpAddr, Traffic> = BTreeMap::new();
    for (id, target) in (0..).zip(table.targets().iter()) {
        let sum = counted.entry(target.address).or_default();
        *sum = sum.plus(tallies.read(Destination::Server(TargetId(id))));
    }
    for (id, remote) in (0..).zip(table.remotes()) {
        let there = remote.forwarders.iter().filter_map(|forwarder| left.remove(forwarder));
        let there = there.fold(Traffic::default(), Traffic::plus);
        assert_eq!(tallies.read(Destination::Datacenter(RemoteId(id))), there, "{}", remote.name);
        assert!(there.packets > 0, "no vector goes to {}", remote.name);
    }
    counted.retain(|_, traffic| traffic.packets > 0);
    assert_eq!(counted, left);
    assert!(left.len() > 3);
}
