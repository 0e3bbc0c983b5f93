// SPDX-License-Identifier: MIT OR Apache-2.0
//! Where port plans are put: the control side of the arena that lookups read.

use std::sync::atomic::{AtomicU16, Ordering::Relaxed};

use super::extents::{Extent, Extents, with_room};
use super::limit::Limit;
use super::plans::{LINE_SLOTS, Line, Plans, SMALLEST_GRANULE_LOG, Slot, UNALIGNED};
use super::{PlanRef, TargetId};
use crate::pages::Pages;

/// Consecutive ports of one target.
#[derive(Debug, Clone, Copy)]
pub(super) struct TargetRun {
    pub(super) first: u16,
    pub(super) last: u16,
    pub(super) target: TargetId,
}

/// Lines that a new arena has beyond those needed at once.
const ROOM: usize = 4096;

/// The arena, and which of its lines are free.
pub(super) struct PlanStore {
    plans: Plans,
    room: Extents,
    /// One past the last block that ever had an owner of protocols without ports.
    portless: usize,
    /// The cells of the plan that is being added.
    scratch: Vec<u16>,
}

/// How a plan is stored.
enum Shape {
    /// As a block of this class.
    Block(u32),
    /// As so many bounds.
    Bounds(usize),
}

impl PlanStore {
    /// An arena for plans of that many lines, and for those of patches.
    pub(super) fn new(lines: usize) -> Result<Self, Limit> {
        let capacity = with_room(lines, ROOM).min(PlanRef::INDICES);
        let plans = Plans { lines: Pages::zeroed(capacity)?, portless: Pages::zeroed(capacity)? };
        Ok(Self { plans, room: Extents::new(capacity as u32), portless: 0, scratch: Vec::new() })
    }

    /// What lookups read.
    pub(super) fn plans(&self) -> Plans {
        self.plans.clone()
    }

    /// Stores a plan: ascending, disjoint runs, and who gets protocols without ports.
    pub(super) fn add(&mut self, runs: &[TargetRun], portless: Option<TargetId>) -> Result<PlanRef, Limit> {
        let portless = portless.map(Slot::from).unwrap_or_default();
        let shape = Shape::of(runs.iter().map(|run| (run.first, run.last)));
        self.scratch.clear();
        let class = match shape {
            Shape::Block(class) => {
                self.lay_out_block(class + SMALLEST_GRANULE_LOG, runs);
                class
            }
            Shape::Bounds(count) => {
                self.scratch.extend([(count - 1) as u16, portless.0]);
                self.lay_out_bounds(runs);
                UNALIGNED
            }
        };
        let start = self.room.take(shape.lines() as u32).ok_or(Limit::Plans)?;
        let plan = PlanRef::new(class, start as usize).ok_or(Limit::Plans)?;
        self.write(plan.index());
        if class != UNALIGNED {
            self.write_portless(plan.index(), portless);
        }
        Ok(plan)
    }

    /// Lines that no generation needs any more.
    pub(super) fn reclaim(&mut self, lines: Extent) {
        self.room.give(lines);
    }

    /// The lines of a plan.
    pub(super) fn lines_of(&self, plan: PlanRef) -> Extent {
        let header = self.plans.lines.get(plan.index()).and_then(|line| line.first());
        let shape = match plan.class() {
            UNALIGNED => Shape::Bounds(header.map_or(0, |more| usize::from(more.load(Relaxed))) + 1),
            class => Shape::Block(class),
        };
        Extent { start: plan.index() as u32, count: shape.lines() as u32 }
    }

    /// Bytes of memory that are or were in use.
    pub(super) fn size(&self) -> usize {
        self.room.touched() * size_of::<Line>() + self.portless * size_of::<AtomicU16>()
    }

    fn lay_out_block(&mut self, granule_log: u32, runs: &[TargetRun]) {
        for run in runs {
            self.scratch.resize(usize::from(first(run.first)) >> granule_log, 0);
            self.scratch.resize(end(run.last) as usize >> granule_log, Slot::from(run.target).0);
        }
        // All slots are written, since the lines may have held something else.
        self.scratch.resize((1 << 16) >> granule_log, 0);
    }

    fn lay_out_bounds(&mut self, runs: &[TargetRun]) {
        let mut next = 0; // the first port that nothing is said about yet
        for run in runs {
            let first = first(run.first);
            if next < u32::from(first) {
                self.scratch.extend([next as u16, 0]);
            }
            self.scratch.extend([first, Slot::from(run.target).0]);
            next = end(run.last);
        }
        if let Ok(next) = u16::try_from(next) {
            self.scratch.extend([next, 0]);
        }
    }

    fn write(&self, index: usize) {
        let lines = self.plans.lines.get(index..).unwrap_or_default();
        lines.as_flattened().iter().zip(&self.scratch).for_each(|(cell, &value)| cell.store(value, Relaxed));
    }

    /// Leaves the array alone, and with it memory that was never touched, as long as no block has such an owner.
    fn write_portless(&mut self, index: usize, slot: Slot) {
        if slot == Slot::default() && index >= self.portless {
            return;
        }
        self.portless = self.portless.max(index + 1);
        if let Some(cell) = self.plans.portless.get(index) {
            cell.store(slot.0, Relaxed);
        }
    }
}

impl Shape {
    /// The shape of a plan with runs of these ports, which ascend.
    fn of(runs: impl Iterator<Item = (u16, u16)> + Clone) -> Self {
        let bounds = runs.clone().fold(1 << 16, |bits, (from, to)| bits | u32::from(first(from)) | end(to));
        if let Some(class) = bounds.trailing_zeros().checked_sub(SMALLEST_GRANULE_LOG) {
            return Self::Block(class);
        }
        let (mut count, mut next) = (0, 0);
        for (from, to) in runs {
            count += 1 + usize::from(next < u32::from(first(from)));
            next = end(to);
        }
        Self::Bounds(count + usize::from(next <= u16::MAX.into()))
    }

    fn lines(&self) -> usize {
        match self {
            Self::Block(class) => ((1 << 16) >> (class + SMALLEST_GRANULE_LOG)).max(LINE_SLOTS) / LINE_SLOTS,
            Self::Bounds(count) => (2 * (1 + count)).div_ceil(LINE_SLOTS),
        }
    }
}

/// The lines that a plan will take whose bounds are multiples of 2^`unit_log`; `runs` are its ports, which ascend.
pub(super) fn lines_for<R: Iterator<Item = (u16, u16)> + Clone>(unit_log: u32, runs: impl Fn() -> R) -> usize {
    unit_log.checked_sub(SMALLEST_GRANULE_LOG).map_or_else(|| Shape::of(runs()), Shape::Block).lines()
}

/// Nobody owns port 0, so a run that begins right after it may as well begin with it.
fn first(port: u16) -> u16 {
    if port == 1 { 0 } else { port }
}

/// One past the last port of a run.
fn end(last: u16) -> u32 {
    u32::from(last) + 1
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn run(first: u16, last: u16, target: u16) -> TargetRun {
        TargetRun { first, last, target: TargetId(target) }
    }

    fn one(runs: &[TargetRun]) -> (PlanStore, Plans, PlanRef) {
        let mut store = PlanStore::new(0).unwrap();
        let plan = store.add(runs, None).unwrap();
        let plans = store.plans();
        (store, plans, plan)
    }

    #[test]
    fn slices_of_2048_ports_are_one_cache_line() {
        let (store, plans, plan) =
            one(&(1..32).map(|slice| run(slice * 2048, slice * 2048 + 2047, slice)).collect::<Vec<_>>());
        assert_eq!(store.size(), 64);
        assert_eq!(plans.lines.as_ptr().align_offset(64), 0);
        assert_eq!(plans.port(plan, 2047), None);
        assert_eq!(plans.port(plan, 2048), Some(TargetId(1)));
        assert_eq!(plans.port(plan, 65_535), Some(TargetId(31)));
    }

    #[test]
    fn the_largest_granule_is_taken() {
        for (log, lines) in (6..=16).zip([32, 16, 8, 4, 2, 1, 1, 1, 1, 1, 1]) {
            let last = ((1_u32 << log) - 1) as u16;
            let (store, plans, plan) = one(&[run(0, last, 7)]);
            assert_eq!(plan.class(), log - SMALLEST_GRANULE_LOG);
            assert_eq!(store.size(), 64 * lines, "granule 2^{log}");
            assert_eq!(plans.port(plan, last), Some(TargetId(7)));
            assert_eq!(last.checked_add(1).and_then(|next| plans.port(plan, next)), None);
        }
    }

    #[test]
    fn nobody_owns_port_0_and_it_spoils_no_alignment() {
        let (_, plans, plan) = one(&[run(1, 2047, 3), run(2048, 65_535, 4)]);
        assert_eq!(plan.class(), 11 - SMALLEST_GRANULE_LOG);
        assert_eq!(plans.port(plan, 0), None);
        assert_eq!(plans.port(plan, 1), Some(TargetId(3)));
        let (_, plans, plan) = one(&[run(0, 0, 3)]);
        assert_eq!((plans.port(plan, 0), plans.port(plan, 1)), (None, None));
    }

    #[test]
    fn a_plan_may_own_nothing() {
        let (_, plans, plan) = one(&[]);
        assert_eq!((plans.port(plan, 1), plans.port(plan, 65_535), plans.portless(plan)), (None, None, None));
    }

    #[test]
    fn portless_owners_stay_with_their_plans() {
        let mut store = PlanStore::new(0).unwrap();
        let aligned = [run(0, 63, 1)];
        let odd = [run(2, 64, 1)];
        let refs: Vec<_> = [None, Some(TargetId(65_534)), None, Some(TargetId(0)), None]
            .into_iter()
            .flat_map(|portless| [(&aligned[..], portless), (&odd[..], portless)])
            .map(|(runs, portless)| (store.add(runs, portless).unwrap(), portless))
            .collect();
        let plans = store.plans();
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
            let mut store = PlanStore::new(0).unwrap();
            store.add(&[run(5, 500, 1)], None).unwrap(); // so that indices are not all zero
            store.add(&[run(64, 127, 1)], None).unwrap();
            let touched = store.room.touched() as u32;
            let plan = store.add(&runs, None).unwrap();
            let lines = store.lines_of(plan);
            prop_assert_eq!(lines, Extent { start: touched, count: store.room.touched() as u32 - touched });
            let bounds = runs.iter().fold(1 << 16, |bits, run| bits | u32::from(run.first) | end(run.last));
            let counted = lines_for(bounds.trailing_zeros(), || runs.iter().map(|run| (run.first, run.last)));
            prop_assert_eq!(lines.count as usize, counted);
            let plans = store.plans();
            for port in 0..=u16::MAX {
                let owner = runs.iter().find(|run| run.first <= port && port <= run.last && port != 0);
                prop_assert_eq!(plans.port(plan, port), owner.map(|run| run.target), "port {}", port);
            }
        }
    }
}
