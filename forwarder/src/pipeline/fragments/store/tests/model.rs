// SPDX-License-Identifier: MIT OR Apache-2.0
//! The store against lists that are searched from end to end.

use proptest::prelude::*;

use super::*;

#[derive(Debug, Clone, Copy)]
enum Step {
    First { id: u32, blocks: u16 },
    Later { id: u32, start: u16, blocks: u16, is_last: bool },
    Pass { nanos: u64 },
    Expire,
}

/// A first fragment as the rules put it.
struct Remembered {
    id: u32,
    fate: u32,
    end: u16,
    seen: Vec<bool>,
    datagram_end: Option<u16>,
    used: u64,
    whole: Option<u64>,
}

impl Remembered {
    fn is_alive(&self, now: u64) -> bool {
        now - self.used < 10 * SECOND && self.whole.is_none_or(|whole| now - whole < SECOND)
    }
}

/// A packet that waits.
#[derive(Debug, Clone, Copy)]
struct Parked {
    id: u32,
    packet: u32,
    since: u64,
}

/// Least recently used first; in order of arrival.
#[derive(Default)]
struct Model {
    firsts: Vec<Remembered>,
    parked: Vec<Parked>,
}

impl Model {
    /// Room for one more datagram, or none.
    fn make_room(&mut self, contexts: usize, now: u64) -> bool {
        self.firsts.retain(|first| first.is_alive(now));
        let mut waiting: Vec<_> = self.parked.iter().map(|parked| parked.id).collect();
        waiting.sort_unstable();
        waiting.dedup();
        if self.firsts.len() + waiting.len() == contexts {
            if self.firsts.is_empty() {
                return false;
            }
            self.firsts.remove(0);
        }
        true
    }

    fn first(&mut self, id: u32, end: u16, fate: u32, limits: FragmentLimits, now: u64) -> Vec<i64> {
        let (released, rest) = self.parked.iter().partition::<Vec<Parked>, _>(|parked| parked.id == id);
        self.parked = rest;
        self.firsts.retain(|first| first.id != id);
        // What waited had a place, which the first takes over.
        if self.make_room(limits.contexts as usize, now) {
            let seen = (0..1024).map(|byte| byte < end).collect();
            self.firsts.push(Remembered { id, fate, end, seen, datagram_end: None, used: now, whole: None });
        }
        let due = |parked: &Parked| now - parked.since >= SECOND;
        released.iter().map(|p| if due(p) { -i64::from(p.packet) } else { i64::from(p.packet) }).collect()
    }

    fn later(&mut self, id: u32, run: Run, is_last: bool, now: u64) -> Later<u32> {
        let Some(at) = self.firsts.iter().position(|first| first.id == id && first.is_alive(now)) else {
            return Later::Early;
        };
        let mut first = self.firsts.remove(at);
        first.used = now;
        let verdict = if run.start < first.end { Later::Overlaps } else { Later::Follows(first.fate) };
        if verdict != Later::Overlaps && first.whole.is_none() {
            first.seen[usize::from(run.start)..usize::from(run.end)].fill(true);
            first.datagram_end = if is_last { first.datagram_end.max(Some(run.end)) } else { first.datagram_end };
            let is_whole = first.datagram_end.is_some_and(|end| first.seen[..usize::from(end)].iter().all(|s| *s));
            first.whole = is_whole.then_some(now);
        }
        self.firsts.push(first);
        verdict
    }

    fn hold(&mut self, id: u32, packet: u32, limits: FragmentLimits, now: u64) -> bool {
        let is_new = self.parked.iter().all(|parked| parked.id != id);
        let fits = self.parked.len() < limits.packets as usize;
        let held = fits && (!is_new || self.make_room(limits.contexts as usize, now));
        if held {
            self.parked.push(Parked { id, packet, since: now });
        }
        held
    }

    fn expire(&mut self, now: u64) -> Option<u32> {
        let is_due = self.parked.first().is_some_and(|parked| now - parked.since >= SECOND);
        is_due.then(|| self.parked.remove(0).packet)
    }
}

fn step() -> impl Strategy<Value = Step> {
    let id = 0..9_u32;
    prop_oneof![
        2 => (id.clone(), 1..4_u16).prop_map(|(id, blocks)| Step::First { id, blocks }),
        5 => (id, 1..7_u16, 0..3_u16, any::<bool>())
            .prop_map(|(id, start, blocks, is_last)| Step::Later { id, start, blocks, is_last }),
        1 => (0..3 * SECOND / 2).prop_map(|nanos| Step::Pass { nanos }),
        1 => (0..4_u64).prop_map(|times| Step::Pass { nanos: times * 5 * SECOND / 2 }),
        1 => Just(Step::Expire),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn equals_the_model(
        contexts in 1..8_u32,
        packets in 0..6_u32,
        steps in proptest::collection::vec(step(), 1..120),
    ) {
        let limits = FragmentLimits { contexts, packets, bytes: u64::MAX };
        let (mut rig, mut model) = (Rig::new(limits), Model::default());
        for (number, step) in (1..).zip(steps) {
            let now = rig.now.0;
            match step {
                Step::First { id, blocks } => {
                    let mut released = rig.store.first(key(id), 8 * blocks, number, rig.now);
                    let mut packets = Vec::new();
                    while let Some((packet, is_due)) = rig.store.release(&mut released, rig.now) {
                        packets.push(if is_due { -i64::from(packet) } else { i64::from(packet) });
                    }
                    prop_assert_eq!(packets, model.first(id, 8 * blocks, number, limits, now));
                }
                Step::Later { id, start, blocks, is_last } => {
                    let run = Run { start: 8 * start, end: 8 * (start + blocks) };
                    let verdict = rig.later(id, run.start, run.end, is_last);
                    prop_assert_eq!(verdict, model.later(id, run, is_last, now));
                    if verdict == Later::Early {
                        prop_assert_eq!(rig.hold(id, number, 100).is_ok(), model.hold(id, number, limits, now));
                    }
                }
                Step::Pass { nanos } => rig.pass(nanos),
                Step::Expire => prop_assert_eq!(rig.store.expire(rig.now), model.expire(now)),
            }
            prop_assert_eq!(rig.store.held(), model.parked.len());
        }
    }
}
