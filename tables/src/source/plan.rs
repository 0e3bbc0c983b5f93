// SPDX-License-Identifier: MIT OR Apache-2.0
//! Port plans as bytes: what a million addresses with plans of their own are kept in.
//!
//! A plan is one byte, the binary logarithm of its unit, then its runs in ascending order. The unit is the largest
//! power of two that all bounds are multiples of. A run is up to four numbers in LEB128:
//!
//! | number | meaning |
//! |---|---|
//! | `server << 2 \| draining << 1 \| gap` | the owner's id, whether there is a previous owner, whether ports before it are free |
//! | previous | the previous owner's id, if `draining` |
//! | free | units left free before the run, if `gap` |
//! | length | units in the run |
//!
//! A slice of a usual plan takes three bytes so. The form is canonical: plans are equal if and only if their bytes are,
//! however the document spelled them.

use super::{Owner, Run, ServerId, leb};
use crate::ports::Ports;

/// One past the last port.
const END: u32 = 1 << 16;

/// Appends `next` to runs in ascending order, merged with the one before if it goes on with the same owner.
pub(crate) fn push_run(runs: &mut Vec<Run>, next: Run) {
    match runs.last_mut() {
        Some(run) if run.owner == next.owner && u32::from(run.last) + 1 == u32::from(next.first) => {
            run.last = next.last
        }
        _ => runs.push(next),
    }
}

/// Puts disjoint runs in order, and makes one of those that go on with the same owner. False if they were in order.
pub(crate) fn normalize(runs: &mut Vec<Run>) -> bool {
    let sort = !runs.is_sorted_by_key(|run| run.first);
    if sort {
        runs.sort_unstable_by_key(|run| run.first);
    }
    runs.dedup_by(|next, run| {
        let goes_on = next.owner == run.owner && u32::from(run.last) + 1 == u32::from(next.first);
        if goes_on {
            run.last = next.last;
        }
        goes_on
    });
    sort
}

/// Appends what is left of a run when `taken` are taken out: ascending, disjoint, each with a port of the run.
pub(crate) fn cut(run: Run, taken: impl Iterator<Item = Ports>, left: &mut Vec<Run>) {
    let mut next = Some(run.first);
    for ports in taken {
        if let (Some(first), Some(last)) = (next, ports.first().checked_sub(1))
            && first <= last
        {
            left.push(Run { first, last, ..run });
        }
        next = ports.last().checked_add(1);
    }
    left.extend(next.filter(|&first| first <= run.last).map(|first| Run { first, ..run }));
}

/// Writes `runs`, which ascend and are merged, to `out`.
pub(crate) fn encode(runs: &[Run], out: &mut Vec<u8>) {
    let bounds = runs.iter().fold(END, |bits, run| bits | u32::from(run.first) | (u32::from(run.last) + 1));
    let log = bounds.trailing_zeros();
    out.push(log as u8);
    let mut end = 0;
    for run in runs {
        let first = u32::from(run.first);
        let free = first - end;
        end = u32::from(run.last) + 1;
        let Owner { server, previous } = run.owner;
        let flags = u64::from(previous.is_some()) << 1 | u64::from(free > 0);
        leb::write(u64::from(server.0) << 2 | flags, out);
        if let Some(previous) = previous {
            leb::write(u64::from(previous.0), out);
        }
        if free > 0 {
            leb::write(u64::from(free >> log), out);
        }
        leb::write(u64::from((end - first) >> log), out);
    }
}

/// The logarithm of the unit that [`encode`] wrote.
pub(crate) fn unit_log(plan: &[u8]) -> u32 {
    plan.first().map_or(0, |&log| log.into())
}

/// The runs of an encoded plan.
#[derive(Debug, Clone)]
pub(crate) struct Runs<'a> {
    bytes: &'a [u8],
    log: u32,
    end: u32,
}

impl<'a> Runs<'a> {
    /// Reads what [`encode`] wrote.
    pub(crate) fn new(plan: &'a [u8]) -> Self {
        let (log, bytes) = plan.split_first().map_or((0, plan), |(&log, rest)| (u32::from(log), rest));
        Self { bytes, log, end: 0 }
    }

    fn number(&mut self) -> Option<u64> {
        leb::read(&mut self.bytes)
    }
}

impl Iterator for Runs<'_> {
    type Item = Run;

    fn next(&mut self) -> Option<Run> {
        let head = self.number()?;
        let previous = if head & 2 == 0 { None } else { Some(ServerId(self.number()? as u32)) };
        let free = if head & 1 == 0 { 0 } else { self.number()? as u32 };
        let length = self.number()? as u32;
        let first = self.end + (free << self.log);
        self.end = first + (length << self.log);
        let owner = Owner { server: ServerId((head >> 2) as u32), previous };
        Some(Run { first: first as u16, last: (self.end - 1) as u16, owner })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn round_trip(runs: &[Run]) -> Vec<u8> {
        let mut bytes = Vec::new();
        encode(runs, &mut bytes);
        assert_eq!(Runs::new(&bytes).collect::<Vec<_>>(), runs);
        bytes
    }

    fn run(first: u16, last: u16, server: u32, previous: Option<u32>) -> Run {
        Run { first, last, owner: Owner { server: ServerId(server), previous: previous.map(ServerId) } }
    }

    #[test]
    fn a_usual_plan_takes_three_bytes_a_slice() {
        let runs: Vec<Run> = (1..32).map(|i| run(i * 2048, i * 2048 + 2047, u32::from(i) + 900, None)).collect();
        assert_eq!(round_trip(&runs).len(), 1 + 31 * 3 + 1);
    }

    #[test]
    fn extremes_survive() {
        assert_eq!(round_trip(&[]), [16]);
        assert_eq!(round_trip(&[run(0, 65535, 0, None)]), [16, 0, 1]);
        round_trip(&[run(65535, 65535, u32::MAX, Some(u32::MAX))]);
        round_trip(&[run(0, 0, 1, None), run(1, 1, 2, None), run(65534, 65535, 1, Some(0))]);
    }

    proptest! {
        #[test]
        fn any_plan_survives(
            cuts in prop::collection::btree_set(any::<u16>(), 0..40),
            shift in 0_u32..12,
            owners in prop::collection::vec((0_u32..4, 0..9_u32, prop::option::of(any::<u32>())), 40),
        ) {
            let mut cuts: Vec<u16> = cuts.into_iter().map(|cut| cut >> shift << shift).collect();
            cuts.dedup();
            let mut runs = Vec::new();
            for (pair, &(free, server, previous)) in cuts.windows(2).zip(&owners) {
                if free > 0 {
                    push_run(&mut runs, run(pair[0], pair[1] - 1, server, previous));
                }
            }
            round_trip(&runs);
        }
    }
}
