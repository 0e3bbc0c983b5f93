// SPDX-License-Identifier: MIT OR Apache-2.0
//! Byte strings stored once, end to end, and named by small numbers.

use std::hash::BuildHasher;
use std::ops::Range;

use hashbrown::{DefaultHashBuilder, HashTable};

use super::leb;

/// Byte strings by id: all of them in one allocation.
#[derive(Debug, Clone, Default)]
pub(crate) struct Items {
    bytes: Vec<u8>,
    /// Where each begins: with its length in LEB128, so that a span costs one word. [`GONE`] for those that were freed.
    starts: Vec<u64>,
    /// Ids of those that were freed.
    free: Vec<u32>,
    /// Bytes that belong to none.
    garbage: usize,
}

const GONE: u64 = u64::MAX;

impl Items {
    /// How many ids there are, those of freed ones included.
    pub(crate) fn len(&self) -> usize {
        self.starts.len()
    }

    /// How many bytes the strings take, what nobody uses any more included.
    #[cfg(test)]
    pub(super) fn size(&self) -> usize {
        self.bytes.len()
    }

    /// The string of that id; empty for an id that is none.
    pub(crate) fn get(&self, id: u32) -> &[u8] {
        self.span(id).and_then(|(_, item)| self.bytes.get(item)).unwrap_or_default()
    }

    /// Where a string begins, its length included, and where it is itself.
    fn span(&self, id: u32) -> Option<(usize, Range<usize>)> {
        let start = *self.starts.get(id as usize).filter(|&&start| start != GONE)? as usize;
        let mut rest = self.bytes.get(start..)?;
        let length = leb::read(&mut rest)? as usize;
        let first = self.bytes.len() - rest.len();
        Some((start, first..first.checked_add(length)?))
    }

    /// Makes room for one more.
    fn make_room(&mut self, item: &[u8]) {
        /// The most bytes that a length takes.
        const LENGTH: usize = 10;
        make_room(&mut self.bytes, item.len() + LENGTH);
        make_room(&mut self.starts, 1);
    }

    /// Stores `item` under a freed id or a new one; none when 2^32 are used up.
    fn insert(&mut self, item: &[u8]) -> Option<u32> {
        let fresh = || u32::try_from(self.starts.len()).ok().filter(|&id| id < u32::MAX);
        let id = self.free.last().copied().or_else(fresh)?;
        if self.free.pop().is_none() {
            self.starts.push(GONE);
        }
        self.write(id, item);
        Some(id)
    }

    fn write(&mut self, id: u32, item: &[u8]) {
        let start = self.bytes.len() as u64;
        leb::write(item.len() as u64, &mut self.bytes);
        self.bytes.extend_from_slice(item);
        if let Some(at) = self.starts.get_mut(id as usize) {
            *at = start;
        }
    }

    /// Gives up the bytes of a string; its id still has to be written to or freed.
    fn erase(&mut self, id: u32) {
        if let Some((start, item)) = self.span(id)
            && let Some(at) = self.starts.get_mut(id as usize)
        {
            self.garbage += item.end - start;
            *at = GONE;
        }
    }

    /// Closes the gaps once they are more than a quarter. A million plans take a tenth of a second then, but that is
    /// after hundreds of thousands of changes.
    fn tidy(&mut self) {
        const WORTH_IT: usize = 1 << 12;
        if self.garbage < WORTH_IT || self.garbage < self.bytes.len() / 4 {
            return;
        }
        let mut order: Vec<u32> =
            (0_u32..).zip(&self.starts).filter(|(_, at)| **at != GONE).map(|(id, _)| id).collect();
        order.sort_unstable_by_key(|&id| self.starts.get(id as usize));
        let mut end = 0;
        for id in order {
            let Some((start, item)) = self.span(id) else { continue };
            let length = item.end - start;
            self.bytes.copy_within(start..item.end, end);
            if let Some(at) = self.starts.get_mut(id as usize) {
                *at = end as u64;
            }
            end += length;
        }
        self.bytes.truncate(end);
        self.garbage = 0;
    }
}

/// Makes room for `more` elements without doubling what is large already.
pub(crate) fn make_room<T>(vec: &mut Vec<T>, more: usize) {
    if vec.capacity() - vec.len() < more {
        vec.reserve_exact(more.max(vec.len() / 16));
    }
}

/// [`Items`] that can be found by content, so that equal strings get equal ids.
#[derive(Debug, Clone, Default)]
pub(crate) struct Interner {
    items: Items,
    ids: HashTable<u32>,
    hasher: DefaultHashBuilder,
}

impl Interner {
    /// The id of `item`, a new one if it was not seen before. None when 2^32 ids are used up.
    pub(crate) fn intern(&mut self, item: &[u8]) -> Option<u32> {
        let hash = self.hasher.hash_one(item);
        if let Some(&id) = self.ids.find(hash, |&id| self.items.get(id) == item) {
            return Some(id);
        }
        let id = self.items.insert(item)?;
        self.list(id, hash);
        Some(id)
    }

    /// Lets `id` be found by its content.
    fn list(&mut self, id: u32, hash: u64) {
        if self.ids.len() == self.ids.capacity() {
            self.grow();
        }
        let (items, hasher) = (&self.items, &self.hasher);
        self.ids.insert_unique(hash, id, |&id| hasher.hash_one(items.get(id)));
    }

    /// Doubles the room for ids. Listing them anew, in order, reads the strings from first to last; if the table moved
    /// them in its own order, a million plans would be a million waits for memory. The old table goes before the new one
    /// comes.
    fn grow(&mut self) {
        let mut listed: Vec<u32> = std::mem::take(&mut self.ids).into_iter().collect();
        listed.sort_unstable();
        let (items, hasher) = (&self.items, &self.hasher);
        let hash = |&id: &u32| hasher.hash_one(items.get(id));
        self.ids.reserve(2 * listed.len(), hash);
        for id in listed {
            self.ids.insert_unique(hash(&id), id, hash);
        }
    }

    /// The opposite; its content must be there yet.
    fn unlist(&mut self, id: u32) {
        let hash = self.hasher.hash_one(self.items.get(id));
        if let Ok(listed) = self.ids.find_entry(hash, |&listed| listed == id) {
            listed.remove();
        }
    }

    /// The id of `item`, if it has one.
    pub(crate) fn find(&self, item: &[u8]) -> Option<u32> {
        self.ids.find(self.hasher.hash_one(item), |&id| self.items.get(id) == item).copied()
    }

    /// The strings so far.
    pub(crate) fn items(&self) -> &Items {
        &self.items
    }

    /// The same as [`Self::intern`], for an interner that is large already and won't grow much.
    pub(super) fn intern_one_more(&mut self, item: &[u8]) -> Option<u32> {
        self.items.make_room(item);
        self.intern(item)
    }

    /// Forgets strings; their ids are given to others from now on.
    pub(super) fn free(&mut self, ids: &[u32]) {
        for &id in ids {
            self.unlist(id);
            self.items.erase(id);
            self.items.free.push(id);
        }
        self.items.tidy();
    }

    /// Puts other strings in the place of those of some ids; all in all they must stay distinct.
    pub(super) fn replace<'a>(&mut self, items: impl Iterator<Item = (u32, &'a [u8])> + Clone) {
        items.clone().for_each(|(id, _)| self.unlist(id));
        for (id, item) in items {
            self.items.erase(id);
            self.items.make_room(item);
            self.items.write(id, item);
            self.list(id, self.hasher.hash_one(item));
        }
        self.items.tidy();
    }

    /// Gives back the memory that growing took too much.
    pub(super) fn shrink_to_fit(&mut self) {
        self.items.bytes.shrink_to_fit();
        self.items.starts.shrink_to_fit();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_strings_get_equal_ids_and_come_back() {
        let mut interner = Interner::default();
        let words: Vec<Vec<u8>> = (0..1000_u32).map(|n| n.to_be_bytes()[(n % 4) as usize..].to_vec()).collect();
        let ids: Vec<u32> = words.iter().map(|word| interner.intern(word).unwrap()).collect();
        for (word, &id) in words.iter().zip(&ids) {
            assert_eq!(interner.find(word), Some(id));
            assert_eq!(interner.intern(word), Some(id));
            assert_eq!(interner.items().get(id), word);
        }
        let mut distinct = words.clone();
        distinct.sort();
        distinct.dedup();
        assert_eq!(interner.items().len(), distinct.len());
        assert_eq!(interner.find(b"absent"), None);
        assert_eq!(interner.items().get(u32::MAX), b"");
    }

    #[test]
    fn the_empty_string_is_one_too() {
        let mut interner = Interner::default();
        assert_eq!(interner.intern(b""), Some(0));
        assert_eq!(interner.intern(b"x"), Some(1));
        assert_eq!(interner.find(b""), Some(0));
        assert_eq!(interner.items().get(1), b"x");
    }
}
