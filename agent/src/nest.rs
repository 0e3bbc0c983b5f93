// SPDX-License-Identifier: MIT OR Apache-2.0
//! Prefixes by what they are inside of, and what is inside of them: of a hundred thousand, without a look at each.

use std::collections::BTreeMap;
use std::ops::Bound::{Included, Unbounded};

use tables::Prefix;

/// Prefixes, each with a value.
pub(crate) struct Nest<T> {
    all: BTreeMap<Prefix, T>,
    /// The lengths that there are, the longest first.
    lengths: Vec<u8>,
}

impl<T> FromIterator<(Prefix, T)> for Nest<T> {
    fn from_iter<I: IntoIterator<Item = (Prefix, T)>>(all: I) -> Self {
        let all: BTreeMap<Prefix, T> = all.into_iter().collect();
        let mut lengths: Vec<u8> = all.keys().map(Prefix::length).collect();
        lengths.sort_unstable_by(|a, b| b.cmp(a));
        lengths.dedup();
        Self { all, lengths }
    }
}

impl<T> Nest<T> {
    /// The longest that covers `prefix`, which may be itself.
    pub(crate) fn around(&self, prefix: Prefix) -> Option<&T> {
        let mut lengths = self.lengths.iter().filter(|length| **length <= prefix.length());
        lengths.find_map(|length| self.all.get(&Prefix::around(prefix.address(), *length)?))
    }

    /// All of them.
    pub(crate) fn all(&self) -> impl Iterator<Item = Prefix> {
        self.all.keys().copied()
    }

    /// All that `prefix` covers, which may be itself.
    pub(crate) fn inside(&self, prefix: Prefix) -> impl Iterator<Item = Prefix> {
        let from = self.all.range((Included(prefix), Unbounded));
        from.map(|(other, _)| *other).take_while(move |other| prefix.covers(*other))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// In few bits, so that they nest.
    fn some() -> impl Strategy<Value = Prefix> {
        (any::<bool>(), 0_u8..8, 0_u8..=4).prop_map(|(v6, bits, length)| {
            let [ipv4, ipv6] = [[bits << 5, 0, 0, 0].into(), [u16::from(bits) << 13, 0, 0, 0, 0, 0, 0, 0].into()];
            Prefix::around(if v6 { ipv6 } else { ipv4 }, length).unwrap()
        })
    }

    proptest! {
        #[test]
        fn it_finds_what_a_look_at_each_would(all in prop::collection::vec(some(), 0..12), prefix in some()) {
            let nest: Nest<Prefix> = all.iter().map(|one| (*one, *one)).collect();
            let around = all.iter().filter(|one| one.covers(prefix)).max_by_key(|one| one.length());
            prop_assert_eq!(nest.around(prefix), around);
            let mut inside: Vec<Prefix> = all.iter().copied().filter(|one| prefix.covers(*one)).collect();
            inside.sort();
            inside.dedup();
            prop_assert_eq!(nest.inside(prefix).collect::<Vec<_>>(), inside);
        }
    }
}
