// SPDX-License-Identifier: MIT OR Apache-2.0
//! Byte strings stored once, end to end, and named by small numbers.

use std::hash::BuildHasher;

use hashbrown::{DefaultHashBuilder, HashTable};

/// Byte strings by id: all of them in one allocation.
#[derive(Debug, Clone, Default)]
pub(crate) struct Items {
    bytes: Vec<u8>,
    ends: Vec<usize>,
}

impl Items {
    /// How many there are; ids are below it.
    pub(crate) fn len(&self) -> usize {
        self.ends.len()
    }

    /// The string of that id; empty for an id that is none.
    pub(crate) fn get(&self, id: u32) -> &[u8] {
        let id = id as usize;
        let start = id.checked_sub(1).and_then(|before| self.ends.get(before)).copied().unwrap_or(0);
        self.ends.get(id).and_then(|&end| self.bytes.get(start..end)).unwrap_or_default()
    }

    fn push(&mut self, item: &[u8]) {
        self.bytes.extend_from_slice(item);
        self.ends.push(self.bytes.len());
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
        let id = u32::try_from(self.items.len()).ok()?;
        self.items.push(item);
        let (items, hasher) = (&self.items, &self.hasher);
        self.ids.insert_unique(hash, id, |&id| hasher.hash_one(items.get(id)));
        Some(id)
    }

    /// The id of `item`, if it has one.
    pub(crate) fn find(&self, item: &[u8]) -> Option<u32> {
        self.ids.find(self.hasher.hash_one(item), |&id| self.items.get(id) == item).copied()
    }

    /// The strings so far.
    pub(crate) fn items(&self) -> &Items {
        &self.items
    }

    /// The strings alone, without what finds them.
    pub(crate) fn into_items(self) -> Items {
        let mut items = self.items;
        items.bytes.shrink_to_fit();
        items.ends.shrink_to_fit();
        items
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
        assert_eq!(interner.into_items().get(u32::MAX), b"");
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
