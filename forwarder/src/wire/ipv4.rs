// SPDX-License-Identifier: MIT OR Apache-2.0
//! IPv4 header (RFC 791).
//!
//! ```text
//!  0                   1                   2                   3
//!  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
//! +-------+-------+---------------+-------------------------------+
//! |version|  IHL  |   DSCP, ECN   |         total length          |
//! +-------+-------+---------------+-----+-------------------------+
//! |        identification         |0 D M|  fragment offset (× 8)  |
//! +---------------+---------------+-----+-------------------------+
//! |      TTL      |   protocol    |        header checksum        |
//! +---------------+---------------+-------------------------------+
//! |                            source                             |
//! +---------------------------------------------------------------+
//! |                          destination                          |
//! +---------------------------------------------------------------+
//! |                 options: (IHL − 5) × 4 bytes                  |
//! ```

use std::net::Ipv4Addr;

use super::checksum;

/// Bytes of a header without options.
pub const HEADER_LEN: usize = 20;
/// Bytes of a header with as many options as there can be.
pub const MAX_HEADER_LEN: usize = 60;

const RESERVED: u16 = 0x8000;
const DONT_FRAGMENT: u16 = 0x4000;
const MORE_FRAGMENTS: u16 = 0x2000;
const OFFSET: u16 = 0x1fff;

/// The fixed part of an IPv4 header.
#[derive(Debug, Clone, Copy)]
pub struct Header<'a>(&'a [u8; HEADER_LEN]);

impl<'a> Header<'a> {
    /// Takes the fixed part off the front of a packet; `None` if the packet is shorter. Options, if any, come next.
    #[inline]
    pub fn split(packet: &'a [u8]) -> Option<(Self, &'a [u8])> {
        let (header, rest) = packet.split_first_chunk()?;
        Some((Self(header), rest))
    }

    /// The version field: 4, if this is IPv4 at all.
    #[inline]
    pub fn version(self) -> u8 {
        self.0[0] >> 4
    }

    /// Whether this is the header of an IPv4 packet, and all of it.
    #[inline]
    pub fn is_without_options(self) -> bool {
        self.0[0] == 0x45
    }

    /// Bytes of the header with its options, by its IHL: 0–60.
    #[inline]
    pub fn header_len(self) -> usize {
        usize::from(self.0[0] & 0x0f) * 4
    }

    /// DSCP in the upper six bits, ECN in the lower two.
    #[inline]
    pub fn traffic_class(self) -> u8 {
        self.0[1]
    }

    /// Bytes of header and payload, as stated.
    #[inline]
    pub fn total_len(self) -> usize {
        usize::from(u16::from_be_bytes([self.0[2], self.0[3]]))
    }

    /// Whether routers must not fragment the packet.
    #[inline]
    pub fn dont_fragment(self) -> bool {
        self.fragmentation() & DONT_FRAGMENT != 0
    }

    /// Whether this is a piece of a datagram, the first piece included.
    #[inline]
    pub fn is_fragment(self) -> bool {
        self.fragmentation() & (MORE_FRAGMENTS | OFFSET) != 0
    }

    /// What the pieces of one datagram share.
    #[inline]
    pub fn identification(self) -> u16 {
        u16::from_be_bytes([self.0[4], self.0[5]])
    }

    /// Whether the datagram goes on behind this piece.
    #[inline]
    pub fn more_fragments(self) -> bool {
        self.fragmentation() & MORE_FRAGMENTS != 0
    }

    /// Where the payload starts in its datagram, in bytes; 0 of one that is no fragment.
    #[inline]
    pub fn fragment_offset(self) -> usize {
        usize::from(self.fragmentation() & OFFSET) * 8
    }

    /// Time to live.
    #[inline]
    pub fn ttl(self) -> u8 {
        self.0[8]
    }

    /// What the payload is ([`super::protocol`]).
    #[inline]
    pub fn protocol(self) -> u8 {
        self.0[9]
    }

    /// Source address.
    #[inline]
    pub fn source(self) -> Ipv4Addr {
        Ipv4Addr::new(self.0[12], self.0[13], self.0[14], self.0[15])
    }

    /// Destination address.
    #[inline]
    pub fn destination(self) -> Ipv4Addr {
        Ipv4Addr::new(self.0[16], self.0[17], self.0[18], self.0[19])
    }

    /// Options and payload of this header's `packet`; `None` if header length or packet length make no sense.
    #[inline]
    pub fn split_options(self, packet: &'a [u8]) -> Option<(&'a [u8], &'a [u8])> {
        let options = self.header_len().checked_sub(HEADER_LEN)?;
        packet.get(HEADER_LEN..)?.split_at_checked(options)
    }

    /// Whether the header with these `options` sums up.
    #[inline]
    pub fn is_checksum_right(self, options: &[u8]) -> bool {
        if options.is_empty() {
            // almost always: a length that the compiler knows
            return checksum::is_right(self.0.as_chunks().0);
        }
        checksum::fold(u64::from(checksum::sum(self.0)) + u64::from(checksum::sum(options))) == 0xffff
    }

    /// Flags and offset of a piece of this packet's payload that starts at its `offset`, a multiple of 8 with which no
    /// datagram would be too long. The piece with the packet's end has its more-fragments flag.
    pub fn fragmentation_of_piece(self, offset: usize, is_last: bool) -> u16 {
        let more = if is_last { self.fragmentation() & MORE_FRAGMENTS } else { MORE_FRAGMENTS };
        let units = ((self.fragment_offset() + offset) / 8) as u16;
        self.fragmentation() & RESERVED | more | units & OFFSET
    }

    #[inline]
    fn fragmentation(self) -> u16 {
        u16::from_be_bytes([self.0[6], self.0[7]])
    }
}

/// Makes `header`, options included, that of a packet of `total_len` bytes with this `fragmentation`: sets both, the header
/// length and the checksum. `None` if it is no header: shorter than one, longer, or no whole words.
pub fn refit(header: &mut [u8], total_len: u16, fragmentation: u16) -> Option<()> {
    let words = u8::try_from(header.len() / 4).ok().filter(|&words| words < 16 && header.len().is_multiple_of(4))?;
    let fixed: &mut [u8; HEADER_LEN] = header.first_chunk_mut()?;
    fixed[0] = 4 << 4 | words;
    [fixed[2], fixed[3]] = total_len.to_be_bytes();
    [fixed[6], fixed[7]] = fragmentation.to_be_bytes();
    [fixed[10], fixed[11]] = [0, 0];
    let sum = checksum::sum(header);
    let fixed: &mut [u8; HEADER_LEN] = header.first_chunk_mut()?;
    [fixed[10], fixed[11]] = (!sum).to_be_bytes();
    Some(())
}

/// A header without options that waits for its length and traffic class ([`complete`]): ID 0, DF set. In the place of the
/// checksum stands the ones' complement sum of the rest.
pub fn template(source: Ipv4Addr, destination: Ipv4Addr, protocol: u8, ttl: u8) -> [u8; HEADER_LEN] {
    let [s0, s1, s2, s3] = source.octets();
    let [d0, d1, d2, d3] = destination.octets();
    let [flags, offset] = DONT_FRAGMENT.to_be_bytes();
    let mut header = [0x45, 0, 0, 0, 0, 0, flags, offset, ttl, protocol, 0, 0, s0, s1, s2, s3, d0, d1, d2, d3];
    [header[10], header[11]] = checksum::sum(&header).to_be_bytes();
    header
}

/// Makes a [`template`] the header of a packet of `total_len` bytes, checksum included.
#[inline(always)]
pub fn complete(header: &mut [u8; HEADER_LEN], total_len: u16, traffic_class: u8) {
    let (sum, total_len) = ([header[10], header[11]], total_len.to_be_bytes());
    [header[2], header[3]] = total_len;
    header[1] = traffic_class;
    // The same in the machine's byte order as in the network's.
    let [sum, total_len, traffic_class] = [sum, total_len, [0, traffic_class]].map(u16::from_ne_bytes);
    let sum = checksum::add(checksum::add(sum, total_len), traffic_class);
    [header[10], header[11]] = (!sum).to_ne_bytes();
}

/// The same without a checksum, whose field is zero: the device fills it in.
#[inline(always)]
pub fn complete_but_checksum(header: &mut [u8; HEADER_LEN], total_len: u16, traffic_class: u8) {
    [header[2], header[3]] = total_len.to_be_bytes();
    header[1] = traffic_class;
    [header[10], header[11]] = [0, 0];
}

/// Makes the checksum of a header without options right.
pub fn fill_in_checksum(header: &mut [u8; HEADER_LEN]) {
    [header[10], header[11]] = [0, 0];
    [header[10], header[11]] = (!checksum::sum(header)).to_be_bytes();
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The header that Wikipedia's article on the IPv4 header checksum works through.
    const EXAMPLE: [u8; 20] = [
        0x45, 0x00, 0x00, 0x73, 0x00, 0x00, 0x40, 0x00, 0x40, 0x11, 0xb8, 0x61, 0xc0, 0xa8, 0x00, 0x01, 0xc0, 0xa8,
        0x00, 0xc7,
    ];

    #[test]
    fn reads_every_field() {
        let (header, rest) = Header::split(&EXAMPLE).unwrap();
        assert!(rest.is_empty());
        assert_eq!((header.version(), header.header_len(), header.traffic_class()), (4, 20, 0));
        assert_eq!((header.total_len(), header.ttl(), header.protocol()), (115, 64, 17));
        assert_eq!(header.source(), Ipv4Addr::new(192, 168, 0, 1));
        assert_eq!(header.destination(), Ipv4Addr::new(192, 168, 0, 199));
        assert!(header.dont_fragment() && !header.is_fragment());
        assert!(Header::split(&EXAMPLE[..19]).is_none());
    }

    #[test]
    fn a_fragment_is_known_by_flag_or_offset() {
        for (bytes, dont, fragment, offset) in [
            ([0x20, 0], false, true, 0),
            ([0, 1], false, true, 8),
            ([0x1f, 0xff], false, true, 65_528),
            ([0xc0, 0], true, false, 0),
        ] {
            let mut packet = EXAMPLE;
            [packet[6], packet[7]] = bytes;
            let (header, _) = Header::split(&packet).unwrap();
            assert_eq!((header.dont_fragment(), header.is_fragment()), (dont, fragment), "{bytes:02x?}");
            assert_eq!(header.fragment_offset(), offset, "{bytes:02x?}");
        }
    }

    #[test]
    fn a_refitted_header_sums_up() {
        let mut header = EXAMPLE;
        header[0] = 0x4f;
        refit(&mut header, 0x1234, 0x2005).unwrap();
        assert_eq!(header[..10], [0x45, 0, 0x12, 0x34, 0, 0, 0x20, 0x05, 0x40, 0x11]);
        assert_eq!(checksum::sum(&header), 0xffff);
        refit(&mut header, 115, 0x4000).unwrap();
        assert_eq!(header, EXAMPLE);

        let mut long = [0xaa; 64];
        refit(&mut long[..60], 60, 0).unwrap();
        assert_eq!((long[0], checksum::sum(&long[..60])), (0x4f, 0xffff));
        for len in [0, 19, 21, 64] {
            assert!(refit(&mut long[..len], 60, 0).is_none(), "{len} bytes");
        }
    }

    #[test]
    fn the_template_becomes_the_example() {
        let mut header = template(Ipv4Addr::new(192, 168, 0, 1), Ipv4Addr::new(192, 168, 0, 199), 17, 64);
        complete(&mut header, 115, 0);
        assert_eq!(header, EXAMPLE);
    }

    #[test]
    fn a_checksum_can_be_filled_in_later() {
        let mut header = template(Ipv4Addr::new(192, 168, 0, 1), Ipv4Addr::new(192, 168, 0, 199), 17, 64);
        complete_but_checksum(&mut header, 115, 0);
        assert_eq!((&header[..10], &header[10..12], &header[12..]), (&EXAMPLE[..10], &[0, 0][..], &EXAMPLE[12..]));
        fill_in_checksum(&mut header);
        assert_eq!(header, EXAMPLE);
    }

    #[test]
    fn the_checksum_is_right_for_every_length_and_class() {
        let template = template(Ipv4Addr::new(255, 255, 255, 254), Ipv4Addr::new(10, 0, 0, 1), 17, 64);
        for total_len in (0..=u16::MAX).step_by(7) {
            for class in [0, 1, 0xb8, 0xff] {
                let mut header = template;
                complete(&mut header, total_len, class);
                assert_eq!(checksum::sum(&header), 0xffff, "length {total_len}, class {class}");
            }
        }
    }
}
