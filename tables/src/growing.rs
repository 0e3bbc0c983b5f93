// SPDX-License-Identifier: MIT OR Apache-2.0
//! A list that grows from one generation to the next without being copied.

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, OnceLock};

/// A list that can only be added to. Clones share the elements; what is pushed to one is not seen by the others.
///
/// This is how a generation of the table has thousands of targets in common with the one before, and one more.
#[derive(Debug)]
pub struct Growing<T> {
    /// The first `count` are set. Beyond them, what longer clones have.
    cells: Arc<[OnceLock<T>]>,
    count: usize,
    /// The length of the longest of all that began as one list and never grew apart.
    longest: Arc<AtomicUsize>,
}

/// Room for so many at first.
const FIRST: usize = 16;

impl<T> Growing<T> {
    /// How many elements there are.
    pub fn len(&self) -> usize {
        self.count
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The `index`-th element.
    #[inline]
    pub fn get(&self, index: usize) -> Option<&T> {
        if index < self.count { self.cells.get(index)?.get() } else { None }
    }

    /// All elements.
    pub fn iter(&self) -> impl Iterator<Item = &T> + Clone + '_ {
        self.cells.iter().take(self.count).filter_map(OnceLock::get)
    }

    /// Whether this list begins with all of `other` because it grew from it, so that what was made for those elements
    /// goes on to fit.
    pub fn continues(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.longest, &other.longest) && self.count >= other.count
    }
}

impl<T: Clone> Growing<T> {
    /// Adds an element. Copies the others only when there is no more room, which is twice as much each time, or when a
    /// clone has already grown another way.
    pub fn push(&mut self, value: T) {
        if self.longest.compare_exchange(self.count, self.count + 1, Relaxed, Relaxed).is_err() {
            self.grow();
            self.longest = Arc::new(AtomicUsize::new(self.count + 1));
        } else if self.cells.len() == self.count {
            self.grow();
        }
        // Nobody else sets this cell: there is one longest list.
        let set = self.cells.get(self.count).is_some_and(|cell| cell.set(value).is_ok());
        debug_assert!(set, "a cell beyond the longest list was set");
        self.count += 1;
    }

    /// Moves to cells of its own, with room.
    fn grow(&mut self) {
        let room = self.count.max(FIRST);
        let elements = self.iter().cloned().map(OnceLock::from);
        self.cells = elements.chain((0..room).map(|_| OnceLock::new())).collect();
    }
}

impl<T> Default for Growing<T> {
    fn default() -> Self {
        Self { cells: Arc::default(), count: 0, longest: Arc::default() }
    }
}

impl<T> Clone for Growing<T> {
    fn clone(&self) -> Self {
        Self { cells: Arc::clone(&self.cells), count: self.count, longest: Arc::clone(&self.longest) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn elements(list: &Growing<u32>) -> Vec<u32> {
        assert_eq!(list.len(), list.iter().count());
        assert_eq!(list.get(list.len()), None);
        (0..list.len()).map(|index| *list.get(index).unwrap()).collect()
    }

    #[test]
    fn a_clone_keeps_its_length_while_the_list_grows() {
        let mut list = Growing::default();
        let mut earlier = vec![list.clone()];
        for number in 0..100 {
            list.push(number);
            earlier.push(list.clone());
        }
        for (length, earlier) in (0..).zip(&earlier) {
            assert_eq!(elements(earlier), (0..length).collect::<Vec<_>>());
            assert!(list.continues(earlier));
        }
        assert!(!earlier[99].continues(&list));
    }

    #[test]
    fn lists_that_grow_apart_share_what_came_before() {
        for length in [3, FIRST as u32] {
            let mut one = Growing::default();
            (0..length).for_each(|number| one.push(number));
            let (before, mut other) = (one.clone(), one.clone());
            one.push(100);
            other.push(200);
            other.push(201);
            assert_eq!(elements(&before), (0..length).collect::<Vec<_>>());
            assert_eq!(elements(&one), (0..length).chain([100]).collect::<Vec<_>>());
            assert_eq!(elements(&other), (0..length).chain([200, 201]).collect::<Vec<_>>());
            assert!(one.continues(&before) && !other.continues(&one) && !one.continues(&other));
        }
    }
}
