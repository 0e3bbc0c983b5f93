// SPDX-License-Identifier: MIT OR Apache-2.0
//! Ids of names that fit into a register, to be found at once.
//!
//! A table says the names of its servers millions of times. An interner finds one by a chain of loads that wait for each
//! other, a few of them in far caches; here it is one.

use hashbrown::HashMap;

/// The longest name that is kept here, in bytes.
const LONGEST: usize = 15;

/// With more names than this, they are out of the near caches here, too.
const MOST: usize = 1 << 16;

/// Ids by name: of short names, and the first ones only.
#[derive(Debug, Clone, Default)]
pub(super) struct ShortNames(HashMap<u128, u32>);

impl ShortNames {
    /// The id of a name, if it is kept here.
    pub(super) fn find(&self, name: &str) -> Option<u32> {
        self.0.get(&word(name)?).copied()
    }

    /// Keeps the id of a name, if there is room for it.
    pub(super) fn insert(&mut self, name: &str, id: u32) {
        if let Some(word) = word(name).filter(|_| self.0.len() < MOST) {
            self.0.insert(word, id);
        }
    }
}

/// A short name as a number: behind a one, lest zeros in front get lost. It is put together byte by byte, for to load a
/// whole word of a text that was just written by bytes would wait for those to arrive in the cache.
fn word(name: &str) -> Option<u128> {
    (name.len() <= LONGEST).then(|| name.bytes().fold(1, |word, byte| word << 8 | u128::from(byte)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_told_apart() {
        let mut names = ShortNames::default();
        let all = ["", "\0", "\0\0", "\u{1}", "\u{1}\0", "a", "a\0", "\0a", "server-lhr-0001", "server-lhr-0002"];
        for (id, name) in (0..).zip(all) {
            assert_eq!(names.find(name), None, "{name:?}");
            names.insert(name, id);
        }
        for (id, name) in (0..).zip(all) {
            assert_eq!(names.find(name), Some(id), "{name:?}");
        }
    }

    #[test]
    fn what_does_not_fit_is_left_out() {
        let mut names = ShortNames::default();
        names.insert("server-lhr-00001", 0);
        assert_eq!(names.find("server-lhr-00001"), None);
        for id in 0..=MOST as u32 {
            names.insert(&id.to_string(), id);
        }
        assert_eq!(names.find("65535"), Some(65_535));
        assert_eq!(names.find("65536"), None);
    }
}
