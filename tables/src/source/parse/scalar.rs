// SPDX-License-Identifier: MIT OR Apache-2.0
//! The simple values of a table: numbers, names, addresses.

use std::fmt::Display;
use std::net::IpAddr;
use std::ops::RangeInclusive;

use super::want::{At, Want, quote};
use crate::source::{DatacenterId, ServerId};

/// A whole number within bounds. `2048.0` and `1e3` are none: programs differ in how they read those.
pub(super) struct Integer(pub(super) RangeInclusive<u64>);

impl Want<'_> for Integer {
    type Value = u64;

    fn wanted(&self) -> String {
        match (self.0.start(), self.0.end()) {
            (start, end) if start == end => format!("the number {start}"),
            (start, end) => format!("a whole number from {start} to {end}"),
        }
    }

    fn integer(self, mut at: At<'_>, value: u64) -> Option<u64> {
        if !self.0.contains(&value) {
            at.fault(format!("must be {}, not {value}", self.wanted()));
            return None;
        }
        Some(value)
    }
}

/// The largest IP packet that a path takes: no less than 68 bytes, what every IPv4 link takes (RFC 791).
pub(super) struct Mtu;

impl Want<'_> for Mtu {
    type Value = u16;

    fn wanted(&self) -> String {
        "an MTU, a whole number from 68 to 65535".into()
    }

    fn integer(self, mut at: At<'_>, value: u64) -> Option<u16> {
        let mtu = u16::try_from(value).ok().filter(|&mtu| mtu >= 68);
        if mtu.is_none() {
            at.fault(format!("must be {}, not {value}", self.wanted()));
        }
        mtu
    }
}

/// `true`, and nothing else.
pub(super) struct True;

impl Want<'_> for True {
    type Value = ();

    fn wanted(&self) -> String {
        "true (leave the key out otherwise)".into()
    }

    fn boolean(self, mut at: At<'_>, value: bool) -> Option<()> {
        if !value {
            at.fault(format!("must be {}, not false", self.wanted()));
        }
        value.then_some(())
    }
}

/// A text that a function can read.
pub(super) struct Text<F> {
    pub(super) wanted: &'static str,
    pub(super) read: F,
}

impl<T, E: Display, F: FnOnce(&str) -> Result<T, E>> Want<'_> for Text<F> {
    type Value = T;

    fn wanted(&self) -> String {
        self.wanted.into()
    }

    fn text(self, mut at: At<'_>, value: &str) -> Option<T> {
        at.take((self.read)(value))
    }
}

/// The name of a server, defined before or after.
pub(super) struct ServerName;

impl Want<'_> for ServerName {
    type Value = ServerId;

    fn wanted(&self) -> String {
        "a server name".into()
    }

    fn text(self, mut at: At<'_>, value: &str) -> Option<ServerId> {
        let id = at.draft.names.servers.refer(value);
        if id.is_none() {
            at.fault("is one name too many: a table holds 4294967296");
        }
        id.map(ServerId)
    }
}

/// The name of a data centre, defined before or after.
pub(super) struct DatacenterName;

impl Want<'_> for DatacenterName {
    type Value = DatacenterId;

    fn wanted(&self) -> String {
        "the name of a data centre".into()
    }

    fn text(self, mut at: At<'_>, value: &str) -> Option<DatacenterId> {
        let id = at.draft.names.datacenters.refer(value);
        if id.is_none() {
            at.fault("is one name too many: a table holds 4294967296");
        }
        id.map(DatacenterId)
    }
}

/// `null`, or what is wanted.
pub(super) struct OrNull<W>(pub(super) W);

impl<'de, W: Want<'de>> Want<'de> for OrNull<W> {
    type Value = Option<W::Value>;

    fn wanted(&self) -> String {
        format!("{} or null", self.0.wanted())
    }

    fn null(self, _: At<'_>) -> Option<Self::Value> {
        Some(None)
    }

    fn text(self, at: At<'_>, value: &str) -> Option<Self::Value> {
        self.0.text(at, value).map(Some)
    }
}

/// An address of a server or forwarder.
pub(super) struct UnderlayAddress;

impl Want<'_> for UnderlayAddress {
    type Value = IpAddr;

    fn wanted(&self) -> String {
        "an IP address as text".into()
    }

    fn text(self, mut at: At<'_>, value: &str) -> Option<IpAddr> {
        at.take(underlay_address(value))
    }
}

/// An address that packets can be sent to from anywhere in the underlay.
fn underlay_address(text: &str) -> Result<IpAddr, String> {
    let address: IpAddr = text.parse().map_err(|_| format!("{} is not an IPv4 or IPv6 address", quote(text)))?;
    let flaw = match address {
        IpAddr::V4(v4) if v4.is_broadcast() => "the broadcast address",
        IpAddr::V4(v4) if v4.octets().first() == Some(&0) => "in 0.0.0.0/8, which means \"this host\"",
        IpAddr::V4(v4) if v4.octets().first() >= Some(&240) => "in 240.0.0.0/4, which is reserved",
        IpAddr::V6(v6) if v6.is_unspecified() => "the unspecified address",
        IpAddr::V6(v6) if v6.to_ipv4_mapped().is_some() => "an IPv4 address in IPv6 clothes; write it as IPv4",
        IpAddr::V6(v6) if v6.is_unicast_link_local() => "link-local; only a routable address says where to",
        address if address.is_loopback() => "a loopback address",
        address if address.is_multicast() => "a multicast address",
        address => return Ok(address),
    };
    Err(format!("{address} is {flaw}: packets must be sent to a unicast address"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_unicast_addresses_take_packets() {
        for good in ["10.0.0.1", "192.0.2.255", "169.254.1.1", "223.255.255.255", "2001:db8::1", "fd00::1"] {
            assert_eq!(underlay_address(good).unwrap().to_string(), good);
        }
        let bad = [
            "0.0.0.0",
            "0.1.2.3",
            "127.0.0.1",
            "224.0.0.1",
            "239.1.1.1",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "ff02::1",
            "fe80::1",
            "::ffff:10.0.0.1",
            "10.0.0",
            "10.0.0.01",
            "10.0.0.1/32",
            "fe80::1%eth0",
            "",
            "x",
        ];
        for bad in bad {
            assert!(underlay_address(bad).is_err(), "{bad}");
        }
    }
}
