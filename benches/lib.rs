// SPDX-License-Identifier: MIT OR Apache-2.0
//! What several benchmarks share: tables of any size, and keys into them.

use std::io::{self, Read};
use std::net::{Ipv4Addr, Ipv6Addr};

use tables::table::Viewpoint;

/// Servers among which the ports of a [`Pool`] are dealt out.
const SERVERS: u64 = 1000;
/// Slices of 2,048 ports; the first one is nobody's.
const SLICES: u64 = 32;

/// A family of egress addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Family {
    /// Single addresses from 100.64.0.0 on.
    V4,
    /// Networks of 64 bits from 2001:db8:: on.
    V6,
}

/// A table document, written while it is read: consecutive egress addresses, each with a slice plan of its own.
pub struct Pool {
    family: Family,
    addresses: u32,
    next: u32,
    names: Vec<String>,
    text: Vec<u8>,
    read: usize,
}

impl Pool {
    /// A document with that many addresses.
    pub fn new(family: Family, addresses: u32) -> Self {
        let names: Vec<String> = (0..SERVERS).map(|server| format!(",\"s{server}\"")).collect();
        let server = |number: u64| {
            let [.., high, low] = number.to_be_bytes();
            format!("\"s{number}\":{{\"datacenter\":\"LHR\",\"address\":\"10.0.{high}.{low}\"}}")
        };
        let servers: Vec<String> = (0..SERVERS).map(server).collect();
        let datacenters = "{\"LHR\":{\"forwarders\":[\"10.1.0.1\"]}}";
        let servers = servers.join(",");
        let head = format!("{{\"version\":1,\"datacenters\":{datacenters},\"servers\":{{{servers}}},\"egress\":[");
        Self { family, addresses, next: 0, names, text: head.into_bytes(), read: 0 }
    }

    /// A forwarder to which every address is local.
    pub fn viewpoint() -> Viewpoint {
        Viewpoint { datacenter: "LHR".into(), ipv4: Some(Ipv4Addr::new(10, 1, 0, 1)), ipv6: None }
    }

    /// The `index`-th address of an IPv4 pool.
    pub fn v4(index: u32) -> Ipv4Addr {
        Ipv4Addr::from_bits(0x6440_0000 + index)
    }

    /// The first address of the `index`-th network of an IPv6 pool.
    pub fn v6(index: u32) -> Ipv6Addr {
        Ipv6Addr::from_bits(0x2001_0db8 << 96 | u128::from(index) << 64)
    }

    /// Writes the next entry, or the end.
    fn write(&mut self) {
        self.text.clear();
        self.read = 0;
        if self.next > self.addresses {
            return;
        }
        if self.next == self.addresses {
            self.text.extend_from_slice(b"]}");
        } else {
            let comma = if self.next == 0 { "" } else { "," };
            let prefix = match self.family {
                Family::V4 => format!("{comma}{{\"prefix\":\"{}/32\"", Self::v4(self.next)),
                Family::V6 => format!("{comma}{{\"prefix\":\"{}/64\"", Self::v6(self.next)),
            };
            self.text.extend_from_slice(prefix.as_bytes());
            self.text.extend_from_slice(b",\"datacenter\":\"LHR\",\"slices\":{\"ports\":2048,\"owners\":[null");
            let mut random = Random::new(self.next.into());
            for _ in 1..SLICES {
                let name = self.names.get((random.next() % SERVERS) as usize);
                self.text.extend_from_slice(name.map(String::as_bytes).unwrap_or_default());
            }
            self.text.extend_from_slice(b"]}}");
        }
        self.next += 1;
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

/// Numbers that look random and are the same each time (splitmix64).
pub struct Random(u64);

impl Random {
    /// A sequence of its own for each seed.
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0xd134_2543_de82_ef95))
    }

    /// The next number.
    #[allow(clippy::should_implement_trait, reason = "an iterator would end, or pretend that it may")]
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// The next number, brought below `bound`.
    pub fn below(&mut self, bound: u32) -> u32 {
        (((self.next() >> 32) * u64::from(bound)) >> 32) as u32
    }
}
