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

/// The 64-bit lanes of an AVX2 register. The eight of AVX-512 would gain another half nanosecond a message.
const LANES: usize = 4;

/// One number a lane.
type Lanes = [u64; LANES];

impl SipHash13 {
    /// [`Self::hash_words`] of every message; the shorter of both slices counts.
    #[inline]
    pub fn hash_burst<const WORDS: usize>(&self, messages: &[[u64; WORDS]], hashes: &mut [u64]) {
        #[cfg(target_arch = "x86_64")]
        if is_x86_feature_detected!("avx2") {
            // SAFETY: the processor has what the function was compiled for.
            return unsafe { with_avx2(self, messages, hashes) };
        }
        one_by_one(self, messages, hashes);
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn with_avx2<const WORDS: usize>(hash: &SipHash13, messages: &[[u64; WORDS]], hashes: &mut [u64]) {
    let (blocks, rest) = messages.as_chunks::<LANES>();
    let (places, rest_places) = hashes.as_chunks_mut::<LANES>();
    for (block, places) in blocks.iter().zip(places) {
        *places = side_by_side(hash, block);
    }
    one_by_one(hash, rest, rest_places);
}

fn one_by_one<const WORDS: usize>(hash: &SipHash13, messages: &[[u64; WORDS]], hashes: &mut [u64]) {
    for (message, place) in messages.iter().zip(hashes) {
        *place = hash.hash_words(*message);
    }
}

#[inline(always)]
fn side_by_side<const WORDS: usize>(hash: &SipHash13, [a, b, c, d]: &[[u64; WORDS]; LANES]) -> Lanes {
    let mut v = hash.start.map(|word| [word; LANES]);
    for (((&a, &b), &c), &d) in a.iter().zip(b).zip(c).zip(d) {
        let word = [a, b, c, d];
        v[3] = xor(v[3], word);
        round(&mut v);
        v[0] = xor(v[0], word);
    }
    v[2] = xor(v[2], [0xff; LANES]);
    for _ in 0..3 {
        round(&mut v);
    }
    xor(xor(v[0], v[1]), xor(v[2], v[3]))
}

/// [`super::round`], of every lane.
#[inline(always)]
fn round(v: &mut [Lanes; 4]) {
    let [mut v0, mut v1, mut v2, mut v3] = *v;
    v0 = add(v0, v1);
    v2 = add(v2, v3);
    v1 = xor(rotate::<13>(v1), v0);
    v3 = xor(rotate::<16>(v3), v2);
    v0 = rotate::<32>(v0);

    v2 = add(v2, v1);
    v0 = add(v0, v3);
    v1 = xor(rotate::<17>(v1), v2);
    v3 = xor(rotate::<21>(v3), v0);
    v2 = rotate::<32>(v2);
    *v = [v0, v1, v2, v3];
}

#[inline(always)]
fn add(a: Lanes, b: Lanes) -> Lanes {
    lanewise(a, b, u64::wrapping_add)
}

#[inline(always)]
fn xor(a: Lanes, b: Lanes) -> Lanes {
    lanewise(a, b, |a, b| a ^ b)
}

#[inline(always)]
fn rotate<const BITS: u32>(a: Lanes) -> Lanes {
    a.map(|a| a.rotate_left(BITS))
}

/// Written out, for the compiler to see one vector operation.
#[inline(always)]
fn lanewise(a: Lanes, b: Lanes, f: impl Fn(u64, u64) -> u64) -> Lanes {
    let ([a0, a1, a2, a3], [b0, b1, b2, b3]) = (a, b);
    [f(a0, b0), f(a1, b1), f(a2, b2), f(a3, b3)]
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
        for block in messages.as_chunks::<LANES>().0 {
            assert_eq!(side_by_side(&hash, block), block.map(|message| hash.hash_words(message)), "on any processor");
        }
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
