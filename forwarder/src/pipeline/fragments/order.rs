// SPDX-License-Identifier: MIT OR Apache-2.0
//! An order of the elements of an array, kept beside it: constant work for every change, and no memory but what it starts
//! with.

/// The place of an element in its array.
pub(super) type Index = u32;

const NONE: Index = Index::MAX;

#[derive(Debug, Clone, Copy)]
struct Neighbours {
    before: Index,
    behind: Index,
}

/// A doubly linked list through an array. Whoever keeps it adds an element once before taking it out again.
#[derive(Debug)]
pub(super) struct Order {
    neighbours: Box<[Neighbours]>,
    first: Index,
    last: Index,
}

impl Order {
    /// An empty order of an array of `len` elements.
    pub(super) fn new(len: u32) -> Self {
        let nobody = Neighbours { before: NONE, behind: NONE };
        Self { neighbours: vec![nobody; len as usize].into(), first: NONE, last: NONE }
    }

    /// The element that was put here first.
    #[inline]
    pub(super) fn first(&self) -> Option<Index> {
        (self.first != NONE).then_some(self.first)
    }

    /// Puts an element behind all others.
    pub(super) fn push(&mut self, index: Index) {
        let before = self.last;
        if let Some(neighbours) = self.neighbours.get_mut(index as usize) {
            *neighbours = Neighbours { before, behind: NONE };
            self.set_behind(before, index);
            self.last = index;
        }
    }

    /// Takes an element out.
    pub(super) fn remove(&mut self, index: Index) {
        if let Some(&Neighbours { before, behind }) = self.neighbours.get(index as usize) {
            self.set_behind(before, behind);
            self.set_before(behind, before);
        }
    }

    /// Puts an element that is somewhere in it behind all others.
    pub(super) fn move_to_end(&mut self, index: Index) {
        if self.last != index {
            self.remove(index);
            self.push(index);
        }
    }

    fn set_behind(&mut self, index: Index, behind: Index) {
        match self.neighbours.get_mut(index as usize) {
            Some(neighbours) => neighbours.behind = behind,
            None => self.first = behind,
        }
    }

    fn set_before(&mut self, index: Index, before: Index) {
        match self.neighbours.get_mut(index as usize) {
            Some(neighbours) => neighbours.before = before,
            None => self.last = before,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Against a vector of the same elements.
        #[test]
        fn equals_a_vector(steps in proptest::collection::vec((0..8_u32, any::<bool>()), 0..60)) {
            let (mut order, mut model) = (Order::new(8), Vec::new());
            for (index, again) in steps {
                match model.iter().position(|other| *other == index) {
                    None => {
                        order.push(index);
                        model.push(index);
                    }
                    Some(place) if again => {
                        order.move_to_end(index);
                        model.remove(place);
                        model.push(index);
                    }
                    Some(place) => {
                        order.remove(index);
                        model.remove(place);
                    }
                }
                prop_assert_eq!(order.first(), model.first().copied());
            }
            while let Some(first) = order.first() {
                prop_assert_eq!(first, model.remove(0));
                order.remove(first);
            }
            prop_assert!(model.is_empty());
        }
    }
}
