// SPDX-License-Identifier: MIT OR Apache-2.0
//! Overlapping prefixes as disjoint runs of addresses, each under the longest prefix around it.

use std::iter::Peekable;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::prefix::Prefix;
use crate::source::{Entry, Source};

/// Consecutive addresses of one family. Ordered by family, first address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Addresses {
    v6: bool,
    first: u128,
    /// Inclusive, so that a whole family has an end.
    last: u128,
}

impl Addresses {
    /// How many they are; 2^128 counts as one less.
    pub(crate) fn count(&self) -> u128 {
        (self.last - self.first).saturating_add(1)
    }

    /// The fewest prefixes that cover these and no others, in order.
    pub(crate) fn prefixes(self) -> impl Iterator<Item = Prefix> {
        let mut next = Some(self.first);
        std::iter::from_fn(move || {
            let first = next.filter(|&first| first <= self.last)?;
            let bits = if self.v6 { 128 } else { 32 };
            // The largest block that starts here and does not go too far.
            let fits = |host: &u32| *host == 0 || self.last - first >= u128::MAX >> (128 - host);
            let host = (0..=first.trailing_zeros().min(bits)).rev().find(fits)?;
            next = first.checked_add(1_u128.checked_shl(host).unwrap_or_default()).filter(|_| host < 128);
            Prefix::new(address(self.v6, first), (bits - host) as u8).ok()
        })
    }
}

impl From<Prefix> for Addresses {
    fn from(prefix: Prefix) -> Self {
        let (v6, first, bits) = match prefix.address() {
            IpAddr::V4(v4) => (false, u128::from(v4.to_bits()), 32),
            IpAddr::V6(v6) => (true, v6.to_bits(), 128),
        };
        let host = bits - u32::from(prefix.length());
        let last = first | u128::MAX.checked_shr(128 - host).unwrap_or_default();
        Self { v6, first, last }
    }
}

/// An address of 32 or 128 bits.
fn address(v6: bool, bits: u128) -> IpAddr {
    if v6 { Ipv6Addr::from_bits(bits).into() } else { Ipv4Addr::from_bits(bits as u32).into() }
}

/// Addresses and the entry of their longest prefix.
pub(crate) type Piece<'a> = (Addresses, (usize, &'a Entry));

/// The addresses of a table, ascending and disjoint, each with its entry and the entry's index. A prefix that none
/// overrides is one piece.
pub(crate) fn flatten(source: &Source) -> impl Iterator<Item = Piece<'_>> {
    flatten_prefixes(source.entries_by_prefix().map(|(index, entry)| (entry.prefix, (index, entry))))
}

/// The addresses of a table as disjoint prefixes, ascending, each with the entry that counts there and the entry's index.
pub fn disjoint(source: &Source) -> impl Iterator<Item = (Prefix, usize, &Entry)> {
    flatten(source)
        .flat_map(|(addresses, (index, entry))| addresses.prefixes().map(move |prefix| (prefix, index, entry)))
}

/// The same for any values of prefixes, which come in their order.
pub(crate) fn flatten_prefixes<T: Copy>(
    prefixes: impl Iterator<Item = (Prefix, T)>,
) -> impl Iterator<Item = (Addresses, T)> {
    Flatten { entries: prefixes.peekable(), open: Vec::new(), next: None }
}

struct Flatten<T, I: Iterator<Item = (Prefix, T)>> {
    entries: Peekable<I>,
    /// The prefixes around the next address, the longest last.
    open: Vec<(Addresses, T)>,
    /// The next address that no piece has covered; none behind the last one of the family.
    next: Option<u128>,
}

impl<T: Copy, I: Iterator<Item = (Prefix, T)>> Iterator for Flatten<T, I> {
    type Item = (Addresses, T);

    fn next(&mut self) -> Option<(Addresses, T)> {
        loop {
            let upcoming = self.entries.peek().map(|&(prefix, value)| (Addresses::from(prefix), value));
            let Some(&(around, entry)) = self.open.last() else {
                let opened = upcoming?;
                self.entries.next();
                self.next = Some(opened.0.first);
                self.open.push(opened);
                continue;
            };
            let inside = upcoming.filter(|(inside, _)| inside.v6 == around.v6 && inside.first <= around.last);
            let (last, after) = match inside {
                // What comes before the longer prefix belongs to this one.
                Some(opened) => {
                    self.entries.next();
                    self.open.push(opened);
                    (opened.0.first.checked_sub(1), Some(opened.0.first))
                }
                None => {
                    self.open.pop();
                    (Some(around.last), around.last.checked_add(1))
                }
            };
            let first = std::mem::replace(&mut self.next, after);
            if let (Some(first), Some(last)) = (first, last)
                && first <= last
            {
                return Some((Addresses { first, last, ..around }, entry));
            }
        }
    }
}

/// Two ascending, disjoint lists at once: pieces with the values of one of them or both.
pub(crate) fn zip<A: Copy, B: Copy>(
    a: impl Iterator<Item = (Addresses, A)>,
    b: impl Iterator<Item = (Addresses, B)>,
) -> impl Iterator<Item = (Addresses, Option<A>, Option<B>)> {
    let (mut a, mut b) = (Rest { pieces: a, head: None }, Rest { pieces: b, head: None });
    std::iter::from_fn(move || {
        let (left, right) = (a.head(), b.head());
        let start = left.into_iter().chain(right).map(|addresses| (addresses.v6, addresses.first)).min()?;
        // To the first end, or to where the other one begins.
        let end = |of: Option<Addresses>| {
            let of = of.filter(|of| of.v6 == start.0)?;
            if of.first > start.1 { of.first.checked_sub(1) } else { Some(of.last) }
        };
        let last = end(left).into_iter().chain(end(right)).min()?;
        let piece = Addresses { v6: start.0, first: start.1, last };
        Some((piece, a.take(piece), b.take(piece)))
    })
}

/// A list whose first piece may be partly taken.
struct Rest<I, T> {
    pieces: I,
    head: Option<(Addresses, T)>,
}

impl<T: Copy, I: Iterator<Item = (Addresses, T)>> Rest<I, T> {
    fn head(&mut self) -> Option<Addresses> {
        if self.head.is_none() {
            self.head = self.pieces.next();
        }
        self.head.as_ref().map(|(addresses, _)| *addresses)
    }

    /// Takes `piece` from the front, if the front is it.
    fn take(&mut self, piece: Addresses) -> Option<T> {
        let (head, value) = self.head.filter(|(head, _)| (head.v6, head.first) == (piece.v6, piece.first))?;
        let rest = piece.last.checked_add(1).filter(|&first| first <= head.last);
        self.head = rest.map(|first| (Addresses { first, ..head }, value));
        Some(value)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn all(text: &str) -> Addresses {
        text.parse::<Prefix>().unwrap().into()
    }

    fn texts(addresses: Addresses) -> Vec<String> {
        addresses.prefixes().map(|prefix| prefix.to_string()).collect()
    }

    #[test]
    fn runs_are_covered_by_the_fewest_prefixes() {
        for prefix in ["0.0.0.0/0", "::/0", "10.0.0.0/8", "10.0.0.1/32", "255.255.255.255/32", "8000::/1", "::1/128"] {
            assert_eq!(texts(all(prefix)), [prefix]);
        }
        let run = Addresses { first: 1, last: 10, v6: false };
        assert_eq!(texts(run), ["0.0.0.1/32", "0.0.0.2/31", "0.0.0.4/30", "0.0.0.8/31", "0.0.0.10/32"]);
        let run = Addresses { first: 1, last: u128::MAX, v6: true };
        assert_eq!(texts(run).len(), 128);
        assert_eq!(texts(run).last().unwrap(), "8000::/1");
        assert_eq!(all("::/0").count(), u128::MAX);
        assert_eq!(all("0.0.0.0/0").count(), 1 << 32);
    }

    fn source(prefixes: &[String]) -> Source {
        let entries: Vec<String> =
            prefixes.iter().map(|prefix| format!(r#"{{"prefix":"{prefix}","unassigned":true}}"#)).collect();
        let document = format!(r#"{{"version":1,"datacenters":{{}},"servers":{{}},"egress":[{}]}}"#, entries.join(","));
        Source::from_slice(document.as_bytes()).unwrap()
    }

    #[test]
    fn longer_prefixes_cut_shorter_ones() {
        let source = source(&["::/0".into(), "10.0.0.0/30".into(), "10.0.0.1/32".into(), "0.0.0.0/0".into()]);
        let pieces: Vec<_> = flatten(&source).map(|(at, (index, _))| (at.v6, at.first, at.last, index)).collect();
        let ten = 10 << 24;
        let wanted = [
            (false, 0, ten - 1, 3),
            (false, ten, ten, 1),
            (false, ten + 1, ten + 1, 2),
            (false, ten + 2, ten + 3, 1),
            (false, ten + 4, (1 << 32) - 1, 3),
            (true, 0, u128::MAX, 0),
        ];
        assert_eq!(pieces, wanted);
    }

    fn prefix() -> impl Strategy<Value = Prefix> {
        let top = prop_oneof![Just(0_u128), Just(u128::MAX - 31)];
        (any::<bool>(), top, 0..32_u128, 0..=6_u32).prop_map(|(v6, top, low, host)| {
            let bits = if v6 { 128 } else { 32 };
            let network = (top | low) >> host << host;
            Prefix::new(address(v6, network & (u128::MAX >> (128 - bits))), (bits - host) as u8).unwrap()
        })
    }

    proptest! {
        #[test]
        fn every_address_is_under_its_longest_prefix(prefixes in prop::collection::hash_set(prefix(), 0..12)) {
            let prefixes: Vec<Prefix> = prefixes.into_iter().collect();
            let source = source(&prefixes.iter().map(Prefix::to_string).collect::<Vec<_>>());
            let pieces: Vec<Piece<'_>> = flatten(&source).collect();
            prop_assert!(pieces.windows(2).all(|two| (two[0].0.v6, two[0].0.last) < (two[1].0.v6, two[1].0.first)));
            for v6 in [false, true] {
                let top = if v6 { u128::MAX } else { u128::from(u32::MAX) };
                for bits in (0..64).chain(top - 64..=top) {
                    let address = address(v6, bits);
                    let around = |prefix: &&Prefix| prefix.contains(address);
                    let longest = prefixes.iter().filter(around).max_by_key(|prefix| prefix.length());
                    let mut at = pieces.iter().filter(|(at, _)| at.v6 == v6 && (at.first..=at.last).contains(&bits));
                    prop_assert_eq!(at.next().map(|(_, (_, entry))| entry.prefix), longest.copied());
                    prop_assert!(at.next().is_none());
                }
            }
        }

        #[test]
        fn two_lists_are_walked_as_one(
            a in prop::collection::btree_set(0..40_u128, 0..12),
            b in prop::collection::btree_set(0..40_u128, 0..12),
        ) {
            // Every second gap between the cuts is a piece.
            let pieces = |cuts: &std::collections::BTreeSet<u128>| {
                let cuts: Vec<u128> = cuts.iter().copied().collect();
                let piece = |two: &[u128]| (Addresses { v6: two[0] >= 20, first: two[0] % 20, last: (two[1] - 1) % 20 }, two[0]);
                let same_family = |two: &&[u128]| (two[0] < 20) == (two[1] <= 20);
                cuts.windows(2).step_by(2).filter(same_family).map(piece).collect::<Vec<_>>()
            };
            let (a, b) = (pieces(&a), pieces(&b));
            let at = |pieces: &[(Addresses, u128)], v6, bits| {
                pieces.iter().find(|(at, _)| at.v6 == v6 && (at.first..=at.last).contains(&bits)).map(|(_, value)| *value)
            };
            let both: Vec<_> = zip(a.iter().copied(), b.iter().copied()).collect();
            for (v6, bits) in (0..40).map(|n| (n >= 20, n % 20)) {
                let mut here = both.iter().filter(|(at, ..)| at.v6 == v6 && (at.first..=at.last).contains(&bits));
                let found = here.next().map_or((None, None), |(_, a, b)| (*a, *b));
                prop_assert_eq!(found, (at(&a, v6, bits), at(&b, v6, bits)));
                prop_assert!(here.next().is_none());
            }
        }
    }
}
