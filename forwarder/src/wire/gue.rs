// SPDX-License-Identifier: MIT OR Apache-2.0
//! Generic UDP Encapsulation, variant 0 (draft-ietf-intarea-gue-09), and the two kinds of private data that Sluice puts
//! behind its base header. No flag is ever set: a stock Linux receiver skips private data that no flag announces.
//!
//! ```text
//!  0                   1                   2                   3
//!  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
//! +---+-+---------+---------------+-------------------------------+
//! | 0 |C|  hlen   | inner protocol|             flags             |  base; hlen counts the words behind it
//! +---+-+---------+---------------+---------------+---------------+
//! |            type 0             |  next hop 0   |  hop count 1  |  previous owner: the words that GLB's redirector
//! |                  the previous owner's IPv4                    |  and the kernel's cls_redirect sample read
//! +-------------------------------+---------------+---------------+
//! |            0x5301             |     hops      |       0       |  to a data centre: hops between data centres so
//! |          low 32 bits of the sender's generation               |  far, this one included
//! +---------------------------------------------------------------+
//! ```

use std::net::Ipv4Addr;

/// Bytes of the base header.
pub const BASE_LEN: usize = 4;
/// Bytes of either kind of private data.
pub const PRIVATE_LEN: usize = 8;

/// Marks the private data of packets between data centres.
const DATACENTER: u16 = 0x5301;

/// A base header with neither control bit nor flags, and the private data behind it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header<'a> {
    /// What the inner packet is said to be.
    pub protocol: u8,
    /// Up to 124 bytes.
    pub private: &'a [u8],
}

impl<'a> Header<'a> {
    /// Takes the header off the front of a UDP payload; `None` if it is cut, or of a kind that nobody sends here: another
    /// variant, a control message, any flag.
    #[inline]
    pub fn split(payload: &'a [u8]) -> Option<(Self, &'a [u8])> {
        let (&[first @ 0..=0x1f, protocol, 0, 0], rest) = payload.split_first_chunk()? else { return None };
        let (private, rest) = rest.split_at_checked(4 * usize::from(first))?;
        Some((Self { protocol, private }, rest))
    }

    /// Hops between data centres that the packet has made; 0 if the private data does not count them.
    #[inline]
    pub fn hops(self) -> u8 {
        match *self.private {
            [k0, k1, hops, ..] if u16::from_be_bytes([k0, k1]) == DATACENTER => hops,
            _ => 0,
        }
    }
}

/// The base header in front of `private_len` bytes of private data (a multiple of 4, at most 124) and an inner packet of
/// `protocol` ([`super::protocol::IPV4`] or [`super::protocol::IPV6`]).
#[inline]
pub const fn base(private_len: usize, protocol: u8) -> [u8; BASE_LEN] {
    [(private_len / 4) as u8, protocol, 0, 0]
}

/// Private data that tells the receiver where connections it does not know should go.
pub const fn previous_owner(address: Ipv4Addr) -> [u8; PRIVATE_LEN] {
    let [a, b, c, d] = address.octets();
    [0, 0, 0, 1, a, b, c, d]
}

/// The same private data of a packet that has come `hops` hops between data centres before.
#[inline]
pub const fn hops_later(datacenter: [u8; PRIVATE_LEN], hops: u8) -> [u8; PRIVATE_LEN] {
    let [k0, k1, made, rest @ ..] = datacenter;
    let [zero, a, b, c, d] = rest;
    [k0, k1, made.wrapping_add(hops), zero, a, b, c, d]
}

/// Private data of a packet on its `hops`-th way between data centres.
pub const fn datacenter(hops: u8, generation: u64) -> [u8; PRIVATE_LEN] {
    let [k0, k1] = DATACENTER.to_be_bytes();
    let [a, b, c, d] = (generation as u32).to_be_bytes();
    [k0, k1, hops, 0, a, b, c, d]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bytes_of_the_wire_format() {
        assert_eq!(base(0, 4), [0x00, 4, 0, 0]);
        assert_eq!(base(PRIVATE_LEN, 41), [0x02, 41, 0, 0]);
        assert_eq!(previous_owner(Ipv4Addr::new(10, 0, 1, 1)), [0, 0, 0, 1, 10, 0, 1, 1]);
        let word = datacenter(1, 0x1234_5678_9abc_def0);
        assert_eq!(word, [0x53, 0x01, 1, 0, 0x9a, 0xbc, 0xde, 0xf0]);
        assert_eq!(hops_later(word, 0), word);
        assert_eq!(hops_later(word, 1), [0x53, 0x01, 2, 0, 0x9a, 0xbc, 0xde, 0xf0]);
    }

    #[test]
    fn a_header_is_taken_off() {
        let (header, rest) = Header::split(&[0x02, 41, 0, 0, 0x53, 0x01, 7, 0, 1, 2, 3, 4, 0x60]).unwrap();
        assert_eq!((header.protocol, header.hops(), rest), (41, 7, &[0x60][..]));
        let (header, rest) = Header::split(&[0x00, 4, 0, 0, 0x53, 0x01, 7, 0]).unwrap();
        assert_eq!((header.private, header.hops(), rest.len()), (&[][..], 0, 4));
        let longest = [&[0x1f, 4, 0, 0][..], &[0xee; 124], &[0x45]].concat();
        assert_eq!(Header::split(&longest).unwrap().1, [0x45]);
        assert_eq!(Header::split(&longest[..127]), None);
    }

    #[test]
    fn only_the_data_centre_word_counts_hops() {
        for private in [&[0x00, 0x00, 0x00, 0x01][..], &[0x53, 0x02, 2, 0], &[0x01, 0x53, 2, 0]] {
            let bytes = [&[0x01, 4, 0, 0][..], private].concat();
            assert_eq!(Header::split(&bytes).unwrap().0.hops(), 0, "{private:02x?}");
        }
    }

    #[test]
    fn what_nobody_sends_is_refused() {
        for (what, bytes) in [
            ("cut", &[0, 4, 0][..]),
            ("variant 1", &[0x45, 0, 0, 20]),
            ("variants 2 and 3", &[0x80, 4, 0, 0]),
            ("control", &[0x20, 4, 0, 0]),
            ("a flag", &[0, 4, 0x80, 0]),
            ("the private flag", &[0, 4, 0, 1]),
            ("private data cut", &[1, 4, 0, 0, 1, 2, 3]),
        ] {
            assert_eq!(Header::split(bytes), None, "{what}");
        }
    }
}
