// SPDX-License-Identifier: MIT OR Apache-2.0
//! Port plans: who owns which port of a sliced address.
//!
//! A plan whose bounds are multiples of 64 ports or more is a block of slots, one for each granule of ports; its class
//! says how large a granule is, so that a lookup reads one slot and no header. 2,048 ports a slice make one cache line.
//! Any other plan is a list of bounds, searched in at most 16 steps.

use super::arena::{Arena, size};
use super::{PlanRef, TargetId};
use crate::prefetch::prefetch;

/// Consecutive ports of one target.
#[derive(Debug, Clone, Copy)]
pub(super) struct TargetRun {
    pub(super) first: u16,
    pub(super) last: u16,
    pub(super) target: TargetId,
}

/// All plans of a table.
#[derive(Default)]
pub(super) struct Plans {
    /// Blocks; each begins a line, whose number is the plan's index.
    lines: Arena<Line>,
    /// The owner of protocols without ports, by a block's first line. As long as the last block that has one needs.
    portless: Arena<Slot>,
    /// Plans with other bounds, by index.
    spans: Arena<Span>,
    /// The bounds of all of them.
    bounds: Arena<Bound>,
    /// The slots of the plan that is being added.
    scratch: Vec<Slot>,
}

/// A cache line of slots.
#[derive(Default)]
#[repr(align(64))]
struct Line([Slot; LINE_SLOTS]);

const LINE_SLOTS: usize = 32;

/// An owner; fresh memory is nobody's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Slot(u16);

/// Where in the bounds a plan lies.
struct Span {
    first: u32,
    length: u32,
    portless: Slot,
}

/// From `first` up to the next bound, ports belong to `slot`. The first bound of a plan is at port 0.
struct Bound {
    first: u16,
    slot: Slot,
}

/// The class of plans that are bounds. The class of blocks is the binary logarithm of their granule, less this much:
const SMALLEST_GRANULE_LOG: u32 = 6;
const UNALIGNED: u32 = PlanRef::CLASSES - 1;

impl Plans {
    /// Who owns `port`. Port 0 has no owner, whatever slice it is in.
    #[inline(always)]
    pub(super) fn port(&self, plan: PlanRef, port: u16) -> Option<TargetId> {
        let slot = if plan.class() == UNALIGNED { self.search(plan, port) } else { self.cell(plan, port).copied() };
        if port == 0 { None } else { slot?.owner() }
    }

    /// Who gets protocols without ports.
    pub(super) fn portless(&self, plan: PlanRef) -> Option<TargetId> {
        let slot = match plan.class() {
            UNALIGNED => self.spans.get(plan.index()).map(|span| span.portless),
            _ => self.portless.get(plan.index()).copied(),
        };
        slot?.owner()
    }

    /// Asks the cache for what [`Self::port`] reads first.
    #[inline(always)]
    pub(super) fn prefetch_port(&self, plan: PlanRef, port: u16) {
        if plan.class() == UNALIGNED {
            prefetch(self.spans.get(plan.index()));
        } else {
            prefetch(self.cell(plan, port));
        }
    }

    /// The slot of `port` in a block.
    #[inline(always)]
    fn cell(&self, block: PlanRef, port: u16) -> Option<&Slot> {
        let slot = (u32::from(port) >> (block.class() + SMALLEST_GRANULE_LOG)) as usize;
        self.lines.get(block.index() + slot / LINE_SLOTS)?.0.get(slot % LINE_SLOTS)
    }

    /// The slot of `port` in a plan of bounds.
    fn search(&self, plan: PlanRef, port: u16) -> Option<Slot> {
        let span = self.spans.get(plan.index())?;
        let bounds = self.bounds.get(span.first as usize..)?.get(..span.length as usize)?;
        let after = bounds.partition_point(|bound| bound.first <= port);
        bounds.get(after.checked_sub(1)?).map(|bound| bound.slot)
    }

    /// Stores a plan: ascending, disjoint runs, and who gets protocols without ports. None if there are too many.
    pub(super) fn add(&mut self, runs: &[TargetRun], portless: Option<TargetId>) -> Option<PlanRef> {
        // Nobody owns port 0, so a run that begins right after it may as well begin with it.
        let runs = runs.iter().map(|&run| if run.first == 1 { TargetRun { first: 0, ..run } } else { run });
        let bounds = runs.clone().fold(1 << 16, |bits, run| bits | u32::from(run.first) | end(run));
        match bounds.trailing_zeros().checked_sub(SMALLEST_GRANULE_LOG) {
            Some(class) => self.add_block(class, runs, portless),
            None => self.add_bounds(runs, portless),
        }
    }

    fn add_block(
        &mut self,
        class: u32,
        runs: impl Iterator<Item = TargetRun>,
        portless: Option<TargetId>,
    ) -> Option<PlanRef> {
        let granule_log = class + SMALLEST_GRANULE_LOG;
        let plan = PlanRef::new(class, self.lines.len())?;
        self.scratch.clear();
        for run in runs {
            self.scratch.resize(usize::from(run.first) >> granule_log, Slot::default());
            self.scratch.resize(end(run) as usize >> granule_log, run.target.into());
        }
        self.scratch.resize(1 << (16 - granule_log), Slot::default());
        self.lines.extend(self.scratch.chunks(LINE_SLOTS).map(|slots| {
            let mut line = Line::default();
            line.0.iter_mut().zip(slots).for_each(|(to, from)| *to = *from);
            line
        }));
        if let Some(portless) = portless {
            self.portless.resize(plan.index(), Slot::default());
            self.portless.push(portless.into());
        }
        Some(plan)
    }

    fn add_bounds(&mut self, runs: impl Iterator<Item = TargetRun>, portless: Option<TargetId>) -> Option<PlanRef> {
        let plan = PlanRef::new(UNALIGNED, self.spans.len())?;
        let first = u32::try_from(self.bounds.len()).ok()?;
        let mut next = 0; // the first port that nothing is said about yet
        for run in runs {
            if next < u32::from(run.first) {
                self.bounds.push(Bound { first: next as u16, slot: Slot::default() });
            }
            self.bounds.push(Bound { first: run.first, slot: run.target.into() });
            next = end(run);
        }
        if let Ok(first) = u16::try_from(next) {
            self.bounds.push(Bound { first, slot: Slot::default() });
        }
        let length = u32::try_from(self.bounds.len()).ok()? - first;
        self.spans.push(Span { first, length, portless: portless.map(Slot::from).unwrap_or_default() });
        Some(plan)
    }

    /// Gives back the memory that growing took too much.
    pub(super) fn finish(mut self) -> Self {
        self.lines.shrink_to_fit();
        self.portless.shrink_to_fit();
        self.spans.shrink_to_fit();
        self.bounds.shrink_to_fit();
        self.scratch = Vec::new();
        self
    }

    pub(super) fn size(&self) -> usize {
        size(&self.lines) + size(&self.portless) + size(&self.spans) + size(&self.bounds)
    }
}

/// One past the last port of a run.
fn end(run: TargetRun) -> u32 {
    u32::from(run.last) + 1
}

impl Slot {
    #[inline(always)]
    fn owner(self) -> Option<TargetId> {
        self.0.checked_sub(1).map(TargetId)
    }
}

impl From<TargetId> for Slot {
    fn from(owner: TargetId) -> Self {
        debug_assert!(owner.0 < u16::MAX, "the last id would look like nobody");
        Self(owner.0.wrapping_add(1))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn run(first: u16, last: u16, target: u16) -> TargetRun {
        TargetRun { first, last, target: TargetId(target) }
    }

    fn one(runs: &[TargetRun]) -> (Plans, PlanRef) {
        let mut plans = Plans::default();
        let plan = plans.add(runs, None).unwrap();
        (plans.finish(), plan)
    }

    #[test]
    fn slices_of_2048_ports_are_one_cache_line() {
        let (plans, plan) =
            one(&(1..32).map(|slice| run(slice * 2048, slice * 2048 + 2047, slice)).collect::<Vec<_>>());
        assert_eq!(plans.size(), 64);
        assert_eq!(align_of::<Line>(), 64);
        assert_eq!(plans.port(plan, 2047), None);
        assert_eq!(plans.port(plan, 2048), Some(TargetId(1)));
        assert_eq!(plans.port(plan, 65_535), Some(TargetId(31)));
    }

    #[test]
    fn the_largest_granule_is_taken() {
        for (log, lines) in (6..=16).zip([32, 16, 8, 4, 2, 1, 1, 1, 1, 1, 1]) {
            let last = ((1_u32 << log) - 1) as u16;
            let (plans, plan) = one(&[run(0, last, 7)]);
            assert_eq!(plan.class(), log - SMALLEST_GRANULE_LOG);
            assert_eq!(plans.size(), 64 * lines, "granule 2^{log}");
            assert_eq!(plans.port(plan, last), Some(TargetId(7)));
            assert_eq!(last.checked_add(1).and_then(|next| plans.port(plan, next)), None);
        }
    }

    #[test]
    fn nobody_owns_port_0_and_it_spoils_no_alignment() {
        let (plans, plan) = one(&[run(1, 2047, 3), run(2048, 65_535, 4)]);
        assert_eq!(plan.class(), 11 - SMALLEST_GRANULE_LOG);
        assert_eq!(plans.port(plan, 0), None);
        assert_eq!(plans.port(plan, 1), Some(TargetId(3)));
        let (plans, plan) = one(&[run(0, 0, 3)]);
        assert_eq!((plans.port(plan, 0), plans.port(plan, 1)), (None, None));
    }

    #[test]
    fn a_plan_may_own_nothing() {
        let (plans, plan) = one(&[]);
        assert_eq!((plans.port(plan, 1), plans.port(plan, 65_535), plans.portless(plan)), (None, None, None));
    }

    #[test]
    fn portless_owners_stay_with_their_plans() {
        let mut plans = Plans::default();
        let aligned = [run(0, 63, 1)];
        let odd = [run(2, 64, 1)];
        let refs: Vec<_> = [None, Some(TargetId(65_534)), None, Some(TargetId(0)), None]
            .into_iter()
            .flat_map(|portless| [(&aligned[..], portless), (&odd[..], portless)])
            .map(|(runs, portless)| (plans.add(runs, portless).unwrap(), portless))
            .collect();
        let plans = plans.finish();
        for (plan, portless) in refs {
            assert_eq!(plans.portless(plan), portless);
            assert_eq!(plans.port(plan, 63), Some(TargetId(1)));
            assert_eq!(plans.port(plan, 65), None);
        }
    }

    proptest! {
        #[test]
        fn every_port_has_the_owner_that_its_run_says(
            cuts in prop::collection::btree_set(any::<u16>(), 0..12),
            log in 0_u32..14,
            owners in prop::collection::vec(prop::option::of(0_u16..=65_534), 13),
        ) {
            let mut cuts: Vec<u32> = cuts.into_iter().map(|cut| u32::from(cut >> log << log)).collect();
            cuts.extend([0, 1 << 16]);
            cuts.sort_unstable();
            cuts.dedup();
            let runs: Vec<TargetRun> = cuts
                .windows(2)
                .zip(&owners)
                .filter_map(|(pair, owner)| owner.map(|owner| run(pair[0] as u16, (pair[1] - 1) as u16, owner)))
                .collect();
            let mut plans = Plans::default();
            plans.add(&[run(5, 500, 1)], None).unwrap(); // so that indices are not all zero
            plans.add(&[run(64, 127, 1)], None).unwrap();
            let plan = plans.add(&runs, None).unwrap();
            for port in 0..=u16::MAX {
                let owner = runs.iter().find(|run| run.first <= port && port <= run.last && port != 0);
                prop_assert_eq!(plans.port(plan, port), owner.map(|run| run.target), "port {}", port);
            }
        }
    }
}
