// SPDX-License-Identifier: MIT OR Apache-2.0
//! The Internet checksum (RFC 1071): the ones' complement of the ones' complement sum of 16-bit words.

use std::net::IpAddr;

/// The ones' complement sum of `bytes`, taken as big-endian words and padded with zeros at the end. A header that carries
/// its own right checksum sums to `0xffff`.
#[inline]
pub fn sum(bytes: &[u8]) -> u16 {
    let (words, rest) = bytes.as_chunks::<4>();
    let mut tail = [0; 4];
    for (to, from) in tail.iter_mut().zip(rest) {
        *to = *from;
    }
    u16::from_be(fold(total(words.iter().chain([&tail]))))
}

/// Whether bytes that carry their own right checksum are these `words`: whether they sum to `0xffff`, which is less work to
/// find out than what they sum to.
#[inline(always)]
pub fn is_right(words: &[[u8; 4]]) -> bool {
    let total = total(words.iter());
    // As folding keeps what a number is modulo 65535, and makes zero of zero alone.
    total != 0 && total.is_multiple_of(0xffff)
}

/// The sum of `words` before it is folded. 2^16 is 1 modulo 65535: four bytes at a time give the same sum after folding, and
/// in the machine's byte order the same sum with its bytes swapped (RFC 1071, section 2).
#[inline(always)]
fn total<'a>(words: impl Iterator<Item = &'a [u8; 4]>) -> u64 {
    words.map(|&word| u64::from(u32::from_ne_bytes(word))).sum()
}

/// The sum of the pseudo-header in front of an upper-layer message of `len` bytes (RFC 9293, RFC 8200 section 8.1): of either
/// IP version the same sum, since only zeros differ. Not folded.
#[inline]
pub fn pseudo_header(source: IpAddr, destination: IpAddr, protocol: u8, len: usize) -> u64 {
    let address = |address| match address {
        IpAddr::V4(address) => sum(&address.octets()),
        IpAddr::V6(address) => sum(&address.octets()),
    };
    u64::from(address(source)) + u64::from(address(destination)) + u64::from(protocol) + len as u64
}

/// The ones' complement sum of two words.
#[inline(always)]
pub const fn add(a: u16, b: u16) -> u16 {
    let (sum, carry) = a.overflowing_add(b);
    sum + carry as u16 // if there is a carry, the sum is less than 0xffff
}

/// Brings a sum of words back to 16 bits, carries added around.
#[inline]
pub const fn fold(sum: u64) -> u16 {
    let sum = (sum >> 32) + (sum & 0xffff_ffff); // at most 33 bits
    let sum = (sum >> 16) + (sum & 0xffff); // at most 18
    let sum = (sum >> 16) + (sum & 0xffff); // at most 0x10002
    ((sum >> 16) + (sum & 0xffff)) as u16
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_example_of_rfc_1071_sums_to_ddf2() {
        assert_eq!(sum(&[0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7]), 0xddf2);
    }

    #[test]
    fn an_odd_byte_is_the_high_half_of_its_word() {
        assert_eq!(sum(&[0x12]), 0x1200);
        assert_eq!(sum(&[0x12, 0x34, 0x56]), 0x1234 + 0x5600);
    }

    /// The same datagram over IPv4 and over IPv6; the checksums are scapy's.
    #[test]
    fn a_pseudo_header_completes_a_datagram() {
        for (source, destination, checksum) in
            [("192.0.2.1", "198.51.100.1", [0x3e, 0x78]), ("2001:db8::1", "2001:db8:e::1", [0xcf, 0x2c])]
        {
            let datagram = [&[0, 53, 16, 146, 0, 11][..], &checksum, b"abc"].concat();
            let pseudo = pseudo_header(source.parse().unwrap(), destination.parse().unwrap(), 17, datagram.len());
            assert_eq!(fold(pseudo + u64::from(sum(&datagram))), 0xffff, "{source}");
        }
    }

    #[test]
    fn carries_go_around() {
        assert_eq!(sum(&[0xff; 64]), 0xffff);
        assert_eq!(fold(u64::MAX), 0xffff);
        assert_eq!(fold(0x1_0000), 1);
        assert_eq!((add(0xffff, 0xffff), add(0xffff, 1), add(0, 0), add(0x8000, 0x8001)), (0xffff, 1, 0, 2));
        assert!(is_right(&[[0xff; 4]; 16]));
        assert!(!is_right(&[[0; 4]; 5]) && !is_right(&[]), "zero is not what right headers sum to");
    }

    proptest! {
        /// Against the definition, one word and one carry at a time.
        #[test]
        fn equals_the_definition(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let mut expected = 0u16;
            for pair in bytes.chunks(2) {
                let word = u16::from_be_bytes([pair[0], *pair.get(1).unwrap_or(&0)]);
                expected = add(expected, word);
            }
            prop_assert_eq!(sum(&bytes), expected);
        }

        /// Of any words, and of the same with a last one that makes them right.
        #[test]
        fn right_is_what_sums_to_ffff(words in prop::collection::vec(any::<[u8; 4]>(), 0..20)) {
            let bytes = words.as_flattened();
            prop_assert_eq!(is_right(&words), sum(bytes) == 0xffff);
            let [high, low] = (!sum(bytes)).to_be_bytes();
            let righted: Vec<[u8; 4]> = words.iter().copied().chain([[0, 0, high, low]]).collect();
            prop_assert!(is_right(&righted));
        }
    }
}
