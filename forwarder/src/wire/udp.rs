// SPDX-License-Identifier: MIT OR Apache-2.0
//! UDP header (RFC 768).
//!
//! ```text
//!  0                   1                   2                   3
//!  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
//! +-------------------------------+-------------------------------+
//! |          source port          |       destination port        |
//! +-------------------------------+-------------------------------+
//! |    length, header included    |           checksum            |
//! +-------------------------------+-------------------------------+
//! ```

/// Bytes of the header.
pub const HEADER_LEN: usize = 8;

/// A UDP header, and the datagram that it begins.
#[derive(Debug, Clone, Copy)]
pub struct Header<'a>(&'a [u8; HEADER_LEN]);

impl<'a> Header<'a> {
    /// Takes the header off the front of a datagram; `None` if the datagram is shorter.
    #[inline]
    pub fn split(datagram: &'a [u8]) -> Option<(Self, &'a [u8])> {
        let (header, rest) = datagram.split_first_chunk()?;
        Some((Self(header), rest))
    }

    /// Bytes of header and payload, as stated.
    #[inline]
    pub fn stated_len(self) -> usize {
        usize::from(u16::from_be_bytes([self.0[4], self.0[5]]))
    }

    /// Whether the sender left the checksum out.
    #[inline]
    pub fn is_without_checksum(self) -> bool {
        self.0[6..] == [0, 0]
    }
}

/// The destination port of a datagram of which at least the ports are there.
#[inline]
pub fn destination_port(datagram: &[u8]) -> Option<u16> {
    let &[_, _, high, low] = datagram.first_chunk()?;
    Some(u16::from_be_bytes([high, low]))
}

/// The source port, likewise.
#[inline]
pub fn source_port(datagram: &[u8]) -> Option<u16> {
    Some(u16::from_be_bytes(*datagram.first_chunk()?))
}

/// The header of a datagram of `len` bytes, header included. The checksum is zero, "none": tunnels may do so over IPv6
/// too (RFC 6935, RFC 6936).
#[inline]
pub fn header(source: u16, destination: u16, len: u16) -> [u8; HEADER_LEN] {
    let [s0, s1] = source.to_be_bytes();
    let [d0, d1] = destination.to_be_bytes();
    let [l0, l1] = len.to_be_bytes();
    [s0, s1, d0, d1, l0, l1, 0, 0]
}

#[cfg(test)]
mod tests {
    #[test]
    fn every_field_has_its_place() {
        assert_eq!(super::header(0x1234, 6080, 0x0102), [0x12, 0x34, 0x17, 0xc0, 1, 2, 0, 0]);
    }
}
