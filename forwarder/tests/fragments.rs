// SPDX-License-Identifier: MIT OR Apache-2.0
//! Sequences of fragments of a few datagrams, in any order and at any time, through the pipeline, against the rules of the
//! contract (sections 6 and 8) put down once more without any of the code under test: what becomes of each, and when.
//!
//! Not here: a store that is full, and several workers. Both have tests of their own.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test may stop at the first surprise"
)]

#[path = "fragments/piece.rs"]
mod piece;
#[path = "fragments/rules.rs"]
mod rules;
mod world;

use std::collections::BTreeMap;

use forwarder::counters::DropReason;
use forwarder::io::Nanos;
use piece::{Piece, piece};
use proptest::prelude::*;
use rules::Rules;
use world::{Fate, World};

/// Nanoseconds between two fragments: at once, and around the times that matter.
fn pause() -> impl Strategy<Value = u64> {
    const MILLISECOND: u64 = 1_000_000;
    prop_oneof![
        6 => Just(0),
        2 => (0..400_u64).prop_map(|millis| millis * MILLISECOND),
        1 => prop::sample::select(vec![999, 1_000, 1_001, 9_000, 9_999, 10_000]).prop_map(|millis| millis * MILLISECOND),
    ]
}

/// What has been dropped, by reason, without what has not.
fn drops(world: &World) -> BTreeMap<&'static str, u64> {
    let drops = DropReason::ALL.into_iter().map(|reason| (reason.name(), world.counters.dropped(reason)));
    drops.filter(|(_, number)| *number > 0).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn every_fragment_meets_what_the_rules_say(steps in prop::collection::vec((pause(), piece()), 1..100)) {
        let mut world = World::load_with("plain", |settings| settings.fragments.contexts = 256);
        let mut rules = Rules::default();
        let (mut sent, mut kernel) = (Vec::new(), 0);
        world.now = Nanos(5_000_000_000);
        for (number, (pause, piece)) in (0..).zip(steps) {
            world.now.0 += pause;
            let fates = world.process(&[piece.frame(number)]);
            for fate in fates.iter().chain(&world.released) {
                match fate {
                    Fate::Transmit(frames) => sent.extend(frames.iter().map(|(_, frame)| Piece::number(frame))),
                    Fate::Kernel => kernel += 1,
                    Fate::Drop | Fate::Held => {}
                }
            }
            rules.receive(number, &piece, world.now.0);
            prop_assert_eq!(&sent, &rules.sent, "after {:?}", piece);
            prop_assert_eq!((kernel, drops(&world)), (rules.kernel, rules.drops.clone()), "after {:?}", piece);
            prop_assert_eq!(world.counters.held, rules.held(), "after {:?}", piece);
        }
        world.finish();
        rules.finish();
        prop_assert_eq!((drops(&world), world.counters.held), (rules.drops, 0));
    }
}
