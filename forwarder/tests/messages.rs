// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the forwarder adds: how many messages of its own, and pieces only as long as there are buffers and room for them.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test may stop at the first surprise"
)]

mod world;

use forwarder::counters::DropReason;
use forwarder::io::Nanos;
use world::vectors::cases_of;
use world::{Fate, World};

const SECOND: u64 = 1_000_000_000;
const REQUEST: &str = "plain/echo-requests: ipv4";
const REQUEST_V6: &str = "plain/echo-requests: ipv6";
const TOO_BIG: &str = "plain/sizes: ipv4-over-ipv4-one-more";
const TOO_BIG_V6: &str = "plain/sizes: ipv6-over-ipv4-one-more";
const SIX_PIECES: &str = "plain/pieces: jumbo";
const WHOLE: &str = "plain/ports: udp4-to-ipv4-server";

/// The frame of that case of the vectors.
fn frame(name: &str) -> Vec<u8> {
    cases_of("plain").into_iter().find(|case| case.name == name).unwrap_or_else(|| panic!("no case {name}")).frame
}

fn with_rate(rate: u32) -> World {
    World::load_with("plain", |settings| settings.icmp.rate = rate)
}

/// How many frames leave when each of these comes so often at `now`.
fn sent(world: &mut World, now: u64, frames: &[&str], times: usize) -> usize {
    world.now = Nanos(now);
    let frames: Vec<_> = frames.iter().map(|name| frame(name)).collect();
    (0..times).flat_map(|_| world.process(&frames)).filter(|fate| matches!(fate, Fate::Transmit(_))).count()
}

#[test]
fn replies_are_limited_over_both_families() {
    let mut world = with_rate(10);
    let start = 1_700_000_000 * SECOND;
    assert_eq!(sent(&mut world, start, &[REQUEST, REQUEST_V6], 8), 10);
    assert_eq!(world.counters.dropped(DropReason::IcmpRateLimited), 6);
    assert_eq!(sent(&mut world, start + SECOND / 2, &[REQUEST], 8), 5);
    assert_eq!(sent(&mut world, start + 100 * SECOND, &[REQUEST], 20), 10);
    assert_eq!(world.counters.originated, 0, "a reply is the request turned round");
    assert_eq!(world.counters.icmp_errors_suppressed, 0);
}

#[test]
fn errors_are_limited_apart_from_replies() {
    let mut world = with_rate(3);
    assert_eq!(sent(&mut world, 0, &[REQUEST], 5), 3);
    assert_eq!(sent(&mut world, 0, &[TOO_BIG, TOO_BIG_V6], 4), 3);
    assert_eq!((world.counters.originated, world.counters.icmp_errors_suppressed), (3, 5));
    assert_eq!(world.counters.dropped(DropReason::TooBig), 8, "whether an error is sent or not");
    assert_eq!(sent(&mut world, SECOND / 3 + 1, &[TOO_BIG], 4), 1);
}

#[test]
fn a_rate_of_nothing_sends_nothing() {
    let mut world = with_rate(0);
    assert_eq!(sent(&mut world, 5 * SECOND, &[REQUEST, TOO_BIG, REQUEST_V6, TOO_BIG_V6], 2), 0);
    assert_eq!(world.counters.dropped(DropReason::IcmpRateLimited), 4);
    assert_eq!(world.counters.icmp_errors_suppressed, 4);
}

#[test]
fn requests_that_get_no_reply_cost_none() {
    let mut world = with_rate(1);
    let refused = ["plain/echo-requests: checksum-ipv4", "plain/echo-requests: larger-ipv4"];
    assert_eq!(sent(&mut world, 0, &refused, 3), 0);
    assert_eq!(sent(&mut world, 0, &["plain/too-big: about-error"], 3), 0);
    assert_eq!(sent(&mut world, 0, &[REQUEST, TOO_BIG], 1), 2);
    assert_eq!(world.counters.icmp_errors_suppressed, 0, "none was due");
}

#[test]
fn a_packet_is_cut_wholly_or_not_at_all() {
    let mut world = World::load("plain");
    world.spare.left = 4; // five are added
    assert_eq!(world.process(&[frame(SIX_PIECES)]), [Fate::Drop]);
    assert_eq!((world.counters.dropped(DropReason::NoBuffer), world.counters.originated), (1, 0));
    world.spare.left = 5;
    let Fate::Transmit(pieces) = world.process(&[frame(SIX_PIECES)]).remove(0) else { panic!("not sent") };
    assert_eq!((pieces.len(), world.counters.originated), (6, 5));
}

#[test]
fn a_full_queue_takes_no_part_of_a_packet() {
    let mut world = World::load("plain");
    let transmit = &mut world.output().transmit[0];
    transmit.shrink_to(0);
    transmit.reserve_exact(7);
    let room = transmit.capacity();
    assert!((7..14).contains(&room), "a vector takes what it is told, or little more");
    let fates = world.process(&[frame(SIX_PIECES), frame(SIX_PIECES), frame(WHOLE)]);
    assert!(matches!(&fates[0], Fate::Transmit(pieces) if pieces.len() == 6));
    assert_eq!(fates[1], Fate::Drop);
    assert!(matches!(&fates[2], Fate::Transmit(sent) if sent.len() == 1));
    assert_eq!(world.counters.dropped(DropReason::TxFull), 1);
    assert_eq!(world.output().transmit[0].capacity(), room, "it did not grow");
}
