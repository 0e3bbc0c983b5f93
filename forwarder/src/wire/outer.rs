// SPDX-License-Identifier: MIT OR Apache-2.0
//! The headers in front of an encapsulated packet, behind Ethernet: IP, UDP, GUE and its private data (contract
//! section 5). Made once a destination, then completed a packet; emission writes every byte and reads none.

use std::net::{Ipv4Addr, Ipv6Addr};

use super::{ethernet, gue, ipv4, ipv6, protocol, udp};

const TTL: u8 = 64;

/// The least UDP source port of what is sent: all are dynamic ports (RFC 6335).
pub const LEAST_SOURCE_PORT: u16 = 0xc000;

/// Sender and receiver of the outer packet: of one family, by construction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Endpoints {
    /// IPv4 underlay: source, destination.
    V4(Ipv4Addr, Ipv4Addr),
    /// IPv6 underlay: source, destination.
    V6(Ipv6Addr, Ipv6Addr),
}

/// What headers toward a destination can have between the GUE base header and the inner packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PrivateData {
    /// Nothing.
    None,
    /// The previous owner's hop: only in front of some packets.
    PreviousOwner([u8; gue::PRIVATE_LEN]),
    /// The word between data centres: in front of every packet.
    Datacenter([u8; gue::PRIVATE_LEN]),
}

/// What one packet's headers have there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Private {
    /// Nothing.
    None,
    /// The previous owner's hop.
    PreviousOwner,
    /// The word between data centres.
    Datacenter,
}

/// Bytes of the longest headers: over IPv6, with private data.
const MAX_LEN: usize = ipv6::HEADER_LEN + udp::HEADER_LEN + gue::BASE_LEN + gue::PRIVATE_LEN;
/// Bytes of the headers over IPv4, without private data.
const LEN_V4: usize = ipv4::HEADER_LEN + udp::HEADER_LEN + gue::BASE_LEN;
/// The same over IPv6.
const LEN_V6: usize = ipv6::HEADER_LEN + udp::HEADER_LEN + gue::BASE_LEN;

/// The outer headers toward one destination. One cache line, since every packet reads one of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(C, align(64))]
pub struct OuterHeaders {
    /// As they are sent, private data included, but for what a packet fills in: that is zero. The field of the IPv4 checksum
    /// holds the sum of the others.
    bytes: [u8; MAX_LEN],
    /// How many of them count; it tells the version, too.
    whole_len: u8,
    private: Private,
    mtu: u16,
}

const _: () = assert!(size_of::<OuterHeaders>() == 64);
const _: () = assert!(LEN_V4 + gue::PRIVATE_LEN < LEN_V6);

/// What the outer headers take over from the packet inside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Inner {
    /// Its bytes.
    pub len: usize,
    /// [`protocol::IPV4`] or [`protocol::IPV6`].
    pub protocol: u8,
    /// DSCP and ECN to show outside.
    pub traffic_class: u8,
    /// Its flow's hash.
    pub flow: u64,
    /// Hops between data centres that it has made.
    pub hops: u8,
}

/// Who writes the checksum of an IPv4 header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Checksum {
    /// It is written with the other fields.
    Written,
    /// It is left to the device that sends the frame.
    Left,
}

impl Inner {
    /// The UDP source port: the flow's entropy, within the dynamic ports.
    #[inline]
    fn source_port(self) -> u16 {
        LEAST_SOURCE_PORT | (self.flow & 0x3fff) as u16
    }

    /// The IPv6 flow label: bits of the hash that the source port does not show.
    #[inline]
    fn flow_label(self) -> u32 {
        (self.flow >> 14) as u32 & 0x000f_ffff
    }
}

impl Private {
    /// Its bytes.
    #[inline(always)]
    fn len(self) -> usize {
        if self == Self::None { 0 } else { gue::PRIVATE_LEN }
    }
}

impl OuterHeaders {
    /// Headers toward one destination; `mtu` bounds the outer IP packet.
    pub fn new(endpoints: Endpoints, gue_port: u16, private: PrivateData, mtu: u16) -> Self {
        let ip: &[u8] = match endpoints {
            Endpoints::V4(source, destination) => &ipv4::template(source, destination, protocol::UDP, TTL),
            Endpoints::V6(source, destination) => &ipv6::template(source, destination, protocol::UDP, TTL),
        };
        let (private, data): (_, &[u8]) = match &private {
            PrivateData::None => (Private::None, &[]),
            PrivateData::PreviousOwner(bytes) => (Private::PreviousOwner, bytes),
            PrivateData::Datacenter(bytes) => (Private::Datacenter, bytes),
        };
        let (udp, gue) = (udp::header(0, gue_port, 0), gue::base(data.len(), 0));
        let whole_len = (ip.len() + udp.len() + gue.len() + data.len()) as u8;
        let mut bytes = [0; MAX_LEN];
        let all = ip.iter().chain(&udp).chain(&gue).chain(data);
        bytes.iter_mut().zip(all).for_each(|(to, from)| *to = *from);
        Self { bytes, whole_len, private, mtu }
    }

    /// The private data that these headers can have.
    #[inline(always)]
    pub fn private(&self) -> Private {
        self.private
    }

    /// Largest outer IP packet that may take this way.
    #[inline(always)]
    pub fn mtu(&self) -> usize {
        usize::from(self.mtu)
    }

    /// The same headers, for a way that takes no more than `mtu`.
    pub fn narrowed(&self, mtu: u16) -> Self {
        Self { mtu: self.mtu.min(mtu), ..*self }
    }

    /// Ethertype in front of these headers.
    #[inline(always)]
    pub fn ethertype(&self) -> u16 {
        if self.is_v6() { ethernet::IPV6 } else { ethernet::IPV4 }
    }

    /// Bytes of the headers with `private`.
    #[inline]
    pub fn len(&self, private: Private) -> usize {
        (if self.is_v6() { LEN_V6 } else { LEN_V4 }) + private.len()
    }

    /// Bytes of the headers with [`Self::private`].
    #[inline(always)]
    pub fn whole_len(&self) -> usize {
        self.whole_len.into()
    }

    /// Whether an inner packet of `len` bytes fits behind them with [`Self::private`].
    #[inline(always)]
    pub fn fit(&self, len: u16) -> bool {
        u32::from(len) + u32::from(self.whole_len) <= u32::from(self.mtu)
    }

    /// Writes the headers for `inner` with [`Self::private`] at the front of `out`; `None` if `out` is shorter. For packets
    /// that [`Self::fit`].
    #[inline(always)]
    pub fn write_whole(&self, out: &mut [u8], inner: Inner, checksum: Checksum) -> Option<()> {
        if self.is_v6() { self.write_whole_v6(out, inner) } else { self.write_whole_v4(out, inner, checksum) }
    }

    /// [`Self::write_whole`] over IPv4.
    #[inline(always)]
    pub fn write_whole_v4(&self, out: &mut [u8], inner: Inner, checksum: Checksum) -> Option<()> {
        let rest = self.write_v4(out, self.total_len(inner), inner, checksum)?;
        if self.private != Private::None {
            *rest.first_chunk_mut()? = self.private_data::<LEN_V4>(inner);
        }
        Some(())
    }

    /// [`Self::write_whole`] over IPv6.
    #[inline(always)]
    pub fn write_whole_v6(&self, out: &mut [u8], inner: Inner) -> Option<()> {
        let payload_len = self.total_len(inner).wrapping_sub(ipv6::HEADER_LEN as u16);
        let rest = self.write_v6(out, payload_len, inner)?;
        if self.private != Private::None {
            *rest.first_chunk_mut()? = self.private_data::<LEN_V6>(inner);
        }
        Some(())
    }

    /// Bytes of the outer packet of what fits, so that no length exceeds its field.
    #[inline(always)]
    fn total_len(&self, inner: Inner) -> u16 {
        (inner.len as u16).wrapping_add(self.whole_len.into())
    }

    /// Writes the headers for `inner` with `private`, which is nothing or [`Self::private`], at the front of `out`; `None` if
    /// `out` is shorter than [`Self::len`], or a length exceeds its field.
    pub fn write(&self, out: &mut [u8], private: Private, inner: Inner, checksum: Checksum) -> Option<()> {
        let total_len = u16::try_from(self.len(private) + inner.len).ok()?;
        if private == self.private {
            return self.write_whole(out, inner, checksum);
        }
        let gue = if self.is_v6() {
            self.write_v6(out, total_len - ipv6::HEADER_LEN as u16, inner)?;
            out.get_mut(LEN_V6 - gue::BASE_LEN..)?
        } else {
            self.write_v4(out, total_len, inner, checksum)?;
            out.get_mut(LEN_V4 - gue::BASE_LEN..)?
        };
        *gue.first_chunk_mut()? = gue::base(0, inner.protocol);
        Some(())
    }

    /// Whether the underlay is IPv6.
    #[inline(always)]
    pub fn is_v6(&self) -> bool {
        self.whole_len >= LEN_V6 as u8
    }

    /// Writes all but the private data; what is behind that in `out`.
    #[inline(always)]
    fn write_v4<'a>(
        &self,
        out: &'a mut [u8],
        total_len: u16,
        inner: Inner,
        checksum: Checksum,
    ) -> Option<&'a mut [u8]> {
        let (place, rest) = out.split_first_chunk_mut::<LEN_V4>()?;
        *place = *self.bytes.first_chunk()?;
        match checksum {
            Checksum::Written => ipv4::complete(place.first_chunk_mut()?, total_len, inner.traffic_class),
            Checksum::Left => ipv4::complete_but_checksum(place.first_chunk_mut()?, total_len, inner.traffic_class),
        }
        inner.complete(place.last_chunk_mut()?, total_len.wrapping_sub(ipv4::HEADER_LEN as u16));
        Some(rest)
    }

    /// The same over IPv6.
    #[inline(always)]
    fn write_v6<'a>(&self, out: &'a mut [u8], payload_len: u16, inner: Inner) -> Option<&'a mut [u8]> {
        let (place, rest) = out.split_first_chunk_mut::<LEN_V6>()?;
        *place = *self.bytes.first_chunk()?;
        ipv6::complete(place.first_chunk_mut()?, payload_len, inner.traffic_class, inner.flow_label());
        inner.complete(place.last_chunk_mut()?, payload_len);
        Some(rest)
    }

    #[inline(always)]
    fn private_data<const LEN: usize>(&self, inner: Inner) -> [u8; gue::PRIVATE_LEN] {
        let data = self.bytes.get(LEN..).and_then(|data| data.first_chunk()).copied().unwrap_or_default();
        if self.private == Private::Datacenter { gue::hops_later(data, inner.hops) } else { data }
    }
}

/// UDP and GUE base header, which come together.
const TUNNEL_LEN: usize = udp::HEADER_LEN + gue::BASE_LEN;

impl Inner {
    /// Fills in what the packet decides of UDP and GUE.
    #[inline(always)]
    fn complete(self, tunnel: &mut [u8; TUNNEL_LEN], datagram: u16) {
        [tunnel[0], tunnel[1]] = self.source_port().to_be_bytes();
        [tunnel[4], tunnel[5]] = datagram.to_be_bytes();
        tunnel[9] = self.protocol;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);
    const SERVER: Ipv4Addr = Ipv4Addr::new(10, 0, 1, 1);
    /// Low 14 bits 0x1234, the next 20 bits 0xabcde, all others set.
    const FLOW: u64 = 0xffff_fffc_0000_0000 | 0xabcde << 14 | 0x1234;

    #[test]
    fn every_byte_toward_an_ipv4_server() {
        let headers = OuterHeaders::new(Endpoints::V4(HERE, SERVER), 6080, PrivateData::None, 1600);
        let mut out = [0xee; 33];
        let inner = Inner { len: 40, protocol: 4, traffic_class: 0xb9, flow: FLOW, hops: 0 };
        headers.write(&mut out, Private::None, inner, Checksum::Written).unwrap();
        #[rustfmt::skip]
        assert_eq!(out, [
            0x45, 0xb9, 0, 72, 0, 0, 0x40, 0, 64, 17, 0x24, 0xeb, 10, 0, 0, 1, 10, 0, 1, 1,
            0xd2, 0x34, 0x17, 0xc0, 0, 52, 0, 0,
            0x00, 4, 0, 0,
            0xee,
        ]);
        assert_eq!((headers.len(Private::None), headers.ethertype()), (32, 0x0800));
    }

    #[test]
    fn every_byte_toward_an_ipv6_data_centre() {
        let address = |last| Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, last);
        let private = Private::Datacenter;
        let word = PrivateData::Datacenter(gue::datacenter(1, 42));
        let headers = OuterHeaders::new(Endpoints::V6(address(1), address(2)), 6081, word, 1600);
        let mut out = [0xee; 61];
        let inner = Inner { len: 1000, protocol: 41, traffic_class: 0xb9, flow: FLOW, hops: 0 };
        headers.write(&mut out, private, inner, Checksum::Written).unwrap();
        #[rustfmt::skip]
        assert_eq!(out, [
            0x6b, 0x9a, 0xbc, 0xde, 0x03, 0xfc, 17, 64,
            0x20, 1, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1,
            0x20, 1, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2,
            0xd2, 0x34, 0x17, 0xc1, 0x03, 0xfc, 0, 0,
            0x02, 41, 0, 0,
            0x53, 0x01, 1, 0, 0, 0, 0, 42,
            0xee,
        ]);
        assert_eq!((headers.len(private), headers.ethertype()), (60, 0x86dd));
    }

    #[test]
    fn too_little_room_and_too_great_lengths_are_refused() {
        let headers = OuterHeaders::new(Endpoints::V4(HERE, SERVER), 6080, PrivateData::None, u16::MAX);
        let inner = |len| Inner { len, protocol: 4, traffic_class: 0, flow: 0, hops: 0 };
        let mut out = [0; 32];
        assert_eq!(headers.write(&mut out[..31], Private::None, inner(20), Checksum::Written), None);
        assert_eq!(headers.write(&mut out, Private::None, inner(65_535 - 32), Checksum::Written), Some(()));
        assert_eq!(headers.write(&mut out, Private::None, inner(65_536 - 32), Checksum::Written), None);
    }

    #[test]
    fn a_checksum_that_is_left_is_zero_and_nothing_else_differs() {
        for private in [PrivateData::None, PrivateData::PreviousOwner([7; gue::PRIVATE_LEN])] {
            let headers = OuterHeaders::new(Endpoints::V4(HERE, SERVER), 6080, private, 1600);
            let inner = Inner { len: 40, protocol: 4, traffic_class: 0xb9, flow: FLOW, hops: 0 };
            for with in [Private::None, headers.private()] {
                let [mut written, mut left] = [[0xee; 41]; 2];
                headers.write(&mut written, with, inner, Checksum::Written).unwrap();
                headers.write(&mut left, with, inner, Checksum::Left).unwrap();
                assert_eq!(left[10..12], [0, 0]);
                ipv4::fill_in_checksum(left.first_chunk_mut().unwrap());
                assert_eq!(left, written);
            }
        }
    }
}
