// SPDX-License-Identifier: MIT OR Apache-2.0
//! Interned strings that are counted, so that they can go.

use super::intern::{Interner, Items, make_room};

/// Strings that are freed when nobody uses them any more.
#[derive(Debug, Clone, Default)]
pub(crate) struct Shared {
    interner: Interner,
    /// By id.
    uses: Vec<u32>,
}

impl Shared {
    /// The strings of `interner`, each used as often as its id is in `uses`.
    pub(crate) fn new(mut interner: Interner, uses: impl Iterator<Item = u32>) -> Self {
        interner.shrink_to_fit();
        let mut shared = Self { uses: vec![0; interner.items().len()], interner };
        uses.for_each(|id| shared.count(id));
        shared
    }

    fn count(&mut self, id: u32) {
        if let Some(uses) = self.uses.get_mut(id as usize) {
            *uses = uses.saturating_add(1);
        }
    }

    /// The strings.
    pub(crate) fn items(&self) -> &Items {
        self.interner.items()
    }

    /// Whether so many more would find an id.
    pub(crate) fn has_room(&self, more: usize) -> bool {
        self.interner.items().len() + more < u32::MAX as usize
    }

    /// The id of `item`, which is used once more. [`Self::has_room`] was asked before.
    pub(crate) fn acquire(&mut self, item: &[u8]) -> u32 {
        let id = self.interner.intern_one_more(item).unwrap_or(u32::MAX);
        if id as usize == self.uses.len() {
            make_room(&mut self.uses, 1);
            self.uses.push(0);
        }
        self.count(id);
        id
    }

    /// Uses `id` once less; true if that was the last use. It keeps its id and content until [`Self::free`].
    pub(crate) fn release(&mut self, id: u32) -> bool {
        let Some(uses) = self.uses.get_mut(id as usize) else { return false };
        *uses = uses.saturating_sub(1);
        *uses == 0
    }

    /// Frees strings that nobody uses. Their ids are given to others from now on.
    pub(crate) fn free(&mut self, ids: &[u32]) {
        self.interner.free(ids);
    }

    /// Puts other strings in the place of those of some ids; all in all they must stay distinct.
    pub(crate) fn replace<'a>(&mut self, items: impl Iterator<Item = (u32, &'a [u8])> + Clone) {
        self.interner.replace(items);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn garbage_is_bounded() {
        let mut shared = Shared::default();
        let item = |n: u32| [n.to_le_bytes().as_slice(), &[7; 60]].concat();
        let mut ids: Vec<u32> = (0..1000).map(|n| shared.acquire(&item(n))).collect();
        for n in 1000..50_000 {
            let new = shared.acquire(&item(n));
            let old = std::mem::replace(&mut ids[n as usize % 1000], new);
            assert!(shared.release(old));
            shared.free(&[old]);
            assert!(shared.items().size() < 1000 * 65 * 4 / 3 + 130);
        }
        assert!(shared.items().len() <= 1001);
        for (place, &id) in ids.iter().enumerate() {
            assert_eq!(shared.items().get(id), item(49_000 + place as u32));
        }
    }

    #[test]
    fn contents_can_change_places() {
        let mut shared = Shared::default();
        let ids = [b"a".as_slice(), b"b", b"c"].map(|item| shared.acquire(item));
        let swapped = [(ids[0], b"b".as_slice()), (ids[1], b"a"), (ids[2], b"long")];
        shared.replace(swapped.into_iter());
        for (id, item) in swapped {
            assert_eq!(shared.items().get(id), item);
            assert_eq!(shared.acquire(item), id);
        }
        assert_eq!(shared.acquire(b"c"), 3);
    }

    proptest! {
        #[test]
        fn what_is_used_stays_and_what_is_not_goes(steps in prop::collection::vec((any::<bool>(), 0..20_u8), 1..200)) {
            let mut shared = Shared::default();
            let mut used = BTreeMap::<u8, (u32, u32)>::new();
            for (take, n) in steps {
                let item = vec![n; usize::from(n) * 100];
                if take {
                    let id = shared.acquire(&item);
                    let (known, uses) = used.entry(n).or_insert((id, 0));
                    prop_assert_eq!(*known, id);
                    *uses += 1;
                } else if let Some((id, uses)) = used.get_mut(&n) {
                    *uses -= 1;
                    prop_assert_eq!(shared.release(*id), *uses == 0);
                    if *uses == 0 {
                        shared.free(&[*id]);
                        used.remove(&n);
                    }
                }
                for (&n, &(id, _)) in &used {
                    prop_assert_eq!(shared.items().get(id), vec![n; usize::from(n) * 100]);
                }
                prop_assert!(shared.items().len() <= 20);
            }
        }
    }
}
