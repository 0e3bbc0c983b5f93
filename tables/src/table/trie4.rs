// SPDX-License-Identifier: MIT OR Apache-2.0
//! IPv4 addresses to words: a trie over 16, 8 and 8 bits whose leaves are pushed down, so that a lookup reads at most
//! three words and never goes back up.

use super::arena::{Arena, size};
use super::word::Word;
use crate::prefetch::prefetch;

/// The words of 256 neighbours.
#[repr(align(64))]
struct Node([Word; 256]);

/// The trie. Its root has a cell for each value of the first 16 bits; without any prefix there is no root.
#[derive(Default)]
pub(super) struct Trie4 {
    root: Arena<Word>,
    nodes: Arena<Node>,
}

impl Trie4 {
    /// The word of an address (network byte order).
    #[inline]
    pub(super) fn lookup(&self, key: [u8; 4]) -> Word {
        let word = self.first(key);
        let word = self.next(word, key[2]);
        self.next(word, key[3])
    }

    /// [`Self::lookup`] for a few addresses, level by level: while one waits for memory, the others ask for theirs. `key`
    /// reads an address. Those beyond the end of `words` are left out.
    #[inline]
    pub(super) fn lookup_stage<K>(&self, keys: &[K], key: impl Fn(&K) -> [u8; 4], words: &mut [Word]) {
        for at in keys {
            prefetch(self.root.get(top(key(at))));
        }
        for (word, at) in words.iter_mut().zip(keys) {
            let key = key(at);
            *word = self.first(key);
            prefetch(self.cell(*word, key[2]));
        }
        for (word, at) in words.iter_mut().zip(keys) {
            let key = key(at);
            *word = self.next(*word, key[2]);
            prefetch(self.cell(*word, key[3]));
        }
        for (word, at) in words.iter_mut().zip(keys) {
            *word = self.next(*word, key(at)[3]);
        }
    }

    /// The root's word.
    #[inline(always)]
    fn first(&self, key: [u8; 4]) -> Word {
        self.root.get(top(key)).copied().unwrap_or_default()
    }

    /// The word one level below `word`; a leaf stays what it is.
    #[inline(always)]
    fn next(&self, word: Word, byte: u8) -> Word {
        self.cell(word, byte).copied().unwrap_or(word)
    }

    /// The cell that [`Self::next`] reads; none below a leaf.
    #[inline(always)]
    fn cell(&self, word: Word, byte: u8) -> Option<&Word> {
        self.nodes.get(word.node())?.0.get(usize::from(byte))
    }

    /// Gives every address of a prefix `word`. Prefixes come with a shorter one before those inside it.
    pub(super) fn paint(&mut self, address: u32, length: u8, word: Word) {
        if self.root.is_empty() {
            self.root.resize(1 << 16, Word::ABSENT);
        }
        let key @ [_, _, third, fourth] = address.to_be_bytes();
        if length <= 16 {
            return fill(&mut self.root, top(key), 16 - length, word);
        }
        let middle = self.open(self.first(key));
        fill(&mut self.root, top(key), 0, Word::to_node(middle));
        if length <= 24 {
            return fill(self.node_mut(middle), third.into(), 24 - length, word);
        }
        let bottom = self.open(self.next(Word::to_node(middle), third));
        fill(self.node_mut(middle), third.into(), 0, Word::to_node(bottom));
        fill(self.node_mut(bottom), fourth.into(), 32_u8.saturating_sub(length), word);
    }

    /// The node that `word` leads to; for a leaf a new one that says what the leaf says.
    fn open(&mut self, word: Word) -> usize {
        if word.node() < self.nodes.len() {
            return word.node();
        }
        self.nodes.push(Node([word; 256]));
        self.nodes.len() - 1
    }

    fn node_mut(&mut self, index: usize) -> &mut [Word] {
        self.nodes.get_mut(index).map_or(&mut [], |node| &mut node.0)
    }

    /// Gives back the memory that growing took too much.
    pub(super) fn finish(mut self) -> Self {
        self.nodes.shrink_to_fit();
        self
    }

    pub(super) fn size(&self) -> usize {
        size(&self.root) + size(&self.nodes)
    }
}

/// The root's index.
#[inline(always)]
fn top([first, second, ..]: [u8; 4]) -> usize {
    u16::from_be_bytes([first, second]).into()
}

/// Writes `word` to the 2^`free` cells from `first` on.
fn fill(cells: &mut [Word], first: usize, free: u8, word: Word) {
    if let Some(cells) = cells.get_mut(first..first + (1 << free)) {
        cells.fill(word);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::{STAGE, TargetId};
    use super::*;

    /// A trie that maps the `n`-th of `prefixes`, which stand in the order of painting, to target `n`.
    fn trie(prefixes: &[(u32, u8)]) -> Trie4 {
        let mut trie = Trie4::default();
        for (index, &(address, length)) in prefixes.iter().enumerate() {
            trie.paint(address, length, owner(index));
        }
        trie.finish()
    }

    fn owner(index: usize) -> Word {
        TargetId(index as u16).into()
    }

    fn naive(prefixes: &[(u32, u8)], key: u32) -> Word {
        let inside = |&(address, length): &(u32, u8)| (address ^ key).leading_zeros() >= u32::from(length);
        let longest =
            prefixes.iter().enumerate().filter(|(_, prefix)| inside(prefix)).max_by_key(|(_, prefix)| prefix.1);
        longest.map_or(Word::ABSENT, |(index, _)| owner(index))
    }

    #[test]
    fn a_trie_without_prefixes_takes_nothing_and_knows_nothing() {
        let trie = trie(&[]);
        assert_eq!(trie.size(), 0);
        assert_eq!(trie.lookup([0; 4]), Word::ABSENT);
        assert_eq!(trie.lookup([255; 4]), Word::ABSENT);
    }

    #[test]
    fn neighbours_share_nodes() {
        let hosts: Vec<(u32, u8)> = (0..512).map(|host| (0xc633_6400 + host, 32)).collect();
        assert_eq!(trie(&hosts).size(), (1 << 18) + 3 * 1024, "a root, one node for the /16, two for the /24s");
    }

    proptest! {
        #[test]
        fn the_longest_prefix_wins(
            mut prefixes in prop::collection::vec((any::<u32>(), 0_u8..=32), 0..40),
            near in prop::collection::vec((any::<prop::sample::Index>(), any::<u32>(), 0_u32..32), 200),
        ) {
            // Half of the prefixes lie inside others, so that they nest at every level.
            for index in (1..prefixes.len()).step_by(2) {
                let (above, length) = prefixes[index - 1];
                prefixes[index].0 = above ^ (prefixes[index].0 & u32::MAX.checked_shr(length.into()).unwrap_or(0));
            }
            for (address, length) in &mut prefixes {
                *address &= !u32::MAX.checked_shr((*length).into()).unwrap_or(0);
            }
            prefixes.sort();
            prefixes.dedup();
            let trie = trie(&prefixes);
            let bounds = prefixes.iter().flat_map(|&(first, length)| {
                let last = first | u32::MAX.checked_shr(length.into()).unwrap_or(0);
                [first, last, first.wrapping_sub(1), last.wrapping_add(1)]
            });
            let near = near.iter().map(|(index, random, shift)| match prefixes.len() {
                0 => *random,
                len => prefixes[index.index(len)].0 ^ (random >> shift),
            });
            let keys: Vec<u32> = bounds.chain(near).collect();
            for keys in keys.chunks(STAGE) {
                let bytes: Vec<[u8; 4]> = keys.iter().map(|key| key.to_be_bytes()).collect();
                let mut staged = [Word::ABSENT; STAGE];
                trie.lookup_stage(&bytes, |key| *key, &mut staged);
                for ((&key, &bytes), staged) in keys.iter().zip(&bytes).zip(staged) {
                    prop_assert_eq!(trie.lookup(bytes), naive(&prefixes, key), "{:?}", bytes);
                    prop_assert_eq!(staged, trie.lookup(bytes));
                }
            }
        }
    }
}
