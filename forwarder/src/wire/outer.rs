// SPDX-License-Identifier: MIT OR Apache-2.0
//! The headers in front of an encapsulated packet, behind Ethernet: IP, UDP, GUE and its private data (contract
//! section 5). Made once a destination, then completed a packet; emission writes every byte and reads none.

use std::net::{Ipv4Addr, Ipv6Addr};

use super::{ethernet, gue, ipv4, ipv6, protocol, udp};

const TTL: u8 = 64;

/// Sender and receiver of the outer packet: of one family, by construction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Endpoints {
    /// IPv4 underlay: source, destination.
    V4(Ipv4Addr, Ipv4Addr),
    /// IPv6 underlay: source, destination.
    V6(Ipv6Addr, Ipv6Addr),
}

/// What stands between the GUE base header and the inner packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Private {
    /// Nothing.
    None,
    /// The previous owner's hop: only in front of some packets.
    PreviousOwner([u8; gue::PRIVATE_LEN]),
    /// The word between data centres: in front of every packet.
    Datacenter([u8; gue::PRIVATE_LEN]),
}

/// The outer headers toward one destination. One cache line, since every packet reads one of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(align(64))]
pub struct OuterHeaders {
    ip: Ip,
    private: Private,
    gue_port: u16,
    mtu: u16,
}

const _: () = assert!(size_of::<OuterHeaders>() == 64);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ip {
    V4(ipv4::Template),
    V6(ipv6::Template),
}

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
}

impl Inner {
    /// The UDP source port: the flow's entropy, within the dynamic ports.
    #[inline]
    fn source_port(self) -> u16 {
        0xc000 | (self.flow & 0x3fff) as u16
    }

    /// The IPv6 flow label: bits of the hash that the source port does not show.
    #[inline]
    fn flow_label(self) -> u32 {
        (self.flow >> 14) as u32 & 0x000f_ffff
    }
}

impl Private {
    /// Its bytes.
    #[inline]
    fn len(&self) -> usize {
        match self {
            Self::None => 0,
            Self::PreviousOwner(_) | Self::Datacenter(_) => gue::PRIVATE_LEN,
        }
    }
}

impl OuterHeaders {
    /// Headers toward one destination; `mtu` bounds the outer IP packet.
    pub fn new(endpoints: Endpoints, gue_port: u16, private: Private, mtu: u16) -> Self {
        let ip = match endpoints {
            Endpoints::V4(source, destination) => Ip::V4(ipv4::Template::new(source, destination, protocol::UDP, TTL)),
            Endpoints::V6(source, destination) => Ip::V6(ipv6::Template::new(source, destination, protocol::UDP, TTL)),
        };
        Self { ip, private, gue_port, mtu }
    }

    /// The private data that these headers can have.
    #[inline]
    pub fn private(&self) -> Private {
        self.private
    }

    /// Largest outer IP packet that may take this way.
    #[inline]
    pub fn mtu(&self) -> usize {
        usize::from(self.mtu)
    }

    /// Ethertype in front of these headers.
    #[inline]
    pub fn ethertype(&self) -> u16 {
        match self.ip {
            Ip::V4(_) => ethernet::IPV4,
            Ip::V6(_) => ethernet::IPV6,
        }
    }

    /// Bytes of the headers with `private`.
    #[inline]
    pub fn len(&self, private: Private) -> usize {
        let ip = match self.ip {
            Ip::V4(_) => ipv4::HEADER_LEN,
            Ip::V6(_) => ipv6::HEADER_LEN,
        };
        ip + udp::HEADER_LEN + gue::BASE_LEN + private.len()
    }

    /// Writes the headers for `inner` with `private` at the front of `out`; `None` if `out` is shorter than
    /// [`Self::len`], or a length exceeds its field.
    #[inline]
    pub fn write(&self, out: &mut [u8], private: Private, inner: Inner) -> Option<()> {
        let datagram = udp::HEADER_LEN + gue::BASE_LEN + private.len() + inner.len;
        let datagram = u16::try_from(datagram).ok()?;
        let rest = match &self.ip {
            Ip::V4(template) => {
                let (header, rest) = out.split_first_chunk_mut()?;
                let total_len = datagram.checked_add(ipv4::HEADER_LEN as u16)?;
                template.write(header, total_len, inner.traffic_class);
                rest
            }
            Ip::V6(template) => {
                let (header, rest) = out.split_first_chunk_mut()?;
                template.write(header, datagram, inner.traffic_class, inner.flow_label());
                rest
            }
        };
        let (header, rest) = rest.split_first_chunk_mut()?;
        *header = udp::header(inner.source_port(), self.gue_port, datagram);
        let (header, rest) = rest.split_first_chunk_mut()?;
        *header = gue::base(private.len(), inner.protocol);
        if let Private::PreviousOwner(bytes) | Private::Datacenter(bytes) = private {
            *rest.first_chunk_mut()? = bytes;
        }
        Some(())
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
        let headers = OuterHeaders::new(Endpoints::V4(HERE, SERVER), 6080, Private::None, 1600);
        let mut out = [0xee; 33];
        let inner = Inner { len: 40, protocol: 4, traffic_class: 0xb9, flow: FLOW };
        headers.write(&mut out, Private::None, inner).unwrap();
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
        let private = Private::Datacenter(gue::datacenter(1, 42));
        let headers = OuterHeaders::new(Endpoints::V6(address(1), address(2)), 6081, private, 1600);
        let mut out = [0xee; 61];
        let inner = Inner { len: 1000, protocol: 41, traffic_class: 0xb9, flow: FLOW };
        headers.write(&mut out, private, inner).unwrap();
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
        let headers = OuterHeaders::new(Endpoints::V4(HERE, SERVER), 6080, Private::None, u16::MAX);
        let inner = |len| Inner { len, protocol: 4, traffic_class: 0, flow: 0 };
        let mut out = [0; 32];
        assert_eq!(headers.write(&mut out[..31], Private::None, inner(20)), None);
        assert_eq!(headers.write(&mut out, Private::None, inner(65_535 - 32)), Some(()));
        assert_eq!(headers.write(&mut out, Private::None, inner(65_536 - 32)), None);
    }
}
