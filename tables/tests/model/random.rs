// SPDX-License-Identifier: MIT OR Apache-2.0
//! Random networks whose documents are valid.

use std::collections::BTreeSet;
use std::net::IpAddr;

use proptest::prelude::*;
use proptest::sample::Index;

use super::network::{DATACENTERS, Entry, Kind, LocalOwner, Network, SERVERS, Server, bits, flipped, host_mask};

fn local_owner() -> impl Strategy<Value = LocalOwner> {
    // Mostly settled: draining is the exception.
    let previous = prop_oneof![3 => Just(None), 1 => (0..DATACENTERS.len(), 0..SERVERS).prop_map(Some)];
    (0..SERVERS, previous).prop_map(|(server, previous)| (server, previous.map(|(at, number)| Server(at, number))))
}

fn kind() -> impl Strategy<Value = Kind> {
    let owners = prop::collection::vec(prop::option::weighted(0.8, local_owner()), 0..40);
    let slices = (6_u32..=16, owners).prop_map(|(log, mut owners)| {
        owners.truncate(1 << (16 - log));
        Kind::Slices(1 << log, owners, None)
    });
    let cuts = prop::collection::btree_set(any::<u16>(), 1..12);
    let owners = prop::collection::vec(prop::option::weighted(0.8, local_owner()), 12);
    let ranges = (cuts, 0_u32..12, owners).prop_map(|(cuts, align, owners)| {
        let cuts: BTreeSet<u16> = cuts.into_iter().map(|cut| cut >> align << align).collect();
        let ends = cuts.iter().skip(1).map(|cut| cut - 1).chain([u16::MAX]);
        let ranges = cuts.iter().zip(ends).zip(owners);
        Kind::Ranges(ranges.filter_map(|((&first, last), owner)| Some((first, last, owner?))).collect(), None)
    });
    prop_oneof![1 => Just(Kind::Unassigned), 1 => local_owner().prop_map(Kind::Whole), 3 => slices, 3 => ranges]
}

/// Prefixes that lie in each other and side by side, few kinds for many of them.
pub(crate) fn network() -> impl Strategy<Value = Network> {
    let owner = (any::<Index>(), prop::option::of(0..SERVERS), 0..DATACENTERS.len());
    let prefix = (any::<bool>(), 0_usize..3, any::<u128>(), 0_u32..128, any::<u8>(), owner);
    let entries = prop::collection::vec(prefix, 0..30);
    (any::<bool>(), prop::collection::vec(kind(), 1..6), entries).prop_map(|(both_families, kinds, entries)| {
        let mut seen = BTreeSet::new();
        let mut all = Vec::new();
        for (v6, base, random, shift, length, (kind, portless, datacenter)) in entries {
            let (base, length): (IpAddr, u8) = if v6 {
                (["2001:db8:e::", "2001:db8:ffff:ffff::", "::"][base].parse().unwrap(), length % 129)
            } else {
                (["198.51.100.0", "198.51.255.0", "0.0.0.0"][base].parse().unwrap(), length % 33)
            };
            let near = flipped(base, random >> shift);
            let network = flipped(near, host_mask(length) & (bits(near).0 << (128 - bits(near).1)));
            if seen.insert((network, length)) {
                let mut kind = kind.get(&kinds).clone();
                no_change_of_nothing(&mut kind, datacenter);
                if let Kind::Slices(.., own) | Kind::Ranges(.., own) = &mut kind {
                    *own = portless; // one plan, several portless owners
                }
                all.push(Entry { network, length, datacenter, kind });
            }
        }
        Network { both_families, entries: all }
    })
}

/// The contract refuses a previous owner that is the owner.
fn no_change_of_nothing(kind: &mut Kind, datacenter: usize) {
    let settle = |owner: &mut LocalOwner| owner.1 = owner.1.filter(|&previous| previous != Server(datacenter, owner.0));
    match kind {
        Kind::Unassigned => {}
        Kind::Whole(owner) => settle(owner),
        Kind::Slices(_, owners, _) => owners.iter_mut().flatten().for_each(settle),
        Kind::Ranges(ranges, _) => ranges.iter_mut().for_each(|(_, _, owner)| settle(owner)),
    }
}
