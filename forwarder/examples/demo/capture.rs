// SPDX-License-Identifier: MIT OR Apache-2.0
//! Takes apart what `sluiced` transmitted. An own, small parser: the forwarder's code has no say in whether the
//! forwarder is right.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::network::{UNDERLAY4, UNDERLAY6};
use crate::packet::{FORWARDER_MAC, ROUTER_MAC, checksum};

/// The UDP port of GUE.
const GUE_PORT: u16 = 6080;

/// A GUE packet, taken apart.
#[derive(Debug)]
pub(crate) struct Emitted<'a> {
    /// Where it goes.
    pub(crate) destination: IpAddr,
    /// UDP source port.
    pub(crate) source_port: u16,
    /// The private data of the GUE header.
    pub(crate) private: Private,
    /// The packet inside.
    pub(crate) inner: &'a [u8],
}

/// What the GUE header says beside the protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Private {
    /// Nothing.
    None,
    /// Whose ports these were.
    PreviousOwner(Ipv4Addr),
    /// Hops between data centres so far, and the low 32 bits of the sender's generation.
    Datacenter(u8, u32),
}

/// Reads a frame; an error says what is not as the wire format demands.
pub(crate) fn parse(frame: &[u8]) -> Result<Emitted<'_>, String> {
    let mut rest = Bytes(frame);
    if rest.take::<6>()? != ROUTER_MAC || rest.take::<6>()? != FORWARDER_MAC {
        return Err("wrong MAC addresses".into());
    }
    let destination = match u16::from_be_bytes(rest.take()?) {
        0x0800 => outer_ipv4(&mut rest)?,
        0x86dd => outer_ipv6(&mut rest)?,
        other => return Err(format!("ethertype {other:#06x}")),
    };
    let source_port = u16::from_be_bytes(rest.take()?);
    let udp_length = rest.0.len() + 2;
    if u16::from_be_bytes(rest.take()?) != GUE_PORT || usize::from(u16::from_be_bytes(rest.take()?)) != udp_length {
        return Err("wrong UDP port or length".into());
    }
    if rest.take()? != [0, 0] {
        return Err("a UDP checksum that is not zero".into());
    }
    let [variant_and_length, protocol, 0, 0] = rest.take()? else { return Err("GUE flags are set".into()) };
    let private = match variant_and_length {
        0 => Private::None,
        2 => private_data(rest.take()?)?,
        other => return Err(format!("first GUE byte is {other:#04x}")),
    };
    match (protocol, rest.0.first().map(|byte| byte >> 4)) {
        (4, Some(4)) | (41, Some(6)) => Ok(Emitted { destination, source_port, private, inner: rest.0 }),
        _ => Err(format!("GUE protocol {protocol} around something else")),
    }
}

fn outer_ipv4(rest: &mut Bytes<'_>) -> Result<IpAddr, String> {
    let packet = rest.0;
    let header: [u8; 20] = rest.take()?;
    let [0x45, _, high, low, 0, 0, 0x40, 0, 64, 17, _, _, addresses @ ..] = header else {
        return Err("the outer IPv4 header has options, an ID, no DF, another TTL or another protocol".into());
    };
    if usize::from(u16::from_be_bytes([high, low])) != packet.len() {
        return Err("the outer IPv4 length is not that of the frame".into());
    }
    if checksum(&[&header]) != 0 {
        return Err("the outer IPv4 checksum is wrong".into());
    }
    let [a, b, c, d, destination @ ..] = addresses;
    if Ipv4Addr::from([a, b, c, d]) != UNDERLAY4 {
        return Err("another outer source".into());
    }
    Ok(Ipv4Addr::from(destination).into())
}

fn outer_ipv6(rest: &mut Bytes<'_>) -> Result<IpAddr, String> {
    let [0x60..=0x6f, _, _, _, high, low, 17, 64] = rest.take()? else {
        return Err("the outer IPv6 header has another protocol or hop limit".into());
    };
    let [source, destination]: [[u8; 16]; 2] = [rest.take()?, rest.take()?];
    if usize::from(u16::from_be_bytes([high, low])) != rest.0.len() {
        return Err("the outer IPv6 length is not that of the frame".into());
    }
    if Ipv6Addr::from(source) != UNDERLAY6 {
        return Err("another outer source".into());
    }
    Ok(Ipv6Addr::from(destination).into())
}

fn private_data(data: [u8; 8]) -> Result<Private, String> {
    match data {
        [0, 0, 0, 1, previous @ ..] => Ok(Private::PreviousOwner(previous.into())),
        [0x53, 0x01, hops, 0, generation @ ..] => Ok(Private::Datacenter(hops, u32::from_be_bytes(generation))),
        _ => Err(format!("unknown GUE private data {data:02x?}")),
    }
}

/// What is left to read.
struct Bytes<'a>(&'a [u8]);

impl Bytes<'_> {
    fn take<const N: usize>(&mut self) -> Result<[u8; N], String> {
        let (first, rest) = self.0.split_first_chunk().ok_or("the frame is too short")?;
        self.0 = rest;
        Ok(*first)
    }
}
