// SPDX-License-Identifier: MIT OR Apache-2.0
//! Return traffic for a table: TCP from anywhere on the Internet to a random address and a port that somebody owns.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use forwarder::wire::checksum;

use crate::document::Shape;
use crate::random::Random;

/// Bytes kept of a frame: Ethernet, IPv6 and TCP headers, and zeros. What follows is zeros as well.
pub const IMAGE: usize = 80;

const ETHERNET: usize = 14;
const TCP: u8 = 6;

/// A frame's headers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Image {
    /// They, and zeros.
    pub bytes: [u8; IMAGE],
    /// The whole frame's length.
    pub len: u16,
}

/// Lengths of frames, without FCS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Size {
    /// All alike, or as short as the headers allow.
    Fixed(u16),
    /// Of twelve frames seven of 60 bytes, four of 590 and one of 1,514, in random order.
    Imix,
}

impl Size {
    fn choose(self, random: &mut Random) -> u16 {
        match (self, random.below(12)) {
            (Self::Fixed(size), _) => size,
            (Self::Imix, 0..7) => 60,
            (Self::Imix, 7..11) => 590,
            (Self::Imix, _) => 1514,
        }
    }
}

impl FromStr for Size {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "imix" {
            return Ok(Self::Imix);
        }
        let bytes = text.parse().ok().filter(|bytes| (60..=1514).contains(bytes));
        bytes.map(Self::Fixed).ok_or_else(|| "give imix, or 60 to 1514 bytes".to_owned())
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fixed(size) => size.fmt(f),
            Self::Imix => f.write_str("imix"),
        }
    }
}

/// `count` frames to random addresses of a table like `shape`.
pub fn random(shape: &Shape, size: Size, count: usize) -> Box<[Image]> {
    let mut random = Random::new(1);
    let one = |_| {
        let address = shape.address(random.below(shape.addresses));
        frame(shape, address, size, &mut random)
    };
    (0..count).map(one).collect()
}

/// One frame to each address of a table like `shape`, in random order.
pub fn each(shape: &Shape, size: Size) -> Box<[Image]> {
    let mut random = Random::new(2);
    let mut all: Box<[_]> =
        (0..shape.addresses).map(|index| frame(shape, shape.address(index), size, &mut random)).collect();
    random.shuffle(&mut all);
    all
}

fn frame(shape: &Shape, destination: IpAddr, size: Size, random: &mut Random) -> Image {
    let (first, last) = shape.owned_ports().into_inner();
    let port = first + random.below(last - first + 1);
    let source_port = 1024 + random.below(64_512);
    let mut upper = Vec::new();
    upper.extend_from_slice(&(source_port as u16).to_be_bytes());
    upper.extend_from_slice(&(port as u16).to_be_bytes());
    upper.extend_from_slice(&[0, 0, 0, 1, 0, 0, 0, 2, 0x50, 0x10, 0xff, 0xff, 0, 0, 0, 0]);
    let headers = ETHERNET + upper.len() + if destination.is_ipv4() { 20 } else { 40 };
    let len = size.choose(random).max(headers as u16);
    let (source, network) = match destination {
        IpAddr::V4(destination) => ipv4(random, destination, len - ETHERNET as u16),
        IpAddr::V6(destination) => ipv6(random, destination, len - ETHERNET as u16 - 40),
    };
    let message = usize::from(len) - ETHERNET - network.len();
    let sum = checksum::pseudo_header(source, destination, TCP, message) + u64::from(checksum::sum(&upper));
    put(&mut upper, 16, !checksum::fold(sum));

    let ethertype: &[u8] = if destination.is_ipv4() { &[8, 0] } else { &[0x86, 0xdd] };
    let ethernet: &[u8] = &[2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 9];
    let all = ethernet.iter().chain(ethertype).chain(&network).chain(&upper);
    let mut bytes = [0; IMAGE];
    bytes.iter_mut().zip(all).for_each(|(to, from)| *to = *from);
    Image { bytes, len }
}

/// An IPv4 header, and its source: in 16.0.0.0 to 95.255.255.255, where nothing is martian.
fn ipv4(random: &mut Random, destination: Ipv4Addr, total: u16) -> (IpAddr, Vec<u8>) {
    let source = Ipv4Addr::from_bits(0x1000_0000 + random.below(0x5000_0000));
    let mut header = vec![0x45, 0];
    header.extend_from_slice(&total.to_be_bytes());
    header.extend_from_slice(&(random.next() as u16).to_be_bytes());
    header.extend_from_slice(&[0x40, 0, 57, TCP, 0, 0]);
    header.extend_from_slice(&source.octets());
    header.extend_from_slice(&destination.octets());
    let sum = !checksum::sum(&header);
    put(&mut header, 10, sum);
    (source.into(), header)
}

/// An IPv6 header, and its source, in 2a00::/16.
fn ipv6(random: &mut Random, destination: Ipv6Addr, payload: u16) -> (IpAddr, Vec<u8>) {
    let source = Ipv6Addr::from_bits(0x2a00 << 112 | u128::from(random.next()) << 48 | u128::from(random.next() >> 16));
    let mut header = vec![0x60, 0, 0, 0];
    header.extend_from_slice(&payload.to_be_bytes());
    header.extend_from_slice(&[TCP, 57]);
    header.extend_from_slice(&source.octets());
    header.extend_from_slice(&destination.octets());
    (source.into(), header)
}

/// Writes a word into a header.
fn put(header: &mut [u8], at: usize, word: u16) {
    header.iter_mut().skip(at).zip(word.to_be_bytes()).for_each(|(to, from)| *to = from);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::document::Family;

    #[test]
    fn frames_are_what_a_receiver_takes() {
        for (family, network, upper) in [(Family::V4, 14..34, 34), (Family::V6, 14..14, 54)] {
            for image in random(&Shape::new(family, 10), Size::Fixed(60), 100) {
                if !network.is_empty() {
                    assert_eq!(checksum::sum(&image.bytes[network.clone()]), 0xffff);
                }
                let (source, destination) = match family {
                    Family::V4 => (address4(&image.bytes[26..30]), address4(&image.bytes[30..34])),
                    Family::V6 => (address6(&image.bytes[22..38]), address6(&image.bytes[38..54])),
                };
                assert_eq!(image.len, if family == Family::V4 { 60 } else { 74 });
                let message = &image.bytes[upper..usize::from(image.len)];
                let sum = checksum::pseudo_header(source, destination, TCP, message.len());
                assert_eq!(checksum::fold(sum + u64::from(checksum::sum(message))), 0xffff);
            }
        }
    }

    #[test]
    fn each_address_gets_one() {
        let shape = Shape::new(Family::V4, 100);
        let mut found: Vec<_> = each(&shape, Size::Imix).iter().map(|image| address4(&image.bytes[30..34])).collect();
        found.sort_unstable();
        assert_eq!(found, (0..100).map(|index| shape.address(index)).collect::<Vec<_>>());
    }

    fn address4(bytes: &[u8]) -> IpAddr {
        <[u8; 4]>::try_from(bytes).unwrap().into()
    }

    fn address6(bytes: &[u8]) -> IpAddr {
        <[u8; 16]>::try_from(bytes).unwrap().into()
    }
}
