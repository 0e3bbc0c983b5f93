// SPDX-License-Identifier: MIT OR Apache-2.0
//! IPv6 addresses to words: disjoint intervals, searched without branches on the key.
//!
//! The first addresses of the intervals are a binary tree in one array (Eytzinger's order: the children of node k are
//! 2k and 2k + 1). The first levels of every search share a few cache lines, and the four nodes two levels below any
//! node lie side by side, so that they can be asked for before it is known which one counts.

use std::sync::atomic::AtomicU32;

use super::STAGE;
use super::limit::Limit;
use super::word::Word;
use crate::pages::Pages;
use crate::prefetch::prefetch;

/// All of IPv6 from the first prefix on, as intervals that touch; each one's word differs from its neighbours'.
#[derive(Default)]
pub(super) struct Intervals6 {
    /// The first address of each interval, by node; the root is node 1.
    starts: Pages<u128>,
    /// What each interval says, by node. Node 0 stands for what is before all intervals.
    words: Pages<AtomicU32>,
    /// Nodes on the longest way down.
    levels: u32,
}

impl Intervals6 {
    /// The word of an address.
    #[inline]
    pub(super) fn lookup(&self, key: u128) -> Word {
        let below = (0..self.levels).fold(1, |node, _| self.step(node, key));
        self.word(landing(below))
    }

    /// [`Self::lookup`] for up to [`STAGE`] addresses in lockstep: while one waits for memory, the others ask for
    /// theirs. Keys beyond the end of `words` are left out.
    #[inline]
    pub(super) fn lookup_stage(&self, keys: &[u128], words: &mut [Word]) {
        let mut nodes = [1; STAGE];
        for _ in 0..self.levels {
            for (node, &key) in nodes.iter_mut().zip(keys) {
                *node = self.step(*node, key);
            }
        }
        for (node, _) in nodes.iter_mut().zip(keys) {
            *node = landing(*node);
            prefetch(self.words.get(*node));
        }
        for ((word, node), _) in words.iter_mut().zip(nodes).zip(keys) {
            *word = self.word(node);
        }
    }

    /// One level down: right if the interval of this node starts at the key or before, else left; also left where the
    /// tree ends early.
    #[inline(always)]
    fn step(&self, node: usize, key: u128) -> usize {
        prefetch(self.starts.get(4 * node));
        2 * node + usize::from(self.starts.get(node).is_some_and(|&start| start <= key))
    }

    #[inline(always)]
    fn word(&self, node: usize) -> Word {
        self.words.get(node).map(Word::load).unwrap_or_default()
    }

    /// The tree of intervals that are given in ascending order.
    fn plant(intervals: &[(u128, Word)]) -> Result<Self, Limit> {
        let count = intervals.len();
        if count == 0 {
            return Ok(Self::default());
        }
        let (mut starts, words) = (Pages::zeroed(count + 1)?, Pages::zeroed(count + 1)?);
        let cells = starts.get_mut().unwrap_or_default();
        let mut node = leftmost(1, count);
        for &(first, word) in intervals {
            if let (Some(start), Some(cell)) = (cells.get_mut(node), words.get(node)) {
                *start = first;
                word.store(cell);
            }
            // The next in order: leftmost on the right, else the first ancestor that this node is left of.
            node = match 2 * node + 1 {
                right if right <= count => leftmost(right, count),
                _ => node >> (node.trailing_ones() + 1),
            };
        }
        Ok(Self { starts, words, levels: count.ilog2() + 1 })
    }

    pub(super) fn size(&self) -> usize {
        size_of_val(&*self.starts) + size_of_val(&*self.words)
    }
}

/// The node of the last interval that starts at the key or before, from where the search left the tree: the last node
/// that it left to the right. 0 if there was none.
#[inline(always)]
fn landing(below: usize) -> usize {
    below.unbounded_shr(below.trailing_zeros() + 1)
}

/// The leftmost node under `node` in a tree of `count` nodes.
fn leftmost(node: usize, count: usize) -> usize {
    let mut node = node;
    while 2 * node <= count {
        node *= 2;
    }
    node
}

/// Flattens prefixes into intervals.
#[derive(Default)]
pub(super) struct Flatten6 {
    /// First address and word, ascending.
    intervals: Vec<(u128, Word)>,
    /// The prefixes around the last interval, outermost first: last address and word.
    open: Vec<(u128, Word)>,
}

impl Flatten6 {
    /// Gives every address of a prefix `word`. Prefixes come in ascending order, a shorter one before those inside it.
    pub(super) fn paint(&mut self, address: u128, length: u8, word: Word) {
        self.close(|last| last < address);
        self.begin(address, word);
        self.open.push((address | u128::MAX.checked_shr(length.into()).unwrap_or(0), word));
    }

    /// The intervals of all that was painted.
    pub(super) fn finish(mut self) -> Result<Intervals6, Limit> {
        self.close(|_| true);
        Intervals6::plant(&self.intervals)
    }

    /// Ends the innermost prefixes while their last address is `ended`: what is around them goes on.
    fn close(&mut self, ended: impl Fn(u128) -> bool) {
        while let Some((last, _)) = self.open.pop_if(|(last, _)| ended(*last)) {
            let around = self.open.last().map_or(Word::ABSENT, |&(_, word)| word);
            if let Some(next) = last.checked_add(1) {
                self.begin(next, around);
            }
        }
    }

    /// Lets `word` begin at `start`, which is not before the last beginning.
    fn begin(&mut self, start: u128, word: Word) {
        self.intervals.pop_if(|&mut (last, _)| last == start);
        if self.intervals.last().map_or(Word::ABSENT, |&(_, word)| word) != word {
            self.intervals.push((start, word));
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::TargetId;
    use super::*;

    fn owner(index: u16) -> Word {
        TargetId(index).into()
    }

    fn flatten(prefixes: &[(u128, u8, Word)]) -> Flatten6 {
        let mut flatten = Flatten6::default();
        for &(address, length, word) in prefixes {
            flatten.paint(address, length, word);
        }
        flatten.close(|_| true);
        flatten
    }

    fn naive(prefixes: &[(u128, u8, Word)], key: u128) -> Word {
        let inside = |(address, length, _): &&(u128, u8, Word)| (address ^ key).leading_zeros() >= u32::from(*length);
        prefixes.iter().filter(inside).max_by_key(|prefix| prefix.1).map_or(Word::ABSENT, |prefix| prefix.2)
    }

    #[test]
    fn no_prefix_takes_no_memory() {
        let intervals = Intervals6::default();
        assert_eq!(intervals.size(), 0);
        let intervals = flatten(&[]).finish().unwrap();
        assert_eq!(intervals.lookup(0), Word::ABSENT);
        assert_eq!(intervals.lookup(u128::MAX), Word::ABSENT);
    }

    #[test]
    fn neighbours_of_one_owner_are_one_interval() {
        let intervals = flatten(&[(0x10, 124, owner(1)), (0x20, 124, owner(1)), (0x20, 125, owner(1))]);
        assert_eq!(intervals.intervals, [(0x10, owner(1)), (0x30, Word::ABSENT)]);
    }

    #[test]
    fn the_whole_family_and_its_ends() {
        let intervals = flatten(&[(0, 0, owner(0)), (0, 128, owner(1)), (u128::MAX, 128, owner(2))]);
        assert_eq!(intervals.intervals, [(0, owner(1)), (1, owner(0)), (u128::MAX, owner(2))]);
        let intervals = intervals.finish().unwrap();
        for (key, word) in [(0, 1), (1, 0), (u128::MAX - 1, 0), (u128::MAX, 2)] {
            assert_eq!(intervals.lookup(key), owner(word));
        }
    }

    #[test]
    fn trees_of_every_shape_find_every_interval() {
        for count in 0..130_u16 {
            let intervals: Vec<(u128, Word)> = (0..count).map(|n| (u128::from(n) * 10 + 10, owner(n))).collect();
            let tree = Intervals6::plant(&intervals).unwrap();
            for key in 0..u128::from(count) * 10 + 20 {
                let expected = intervals.iter().rfind(|(start, _)| *start <= key).map_or(Word::ABSENT, |it| it.1);
                assert_eq!(tree.lookup(key), expected, "{key} of {count}");
            }
        }
    }

    proptest! {
        #[test]
        fn the_longest_prefix_wins(
            mut prefixes in prop::collection::vec((any::<u128>(), 0_u8..=128, 0_u16..4), 0..40),
            near in prop::collection::vec((any::<prop::sample::Index>(), any::<u128>(), 0_u32..128), 200),
        ) {
            // Half of the prefixes lie inside others, so that they nest.
            for index in (1..prefixes.len()).step_by(2) {
                let (above, length, _) = prefixes[index - 1];
                prefixes[index].0 = above ^ (prefixes[index].0 & u128::MAX.checked_shr(length.into()).unwrap_or(0));
            }
            let mut prefixes: Vec<(u128, u8, Word)> = prefixes
                .into_iter()
                .map(|(a, length, word)| (a & !u128::MAX.checked_shr(length.into()).unwrap_or(0), length, owner(word)))
                .collect();
            prefixes.sort_by_key(|&(address, length, _)| (address, length));
            prefixes.dedup_by_key(|&mut (address, length, _)| (address, length));
            let flat = flatten(&prefixes);
            prop_assert!(flat.intervals.windows(2).all(|pair| pair[0].0 < pair[1].0 && pair[0].1 != pair[1].1));
            let intervals = flat.finish().unwrap();
            let bounds = prefixes.iter().flat_map(|&(first, length, _)| {
                let last = first | u128::MAX.checked_shr(length.into()).unwrap_or(0);
                [first, last, first.wrapping_sub(1), last.wrapping_add(1)]
            });
            let near = near.iter().map(|(index, random, shift)| match prefixes.len() {
                0 => *random,
                len => prefixes[index.index(len)].0 ^ (random >> shift),
            });
            let keys: Vec<u128> = bounds.chain(near).collect();
            for keys in keys.chunks(STAGE) {
                let mut staged = [Word::ABSENT; STAGE];
                intervals.lookup_stage(keys, &mut staged);
                for (&key, staged) in keys.iter().zip(staged) {
                    prop_assert_eq!(intervals.lookup(key), naive(&prefixes, key), "{:x}", key);
                    prop_assert_eq!(staged, intervals.lookup(key));
                }
            }
        }
    }
}
