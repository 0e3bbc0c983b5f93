// SPDX-License-Identifier: MIT OR Apache-2.0
//! IPv6 header and extension headers (RFC 8200).
//!
//! ```text
//!  0                   1                   2                   3
//!  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
//! +-------+---------------+---------------------------------------+
//! |version| traffic class |              flow label               |
//! +-------+---------------+-------+---------------+---------------+
//! |        payload length         |  next header  |   hop limit   |
//! +-------------------------------+---------------+---------------+
//! |                       source (16 bytes)                       |
//! |                    destination (16 bytes)                     |
//! ```

use std::net::Ipv6Addr;

use super::protocol;

/// Bytes of the header without extension headers.
pub const HEADER_LEN: usize = 40;
/// Smallest extension header, and the size of the fragment header.
const EXTENSION_LEN: usize = 8;

/// An IPv6 header.
#[derive(Debug, Clone, Copy)]
pub struct Header<'a> {
    first: &'a [u8; 8],
    source: &'a [u8; 16],
    destination: &'a [u8; 16],
}

impl<'a> Header<'a> {
    /// Takes the header off the front of a packet; `None` if the packet is shorter.
    #[inline]
    pub fn split(packet: &'a [u8]) -> Option<(Self, &'a [u8])> {
        let (first, rest) = packet.split_first_chunk()?;
        let (source, rest) = rest.split_first_chunk()?;
        let (destination, rest) = rest.split_first_chunk()?;
        Some((Self { first, source, destination }, rest))
    }

    /// The version field: 6, if this is IPv6 at all.
    #[inline]
    pub fn version(self) -> u8 {
        self.first[0] >> 4
    }

    /// DSCP in the upper six bits, ECN in the lower two.
    #[inline]
    pub fn traffic_class(self) -> u8 {
        self.first[0] << 4 | self.first[1] >> 4
    }

    /// Bytes behind this header, as stated.
    #[inline]
    pub fn payload_len(self) -> usize {
        usize::from(u16::from_be_bytes([self.first[4], self.first[5]]))
    }

    /// What comes behind this header ([`super::protocol`]).
    #[inline]
    pub fn next_header(self) -> u8 {
        self.first[6]
    }

    /// Hop limit.
    #[inline]
    pub fn hop_limit(self) -> u8 {
        self.first[7]
    }

    /// Source address.
    #[inline]
    pub fn source(self) -> Ipv6Addr {
        Ipv6Addr::from(*self.source)
    }

    /// Destination address.
    #[inline]
    pub fn destination(self) -> Ipv6Addr {
        Ipv6Addr::from(*self.destination)
    }
}

/// One extension header at the front of some bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Extension<'a> {
    /// What comes behind it.
    pub next_header: u8,
    /// Whether it is a fragment header of a real fragment: not of an atomic one, which is a whole packet (RFC 6946).
    pub is_fragment: bool,
    /// Where the bytes behind a fragment header start in their datagram; 0 behind others.
    pub fragment_offset: usize,
    /// The bytes behind it.
    pub rest: &'a [u8],
}

impl<'a> Extension<'a> {
    /// Whether `protocol` is an extension header that [`Self::split`] can read.
    #[inline]
    pub const fn is_extension(protocol: u8) -> bool {
        matches!(
            protocol,
            protocol::HOP_BY_HOP | protocol::ROUTING | protocol::FRAGMENT | protocol::DESTINATION_OPTIONS
        )
    }

    /// Takes the extension header of kind `protocol` off the front of `bytes`; `None` if it is cut.
    pub fn split(protocol: u8, bytes: &'a [u8]) -> Option<Self> {
        // next header, length in units of 8 bytes behind the first 8; of a fragment header: reserved, then
        // 13 bits of offset, 2 reserved, the more-fragments flag, and 4 bytes of identification
        let &[next_header, len, high, low, ..] = bytes.first_chunk::<EXTENSION_LEN>()?;
        if protocol == protocol::FRAGMENT {
            let fragmentation = u16::from_be_bytes([high, low]);
            let (is_fragment, fragment_offset) = (fragmentation & 0xfff9 != 0, usize::from(fragmentation & 0xfff8));
            Some(Self { next_header, is_fragment, fragment_offset, rest: bytes.get(EXTENSION_LEN..)? })
        } else {
            let len = EXTENSION_LEN * (usize::from(len) + 1);
            Some(Self { next_header, is_fragment: false, fragment_offset: 0, rest: bytes.get(len..)? })
        }
    }
}

/// A header that waits for its length, traffic class and flow label ([`complete`]).
pub fn template(source: Ipv6Addr, destination: Ipv6Addr, next_header: u8, hop_limit: u8) -> [u8; HEADER_LEN] {
    let mut header = [0; HEADER_LEN];
    [header[6], header[7]] = [next_header, hop_limit];
    for (to, from) in header.iter_mut().skip(8).zip(source.octets().into_iter().chain(destination.octets())) {
        *to = from;
    }
    header
}

/// Makes a [`template`] the header of a packet with `payload_len` bytes behind it. Of `flow_label` the low 20 bits count.
#[inline(always)]
pub fn complete(header: &mut [u8; HEADER_LEN], payload_len: u16, traffic_class: u8, flow_label: u32) {
    let first = 6 << 28 | u32::from(traffic_class) << 20 | flow_label & 0x000f_ffff;
    [header[0], header[1], header[2], header[3]] = first.to_be_bytes();
    [header[4], header[5]] = payload_len.to_be_bytes();
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOURCE: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0xa, 0, 0, 0, 0, 1);
    const DESTINATION: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0xe, 0, 0, 0, 0, 2);
    #[rustfmt::skip]
    const EXAMPLE: [u8; 40] = [
        0x6b, 0x81, 0x23, 0x45, 0x01, 0x02, 0x11, 0x40,
        0x20, 0x01, 0x0d, 0xb8, 0x00, 0x0a, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1,
        0x20, 0x01, 0x0d, 0xb8, 0x00, 0x0e, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2,
    ];

    #[test]
    fn reads_every_field() {
        let (header, rest) = Header::split(&EXAMPLE).unwrap();
        assert!(rest.is_empty());
        assert_eq!((header.version(), header.traffic_class(), header.payload_len()), (6, 0xb8, 0x102));
        assert_eq!((header.next_header(), header.hop_limit()), (17, 64));
        assert_eq!((header.source(), header.destination()), (SOURCE, DESTINATION));
        assert!(Header::split(&EXAMPLE[..39]).is_none());
    }

    #[test]
    fn the_template_becomes_the_example() {
        let mut header = template(SOURCE, DESTINATION, 17, 64);
        complete(&mut header, 0x102, 0xb8, 0xfff1_2345);
        assert_eq!(header, EXAMPLE);
    }

    #[test]
    fn extension_headers_have_their_own_length() {
        let bytes = [6, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xaa];
        let whole = Extension::split(protocol::ROUTING, &bytes).unwrap();
        assert_eq!(whole, Extension { next_header: 6, is_fragment: false, fragment_offset: 0, rest: &[0xaa] });
        assert_eq!(Extension::split(protocol::ROUTING, &bytes[..15]), None, "cut in the second eight bytes");
        assert_eq!(Extension::split(protocol::ROUTING, &bytes[..7]), None, "cut in the first eight bytes");
    }

    #[test]
    fn a_fragment_header_has_eight_bytes_whatever_its_second_says() {
        for (high, low, is_fragment, fragment_offset) in
            [(0, 0, false, 0), (0, 6, false, 0), (0, 1, true, 0), (0, 8, true, 8), (0x80, 1, true, 32_768)]
        {
            let bytes = [17, 0xff, high, low, 1, 2, 3, 4, 0xaa];
            let extension = Extension::split(protocol::FRAGMENT, &bytes).unwrap();
            let expected = Extension { next_header: 17, is_fragment, fragment_offset, rest: &[0xaa] };
            assert_eq!(extension, expected, "{high:02x}{low:02x}");
        }
    }
}
