// SPDX-License-Identifier: MIT OR Apache-2.0
//! IPv4 addresses to words: a trie over 16, 8 and 8 bits whose leaves are pushed down, so that a lookup reads at most
//! three words and never goes back up.
//!
//! A generation has a root of its own. The nodes below are in an arena that generations share: a new one copies those
//! that it changes into cells that no published one knows. See [`super::plans`] for why the cells are atomic.

use std::sync::Arc;
use std::sync::atomic::AtomicU32;

use super::word::Word;
use crate::pages::Pages;
use crate::prefetch::prefetch;

/// The words of 256 neighbours.
pub(super) type Node = [AtomicU32; NODE_CELLS];

pub(super) const NODE_CELLS: usize = 256;

/// The trie. Its root has a cell for each value of the first 16 bits; without any prefix there is no root.
#[derive(Clone, Default)]
pub(super) struct Trie4 {
    pub(super) root: Arc<[Word]>,
    pub(super) nodes: Pages<Node>,
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
        // The few lines of the root that are in use are never far; the loads of several addresses wait side by side.
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
        self.cell(word, byte).map_or(word, Word::load)
    }

    /// The cell that [`Self::next`] reads; none below a leaf.
    #[inline(always)]
    fn cell(&self, word: Word, byte: u8) -> Option<&AtomicU32> {
        self.nodes.get(word.node_or_none())?.get(usize::from(byte))
    }
}

/// The root's index.
#[inline(always)]
pub(super) fn top([first, second, ..]: [u8; 4]) -> usize {
    u16::from_be_bytes([first, second]).into()
}
