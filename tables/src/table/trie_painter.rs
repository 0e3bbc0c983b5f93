// SPDX-License-Identifier: MIT OR Apache-2.0
//! How the trie is made and changed: the control side of what lookups read.

use std::mem;
use std::sync::Arc;
use std::sync::atomic::AtomicU32;

use hashbrown::HashSet;

use super::extents::{Extent, Extents, with_room};
use super::limit::Limit;
use super::trie4::{Node, Root, Trie4, top};
use super::word::Word;
use crate::pages::Pages;

/// Nodes that a new arena has beyond those needed at once.
const ROOM: usize = 512;

/// The next generation's trie.
pub(super) struct Painter {
    /// Its root. Empty until there is a prefix.
    root: Vec<Word>,
    nodes: Nodes,
    /// The last generation's root, as long as the next one's is the same.
    published: Option<Arc<Root>>,
}

/// The arena of nodes.
struct Nodes {
    cells: Pages<Node>,
    room: Extents,
    /// Those that no published generation has; none of them have, as long as this is `None`.
    fresh: Option<HashSet<u32>>,
    /// Those that only published generations have.
    retired: Vec<u32>,
}

impl Painter {
    /// A trie for as many nodes as [`count_nodes`] says, and for those of patches.
    pub(super) fn new(nodes: usize) -> Result<Self, Limit> {
        let capacity = with_room(nodes, ROOM);
        let cells = Pages::zeroed(capacity)?;
        let room = Extents::new(capacity as u32);
        let nodes = Nodes { cells, room, fresh: None, retired: Vec::new() };
        Ok(Self { root: Vec::new(), nodes, published: None })
    }

    /// Gives every address of a prefix `word`. What longer prefixes inside say has to be painted again after.
    pub(super) fn paint(&mut self, address: u32, length: u8, word: Word) -> Result<(), Limit> {
        if self.root.is_empty() {
            self.root.resize(1 << 16, Word::ABSENT);
        }
        self.published = None;
        let key @ [_, _, third, fourth] = address.to_be_bytes();
        if length <= 16 {
            self.fill_root(top(key), 16 - length, word);
            return Ok(());
        }
        let middle = self.nodes.own(self.top(key))?;
        self.set_top(key, Word::to_node(middle as usize));
        if length <= 24 {
            self.nodes.fill(middle, third, 24 - length, word);
            return Ok(());
        }
        let bottom = self.nodes.own(self.nodes.word(middle, third))?;
        self.nodes.set(middle, third, Word::to_node(bottom as usize));
        self.nodes.fill(bottom, fourth, 32_u8.saturating_sub(length), word);
        Ok(())
    }

    /// Lets nodes go that say the same for all their addresses, along the way to a prefix that was painted. Without
    /// this, prefixes that come and go would leave them behind.
    pub(super) fn tidy(&mut self, address: u32) {
        let key @ [_, _, third, _] = address.to_be_bytes();
        let Some(middle) = self.top(key).node() else { return };
        let middle = middle as u32;
        if let Some(leaf) = self.nodes.same(self.nodes.word(middle, third))
            && self.nodes.is_fresh(middle)
        {
            self.nodes.fill(middle, third, 0, leaf);
        }
        if let Some(leaf) = self.nodes.same(self.top(key)) {
            self.fill_root(top(key), 0, leaf);
        }
    }

    /// The trie as it is now, which will not change any more; and the nodes that it has no longer.
    pub(super) fn publish(&mut self) -> (Trie4, Vec<u32>) {
        if self.published.is_none() {
            let cells: Arc<[AtomicU32]> = self.root.iter().map(|word| word.cell()).collect();
            self.published = cells.try_into().ok();
        }
        self.nodes.fresh = Some(HashSet::new());
        let trie = Trie4 { root: self.published.clone(), nodes: self.nodes.cells.clone() };
        (trie, mem::take(&mut self.nodes.retired))
    }

    /// Nodes that no generation has any more.
    pub(super) fn reclaim(&mut self, nodes: Vec<u32>) {
        nodes.into_iter().for_each(|start| self.nodes.room.give(Extent { start, count: 1 }));
    }

    /// Bytes of memory that a generation and all nodes that are or were in use take.
    pub(super) fn size(&self) -> usize {
        size_of_val(self.root.as_slice()) + self.nodes.room.touched() * size_of::<Node>()
    }

    fn top(&self, key: [u8; 4]) -> Word {
        self.root.get(top(key)).copied().unwrap_or_default()
    }

    fn set_top(&mut self, key: [u8; 4], word: Word) {
        if let Some(cell) = self.root.get_mut(top(key)) {
            *cell = word;
        }
    }

    /// Writes `word` to the 2^`free` cells of the root from `first` on.
    fn fill_root(&mut self, first: usize, free: u8, word: Word) {
        for cell in self.root.get_mut(first..first + (1 << free)).unwrap_or_default() {
            self.nodes.retire(mem::replace(cell, word));
        }
    }
}

impl Nodes {
    /// A node that may be changed and says what `word` says: the one that it leads to, a copy of that, or a new one.
    fn own(&mut self, word: Word) -> Result<u32, Limit> {
        let old = word.node().map(|node| node as u32);
        if let Some(old) = old.filter(|&node| self.is_fresh(node)) {
            return Ok(old);
        }
        let new = self.room.take(1).ok_or(Limit::Nodes)?;
        if let Some(fresh) = &mut self.fresh {
            fresh.insert(new);
        }
        self.cells_of(new).iter().for_each(|cell| word.store(cell));
        if let Some(old) = old {
            self.cells_of(new).iter().zip(self.cells_of(old)).for_each(|(to, from)| Word::load(from).store(to));
            self.retired.push(old);
        }
        Ok(new)
    }

    /// Writes `word` to the 2^`free` cells from `first` on.
    fn fill(&mut self, node: u32, first: u8, free: u8, word: Word) {
        let last = u32::from(first) + (1 << free) - 1;
        for at in first..=last.min(255) as u8 {
            self.retire(self.word(node, at));
            self.set(node, at, word);
        }
    }

    /// Lets go of the nodes that `word` leads to.
    fn retire(&mut self, word: Word) {
        let Some(node) = word.node() else { return };
        let node = node as u32;
        for at in 0..=u8::MAX {
            self.retire(self.word(node, at));
        }
        if self.is_fresh(node) {
            if let Some(fresh) = &mut self.fresh {
                fresh.remove(&node);
            }
            self.room.give(Extent { start: node, count: 1 });
        } else {
            self.retired.push(node);
        }
    }

    /// The leaf that every cell of the node below `word` is; none if they differ, or `word` is a leaf itself.
    fn same(&self, word: Word) -> Option<Word> {
        let cells = self.cells_of(word.node()? as u32);
        let leaf = cells.first().map(Word::load).filter(|first| first.node().is_none())?;
        cells.iter().all(|cell| Word::load(cell) == leaf).then_some(leaf)
    }

    fn is_fresh(&self, node: u32) -> bool {
        self.fresh.as_ref().is_none_or(|fresh| fresh.contains(&node))
    }

    fn word(&self, node: u32, at: u8) -> Word {
        self.cells_of(node).get(usize::from(at)).map(Word::load).unwrap_or_default()
    }

    fn set(&self, node: u32, at: u8, word: Word) {
        if let Some(cell) = self.cells_of(node).get(usize::from(at)) {
            word.store(cell);
        }
    }

    fn cells_of(&self, node: u32) -> &[AtomicU32] {
        self.cells.get(node as usize).map(Node::as_slice).unwrap_or_default()
    }
}

/// How many nodes a trie with these prefixes has; they ascend.
pub(super) fn count_nodes(prefixes: impl Iterator<Item = (u32, u8)>) -> usize {
    let (mut count, mut middle, mut bottom) = (0, None, None);
    for (address, length) in prefixes {
        if length > 16 && middle.replace(address >> 16) != Some(address >> 16) {
            count += 1;
        }
        if length > 24 && bottom.replace(address >> 8) != Some(address >> 8) {
            count += 1;
        }
    }
    count
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::{STAGE, TargetId};
    use super::*;

    fn painter(prefixes: &[(u32, u8)]) -> Painter {
        let mut sorted = prefixes.to_vec();
        sorted.sort();
        let mut painter = Painter::new(count_nodes(sorted.into_iter())).unwrap();
        for (index, &(address, length)) in prefixes.iter().enumerate() {
            painter.paint(address, length, owner(index)).unwrap();
        }
        painter
    }

    /// A trie that maps the `n`-th of `prefixes`, which stand in the order of painting, to target `n`.
    fn trie(prefixes: &[(u32, u8)]) -> Trie4 {
        painter(prefixes).publish().0
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
        assert_eq!(painter(&[]).size(), 0);
        let trie = trie(&[]);
        assert_eq!(trie.lookup([0; 4]), Word::ABSENT);
        assert_eq!(trie.lookup([255; 4]), Word::ABSENT);
    }

    #[test]
    fn neighbours_share_nodes() {
        let hosts: Vec<(u32, u8)> = (0..512).map(|host| (0xc633_6400 + host, 32)).collect();
        assert_eq!(painter(&hosts).size(), (1 << 18) + 3 * 1024, "a root, one node for the /16, two for the /24s");
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
                trie.lookup_stage(&bytes, |key| *key, &mut staged, |_, word| word);
                for ((&key, &bytes), staged) in keys.iter().zip(&bytes).zip(staged) {
                    prop_assert_eq!(trie.lookup(bytes), naive(&prefixes, key), "{:?}", bytes);
                    prop_assert_eq!(staged, trie.lookup(bytes));
                }
            }
        }
    }
}
