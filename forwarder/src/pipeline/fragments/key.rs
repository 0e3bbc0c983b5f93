// SPDX-License-Identifier: MIT OR Apache-2.0
//! Which datagram a fragment is of, and the secret by which datagrams are spread over memory and workers.

use std::hash::{BuildHasher, Hasher, RandomState};

use crate::pipeline::flow::{word_v4, words_v6};
use crate::pipeline::packet::Addresses;
use crate::wire::siphash::{SipHash13, last_word};

/// What the fragments of one datagram have in common (RFC 791, section 3.2; RFC 8200, section 4.5).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Key {
    /// From where to where.
    pub(super) addresses: Addresses,
    /// The identification; of IPv4 its low 16 bits.
    pub(super) id: u32,
    /// The protocol of an IPv4 datagram; 0 for IPv6, whose identifications stand for themselves.
    pub(super) protocol: u8,
}

/// A hash that nobody outside can compute: senders choose addresses and identifications, and must not choose by them whom
/// they collide with.
#[derive(Debug, Clone, Copy)]
pub(super) struct Secret(SipHash13);

impl Secret {
    /// Another one each time.
    pub(super) fn random() -> Self {
        let word = || RandomState::new().build_hasher().finish().to_ne_bytes();
        let ([a, b, c, d, e, f, g, h], [i, j, k, l, m, n, o, p]) = (word(), word());
        Self(SipHash13::new([a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p]))
    }

    /// The hash of a datagram.
    #[inline]
    pub(super) fn hash(&self, key: &Key) -> u64 {
        let [a, b, c, d] = key.id.to_ne_bytes();
        let tail = [a, b, c, d, key.protocol];
        match key.addresses {
            Addresses::V4(source, destination) => self.0.hash_words([word_v4(source, destination), last_word(1, tail)]),
            Addresses::V6(source, destination) => {
                let ([s0, s1], [d0, d1]) = (words_v6(source), words_v6(destination));
                self.0.hash_words([s0, s1, d0, d1, last_word(4, tail)])
            }
        }
    }
}

/// A worker among those that share the fragments: each datagram is at home with one of them.
#[derive(Debug, Clone, Copy)]
pub struct Member {
    index: usize,
    members: usize,
    secret: Secret,
}

impl Member {
    /// A worker that shares with nobody.
    pub fn alone() -> Self {
        Self { index: 0, members: 1, secret: Secret::random() }
    }

    /// So many workers, in order, that agree about who is at home where.
    pub fn group(members: usize) -> impl Iterator<Item = Self> {
        let secret = Secret::random();
        (0..members).map(move |index| Self { index, members, secret })
    }

    /// Which of them this is.
    pub fn index(&self) -> usize {
        self.index
    }

    /// Whose a datagram is, if not this worker's own.
    #[inline]
    pub(super) fn elsewhere(&self, key: &Key) -> Option<usize> {
        if self.members == 1 {
            return None;
        }
        // The low bits choose the place in the worker's memory.
        let high = u128::from(self.secret.hash(key) >> 32);
        let home = (high * self.members as u128) >> 32;
        (home as usize != self.index).then_some(home as usize)
    }

    pub(super) fn secret(&self) -> Secret {
        self.secret
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(id: u32) -> Key {
        Key { addresses: Addresses::V4([192, 0, 2, 1].into(), [198, 51, 100, 1].into()), id, protocol: 17 }
    }

    #[test]
    fn every_datagram_has_one_home_and_every_worker_some_datagrams() {
        let group: Vec<_> = Member::group(3).collect();
        let mut at_home = [0; 3];
        for id in 0..3_000 {
            let homes: Vec<_> = group.iter().filter(|member| member.elsewhere(&key(id)).is_none()).collect();
            assert_eq!(homes.len(), 1, "datagram {id}");
            for member in &group {
                assert_eq!(member.elsewhere(&key(id)).unwrap_or(member.index()), homes[0].index());
            }
            at_home[homes[0].index()] += 1;
        }
        assert!(at_home.iter().all(|count| *count > 500), "{at_home:?}");
        assert_eq!(Member::alone().elsewhere(&key(7)), None);
    }

    #[test]
    fn every_field_counts() {
        let secret = Secret::random();
        let other = Key { addresses: Addresses::V4([192, 0, 2, 2].into(), [198, 51, 100, 1].into()), ..key(1) };
        let v6 = Key { addresses: Addresses::V6(1.into(), 2.into()), id: 1, protocol: 0 };
        let turned = Key { addresses: Addresses::V6(2.into(), 1.into()), ..v6 };
        let all = [key(1), key(2), Key { protocol: 6, ..key(1) }, other, v6, turned];
        let hashes: std::collections::BTreeSet<_> = all.iter().map(|key| secret.hash(key)).collect();
        assert_eq!(hashes.len(), all.len());
        assert_ne!(Secret::random().hash(&key(1)), secret.hash(&key(1)), "a secret is not the last one's");
    }
}
