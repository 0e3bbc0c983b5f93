// SPDX-License-Identifier: MIT OR Apache-2.0
//! Port plans: who owns which port of a sliced address.
//!
//! All plans are in one arena of cache lines, and a plan's index is the number of its first line. A plan whose bounds
//! are multiples of 64 ports or more is a block of slots, one for each granule of ports; its class says how large a
//! granule is, so that a lookup reads one slot and no header. 2,048 ports a slice make one line. Any other plan is a
//! list of bounds behind a header, searched in at most 17 steps.
//!
//! Generations share the arena: a new one fills lines that no published one knows. So the cells are atomic, and read
//! and written relaxed, which costs what plain memory costs; publishing a table orders them.

use std::sync::atomic::{AtomicU16, Ordering::Relaxed};

use super::{PlanRef, TargetId};
use crate::pages::Pages;
use crate::prefetch::{prefetch, prefetch_address};

/// The plans of a table.
#[derive(Clone, Default)]
pub(super) struct Plans {
    pub(super) lines: Pages<Line>,
    /// The owner of protocols without ports, by a block's first line.
    pub(super) portless: Pages<AtomicU16>,
}

/// A cache line of slots, or of pairs of 16 bits:
///
/// | | |
/// |---|---|
/// | header | one less than the number of bounds; the slot for protocols without ports |
/// | bound | its first port, ascending and 0 at first; the slot of the ports up to the next bound |
pub(super) type Line = [AtomicU16; LINE_SLOTS];

pub(super) const LINE_SLOTS: usize = 32;

/// An owner; fresh memory is nobody's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Slot(pub(super) u16);

/// The class of plans that are bounds. The class of blocks is the binary logarithm of their granule, less this much:
pub(super) const SMALLEST_GRANULE_LOG: u32 = 6;
pub(super) const UNALIGNED: u32 = PlanRef::CLASSES - 1;

impl Plans {
    /// Behind all slots.
    pub(super) const NOWHERE: u32 = u32::MAX;

    /// Who owns `port`. Port 0 has no owner, whatever slice it is in.
    #[inline(always)]
    pub(super) fn port(&self, plan: PlanRef, port: u16) -> Option<TargetId> {
        let slot =
            if plan.class() == UNALIGNED { self.search(plan, port) } else { self.cell(plan, port).map(Slot::load) };
        if port == 0 { None } else { slot?.owner() }
    }

    /// Who gets protocols without ports.
    pub(super) fn portless(&self, plan: PlanRef) -> Option<TargetId> {
        let cell = match plan.class() {
            UNALIGNED => self.lines.get(plan.index())?.get(1),
            _ => self.portless.get(plan.index()),
        };
        Slot::load(cell?).owner()
    }

    /// Where [`Self::at`] finds the owner of `port`, which the cache is asked for; [`Self::NOWHERE`] if it takes more than one
    /// read.
    #[inline(always)]
    pub(super) fn place(&self, plan: PlanRef, port: u16) -> u32 {
        if plan.class() == UNALIGNED {
            prefetch(self.lines.get(plan.index()));
            return Self::NOWHERE;
        }
        let place = slot(plan, port);
        prefetch_address(self.lines.as_flattened().as_ptr().wrapping_add(place as usize));
        if port == 0 { Self::NOWHERE } else { place }
    }

    /// Who owns the port with this [`Self::place`].
    #[inline(always)]
    pub(super) fn at(&self, place: u32) -> Option<TargetId> {
        Slot::load(self.lines.as_flattened().get(place as usize)?).owner()
    }

    /// The slot of `port` in a block.
    #[inline(always)]
    fn cell(&self, block: PlanRef, port: u16) -> Option<&AtomicU16> {
        self.lines.as_flattened().get(slot(block, port) as usize)
    }

    /// The slot of `port` in a plan of bounds.
    fn search(&self, plan: PlanRef, port: u16) -> Option<Slot> {
        let (pairs, _) = self.lines.get(plan.index()..)?.as_flattened().as_chunks::<2>();
        let ([more, _], pairs) = pairs.split_first()?;
        let bounds = pairs.get(..=usize::from(more.load(Relaxed)))?;
        let after = bounds.partition_point(|[first, _]| first.load(Relaxed) <= port);
        bounds.get(after.checked_sub(1)?).map(|[_, slot]| Slot::load(slot))
    }
}

/// The number of the slot of `port` in a block, among all slots: fewer than 2 to the power of 32 are in [`PlanRef::INDICES`]
/// lines.
#[inline(always)]
fn slot(block: PlanRef, port: u16) -> u32 {
    block.index() as u32 * LINE_SLOTS as u32 + (u32::from(port) >> (block.class() + SMALLEST_GRANULE_LOG))
}

impl Slot {
    #[inline(always)]
    fn load(cell: &AtomicU16) -> Self {
        Self(cell.load(Relaxed))
    }

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
