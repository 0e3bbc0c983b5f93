// SPDX-License-Identifier: MIT OR Apache-2.0
//! The compiled table against a naive model: the entries themselves, scanned for the longest prefix and for the port.
//! The model never sees a `Source`; both start from the same random description.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may stop at the first surprise")]

mod network;
mod patches;
mod random;

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use network::{DATACENTERS, Fate, Kind, Network, Owner, Server, flipped, offset};
use proptest::prelude::*;
use proptest::sample::Index;
use random::network;
use tables::table::{Address, Found, Target, TargetId};
use tables::{Source, Table};

/// What the table says of a packet.
fn table_fate(table: &Table, address: Address, port: Option<u16>) -> Fate {
    let server = |TargetId(id): TargetId, whole| {
        let Target { name, address, previous, mtu: _, is_gone } = table.targets().get(usize::from(id)).unwrap();
        assert!(!is_gone, "an address leads to {name}, which is gone");
        let previous = previous.as_ref().map(|(name, address)| (name.to_string(), *address));
        Fate::Server { name: name.to_string(), address: *address, previous, whole }
    };
    match address {
        Address::Absent => Fate::Absent,
        Address::Unassigned => Fate::Unassigned,
        Address::Remote(id) => Fate::Remote(table.remotes()[usize::from(id.0)].name.to_string()),
        Address::Whole(id) => server(id, true),
        Address::Sliced(plan) => {
            let owner = port.map_or_else(|| table.portless(plan), |port| table.port(plan, port));
            owner.map_or(Fate::Nobody, |id| server(id, false))
        }
    }
}

/// The network's document, which must be valid.
fn source(network: &Network) -> Result<Source, TestCaseError> {
    let document = network.document().to_string();
    Source::from_slice(document.as_bytes()).map_err(|faults| TestCaseError::fail(format!("{faults:?}")))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn the_table_says_what_the_model_says(
        network in network(),
        near in prop::collection::vec((any::<Index>(), any::<u128>(), 0_u32..128), 30),
        random in prop::collection::vec((any::<u32>(), any::<u128>()), 10),
        ports in prop::collection::vec(any::<u16>(), 4),
    ) {
        let source = source(&network)?;
        let mut addresses: Vec<IpAddr> = Vec::new();
        for entry in &network.entries {
            let (first, last) = (entry.network, entry.last());
            addresses.extend([first, last, offset(first, -1), offset(last, 1)]);
        }
        if !network.entries.is_empty() {
            let near = near.iter().map(|(at, change, shift)| (at.get(&network.entries).network, change >> shift));
            addresses.extend(near.map(|(network, change)| flipped(network, change)));
        }
        addresses.extend(random.iter().map(|&(v4, _)| IpAddr::from(Ipv4Addr::from_bits(v4))));
        addresses.extend(random.iter().map(|&(_, v6)| IpAddr::from(Ipv6Addr::from_bits(v6))));

        for viewpoint in 0..DATACENTERS.len() {
            let table = Table::compile(&source, &network.viewpoint(viewpoint)).unwrap();
            for &address in &addresses {
                let found = table.address(address);
                prop_assert_eq!(table_fate(&table, found, None), network.fate(viewpoint, address, None), "{}", address);
                let entry = network.longest(address);
                let prefix = entry.map(|entry| format!("{}/{}", entry.network, entry.length));
                prop_assert_eq!(source.prefix_around(address).map(|prefix| prefix.to_string()), prefix, "{}", address);
                let (Address::Sliced(_), Some(entry)) = (found, entry) else { continue };
                for port in entry.bounds().chain(ports.iter().copied()) {
                    let expected = entry.port(port).map_or(Fate::Nobody, |owner| network.server(owner, false));
                    prop_assert_eq!(table_fate(&table, found, Some(port)), expected, "{} port {}", address, port);
                }
            }
            bursts_agree(&table, &addresses)?;
        }
    }

    #[test]
    fn runs_are_as_wide_as_their_owner(network in network(), ports in prop::collection::vec(any::<u16>(), 2)) {
        let source = source(&network)?;
        for entry in network.entries.iter().take(4) {
            let table = Table::compile(&source, &network.viewpoint(entry.datacenter)).unwrap();
            let Some(entry) = network.longest(entry.network) else { continue };
            let Address::Sliced(plan) = table.address(entry.network) else { continue };
            let owners: Vec<_> = (0..=u16::MAX).map(|port| entry.port(port)).collect();
            for port in entry.bounds().step_by(7).chain(ports.iter().copied()) {
                let at = usize::from(port);
                let others = |owner: &Option<Owner>| *owner != owners[at];
                let first = owners[..at].iter().rposition(others).map_or(0, |before| before + 1);
                let last = owners[at..].iter().position(others).map_or(65_535, |after| at + after - 1);
                prop_assert_eq!(table.run_around(plan, port), (first as u16, last as u16), "port {}", port);
            }
        }
    }

    #[test]
    fn remotes_are_what_entries_lead_to_and_forwarders_are_everybodys(network in network()) {
        let source = source(&network)?;
        for viewpoint in 0..DATACENTERS.len() {
            let table = Table::compile(&source, &network.viewpoint(viewpoint)).unwrap();
            let owned = network.entries.iter().filter(|entry| !matches!(entry.kind, Kind::Unassigned));
            let expected: BTreeSet<&str> =
                owned.map(|entry| entry.datacenter).filter(|&it| it != viewpoint).map(|it| DATACENTERS[it]).collect();
            let found: Vec<&str> = table.remotes().iter().map(|remote| &*remote.name).collect();
            prop_assert_eq!(found.len(), expected.len());
            prop_assert_eq!(found.into_iter().collect::<BTreeSet<_>>(), expected);
            for remote in table.remotes() {
                let datacenter = DATACENTERS.iter().position(|name| **name == *remote.name).unwrap();
                let usable = |address: &IpAddr| address.is_ipv4() || network.both_families;
                let usable: Vec<IpAddr> = Network::forwarders(datacenter).into_iter().filter(usable).collect();
                prop_assert_eq!(&remote.forwarders, &usable);
            }
            for datacenter in 0..DATACENTERS.len() {
                prop_assert!(Network::forwarders(datacenter).into_iter().all(|address| table.is_forwarder(address)));
                prop_assert!(!table.is_forwarder(network.server_address(Server(datacenter, 0))));
            }
        }
    }
}

/// Bursts of every address, of all but a few, and into too few places say what single lookups say.
fn bursts_agree(table: &Table, addresses: &[IpAddr]) -> Result<(), TestCaseError> {
    let v4: Vec<Ipv4Addr> =
        addresses.iter().filter_map(|it| if let IpAddr::V4(it) = it { Some(*it) } else { None }).collect();
    let v6: Vec<Ipv6Addr> =
        addresses.iter().filter_map(|it| if let IpAddr::V6(it) = it { Some(*it) } else { None }).collect();
    let keys4: Vec<[u8; 4]> = v4.iter().map(Ipv4Addr::octets).collect();
    let keys6: Vec<u128> = v6.iter().map(|key| key.to_bits()).collect();
    // Ports here and there, 0 among them.
    let port4 = |key: &[u8; 4]| u16::from(key[3]).wrapping_mul(523);
    let port6 = |key: &u128| (*key as u16).wrapping_mul(523);
    for shorter in [0, 1, 3] {
        let mut found = vec![Found::ABSENT; keys4.len().saturating_sub(shorter)];
        table.address_burst(&keys4, |key| *key, port4, &mut found);
        for ((found, key), &address) in found.iter().zip(&keys4).zip(&v4) {
            agrees(table, *found, address.into(), port4(key))?;
        }
        let mut found = vec![Found::ABSENT; keys6.len().saturating_sub(shorter)];
        table.address_burst6(&keys6, |key| *key, port6, &mut found);
        for ((found, key), &address) in found.iter().zip(&keys6).zip(&v6) {
            agrees(table, *found, address.into(), port6(key))?;
        }
    }
    // In places beyond the last key stays what was there: here, what is found for some other address.
    let mut other = [Found::ABSENT];
    table.address_burst(keys4.get(..1).unwrap_or_default(), |key| *key, |_| 1, &mut other);
    let mut found = vec![other[0]; keys4.len() + 70];
    table.address_burst(&keys4, |key| *key, port4, &mut found);
    prop_assert!(found[keys4.len()..].iter().all(|untouched| *untouched == other[0]));
    let mut found = vec![other[0]; keys6.len() + 70];
    table.address_burst6(&keys6, |key| *key, port6, &mut found);
    prop_assert!(found[keys6.len()..].iter().all(|untouched| *untouched == other[0]));
    Ok(())
}

/// What a burst found says what single lookups say.
fn agrees(table: &Table, found: Found, address: IpAddr, port: u16) -> Result<(), TestCaseError> {
    prop_assert_eq!(found.address(), table.address(address));
    let owner = match found.address() {
        Address::Sliced(plan) => table.port(plan, port),
        _ => None,
    };
    // It need not know, but what it says is so.
    prop_assert!(table.owner(found).is_none_or(|found| Some(found) == owner), "{} port {}", address, port);
    Ok(())
}
