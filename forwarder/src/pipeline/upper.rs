// SPDX-License-Identifier: MIT OR Apache-2.0
//! What is above IP: extension headers are walked, ports read where there are any.

use super::packet::NotForwarded;
use crate::wire::ipv6::Extension;
use crate::wire::{icmp, protocol};

/// Extension headers that are looked through; one more makes a packet one without ports.
pub(super) const MAX_EXTENSIONS: usize = 8;

/// What is above IP.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Upper {
    /// The protocol, behind the extension headers that could be walked; of a fragment, what its own header says.
    pub protocol: u8,
    /// What the flow hash takes for source and destination port, in network byte order, if anything.
    pub ports: Option<[u8; 4]>,
    /// What picks the owner.
    pub selector: Selector,
}

/// What picks the owner of a packet among those who share its destination.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Selector {
    /// This destination port.
    Port(u16),
    /// Nothing does: a protocol without ports.
    Portless,
    /// What an ICMP message says.
    Icmp,
    /// What the first fragment said.
    Fragment,
    /// The bytes that should say it are missing.
    Cut,
}

impl Upper {
    /// Of an IPv4 packet with `payload` behind its header and options.
    #[inline]
    pub fn of_ipv4(protocol: u8, is_fragment: bool, payload: &[u8]) -> Self {
        if is_fragment {
            Self::without_ports(protocol, Selector::Fragment)
        } else if protocol::has_ports(protocol) {
            Self::with_ports(protocol, payload)
        } else if protocol == protocol::ICMP {
            match icmp::Header::split(payload) {
                Some((header, _)) => {
                    Self::icmp(protocol, header, matches!(header.kind(), icmp::v4::ECHO_REPLY | icmp::v4::ECHO_REQUEST))
                }
                None => Self::without_ports(protocol, Selector::Cut),
            }
        } else {
            Self::without_ports(protocol, Selector::Portless)
        }
    }

    /// Of an IPv6 packet with `payload` behind its first header. Neighbour discovery in one piece is the kernel's, whoever it is
    /// for; a fragment of it is one like any other, so that all of them meet the same.
    #[inline]
    pub fn of_ipv6(next_header: u8, payload: &[u8]) -> Result<Self, NotForwarded> {
        let (mut protocol, mut payload) = (next_header, payload);
        for _ in 0..MAX_EXTENSIONS {
            if !Extension::is_extension(protocol) {
                break;
            }
            let Some(extension) = Extension::split(protocol, payload) else {
                return Ok(Self::without_ports(protocol, Selector::Cut));
            };
            (protocol, payload) = (extension.next_header, extension.rest);
            if extension.is_fragment {
                return Ok(Self::without_ports(protocol, Selector::Fragment));
            }
        }
        if protocol::has_ports(protocol) {
            Ok(Self::with_ports(protocol, payload))
        } else if protocol == protocol::ICMPV6 {
            match icmp::Header::split(payload) {
                Some((header, _)) if icmp::v6::NEIGHBOUR_DISCOVERY.contains(&header.kind()) => {
                    Err(NotForwarded::Kernel)
                }
                Some((header, _)) => Ok(Self::icmp(
                    protocol,
                    header,
                    matches!(header.kind(), icmp::v6::ECHO_REPLY | icmp::v6::ECHO_REQUEST),
                )),
                None => Ok(Self::without_ports(protocol, Selector::Cut)),
            }
        } else {
            Ok(Self::without_ports(protocol, Selector::Portless))
        }
    }

    /// Whether a redirector at the owner can pass the packet on to the previous one: whole TCP or UDP.
    #[inline]
    pub fn can_be_redirected(&self) -> bool {
        matches!(self.protocol, protocol::TCP | protocol::UDP) && self.selector != Selector::Fragment
    }

    #[inline]
    fn with_ports(protocol: u8, payload: &[u8]) -> Self {
        match payload.first_chunk() {
            Some(&[s0, s1, d0, d1]) => {
                let selector = Selector::Port(u16::from_be_bytes([d0, d1]));
                Self { protocol, ports: Some([s0, s1, d0, d1]), selector }
            }
            None => Self::without_ports(protocol, Selector::Cut),
        }
    }

    /// An echo's identifier stands for both ports, so that requests and replies of one exchange are one flow.
    fn icmp(protocol: u8, header: icmp::Header<'_>, is_echo: bool) -> Self {
        let [high, low] = header.identifier();
        Self { protocol, ports: is_echo.then_some([high, low, high, low]), selector: Selector::Icmp }
    }

    #[inline]
    fn without_ports(protocol: u8, selector: Selector) -> Self {
        Self { protocol, ports: None, selector }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TCP_PAYLOAD: [u8; 4] = [0x01, 0xbb, 0x10, 0x92];

    /// `n` destination options of 8 bytes in front of `last`; the payload, and what comes first.
    fn extensions(n: usize, last: u8, payload: &[u8]) -> (u8, Vec<u8>) {
        let mut bytes = Vec::new();
        for i in 1..=n {
            bytes.extend([if i == n { last } else { protocol::DESTINATION_OPTIONS }, 0, 1, 4, 0, 0, 0, 0]);
        }
        bytes.extend(payload);
        (if n == 0 { last } else { protocol::DESTINATION_OPTIONS }, bytes)
    }

    #[test]
    fn eight_extension_headers_are_walked_a_ninth_is_not() {
        for n in 0..=8 {
            let (first, bytes) = extensions(n, protocol::TCP, &TCP_PAYLOAD);
            let upper = Upper::of_ipv6(first, &bytes).unwrap();
            assert_eq!((upper.protocol, upper.selector), (protocol::TCP, Selector::Port(4242)), "{n} headers");
        }
        let (first, bytes) = extensions(9, protocol::TCP, &TCP_PAYLOAD);
        let upper = Upper::of_ipv6(first, &bytes).unwrap();
        assert_eq!(
            (upper.protocol, upper.selector, upper.ports),
            (protocol::DESTINATION_OPTIONS, Selector::Portless, None)
        );
    }

    #[test]
    fn an_extension_header_cut_anywhere_is_cut() {
        let (first, bytes) = extensions(2, protocol::TCP, &TCP_PAYLOAD);
        for len in 0..bytes.len() {
            let upper = Upper::of_ipv6(first, &bytes[..len]).unwrap();
            assert_eq!((upper.selector, upper.ports), (Selector::Cut, None), "{len} bytes");
        }
    }

    #[test]
    fn a_fragment_shows_its_own_next_header_and_no_ports() {
        let mut bytes = vec![protocol::TCP, 0, 0, 1, 0, 0, 0, 7];
        bytes.extend(TCP_PAYLOAD);
        let upper = Upper::of_ipv6(protocol::FRAGMENT, &bytes).unwrap();
        assert_eq!(upper, Upper { protocol: protocol::TCP, ports: None, selector: Selector::Fragment });
        bytes[0] = protocol::ICMPV6;
        bytes[8..].copy_from_slice(&[135, 0, 0, 0]);
        bytes.extend([0; 4]);
        let upper = Upper { protocol: protocol::ICMPV6, ports: None, selector: Selector::Fragment };
        assert_eq!(Upper::of_ipv6(protocol::FRAGMENT, &bytes), Ok(upper), "neighbour discovery");
        bytes[3] = 9; // offset 8: these bytes are no header
        assert_eq!(Upper::of_ipv6(protocol::FRAGMENT, &bytes), Ok(upper));
        bytes[3] = 0; // offset 0, no more fragments: a whole packet
        assert_eq!(Upper::of_ipv6(protocol::FRAGMENT, &bytes), Err(NotForwarded::Kernel), "neighbour discovery");
        bytes[0] = protocol::TCP;
        bytes[8..12].copy_from_slice(&TCP_PAYLOAD);
        let upper = Upper::of_ipv6(protocol::FRAGMENT, &bytes).unwrap();
        assert_eq!(upper.selector, Selector::Port(4242));
    }

    #[test]
    fn every_port_protocol_has_ports_and_no_other() {
        for protocol in 0..=u8::MAX {
            let upper = Upper::of_ipv4(protocol, false, &[0x01, 0xbb, 0x10, 0x92, 0, 0, 0, 0]);
            let expected = match protocol {
                6 | 17 | 33 | 132 | 136 => Selector::Port(4242),
                1 => Selector::Icmp,
                _ => Selector::Portless,
            };
            assert_eq!(upper.selector, expected, "protocol {protocol}");
        }
    }

    #[test]
    fn neighbour_discovery_is_the_kernels() {
        for kind in 0..=u8::MAX {
            let upper = Upper::of_ipv6(protocol::ICMPV6, &[kind, 0, 0, 0, 0, 0, 0, 0]);
            assert_eq!(upper.is_err(), (133..=137).contains(&kind), "type {kind}");
        }
    }

    #[test]
    fn an_echo_hashes_its_identifier_twice() {
        for (protocol, kind) in [(protocol::ICMP, 0), (protocol::ICMP, 8)] {
            let upper = Upper::of_ipv4(protocol, false, &[kind, 0, 0, 0, 0x12, 0x34, 0, 1]);
            assert_eq!(upper.ports, Some([0x12, 0x34, 0x12, 0x34]));
        }
        for kind in [128, 129] {
            let upper = Upper::of_ipv6(protocol::ICMPV6, &[kind, 0, 0, 0, 0x12, 0x34, 0, 1]).unwrap();
            assert_eq!(upper.ports, Some([0x12, 0x34, 0x12, 0x34]));
        }
        assert_eq!(Upper::of_ipv4(protocol::ICMP, false, &[3, 0, 0, 0, 0x12, 0x34, 0, 1]).ports, None);
    }

    #[test]
    fn only_whole_tcp_and_udp_can_be_redirected() {
        for protocol in 0..=u8::MAX {
            let whole = Upper::of_ipv4(protocol, false, &[0; 8]);
            assert_eq!(whole.can_be_redirected(), matches!(protocol, 6 | 17), "protocol {protocol}");
            assert!(!Upper::of_ipv4(protocol, true, &[0; 8]).can_be_redirected(), "fragment of {protocol}");
        }
    }
}
