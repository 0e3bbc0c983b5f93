// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a filter leaves of a view, and how `bpf/pool.h` has it.

use std::net::IpAddr;

use tables::{Ports, Prefix};

use super::Filter;
use crate::view::View;

/// As `struct candidate_key`.
pub(super) type Key = [u8; 16];
/// As `struct candidate`.
pub(super) type Value = [u8; 36];

/// The owned prefixes and ports to choose from: IPv4, IPv6.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(super) struct Pool {
    families: [Vec<(Prefix, Ports)>; 2],
}

/// What of the view's own a filter takes.
pub(super) fn of(view: &View, filter: &Filter) -> Pool {
    let mut pool = Pool::default();
    let [v4, v6] = &mut pool.families;
    for held in view.held.iter().filter(|held| filter.takes(held.prefix.address(), &held.tags)) {
        let family = if held.prefix.address().is_ipv4() { &mut *v4 } else { &mut *v6 };
        family.extend(held.runs.iter().filter(|run| run.keeper.own).map(|run| (held.prefix, run.ports)));
    }
    pool
}

impl Pool {
    pub(super) fn is_empty(&self) -> bool {
        self.counts() == [0, 0]
    }

    /// Of candidates: IPv4, IPv6.
    pub(super) fn counts(&self) -> [u32; 2] {
        self.families.each_ref().map(|family| u32::try_from(family.len()).unwrap_or(u32::MAX))
    }

    pub(super) fn entries(&self, group: u64, epoch: u16) -> impl Iterator<Item = (Key, Value)> {
        (0_u16..).zip(&self.families).flat_map(move |(v6, family)| {
            (0_u32..)
                .zip(family)
                .map(move |(index, (prefix, ports))| (key(group, index, epoch, v6), value(*prefix, *ports)))
        })
    }
}

fn key(group: u64, index: u32, epoch: u16, v6: u16) -> Key {
    let mut key = [0; 16];
    write(&mut key, [&group.to_ne_bytes(), &index.to_ne_bytes(), &epoch.to_ne_bytes(), &v6.to_ne_bytes()]);
    key
}

fn value(prefix: Prefix, ports: Ports) -> Value {
    let length = u32::from(prefix.length());
    let (address, host) = match prefix.address() {
        IpAddr::V4(address) => (wide(address.octets()), wide(u32::MAX.checked_shr(length).unwrap_or(0).to_be_bytes())),
        IpAddr::V6(address) => (address.octets(), u128::MAX.checked_shr(length).unwrap_or(0).to_be_bytes()),
    };
    // Nothing can be bound to port 0.
    let first = ports.first().max(1).to_ne_bytes();
    let mut value = [0; 36];
    write(&mut value, [&address, &host, &first, &ports.last().to_ne_bytes()]);
    value
}

/// IPv4 in the first word.
fn wide(address: [u8; 4]) -> [u8; 16] {
    let mut wide = [0; 16];
    write(&mut wide, [&address]);
    wide
}

fn write<const N: usize>(into: &mut [u8], parts: [&[u8]; N]) {
    into.iter_mut().zip(parts.into_iter().flatten()).for_each(|(to, from)| *to = *from);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::view::{Held, Keeper, Run};

    fn held(prefix: &str, runs: &[(&str, bool)]) -> Held {
        let run = |&(ports, own): &(&str, bool)| Run {
            ports: str::parse(ports).unwrap(),
            keeper: Keeper { own, other: None },
        };
        let tags = vec![("family".to_owned(), prefix.contains(':').to_string())];
        Held {
            prefix: prefix.parse().unwrap(),
            runs: runs.iter().map(run).collect(),
            portless: Keeper::default(),
            tags,
        }
    }

    #[test]
    fn only_what_is_owned_and_taken_is_in_a_pool() {
        let view = View {
            held: vec![
                held("198.51.100.1/32", &[("2048-4095", true), ("4096-6143", false), ("8192-8255", true)]),
                held("2001:db8:e::/64", &[("0-65535", true)]),
                held("198.51.100.2/32", &[("0-65535", false)]),
            ],
            ..View::default()
        };
        assert_eq!(of(&view, &Filter::default()).counts(), [2, 1]);
        assert_eq!(of(&view, &Filter::new(["family=true"], None).unwrap()).counts(), [0, 1]);
        assert!(of(&view, &Filter::new(["family=none"], None).unwrap()).is_empty());
    }

    #[test]
    fn bytes_are_as_the_program_reads_them() {
        let view = View { held: vec![held("198.51.100.0/23", &[("0-65535", true)])], ..View::default() };
        let (key, value) = of(&view, &Filter::default()).entries(7, 3).next().unwrap();
        assert_eq!(key, [7_u64.to_ne_bytes(), [0, 0, 0, 0, 3, 0, 0, 0]].concat().as_slice());
        assert_eq!(value[..4], [198, 51, 100, 0]);
        assert_eq!(value[16..20], [0, 0, 1, 255]);
        assert_eq!(value[32..], [1_u16.to_ne_bytes(), u16::MAX.to_ne_bytes()].concat());
        let view = View { held: vec![held("2001:db8::1/128", &[("5-9", true)])], ..View::default() };
        let (key, value) = of(&view, &Filter::default()).entries(7, 3).next().unwrap();
        assert_eq!(key[14..], 1_u16.to_ne_bytes());
        assert_eq!((value[..4].to_vec(), value[16..32].to_vec()), (vec![0x20, 1, 0xd, 0xb8], vec![0; 16]));
    }
}
