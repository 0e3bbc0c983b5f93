// SPDX-License-Identifier: MIT OR Apache-2.0
//! IPv4 addresses to words: a trie over 16, 8 and 8 bits whose leaves are pushed down, so that a lookup reads at most
//! three words and never goes back up.
//!
//! A generation has a root of its own. The nodes below are in an arena that generations share: a new one copies those
//! that it changes into cells that no published one knows. See [`super::plans`] for why the cells are atomic.

use std::sync::Arc;
use std::sync::atomic::AtomicU32;

use super::STAGE;
use super::word::Word;
use crate::pages::Pages;
use crate::prefetch::prefetch_address;

/// The words of the 65,536 values of the first 16 bits.
pub(super) type Root = [AtomicU32; 1 << 16];

/// The words of 256 neighbours.
pub(super) type Node = [AtomicU32; NODE_CELLS];

pub(super) const NODE_CELLS: usize = 256;

/// The trie.
#[derive(Clone, Default)]
pub(super) struct Trie4 {
    /// None without any prefix.
    pub(super) root: Option<Arc<Root>>,
    pub(super) nodes: Pages<Node>,
}

impl Trie4 {
    /// The word of an address (network byte order).
    #[inline]
    pub(super) fn lookup(&self, key: [u8; 4]) -> Word {
        let [_, _, third, fourth] = key;
        let Some(cell) = self.root.as_ref().and_then(|root| root.get(top(key))) else { return Word::ABSENT };
        Word::load(below(&self.nodes, below(&self.nodes, cell, third), fourth))
    }

    /// [`Self::lookup`] for up to [`STAGE`] addresses, level by level: while one waits for memory, the others ask for theirs.
    /// `key` reads an address, and `done` makes of its word what is found. Addresses beyond the end of `found` are left out.
    #[inline(always)]
    pub(super) fn lookup_stage<K, F>(
        &self,
        keys: &[K],
        key: impl Fn(&K) -> [u8; 4],
        found: &mut [F],
        done: impl Fn(&K, Word) -> F,
    ) {
        let Some(root) = self.root.as_deref() else {
            return found.iter_mut().zip(keys).for_each(|(found, at)| *found = done(at, Word::ABSENT));
        };
        let nodes = &*self.nodes;
        let mut cells = [&root[0]; STAGE];
        // The few lines of the root that are in use are never far; the loads of several addresses wait side by side.
        for (cell, at) in cells.iter_mut().zip(keys) {
            let key @ [_, _, third, _] = key(at);
            *cell = below(nodes, root.get(top(key)).unwrap_or(cell), third);
            prefetch_address(*cell);
        }
        for (cell, at) in cells.iter_mut().zip(keys) {
            let [_, _, _, fourth] = key(at);
            *cell = below(nodes, cell, fourth);
            prefetch_address(*cell);
        }
        for ((found, cell), at) in found.iter_mut().zip(&cells).zip(keys) {
            *found = done(at, Word::load(cell));
        }
    }
}

/// The cell for `byte` in the node that `cell` leads to; `cell` itself if that is a leaf.
#[inline(always)]
fn below<'a>(nodes: &'a [Node], cell: &'a AtomicU32, byte: u8) -> &'a AtomicU32 {
    nodes.get(Word::load(cell).node_or_none()).and_then(|node| node.get(usize::from(byte))).unwrap_or(cell)
}

/// The root's index.
#[inline(always)]
pub(super) fn top([first, second, ..]: [u8; 4]) -> usize {
    u16::from_be_bytes([first, second]).into()
}
