// SPDX-License-Identifier: MIT OR Apache-2.0
//! IPv6 prefixes, which nest, to intervals, which do not.

use super::intervals6::Intervals6;
use super::limit::Limit;
use super::word::Word;

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
        Intervals6::build(&self.intervals)
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

    use super::super::{STAGE, TargetId};
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
                intervals.lookup_stage(keys, |key| *key, &mut staged, |_, word| word);
                for (&key, staged) in keys.iter().zip(staged) {
                    prop_assert_eq!(intervals.lookup(key), naive(&prefixes, key), "{:x}", key);
                    prop_assert_eq!(staged, intervals.lookup(key));
                }
            }
        }
    }
}
