// SPDX-License-Identifier: MIT OR Apache-2.0
//! SipHash-1-3 of many messages of one length side by side: each lane of a vector register hashes a message of its own.
//!
//! A hash is one long chain of dependent steps, and a burst has many hashes to compute. Four of them in the lanes of AVX2's
//! registers cost less than half of what they cost one after the other (`docs/performance.md`).

#![allow(
    unsafe_code,
    reason = "code compiled for instructions that not every processor has is called only where they are found"
)]

use super::SipHash13;

impl SipHash13 {
    /// [`Self::hash_words`] of every message; the shorter of both slices counts.
    #[inline]
    pub fn hash_burst<const WORDS: usize>(&self, messages: &[[u64; WORDS]], hashes: &mut [u64]) {
        #[cfg(target_arch = "x86_64")]
        if is_x86_feature_detected!("avx2") {
            // SAFETY: the processor has what the function was compiled for.
            return unsafe { avx2::hash_burst(self, messages, hashes) };
        }
        one_by_one(self, messages, hashes);
    }
}

fn one_by_one<const WORDS: usize>(hash: &SipHash13, messages: &[[u64; WORDS]], hashes: &mut [u64]) {
    for (message, place) in messages.iter().zip(hashes) {
        *place = hash.hash_words(*message);
    }
}

/// Written with the vector instructions themselves: whether the compiler finds them in plain arithmetic depends on how
/// many words a message has, and of IPv6's five it did not.
#[cfg(target_arch = "x86_64")]
mod avx2 {
    use std::arch::x86_64::{
        __m256i as Lanes, _mm256_add_epi64 as add, _mm256_extract_epi64, _mm256_or_si256, _mm256_set_epi64x,
        _mm256_set1_epi64x, _mm256_slli_epi64, _mm256_srli_epi64, _mm256_xor_si256 as xor,
    };

    use super::{SipHash13, one_by_one};

    /// The 64-bit lanes of an AVX2 register. The eight of AVX-512 would gain another half nanosecond a message.
    const LANES: usize = 4;

    #[target_feature(enable = "avx2")]
    pub(super) fn hash_burst<const WORDS: usize>(hash: &SipHash13, messages: &[[u64; WORDS]], hashes: &mut [u64]) {
        let (blocks, rest) = messages.as_chunks::<LANES>();
        let (places, rest_places) = hashes.as_chunks_mut::<LANES>();
        for (block, places) in blocks.iter().zip(places) {
            *places = side_by_side(hash, block);
        }
        one_by_one(hash, rest, rest_places);
    }

    #[inline]
    #[target_feature(enable = "avx2")]
    fn side_by_side<const WORDS: usize>(hash: &SipHash13, [a, b, c, d]: &[[u64; WORDS]; LANES]) -> [u64; LANES] {
        let mut v = hash.start.map(|word| _mm256_set1_epi64x(word.cast_signed()));
        for (((&a, &b), &c), &d) in a.iter().zip(b).zip(c).zip(d) {
            let word = _mm256_set_epi64x(d.cast_signed(), c.cast_signed(), b.cast_signed(), a.cast_signed());
            v[3] = xor(v[3], word);
            v = round(v);
            v[0] = xor(v[0], word);
        }
        v[2] = xor(v[2], _mm256_set1_epi64x(0xff));
        for _ in 0..3 {
            v = round(v);
        }
        let hashes = xor(xor(v[0], v[1]), xor(v[2], v[3]));
        [
            _mm256_extract_epi64::<0>(hashes),
            _mm256_extract_epi64::<1>(hashes),
            _mm256_extract_epi64::<2>(hashes),
            _mm256_extract_epi64::<3>(hashes),
        ]
        .map(i64::cast_unsigned)
    }

    /// [`super::super::round`], of every lane.
    #[inline]
    #[target_feature(enable = "avx2")]
    fn round([mut v0, mut v1, mut v2, mut v3]: [Lanes; 4]) -> [Lanes; 4] {
        v0 = add(v0, v1);
        v2 = add(v2, v3);
        v1 = xor(rotate::<13, 51>(v1), v0);
        v3 = xor(rotate::<16, 48>(v3), v2);
        v0 = rotate::<32, 32>(v0);

        v2 = add(v2, v1);
        v0 = add(v0, v3);
        v1 = xor(rotate::<17, 47>(v1), v2);
        v3 = xor(rotate::<21, 43>(v3), v0);
        v2 = rotate::<32, 32>(v2);
        [v0, v1, v2, v3]
    }

    /// To the left by `LEFT`, which is to the right by `RIGHT`. The compiler makes one shuffle of whole bytes.
    #[inline]
    #[target_feature(enable = "avx2")]
    fn rotate<const LEFT: i32, const RIGHT: i32>(lanes: Lanes) -> Lanes {
        const { assert!(LEFT + RIGHT == 64) };
        _mm256_or_si256(_mm256_slli_epi64::<LEFT>(lanes), _mm256_srli_epi64::<RIGHT>(lanes))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check<const WORDS: usize>(hash: SipHash13, messages: &[[u64; WORDS]]) {
        let expected: Vec<u64> = messages.iter().map(|message| hash.hash_words(*message)).collect();
        let mut hashes = vec![0; messages.len()];
        hash.hash_burst(messages, &mut hashes);
        assert_eq!(hashes, expected);
    }

    proptest! {
        #[test]
        fn every_lane_is_the_hash_of_its_message(
            key: [u8; 16],
            v4 in prop::collection::vec(any::<[u64; 2]>(), 0..20),
            v6 in prop::collection::vec(any::<[u64; 5]>(), 0..20),
        ) {
            let hash = SipHash13::new(key);
            check(hash, &v4);
            check(hash, &v6);
        }
    }
}
