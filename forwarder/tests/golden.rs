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

use forwarder::counters::Counters;
use world::World;
use world::vectors::{Case, cases_of};

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
