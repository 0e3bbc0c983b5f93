// SPDX-License-Identifier: MIT OR Apache-2.0
//! Table documents of any size.

use std::io::{self, Read};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::ops::RangeInclusive;

use crate::network::{OWN4, OWN6};
use crate::random::Random;

/// Data centres beside the forwarder's own, among which remote addresses are dealt out.
const REMOTES: u32 = 30;

/// The sequence that decides which addresses are local; others by the address decide about its slices.
const LOCALITY: u64 = 1 << 40;

/// An IP version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Family {
    /// IPv4; as egress addresses, single ones from 100.64.0.0 on.
    V4,
    /// IPv6; as egress addresses, networks of 64 bits from 2001:db8:: on.
    V6,
}

/// What a table is like: consecutive egress addresses, each local one with a slice plan of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shape {
    /// What the egress addresses are.
    pub inner: Family,
    /// Of which family the servers and the other data centres' forwarders are.
    pub outer: Family,
    /// How many egress addresses.
    pub addresses: u32,
    /// How many of a hundred belong to the forwarder's own data centre. The others are whole addresses of servers elsewhere.
    pub local: u32,
    /// Ports of a slice. The first slice is nobody's.
    pub slice_ports: u32,
    /// Local servers among which the slices are dealt out.
    pub servers: u32,
}

impl Shape {
    /// So many local addresses with 31 slices of 2,048 ports each, dealt out among 1,000 servers.
    pub fn new(inner: Family, addresses: u32) -> Self {
        Self { inner, outer: Family::V4, addresses, local: 100, slice_ports: 2048, servers: 1000 }
    }

    /// The `index`-th egress address, or the first one of that network.
    pub fn address(&self, index: u32) -> IpAddr {
        match self.inner {
            Family::V4 => Pool::v4(index).into(),
            Family::V6 => Pool::v6(index).into(),
        }
    }

    /// The ports that somebody owns.
    pub fn owned_ports(&self) -> RangeInclusive<u32> {
        let first = if self.slice_ports < 65_536 { self.slice_ports } else { 1 };
        first..=65_535
    }

    fn is_local(&self, index: u32) -> bool {
        self.local >= 100 || Random::new(LOCALITY + u64::from(index)).below(100) < self.local
    }

    /// The `number`-th host of the `network`-th underlay network, as text.
    fn underlay(&self, network: u32, number: u32) -> String {
        match self.outer {
            Family::V4 => Ipv4Addr::from_bits(0x0a00_0000 | network << 17 | number).to_string(),
            Family::V6 => Ipv6Addr::from_bits(0x2001_0db8_ffff << 80 | u128::from(network << 17 | number)).to_string(),
        }
    }

    /// Everything in front of the first entry.
    fn head(&self) -> String {
        let mut datacenters = format!(r#""LHR":{{"forwarders":["{OWN4}","{OWN6}"]}}"#);
        let mut servers: Vec<String> = (0..self.servers)
            .map(|n| format!(r#""s{n}":{{"datacenter":"LHR","address":"{}"}}"#, self.underlay(0, n)))
            .collect();
        for n in 1..=if self.local < 100 { REMOTES } else { 0 } {
            datacenters.push_str(&format!(r#","D{n}":{{"forwarders":["{}"]}}"#, self.underlay(n, 1)));
            servers.push(format!(r#""d{n}":{{"datacenter":"D{n}","address":"{}"}}"#, self.underlay(n, 2)));
        }
        let servers = servers.join(",");
        format!(r#"{{"version":1,"datacenters":{{{datacenters}}},"servers":{{{servers}}},"egress":["#)
    }
}

/// A table document, written while it is read.
pub struct Pool {
    shape: Shape,
    next: u32,
    names: Vec<String>,
    text: Vec<u8>,
    read: usize,
}

impl Pool {
    /// The document of a table like that.
    pub fn new(shape: Shape) -> Self {
        let names = (0..shape.servers).map(|server| format!(",\"s{server}\"")).collect();
        Self { shape, next: 0, names, text: shape.head().into_bytes(), read: 0 }
    }

    /// The `index`-th address of an IPv4 table.
    pub fn v4(index: u32) -> Ipv4Addr {
        Ipv4Addr::from_bits(0x6440_0000 + index)
    }

    /// The first address of the `index`-th network of an IPv6 table.
    pub fn v6(index: u32) -> Ipv6Addr {
        Ipv6Addr::from_bits(0x2001_0db8 << 96 | u128::from(index) << 64)
    }

    /// Writes the next entry, or the end.
    fn write(&mut self) {
        self.text.clear();
        self.read = 0;
        if self.next > self.shape.addresses {
            return;
        }
        if self.next == self.shape.addresses {
            self.text.extend_from_slice(b"]}");
        } else {
            self.write_entry();
        }
        self.next += 1;
    }

    fn write_entry(&mut self) {
        let comma = if self.next == 0 { "" } else { "," };
        let address = self.shape.address(self.next);
        let length = if address.is_ipv4() { 32 } else { 64 };
        self.text.extend_from_slice(format!(r#"{comma}{{"prefix":"{address}/{length}","datacenter":"#).as_bytes());
        let mut random = Random::new(self.next.into());
        if !self.shape.is_local(self.next) {
            let n = 1 + random.below(REMOTES);
            self.text.extend_from_slice(format!(r#""D{n}","server":"d{n}"}}"#).as_bytes());
            return;
        }
        let ports = self.shape.slice_ports;
        self.text.extend_from_slice(format!(r#""LHR","slices":{{"ports":{ports},"owners":["#).as_bytes());
        let nobody = usize::from(ports < 65_536);
        self.text.extend_from_slice(if nobody == 1 { b"null" } else { b"" });
        for slice in nobody..(65_536 / ports.max(1)) as usize {
            let name = self.names.get((random.next() % u64::from(self.shape.servers.max(1))) as usize);
            let name = name.map(String::as_bytes).unwrap_or_default();
            self.text.extend_from_slice(name.get(usize::from(slice == 0)..).unwrap_or_default());
        }
        self.text.extend_from_slice(b"]}}");
    }
}

impl Read for Pool {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if self.read == self.text.len() {
            self.write();
        }
        let mut rest = self.text.get(self.read..).unwrap_or_default();
        let count = rest.read(out)?;
        self.read += count;
        Ok(count)
    }
}
