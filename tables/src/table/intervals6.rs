// SPDX-License-Identifier: MIT OR Apache-2.0
//! IPv6 addresses to words: disjoint intervals, found by an index and then a search without branches on the key.
//!
//! Egress addresses are alike: the first addresses of the intervals share a long prefix, and the bits behind it tell most
//! of them apart. What lies between the first start and the last one is cut into buckets of equal size, and an index says
//! where each begins among the sorted starts. A binary search goes on from there, as many steps as the fullest bucket
//! needs: none where intervals are as large as buckets or larger. If one bucket has nearly all, it is the search that
//! there would be without the index.

use std::sync::atomic::AtomicU32;

use super::STAGE;
use super::limit::Limit;
use super::word::Word;
use crate::pages::Pages;
use crate::prefetch::prefetch;

/// More buckets than this would not stay in the caches.
const MOST_BUCKETS: usize = 1 << 16;
/// Buckets for each interval: where they are spread at random, few share one, and the index is smaller than the rest.
const BUCKETS_EACH: usize = 2;

/// All of IPv6 from the first prefix on, as intervals that touch; each one's word differs from its neighbours'.
///
/// A place among them is the number of those that start at a key or before, so the first one's is 1.
#[derive(Default)]
pub(super) struct Intervals6 {
    /// The first of `starts`, where the first bucket begins.
    first: u128,
    /// Bits of an address within its bucket, fewer than 128.
    shift: u32,
    /// Steps of the search, each over half as many intervals as the one before, the last one over one; none where the
    /// index says all.
    steps: u32,
    /// The place of the first address of each bucket.
    index: Pages<u32>,
    /// The first address of each interval, ascending.
    starts: Pages<u128>,
    /// What each interval says, by its place. Place 0 is before all intervals.
    words: Pages<AtomicU32>,
}

impl Intervals6 {
    /// The word of an address.
    #[inline]
    pub(super) fn lookup(&self, key: u128) -> Word {
        let place = (0..self.steps).rev().fold(self.enter(key), |place, left| self.step(place, left, key));
        self.word(place)
    }

    /// [`Self::lookup`] for up to [`STAGE`] addresses in lockstep: while one waits for memory, the others ask for
    /// theirs. `key` reads an address, and `done` makes of its word what is found. Addresses beyond the end of `found` are
    /// left out.
    #[inline(always)]
    pub(super) fn lookup_stage<K, F>(
        &self,
        keys: &[K],
        key: impl Fn(&K) -> u128,
        found: &mut [F],
        done: impl Fn(&K, Word) -> F,
    ) {
        let mut places = [0; STAGE];
        // The index is small enough to be near; its loads for several addresses wait side by side.
        for (place, at) in places.iter_mut().zip(keys) {
            *place = self.enter(key(at));
            self.ask(*place, self.steps);
        }
        for left in (0..self.steps).rev() {
            for (place, at) in places.iter_mut().zip(keys) {
                *place = self.step(*place, left, key(at));
                self.ask(*place, left);
            }
        }
        for ((found, &place), at) in found.iter_mut().zip(&places).zip(keys) {
            *found = done(at, self.word(place));
        }
    }

    /// The place of the first address of the key's bucket; the key's own is as far behind it as the steps go.
    #[inline(always)]
    fn enter(&self, key: u128) -> usize {
        let (offset, is_before) = key.overflowing_sub(self.first);
        // Keys behind the last bucket are behind the last start, too.
        let bucket = usize::try_from(offset >> self.shift).unwrap_or(usize::MAX);
        let place = self.index.get(bucket).map_or(self.starts.len(), |&place| place as usize);
        if is_before { 0 } else { place }
    }

    /// Goes over 2 to the power of `left` intervals if the last of them starts at the key or before. `left` steps are left
    /// behind this one.
    #[inline(always)]
    fn step(&self, place: usize, left: u32, key: u128) -> usize {
        let is_over = self.starts.get(place + (1 << left) - 1).is_some_and(|&start| start <= key);
        // A shift, because the compiler makes a branch of a choice, and that would be foreseen wrongly every other time.
        place + (usize::from(is_over) << left)
    }

    /// Asks for what is read next at `place` with `left` steps left: a start, or the word.
    #[inline(always)]
    fn ask(&self, place: usize, left: u32) {
        match left.checked_sub(1) {
            Some(left) => prefetch(self.starts.get(place + (1 << left) - 1)),
            None => prefetch(self.words.get(place)),
        }
    }

    #[inline(always)]
    fn word(&self, place: usize) -> Word {
        self.words.get(place).map(Word::load).unwrap_or_default()
    }

    /// The intervals, which are given in ascending order.
    pub(super) fn build(intervals: &[(u128, Word)]) -> Result<Self, Limit> {
        let (Some(&(first, _)), Some(&(last, _))) = (intervals.first(), intervals.last()) else {
            return Ok(Self::default());
        };
        let count = intervals.len();
        let (mut starts, words) = (Pages::zeroed(count)?, Pages::zeroed(count + 1)?);
        let cells = starts.get_mut().unwrap_or_default();
        for ((cell, word), &(start, says)) in cells.iter_mut().zip(words.iter().skip(1)).zip(intervals) {
            *cell = start;
            says.store(word);
        }
        let shift = bucket_bits(intervals, first, last);
        // As the shift leaves fewer than `MOST_BUCKETS`, this is exact.
        let buckets = ((last - first) >> shift) as usize + 1;
        let mut index = Pages::zeroed(buckets)?;
        let (mut place, mut fullest) = (0, 0);
        for (bucket, cell) in index.get_mut().unwrap_or_default().iter_mut().enumerate() {
            let begin = first + ((bucket as u128) << shift);
            let end = begin.saturating_add((1 << shift) - 1);
            let starts = cells.get(place..).unwrap_or_default();
            let at_begin = usize::from(starts.first() == Some(&begin));
            let inside = starts.iter().take_while(|&&start| start <= end).count();
            *cell = (place + at_begin) as u32;
            fullest = fullest.max(inside - at_begin);
            place += inside;
        }
        // So many steps get over any number of intervals up to the fullest bucket's.
        let steps = usize::BITS - fullest.leading_zeros();
        Ok(Self { first, shift, steps, index, starts, words })
    }

    pub(super) fn size(&self) -> usize {
        size_of_val(&*self.index) + size_of_val(&*self.starts) + size_of_val(&*self.words)
    }
}

/// Bits of an address within a bucket: as few as the number of buckets allows, but all that no two starts differ in,
/// which would only make the index longer.
fn bucket_bits(intervals: &[(u128, Word)], first: u128, last: u128) -> u32 {
    let most = intervals.len().saturating_mul(BUCKETS_EACH).next_power_of_two().min(MOST_BUCKETS);
    let needed = (u128::BITS - (last - first).leading_zeros()).saturating_sub(most.ilog2());
    let differing = intervals.iter().fold(0, |bits, &(start, _)| bits | (start - first));
    // One interval has no difference.
    needed.max(differing.trailing_zeros()).min(u128::BITS - 1)
}

#[cfg(test)]
mod tests {
    use super::super::TargetId;
    use super::*;

    fn owner(index: u16) -> Word {
        TargetId(index).into()
    }

    /// Holds lookups, staged and not, against the last interval that starts at the key or before: at every start, beside
    /// it, and at `keys`.
    fn check(starts: &[u128], keys: impl IntoIterator<Item = u128>) -> Intervals6 {
        let intervals: Vec<(u128, Word)> = (0..).zip(starts).map(|(n, &start)| (start, owner(n))).collect();
        let built = Intervals6::build(&intervals).unwrap();
        let near = starts.iter().flat_map(|&start| [start, start.wrapping_sub(1), start.wrapping_add(1)]);
        let keys: Vec<u128> = near.chain(keys).chain([0, u128::MAX]).collect();
        for keys in keys.chunks(STAGE) {
            let mut staged = [Word::ABSENT; STAGE];
            built.lookup_stage(keys, |key| *key, &mut staged, |_, word| word);
            for (&key, staged) in keys.iter().zip(staged) {
                let count = starts.partition_point(|&start| start <= key);
                let expected = count.checked_sub(1).map_or(Word::ABSENT, |last| owner(last as u16));
                assert_eq!(built.lookup(key), expected, "{key:x} among {}", starts.len());
                assert_eq!(staged, expected, "{key:x} among {}, staged", starts.len());
            }
        }
        built
    }

    #[test]
    fn any_number_of_intervals_anywhere() {
        for count in 0..130_u128 {
            for (step, scale) in [(10, 1), (1, 1), (1, 1 << 64), (7, 1 << 63), (1, 1 << 120)] {
                for from in [0, 1, 10] {
                    let starts: Vec<u128> = (0..count).map_while(|n| (n * step + from).checked_mul(scale)).collect();
                    check(&starts, (0..count * step + 20).map_while(|key| key.checked_mul(scale)));
                }
                let down: Vec<u128> = (0..count).map_while(|n| (n * step + 1).checked_mul(scale)).collect();
                let up_to_the_end: Vec<u128> = down.iter().rev().map(|below| u128::MAX - below).collect();
                check(&up_to_the_end, up_to_the_end.iter().map(|start| start ^ scale));
            }
        }
    }

    #[test]
    fn one_interval_is_one_bucket() {
        for start in [0, 1, 1 << 64, 1 << 127, u128::MAX] {
            let built = check(&[start], [1 << 63, u128::MAX >> 1]);
            assert_eq!((built.index.len(), built.steps), (1, 0), "{start:x}");
        }
    }

    #[test]
    fn the_ends_of_the_family_and_nothing_between() {
        let built = check(&[0, u128::MAX], [1 << 126, 1 << 127]);
        assert!(built.steps <= 1);
        check(&[0, 1, u128::MAX - 1, u128::MAX], [1 << 126, 1 << 127]);
    }

    #[test]
    fn starts_that_differ_in_the_last_bit_only() {
        let built = check(&[u128::MAX - 1, u128::MAX], [1 << 127]);
        assert_eq!((built.index.len(), built.shift, built.steps), (2, 0, 0));
    }

    #[test]
    fn networks_side_by_side_need_no_search() {
        let starts: Vec<u128> = (0..1000).map(|n| (0x2001_0db8 << 96) + ((0xffff - 500 + n) << 64)).collect();
        let built = check(&starts, starts.iter().map(|start| start | u128::from(u64::MAX)));
        assert_eq!((built.index.len(), built.shift, built.steps), (1000, 64, 0));
    }

    #[test]
    fn all_but_one_in_one_bucket_are_searched() {
        let mut starts: Vec<u128> = (0..1000).map(|n| (0x2001_0db8 << 96) + (n << 64)).collect();
        starts.insert(0, 0);
        let built = check(&starts, starts.iter().map(|start| start | u128::from(u64::MAX)));
        assert_eq!(built.steps, 10, "as without an index");
        assert!(built.index.len() <= 1 << 11);
    }

    #[test]
    fn more_intervals_than_buckets() {
        let starts: Vec<u128> = (1..=60_000).map(|n| n * n).collect();
        let built = check(&starts, (0..60_000).map(|n| n * n * 2 / 3));
        assert!(built.index.len() <= MOST_BUCKETS);
    }
}
