// SPDX-License-Identifier: MIT OR Apache-2.0
//! The values of single keys: text in, a checked value or the reason why not out.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

use crate::settings::Dscp;
use crate::wire::MacAddr;

/// Longest path of a Unix socket: `sun_path` is 108 bytes with its terminator (unix(7)).
const SOCKET_PATH_MAX: usize = 107;

/// Longest name of a network interface: `IFNAMSIZ` is 16 with its terminator.
const INTERFACE_NAME_MAX: usize = 15;

/// 32 hex digits, as 16 bytes.
pub(super) fn flow_key(text: &str) -> Result<[u8; 16], String> {
    let digits = text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    match u128::from_str_radix(text, 16) {
        Ok(key) if digits => Ok(key.to_be_bytes()),
        _ => Err("a flow key is exactly 32 hexadecimal digits".to_owned()),
    }
}

/// The textual values of `dscp`.
pub(super) fn dscp(text: &str) -> Result<Dscp, String> {
    if text == "copy" { Ok(Dscp::Copy) } else { Err(format!("{text:?} is neither \"copy\" nor a number from 0 to 63")) }
}

/// Whether a device is asked to do by itself what it can.
pub(super) fn offload(text: &str) -> Result<bool, String> {
    match text {
        "auto" => Ok(true),
        "off" => Ok(false),
        _ => Err(format!("{text:?} is neither \"auto\" nor \"off\"")),
    }
}

/// A unicast IPv4 address.
pub(super) fn ipv4(text: &str) -> Result<Ipv4Addr, String> {
    let address: Ipv4Addr = text.parse().map_err(|_| format!("{text:?} is not an IPv4 address"))?;
    if address.is_unspecified() || address.is_multicast() || address.is_broadcast() {
        return Err(format!("{address} is not a unicast address"));
    }
    Ok(address)
}

/// A unicast IPv6 address that works beyond its link.
pub(super) fn ipv6(text: &str) -> Result<Ipv6Addr, String> {
    let address: Ipv6Addr = text.parse().map_err(|_| format!("{text:?} is not an IPv6 address"))?;
    if address.is_unspecified() || address.is_multicast() {
        return Err(format!("{address} is not a unicast address"));
    }
    if address.is_unicast_link_local() || address.to_ipv4_mapped().is_some() {
        return Err(format!("{address} can't be routed; give a global or unique local address"));
    }
    Ok(address)
}

/// A MAC address that one device can have.
pub(super) fn mac(text: &str) -> Result<MacAddr, String> {
    let address: MacAddr = text.parse().map_err(|error| format!("{error}"))?;
    if address.is_group() {
        return Err(format!("{address} is a group address; expected that of one device"));
    }
    Ok(address)
}

/// A PCI address, `0000:3b:00.0` or `3b:00.0`, with its driver's arguments after a comma.
pub(super) fn pci(text: &str) -> Result<String, String> {
    let (address, _) = text.split_once(',').unwrap_or((text, ""));
    let hex = |part: &str, len: usize| part.len() == len && part.bytes().all(|byte| byte.is_ascii_hexdigit());
    let function = |part: &str| {
        part.split_once('.')
            .is_some_and(|(device, function)| hex(device, 2) && matches!(function.as_bytes(), [b'0'..=b'7']))
    };
    let valid = match address.split(':').collect::<Vec<_>>().as_slice() {
        [domain, bus, rest] => hex(domain, 4) && hex(bus, 2) && function(rest),
        [bus, rest] => hex(bus, 2) && function(rest),
        _ => false,
    };
    if valid { Ok(text.to_owned()) } else { Err(format!("{text:?} is not a PCI address such as 0000:3b:00.0")) }
}

/// A virtual device: what comes before the first comma is the driver and a number.
pub(super) fn vdev(text: &str) -> Result<String, String> {
    let (name, _) = text.split_once(',').unwrap_or((text, ""));
    let valid = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    if name.is_empty() || !name.bytes().all(valid) {
        return Err(format!("{text:?} is not a virtual device such as net_pcap0,rx_pcap=in.pcap,tx_pcap=out.pcap"));
    }
    Ok(text.to_owned())
}

/// The name of a network interface.
pub fn interface(text: &str) -> Result<String, String> {
    let fits = (1..=INTERFACE_NAME_MAX).contains(&text.len()) && !matches!(text, "." | "..");
    if !fits || text.bytes().any(|byte| byte == b'/' || byte == b':' || !byte.is_ascii_graphic()) {
        return Err(format!(
            "{text:?} is not an interface name: 1 to {INTERFACE_NAME_MAX} characters, no / : or space"
        ));
    }
    Ok(text.to_owned())
}

/// A device's name: it becomes part of log lines and labels.
pub(super) fn name(text: &str) -> Result<String, String> {
    if text.is_empty() || text.chars().any(|c| c.is_whitespace() || c.is_control()) {
        return Err(format!("{text:?} is no device name: at least one character, no spaces"));
    }
    Ok(text.to_owned())
}

/// Where to listen.
pub fn listen(text: &str) -> Result<SocketAddr, String> {
    text.parse().map_err(|_| format!("{text:?} is not ADDRESS:PORT such as 127.0.0.1:9465 or [::1]:9465"))
}

/// Checks the length of a resolved socket path.
pub fn socket_length(path: &std::path::Path) -> Result<(), String> {
    let length = path.as_os_str().len();
    if length > SOCKET_PATH_MAX {
        return Err(format!("{} has {length} bytes; a socket's path has at most {SOCKET_PATH_MAX}", path.display()));
    }
    Ok(())
}
