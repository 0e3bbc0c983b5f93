// SPDX-License-Identifier: MIT OR Apache-2.0
//! The [`View`] in the kernel: what `bpf/view.h` reads.
//!
//! A view is one trie of its own, built beside the one in force and put in its place by one write: each packet is
//! decided wholly by one view, and what cannot be built changes nothing.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};

use aya::Ebpf;
use aya::maps::lpm_trie::{Key, LpmTrie};
use aya::maps::{ArrayOfMaps, MapData, MapError};
use tables::{Ports, Prefix};

use crate::view::{Held, Keeper, Run, View};

const HELD: u8 = 1;
const PORT: u8 = 2;
const PEER: u8 = 3;
const EGRESS: u8 = 4;

const OWN: u32 = 1;
const WHOLE: u32 = 2;
const FORWARDER: u32 = 4;
const SERVER: u32 = 8;
const NETWORK: u32 = 16;

/// Without it the kernel makes no trie: `BPF_F_NO_PREALLOC`.
const NO_PREALLOC: u32 = 1;

type KeyData = [u8; 20];
type Value = [u8; 24];
type Trie = LpmTrie<MapData, KeyData, Value>;

/// Conversations of previous owners: the map of `bpf/elsewhere.h`.
pub type Conversations = aya::maps::HashMap<MapData, [u8; 40], u64>;

/// Why the kernel does not take a view.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The object was not compiled with `bpf/view.h`.
    #[error("the program in the kernel has no map view_current")]
    NoMap,
    /// Most often memory, or rights.
    #[error("the kernel does not take a view of {entries} entries: {error}; the view before stays in force")]
    Refused {
        /// How many it would have had.
        entries: usize,
        /// What the kernel said.
        error: MapError,
    },
}

/// The view that one object's programs read.
pub struct ViewMap(ArrayOfMaps<MapData, Trie>);

impl ViewMap {
    /// Takes the map out of an object that includes `bpf/view.h`, the kernel's part of which it stays.
    ///
    /// # Errors
    ///
    /// [`Error::NoMap`] where there is none.
    pub fn take(object: &mut Ebpf) -> Result<Self, Error> {
        let map = object.take_map("view_current").ok_or(Error::NoMap)?;
        map.try_into().map(Self).map_err(|_| Error::NoMap)
    }

    /// Puts a view in force, for each packet that begins after this. When it returns no packet is under way by the
    /// one before.
    ///
    /// # Errors
    ///
    /// [`Error::Refused`], and nothing has changed.
    pub fn publish(&mut self, view: &View) -> Result<(), Error> {
        let entries = entries(view);
        let refused = |error| Error::Refused { entries: entries.len(), error };
        let size = u32::try_from(entries.len().max(1)).unwrap_or(u32::MAX);
        let mut trie = Trie::create(size, NO_PREALLOC).map_err(refused)?;
        for (key, value) in &entries {
            trie.insert(key, value, 0).map_err(refused)?;
        }
        self.0.set(0, &trie, 0).map_err(refused)
    }
}

fn entries(view: &View) -> Vec<(Key<KeyData>, Value)> {
    let mut entries = Vec::new();
    let mut plans = HashMap::new();
    for held in &view.held {
        let fresh = u32::try_from(plans.len()).unwrap_or(u32::MAX);
        let plan = *plans.entry(held.runs.as_slice()).or_insert_with(|| {
            entries.extend(held.runs.iter().flat_map(|run| port_entries(fresh, run)));
            fresh
        });
        entries.push((prefix_key(HELD, held.prefix), held_value(plan, held)));
    }
    entries.extend(view.egress.iter().map(|prefix| (prefix_key(EGRESS, *prefix), value(0, 0, None))));
    let mut peers: HashMap<Prefix, u32> = HashMap::new();
    let hosts = |addresses: &[IpAddr]| addresses.iter().copied().map(Prefix::host).collect::<Vec<_>>();
    for (prefixes, flag) in
        [(&hosts(&view.forwarders), FORWARDER), (&hosts(&view.servers), SERVER), (&view.peers, NETWORK)]
    {
        prefixes.iter().for_each(|prefix| *peers.entry(*prefix).or_default() |= flag);
    }
    entries.extend(peers.iter().map(|(peer, flags)| (prefix_key(PEER, *peer), value(0, *flags, None))));
    entries
}

fn held_value(plan: u32, held: &Held) -> Value {
    let whole = matches!(held.runs.as_slice(), [run] if run.ports.count() == 1 << 16 && run.keeper == held.portless);
    keeper_value(plan, held.portless, if whole { WHOLE } else { 0 })
}

fn keeper_value(plan: u32, keeper: Keeper, flags: u32) -> Value {
    value(plan, flags | if keeper.own { OWN } else { 0 }, keeper.other)
}

fn value(plan: u32, flags: u32, other: Option<IpAddr>) -> Value {
    let other = other.map_or(Ipv6Addr::UNSPECIFIED, mapped);
    let mut value = [0; 24];
    let (numbers, address) = value.split_at_mut(8);
    let (first, second) = numbers.split_at_mut(4);
    first.copy_from_slice(&plan.to_ne_bytes());
    second.copy_from_slice(&flags.to_ne_bytes());
    address.copy_from_slice(&other.octets());
    value
}

/// The ports of a run as prefixes of the port's bits, fewest possible, as a trie wants them.
fn port_entries(plan: u32, run: &Run) -> impl Iterator<Item = (Key<KeyData>, Value)> {
    let value = keeper_value(0, run.keeper, 0);
    aligned(run.ports).map(move |(port, bits)| {
        let [a, b, c, d] = plan.to_be_bytes();
        let [high, low] = port.to_be_bytes();
        let data = [PORT, 0, 0, 0, a, b, c, d, high, low, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        (Key::new(32 + 32 + bits, data), value)
    })
}

/// Splits into blocks of a power of two that start at a multiple of their size: first port, and bits that are fixed.
fn aligned(ports: Ports) -> impl Iterator<Item = (u16, u32)> {
    let end = u32::from(ports.last()) + 1;
    let mut next = u32::from(ports.first());
    std::iter::from_fn(move || {
        let left = end.checked_sub(next).filter(|left| *left > 0)?;
        let size = next.trailing_zeros().min(left.ilog2());
        let first = u16::try_from(next).ok()?;
        next += 1 << size;
        Some((first, 16 - size))
    })
}

fn prefix_key(kind: u8, prefix: Prefix) -> Key<KeyData> {
    let above = if prefix.address().is_ipv4() { 96 } else { 0 };
    let mut data = [0; 20];
    let (head, address) = data.split_at_mut(4);
    head.copy_from_slice(&[kind, 0, 0, 0]);
    address.copy_from_slice(&mapped(prefix.address()).octets());
    Key::new(32 + above + u32::from(prefix.length()), data)
}

/// An address as the programs have it: IPv4 mapped into IPv6.
pub(crate) fn mapped(address: IpAddr) -> Ipv6Addr {
    match address {
        IpAddr::V4(address) => address.to_ipv6_mapped(),
        IpAddr::V6(address) => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_cover_a_range_exactly() {
        for (range, expected) in [
            ("0-65535", vec![(0, 0)]),
            ("2048-4095", vec![(2048, 5)]),
            ("1-6", vec![(1, 16), (2, 15), (4, 15), (6, 16)]),
            ("65535-65535", vec![(65535, 16)]),
            ("32767-65535", vec![(32767, 16), (32768, 1)]),
        ] {
            let ports: Ports = range.parse().unwrap();
            assert_eq!(aligned(ports).collect::<Vec<_>>(), expected, "{range}");
        }
        let worst: Ports = "1-65534".parse().unwrap();
        let blocks: Vec<_> = aligned(worst).collect();
        assert_eq!(blocks.len(), 30);
        assert_eq!(blocks.iter().map(|(_, bits)| 1_u32 << (16 - bits)).sum::<u32>(), worst.count());
    }

    #[test]
    fn prefixes_of_the_same_runs_share_a_plan() {
        let keeper = Keeper { own: true, other: None };
        let held = |prefix: &str, ports: &str| Held {
            prefix: prefix.parse().unwrap(),
            runs: vec![Run { ports: ports.parse().unwrap(), keeper }],
            portless: Keeper::default(),
            tags: Vec::new(),
        };
        let view = View {
            held: vec![
                held("198.51.100.1/32", "2048-4095"),
                held("198.51.100.2/32", "2048-4095"),
                held("::/64", "0-65535"),
            ],
            ..View::default()
        };
        let keys: Vec<_> =
            entries(&view).iter().map(|(key, _)| (key.prefix_len(), key.data()[0], key.data()[7])).collect();
        assert_eq!(keys, [(69, PORT, 0), (160, HELD, 0), (160, HELD, 0), (64, PORT, 1), (96, HELD, 0)]);
    }
}
