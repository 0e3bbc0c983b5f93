// SPDX-License-Identifier: MIT OR Apache-2.0
//! The store's rules one by one, then all of them against a naive model. Fates and packets are numbers.

mod model;

use super::*;
use crate::pipeline::packet::Addresses;

const SECOND: u64 = 1_000_000_000;
const NOTHING: [i64; 0] = [];
const LIMITS: FragmentLimits = FragmentLimits { contexts: 4, packets: 3, bytes: 1_000 };

/// A store whose first fragments are 16 bytes long, and its clock.
struct Rig {
    store: Store<u32, u32>,
    now: Nanos,
}

impl Rig {
    fn new(limits: FragmentLimits) -> Self {
        Self { store: Store::new(limits, Secret::random()), now: Nanos(7 * SECOND) }
    }

    fn pass(&mut self, nanos: u64) {
        self.now.0 += nanos;
    }

    /// The packets that it lets go; those that waited too long are negative.
    fn first(&mut self, id: u32, fate: u32) -> Vec<i64> {
        let mut released = self.store.first(key(id), 16, fate, self.now);
        let mut packets = Vec::new();
        while let Some((packet, is_due)) = self.store.release(&mut released, self.now) {
            packets.push(if is_due { -i64::from(packet) } else { packet.into() });
        }
        packets
    }

    fn later(&mut self, id: u32, start: u16, end: u16, is_last: bool) -> Later<u32> {
        self.store.later(&key(id), Span { run: Run { start, end }, is_last }, self.now)
    }

    fn hold(&mut self, id: u32, packet: u32, bytes: u32) -> Result<(), u32> {
        self.store.hold(key(id), packet, bytes, self.now)
    }

    /// Whether the first fragment of `id` is remembered. Asking makes it the most recently used one.
    fn is_known(&mut self, id: u32) -> bool {
        self.later(id, 1_000, 1_008, false) != Later::Early
    }
}

fn key(id: u32) -> Key {
    Key { addresses: Addresses::V4([192, 0, 2, 1].into(), [198, 51, 100, 1].into()), id, protocol: 17 }
}

#[test]
fn later_fragments_meet_what_their_first_met() {
    let mut rig = Rig::new(LIMITS);
    assert_eq!(rig.later(1, 16, 24, true), Later::Early);
    assert_eq!(rig.first(1, 101), NOTHING);
    assert_eq!(rig.first(2, 102), NOTHING);
    assert_eq!(rig.later(1, 16, 24, true), Later::Follows(101));
    assert_eq!(rig.later(2, 16, 24, true), Later::Follows(102));
    assert_eq!(rig.later(3, 16, 24, true), Later::Early);
}

#[test]
fn what_starts_inside_the_first_overlaps() {
    let mut rig = Rig::new(LIMITS);
    rig.first(1, 101);
    assert_eq!(rig.later(1, 8, 32, true), Later::Overlaps);
    assert_eq!(rig.later(1, 16, 32, true), Later::Follows(101), "one bad fragment does not taint the rest");
}

#[test]
fn a_first_is_remembered_for_ten_seconds_after_the_last_one_seen() {
    let mut rig = Rig::new(LIMITS);
    rig.first(1, 101);
    rig.pass(10 * SECOND - 1);
    assert_eq!(rig.later(1, 16, 24, false), Later::Follows(101));
    rig.pass(10 * SECOND - 1);
    assert_eq!(rig.later(1, 0, 24, false), Later::Overlaps, "seen is seen");
    rig.pass(10 * SECOND - 1);
    assert_eq!(rig.later(1, 32, 40, false), Later::Follows(101));
    rig.pass(10 * SECOND);
    assert_eq!(rig.later(1, 40, 48, false), Later::Early);
}

#[test]
fn a_whole_datagram_is_forgotten_after_one_second() {
    let mut rig = Rig::new(LIMITS);
    rig.first(1, 101);
    rig.later(1, 24, 32, true);
    rig.pass(3 * SECOND);
    assert_eq!(rig.later(1, 16, 24, false), Later::Follows(101), "now it is whole");
    rig.pass(SECOND - 1);
    assert_eq!(rig.later(1, 16, 24, false), Later::Follows(101), "which prolongs nothing");
    rig.pass(1);
    assert_eq!(rig.later(1, 16, 24, false), Later::Early);
}

#[test]
fn a_first_that_comes_again_begins_anew() {
    let mut rig = Rig::new(LIMITS);
    rig.first(1, 101);
    rig.later(1, 16, 24, true);
    rig.pass(SECOND / 2);
    assert_eq!(rig.first(1, 111), NOTHING);
    rig.pass(SECOND - 1);
    assert_eq!(rig.later(1, 16, 24, false), Later::Follows(111), "another datagram, perhaps");
}

#[test]
fn those_that_wait_go_in_their_order() {
    let mut rig = Rig::new(LIMITS);
    for packet in [11, 12, 13] {
        assert_eq!(rig.hold(1, packet, 100), Ok(()));
    }
    assert_eq!(rig.store.held(), 3);
    assert_eq!(rig.first(1, 101), [11, 12, 13]);
    assert_eq!(rig.store.held(), 0);
    assert_eq!(rig.first(1, 101), NOTHING);
}

#[test]
fn a_packet_waits_for_less_than_a_second() {
    let mut rig = Rig::new(LIMITS);
    rig.hold(1, 11, 100).unwrap();
    rig.pass(SECOND / 2);
    rig.hold(1, 12, 100).unwrap();
    rig.hold(2, 21, 100).unwrap();
    rig.pass(SECOND / 2 - 1);
    assert_eq!(rig.store.expire(rig.now), None);
    rig.pass(1);
    assert_eq!(rig.first(1, 101), [-11, 12], "exact, though nobody swept");
    rig.pass(SECOND / 2);
    assert_eq!(rig.store.expire(rig.now), Some(21));
    assert_eq!(rig.store.expire(rig.now), None);
    assert_eq!(rig.store.held(), 0);
}

#[test]
fn packets_and_bytes_are_bounded() {
    let mut rig = Rig::new(LIMITS);
    assert_eq!(rig.hold(1, 11, 1_001), Err(11));
    assert_eq!(rig.hold(1, 12, 900), Ok(()));
    assert_eq!(rig.hold(1, 13, 101), Err(13));
    assert_eq!(rig.hold(2, 21, 50), Ok(()));
    assert_eq!(rig.hold(3, 31, 50), Ok(()));
    assert_eq!(rig.hold(4, 41, 0), Err(41), "three packets");
    assert_eq!(rig.first(1, 101), [12]);
    assert_eq!(rig.hold(1, 14, 0), Err(14), "its first has come");
    assert_eq!(rig.hold(4, 42, 900), Ok(()));
    assert_eq!([rig.store.empty(), rig.store.empty(), rig.store.empty()], [Some(21), Some(31), Some(42)]);
    assert_eq!((rig.store.empty(), rig.store.held()), (None, 0));
}

#[test]
fn a_full_store_forgets_its_least_recently_used_first() {
    let mut rig = Rig::new(LIMITS);
    (1..=4).for_each(|id| drop(rig.first(id, id)));
    assert!(rig.is_known(1), "and so 2 is the least recently used");
    rig.first(5, 5);
    rig.hold(6, 61, 100).unwrap();
    let known: Vec<_> = (1..=6).filter(|id| rig.is_known(*id)).collect();
    assert_eq!(known, [1, 4, 5]);
}

#[test]
fn what_is_to_be_forgotten_anyway_goes_first() {
    let mut rig = Rig::new(LIMITS);
    (1..=4).for_each(|id| drop(rig.first(id, id)));
    rig.later(4, 16, 24, true);
    rig.pass(SECOND);
    rig.first(5, 5);
    assert!((1..=3).all(|id| rig.is_known(id)), "4 was whole a second ago");
}

#[test]
fn what_waits_is_not_pushed_out() {
    let mut rig = Rig::new(FragmentLimits { contexts: 2, ..LIMITS });
    rig.hold(1, 11, 100).unwrap();
    rig.hold(2, 21, 100).unwrap();
    assert_eq!(rig.hold(3, 31, 100), Err(31));
    assert_eq!(rig.first(4, 104), NOTHING, "passes, and is not remembered");
    assert!(!rig.is_known(4));
    assert_eq!(rig.first(1, 101), [11]);
    assert_eq!(rig.hold(3, 32, 100), Ok(()), "1 makes room");
}

#[test]
fn a_store_for_nothing_holds_nothing() {
    let mut rig = Rig::new(FragmentLimits { contexts: 0, packets: 0, bytes: 0 });
    assert_eq!(rig.hold(1, 11, 0), Err(11));
    assert_eq!((rig.store.empty(), rig.store.expire(rig.now)), (None, None));
}

#[test]
fn a_clock_that_goes_back_forgets_nothing() {
    let mut rig = Rig::new(LIMITS);
    rig.first(1, 101);
    rig.hold(2, 21, 100).unwrap();
    rig.now = Nanos(0);
    assert_eq!(rig.later(1, 16, 24, true), Later::Follows(101));
    assert_eq!(rig.first(2, 102), [21]);
}
