// SPDX-License-Identifier: MIT OR Apache-2.0
//! Which parts of an arena are free.

use std::collections::{BTreeMap, BTreeSet};

/// Consecutive units.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Extent {
    pub(super) start: u32,
    pub(super) count: u32,
}

/// The free units of an arena: those given back, and all that were never given out.
#[derive(Debug)]
pub(super) struct Extents {
    capacity: u32,
    /// From here on nothing was ever given out.
    end: u32,
    /// What was given back, neighbours merged: count by start.
    free: BTreeMap<u32, u32>,
    /// The same by count, then by start.
    by_count: BTreeSet<(u32, u32)>,
}

impl Extents {
    /// All units are free.
    pub(super) fn new(capacity: u32) -> Self {
        Self { capacity, end: 0, free: BTreeMap::new(), by_count: BTreeSet::new() }
    }

    /// Units that were ever in use at once: what the arena takes of memory.
    pub(super) fn touched(&self) -> usize {
        self.end as usize
    }

    /// The start of `count` units that are in use from now on; none if nowhere are so many free in a row. Takes the
    /// smallest piece that was given back, so that large ones last.
    pub(super) fn take(&mut self, count: u32) -> Option<u32> {
        if let Some(&(found, start)) = self.by_count.range((count, 0)..).next() {
            self.remove(start, found);
            self.insert(start + count, found - count);
            return Some(start);
        }
        let start = self.end;
        self.end = start.checked_add(count).filter(|&end| end <= self.capacity)?;
        Some(start)
    }

    /// Units that are in use no more.
    pub(super) fn give(&mut self, Extent { mut start, mut count }: Extent) {
        if let Some((&before, &length)) = self.free.range(..start).next_back()
            && before + length == start
        {
            self.remove(before, length);
            (start, count) = (before, count + length);
        }
        if let Some(&length) = self.free.get(&(start + count)) {
            self.remove(start + count, length);
            count += length;
        }
        self.insert(start, count);
    }

    fn insert(&mut self, start: u32, count: u32) {
        if count > 0 {
            self.free.insert(start, count);
            self.by_count.insert((count, start));
        }
    }

    fn remove(&mut self, start: u32, count: u32) {
        self.free.remove(&start);
        self.by_count.remove(&(count, start));
    }
}

/// How many units an arena should have of which `used` are in use from the start: room for patches. What is never
/// touched costs address space only.
pub(super) fn with_room(used: usize, at_least: usize) -> usize {
    used.saturating_add(used / 8).saturating_add(at_least)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_was_given_back_is_taken_before_fresh_units() {
        let mut extents = Extents::new(10);
        assert_eq!(
            [extents.take(4), extents.take(1), extents.take(5), extents.take(1)],
            [Some(0), Some(4), Some(5), None]
        );
        extents.give(Extent { start: 0, count: 4 });
        extents.give(Extent { start: 4, count: 1 });
        assert_eq!([extents.take(6), extents.take(5), extents.take(1)], [None, Some(0), None]);
        assert_eq!(extents.touched(), 10);
    }

    proptest! {
        #[test]
        fn no_unit_is_given_out_twice_and_all_come_back(steps in prop::collection::vec((any::<bool>(), 1_u32..9, any::<usize>()), 1..300)) {
            let mut extents = Extents::new(200);
            let mut held: Vec<Extent> = Vec::new();
            for (take, count, which) in steps {
                if take {
                    let Some(start) = extents.take(count) else { continue };
                    let apart = |other: &Extent| other.start + other.count <= start || start + count <= other.start;
                    prop_assert!(start + count <= 200 && held.iter().all(apart));
                    held.push(Extent { start, count });
                } else if !held.is_empty() {
                    extents.give(held.swap_remove(which % held.len()));
                }
            }
            held.into_iter().for_each(|extent| extents.give(extent));
            let touched = extents.touched() as u32;
            prop_assert_eq!(extents.take(touched), Some(0), "all in one piece again");
        }
    }
}
