// SPDX-License-Identifier: MIT OR Apache-2.0
//! IPv6 fragment header (RFC 8200, section 4.5).
//!
//! ```text
//!  0                   1                   2                   3
//!  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
//! +---------------+---------------+-------------------------+---+-+
//! |  next header  |   reserved    |  fragment offset (× 8)  |res|M|
//! +---------------+---------------+-------------------------+---+-+
//! |                        identification                         |
//! +---------------------------------------------------------------+
//! ```

/// Bytes of the header.
pub const HEADER_LEN: usize = 8;

const OFFSET: u16 = 0xfff8;
const MORE_FRAGMENTS: u16 = 1;

/// An IPv6 fragment header.
#[derive(Debug, Clone, Copy)]
pub struct Header<'a>(&'a [u8; HEADER_LEN]);

impl<'a> Header<'a> {
    /// Takes the header off the front of a payload; `None` if the payload is shorter.
    #[inline]
    pub fn split(payload: &'a [u8]) -> Option<(Self, &'a [u8])> {
        let (header, rest) = payload.split_first_chunk()?;
        Some((Self(header), rest))
    }

    /// What the datagram is behind this header ([`super::protocol`]).
    #[inline]
    pub fn next_header(self) -> u8 {
        self.0[0]
    }

    /// Where in what was cut up this piece starts, in bytes.
    #[inline]
    pub fn offset(self) -> u16 {
        self.fragmentation() & OFFSET
    }

    /// Whether more follows behind this piece.
    #[inline]
    pub fn more_fragments(self) -> bool {
        self.fragmentation() & MORE_FRAGMENTS != 0
    }

    /// What the pieces of one datagram share.
    #[inline]
    pub fn identification(self) -> u32 {
        u32::from_be_bytes([self.0[4], self.0[5], self.0[6], self.0[7]])
    }

    #[inline]
    fn fragmentation(self) -> u16 {
        u16::from_be_bytes([self.0[2], self.0[3]])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_every_field() {
        // offset 0x123 × 8, both reserved bits set, more fragments
        let bytes = [17, 0xff, 0x09, 0x1f, 0xde, 0xad, 0xbe, 0xef, 0xaa];
        let (header, rest) = Header::split(&bytes).unwrap();
        assert_eq!((header.next_header(), header.offset(), header.more_fragments()), (17, 0x123 * 8, true));
        assert_eq!((header.identification(), rest), (0xdead_beef, &[0xaa][..]));
        assert!(!Header::split(&[17, 0, 0xff, 0xfe, 0, 0, 0, 0]).unwrap().0.more_fragments());
        assert!(Header::split(&bytes[..7]).is_none());
    }
}
