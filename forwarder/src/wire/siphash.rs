// SPDX-License-Identifier: MIT OR Apache-2.0
//! SipHash-1-3 with a 64-bit result (Aumasson and Bernstein, "SipHash: a fast short-input PRF"): one round a word, three
//! at the end. The message is taken as little-endian words and a tail, because that is how a packet's header gives it.

mod lanes;

/// A keyed hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SipHash13 {
    /// The state that every message starts from.
    start: [u64; 4],
}

impl SipHash13 {
    /// The hash under `key`, its 16 bytes in the order written.
    pub fn new(key: [u8; 16]) -> Self {
        let key = u128::from_le_bytes(key);
        let (k0, k1) = (key as u64, (key >> 64) as u64);
        Self {
            start: [
                k0 ^ 0x736f_6d65_7073_6575,
                k1 ^ 0x646f_7261_6e64_6f6d,
                k0 ^ 0x6c79_6765_6e65_7261,
                k1 ^ 0x7465_6462_7974_6573,
            ],
        }
    }

    /// The hash of a message: `words`, each the little-endian value of 8 bytes; the last one is [`last_word`].
    #[inline(always)]
    pub fn hash_words<const WORDS: usize>(&self, words: [u64; WORDS]) -> u64 {
        let mut v = self.start;
        for word in words {
            absorb(&mut v, word);
        }
        v[2] ^= 0xff;
        for _ in 0..3 {
            round(&mut v);
        }
        v[0] ^ v[1] ^ v[2] ^ v[3]
    }
}

/// The last word of a message of `words` words of 8 bytes and `tail`, which is what is left: fewer than 8 bytes, and the
/// message's length, modulo 256.
#[inline(always)]
pub fn last_word<const TAIL: usize>(words: usize, tail: [u8; TAIL]) -> u64 {
    const { assert!(TAIL < 8) };
    let mut last = [0; 8];
    for (to, from) in last.iter_mut().zip(tail) {
        *to = from;
    }
    last[7] = (words * 8 + TAIL) as u8;
    u64::from_le_bytes(last)
}

#[inline]
fn absorb(v: &mut [u64; 4], word: u64) {
    v[3] ^= word;
    round(v);
    v[0] ^= word;
}

#[inline]
fn round(v: &mut [u64; 4]) {
    let [mut v0, mut v1, mut v2, mut v3] = *v;
    v0 = v0.wrapping_add(v1);
    v2 = v2.wrapping_add(v3);
    v1 = v1.rotate_left(13) ^ v0;
    v3 = v3.rotate_left(16) ^ v2;
    v0 = v0.rotate_left(32);

    v2 = v2.wrapping_add(v1);
    v0 = v0.wrapping_add(v3);
    v1 = v1.rotate_left(17) ^ v2;
    v3 = v3.rotate_left(21) ^ v0;
    v2 = v2.rotate_left(32);
    *v = [v0, v1, v2, v3];
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::hash::Hasher;

    /// 0, 1, 2, … as the published vectors' key and messages are.
    fn counting<const N: usize>(from: u8) -> [u8; N] {
        std::array::from_fn(|i| from + i as u8)
    }

    fn words<const N: usize>() -> [u64; N] {
        std::array::from_fn(|i| u64::from_le_bytes(counting(8 * i as u8)))
    }

    /// From the vectors of the Rust standard library's `SipHasher13`, made with the authors' reference code: message
    /// 0, 1, 2, … of the given length under the key 0, 1, … 15. These are the lengths that a flow hash has.
    #[test]
    fn published_vectors() {
        let hash = SipHash13::new(counting(0));
        let v4 = |last| hash.hash_words([words::<1>()[0], last]).to_le_bytes();
        let v6 = |last| {
            let [a, b, c, d] = words();
            hash.hash_words([a, b, c, d, last]).to_le_bytes()
        };
        let nothing = hash.hash_words([last_word(0, [])]).to_le_bytes();
        assert_eq!(nothing, [0xdc, 0xc4, 0x0f, 0x05, 0x58, 0x01, 0xac, 0xab]);
        assert_eq!(v4(last_word(1, counting::<1>(8))), [0xe4, 0x3d, 0x06, 0x6c, 0xb3, 0x8e, 0xa4, 0x25]);
        assert_eq!(v4(last_word(1, counting::<5>(8))), [0xa7, 0xff, 0x29, 0x12, 0x0c, 0x76, 0x6f, 0x30]);
        assert_eq!(v6(last_word(4, counting::<1>(32))), [0xbf, 0xf9, 0x8f, 0x7a, 0xe5, 0xb9, 0x54, 0x4d]);
        assert_eq!(v6(last_word(4, counting::<5>(32))), [0x57, 0x30, 0xc3, 0xa3, 0x2d, 0x1c, 0x10, 0xb6]);
    }

    proptest! {
        #[test]
        fn equals_the_siphasher_crate(
            key: [u8; 16],
            words: [u64; 40],
            tail: [u8; 5],
        ) {
            let mut expected = siphasher::sip::SipHasher13::new_with_key(&key);
            for word in &words {
                expected.write(&word.to_le_bytes());
            }
            expected.write(&tail);
            let mut message = [last_word(words.len(), tail); 41];
            message[..40].copy_from_slice(&words);
            prop_assert_eq!(SipHash13::new(key).hash_words(message), expected.finish());
        }
    }
}
