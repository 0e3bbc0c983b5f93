// SPDX-License-Identifier: MIT OR Apache-2.0
//! ICMP (RFC 792) and ICMPv6 (RFC 4443), which share one layout.
//!
//! ```text
//!  0                   1                   2                   3
//!  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
//! +---------------+---------------+-------------------------------+
//! |     type      |     code      |           checksum            |
//! +---------------+---------------+-------------------------------+
//! |       identifier (echo)       |        sequence (echo)        |
//! +-------------------------------+-------------------------------+
//! ```

use super::checksum;

/// Bytes of the header.
pub const HEADER_LEN: usize = 8;

/// Types of ICMP for IPv4.
pub mod v4 {
    /// Echo reply.
    pub const ECHO_REPLY: u8 = 0;
    /// Destination unreachable.
    pub const UNREACHABLE: u8 = 3;
    /// Of [`UNREACHABLE`]: the packet would have to be fragmented, and must not be (RFC 1191).
    pub const FRAGMENTATION_NEEDED: u8 = 4;
    /// Source quench (deprecated by RFC 6633).
    pub const SOURCE_QUENCH: u8 = 4;
    /// Redirect.
    pub const REDIRECT: u8 = 5;
    /// Echo request.
    pub const ECHO_REQUEST: u8 = 8;
    /// Time exceeded.
    pub const TIME_EXCEEDED: u8 = 11;
    /// Parameter problem.
    pub const PARAMETER_PROBLEM: u8 = 12;

    /// Whether messages of that type are about a packet that did not arrive as it should.
    pub const fn is_error(kind: u8) -> bool {
        matches!(kind, UNREACHABLE | SOURCE_QUENCH | REDIRECT | TIME_EXCEEDED | PARAMETER_PROBLEM)
    }
}

/// Types of ICMPv6.
pub mod v6 {
    use std::ops::RangeInclusive;

    /// Destination unreachable.
    pub const UNREACHABLE: u8 = 1;
    /// Packet too big.
    pub const TOO_BIG: u8 = 2;
    /// Time exceeded.
    pub const TIME_EXCEEDED: u8 = 3;
    /// Parameter problem.
    pub const PARAMETER_PROBLEM: u8 = 4;
    /// Echo request.
    pub const ECHO_REQUEST: u8 = 128;
    /// Echo reply.
    pub const ECHO_REPLY: u8 = 129;
    /// Router and neighbour solicitation and advertisement, redirect (RFC 4861).
    pub const NEIGHBOUR_DISCOVERY: RangeInclusive<u8> = 133..=137;

    /// Whether messages of that type are errors, now or one day.
    pub const fn is_error(kind: u8) -> bool {
        kind < 128
    }
}

/// The header of an ICMP or ICMPv6 message.
#[derive(Debug, Clone, Copy)]
pub struct Header<'a>(&'a [u8; HEADER_LEN]);

impl<'a> Header<'a> {
    /// Takes the header off the front of a message; `None` if the message is shorter.
    #[inline]
    pub fn split(message: &'a [u8]) -> Option<(Self, &'a [u8])> {
        let (header, rest) = message.split_first_chunk()?;
        Some((Self(header), rest))
    }

    /// The type: [`v4`] or [`v6`].
    #[inline]
    pub fn kind(self) -> u8 {
        self.0[0]
    }

    /// The identifier of an echo message, in network byte order.
    #[inline]
    pub fn identifier(self) -> [u8; 2] {
        [self.0[4], self.0[5]]
    }
}

/// Whether a message sums up with its `pseudo_header`: 0 for IPv4, which has none in ICMP.
pub fn is_checksum_right(message: &[u8], pseudo_header: u64) -> bool {
    checksum::fold(pseudo_header + u64::from(checksum::sum(message))) == 0xffff
}

/// Writes type, code and checksum into the first four bytes of a message; `None` if it is shorter.
pub fn seal(message: &mut [u8], kind: u8, code: u8, pseudo_header: u64) -> Option<()> {
    *message.first_chunk_mut()? = [kind, code, 0, 0];
    let [high, low] = (!checksum::fold(pseudo_header + u64::from(checksum::sum(message)))).to_be_bytes();
    *message.first_chunk_mut()? = [kind, code, high, low];
    Some(())
}

#[cfg(test)]
mod tests {
    use std::net::Ipv6Addr;

    use super::*;

    #[test]
    fn reads_an_echo_request() {
        let bytes = [8, 0, 0xf7, 0xfd, 0x12, 0x34, 0, 1, 0xaa];
        let (header, rest) = Header::split(&bytes).unwrap();
        assert_eq!((header.kind(), header.identifier(), rest), (v4::ECHO_REQUEST, [0x12, 0x34], &[0xaa][..]));
        assert!(Header::split(&bytes[..7]).is_none());
    }

    /// The checksums are scapy's.
    #[test]
    fn a_sealed_message_sums_up() {
        let mut v4 = [0xee, 0xee, 0xee, 0xee, 0x12, 0x34, 0, 1, b's', b'l', b'u', b'i', b'c', b'e', b'!'];
        seal(&mut v4, 0, 0, 0).unwrap();
        assert_eq!(v4[..4], [0, 0, 0x80, 0x8f]);
        assert!(is_checksum_right(&v4, 0) && !is_checksum_right(&v4[..14], 0));

        let (source, destination): (Ipv6Addr, Ipv6Addr) =
            ("2001:db8:e:1::7".parse().unwrap(), "2001:db8:f::9".parse().unwrap());
        let pseudo = checksum::pseudo_header(source.into(), destination.into(), 58, v4.len());
        seal(&mut v4, 129, 0, pseudo).unwrap();
        assert_eq!(v4[..4], [129, 0, 0xa3, 0xa5]);
        assert!(is_checksum_right(&v4, pseudo) && !is_checksum_right(&v4, 0));
        assert!(seal(&mut v4[..3], 0, 0, 0).is_none());
    }
}
