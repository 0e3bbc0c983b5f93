// SPDX-License-Identifier: MIT OR Apache-2.0
//! What an address resolves to, in 32 bits.

use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

use super::{Address, PlanRef, RemoteId, TargetId};

/// What the table stores for an address: read it with [`Word::address`].
///
/// | bits 31–29 | rest |
/// |---|---|
/// | 0 | zero: not in the table, so that fresh memory says so |
/// | 1 | index of a trie node; in cells only |
/// | 2 | zero: unassigned |
/// | 3 | [`TargetId`] of the owner of the whole address |
/// | 4 | [`RemoteId`] |
/// | 6, 7 | bits 29–26: the class of a [`PlanRef`]; bits 25–0: its index |
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Word(u32);

const KIND_SHIFT: u32 = 29;
const NODE: u32 = 1 << KIND_SHIFT;
const UNASSIGNED: u32 = 2 << KIND_SHIFT;
const WHOLE: u32 = 3 << KIND_SHIFT;
const REMOTE: u32 = 4 << KIND_SHIFT;
const SLICED: u32 = 6 << KIND_SHIFT;

/// Trie nodes have lower numbers.
const NODES: usize = 1 << KIND_SHIFT;

impl Word {
    /// Not in the table.
    pub(super) const ABSENT: Self = Self(0);
    /// In the table, in nobody's hands.
    pub(super) const UNASSIGNED: Self = Self(UNASSIGNED);

    /// What a cell holds.
    #[inline(always)]
    pub(super) fn load(cell: &AtomicU32) -> Self {
        Self(cell.load(Relaxed))
    }

    /// Puts this into a cell.
    #[inline(always)]
    pub(super) fn store(self, cell: &AtomicU32) {
        cell.store(self.0, Relaxed);
    }

    /// A cell that holds this.
    pub(super) fn cell(self) -> AtomicU32 {
        AtomicU32::new(self.0)
    }

    /// A cell that leads to the trie node `index`.
    pub(super) fn to_node(index: usize) -> Self {
        debug_assert!(index < NODES, "all of IPv4 has fewer nodes");
        Self(NODE | index as u32)
    }

    /// The trie node that this cell leads to; none if it is a leaf.
    pub(super) fn node(self) -> Option<usize> {
        Some(self.node_or_none()).filter(|&node| node < NODES)
    }

    /// The same; of a leaf a number that is no node's, so that who looks it up need not ask first.
    #[inline(always)]
    pub(super) fn node_or_none(self) -> usize {
        (self.0 ^ NODE) as usize
    }

    /// What it says of the address.
    #[inline(always)]
    pub(super) fn address(self) -> Address {
        if let Some(plan) = self.plan() {
            return Address::Sliced(plan);
        }
        match self.0 >> KIND_SHIFT << KIND_SHIFT {
            UNASSIGNED => Address::Unassigned,
            WHOLE => Address::Whole(TargetId(self.0 as u16)),
            REMOTE => Address::Remote(RemoteId(self.0 as u16)),
            _ => Address::Absent,
        }
    }

    /// The port plan of a sliced address: less than [`Self::address`] has to look at.
    #[inline(always)]
    pub(super) fn plan(self) -> Option<PlanRef> {
        (self.0 >= SLICED).then_some(PlanRef(self.0 ^ SLICED))
    }
}

impl From<TargetId> for Word {
    fn from(owner: TargetId) -> Self {
        Self(WHOLE | u32::from(owner.0))
    }
}

impl From<RemoteId> for Word {
    fn from(remote: RemoteId) -> Self {
        Self(REMOTE | u32::from(remote.0))
    }
}

impl From<PlanRef> for Word {
    fn from(plan: PlanRef) -> Self {
        Self(SLICED | plan.0)
    }
}

/// Bits of an index; a class is above them.
const INDEX_BITS: u32 = 26;

impl PlanRef {
    /// Classes are below this.
    pub(super) const CLASSES: u32 = 16;
    /// Indices are below this.
    pub(super) const INDICES: usize = 1 << INDEX_BITS;

    /// A plan of `class` at `index`; none if the index needs too many bits.
    pub(super) fn new(class: u32, index: usize) -> Option<Self> {
        debug_assert!(class < Self::CLASSES);
        (index < Self::INDICES).then_some(Self(class << INDEX_BITS | index as u32))
    }

    #[inline(always)]
    pub(super) fn class(self) -> u32 {
        self.0 >> INDEX_BITS
    }

    #[inline(always)]
    pub(super) fn index(self) -> usize {
        self.0 as usize & (Self::INDICES - 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fresh_memory_is_not_in_the_table() {
        assert_eq!(Word::default().address(), Address::Absent);
        assert_eq!(Word::default(), Word::ABSENT);
        assert_eq!(Word::ABSENT.node(), None);
    }

    #[test]
    fn every_kind_comes_back_with_its_index() {
        for index in [0, 1, 2047, u16::MAX] {
            assert_eq!(Word::from(TargetId(index)).address(), Address::Whole(TargetId(index)));
            assert_eq!(Word::from(RemoteId(index)).address(), Address::Remote(RemoteId(index)));
        }
        assert_eq!(Word::UNASSIGNED.address(), Address::Unassigned);
        for class in 0..PlanRef::CLASSES {
            for index in [0, 1, PlanRef::INDICES - 1] {
                let plan = PlanRef::new(class, index).unwrap();
                assert_eq!((plan.class(), plan.index()), (class, index));
                assert_eq!(Word::from(plan).address(), Address::Sliced(plan));
                assert_eq!(Word::from(plan).node(), None);
            }
        }
        assert_eq!(PlanRef::new(0, PlanRef::INDICES), None);
        for index in [0, 65_536 + (1 << 24) - 1] {
            assert_eq!(Word::to_node(index).node(), Some(index));
        }
    }
}
