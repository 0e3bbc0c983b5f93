// SPDX-License-Identifier: MIT OR Apache-2.0
//! What to announce for a table: the fewest prefixes that hold its addresses, all of them and no other.

use crate::prefix::Prefix;
use crate::source::Source;

/// The fewest prefixes around exactly the addresses of `source`, in their order. Every data centre announces all of them:
/// unassigned ones too, since they are announced by definition, and those of other data centres, which are sent on.
pub fn announce(source: &Source) -> Vec<Prefix> {
    aggregate(source.entries_by_prefix().map(|(_, entry)| entry.prefix))
}

/// Prefixes come in their order: the one around others before those.
fn aggregate(prefixes: impl Iterator<Item = Prefix>) -> Vec<Prefix> {
    let mut cover: Vec<Prefix> = Vec::new();
    for prefix in prefixes {
        if cover.last().is_some_and(|last| last.covers(prefix)) {
            continue;
        }
        cover.push(prefix);
        // Two halves are a whole, which may be the second half of another one.
        while let [.., first, second] = cover.as_slice()
            && let Some(whole) = second.parent().filter(|whole| first.parent() == Some(*whole))
        {
            cover.truncate(cover.len() - 2);
            cover.push(whole);
        }
    }
    cover
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::net::{Ipv4Addr, Ipv6Addr};

    use proptest::prelude::*;

    use super::*;

    fn announced(prefixes: &[&str]) -> Vec<String> {
        let prefixes: BTreeSet<Prefix> = prefixes.iter().map(|text| text.parse().unwrap()).collect();
        aggregate(prefixes.into_iter()).iter().map(Prefix::to_string).collect()
    }

    #[test]
    fn halves_become_wholes_and_what_is_inside_goes() {
        let quarters = ["192.0.2.128/26", "192.0.2.0/26", "192.0.2.192/26", "192.0.2.64/26"];
        assert_eq!(announced(&quarters), ["192.0.2.0/24"]);
        assert_eq!(announced(&["198.51.100.0/24", "198.51.100.1/32", "198.51.100.255/32"]), ["198.51.100.0/24"]);
        // The second half of a half, inside which there is more.
        assert_eq!(announced(&["10.0.0.0/25", "10.0.0.128/26", "10.0.0.192/26", "10.0.0.193/32"]), ["10.0.0.0/24"]);
        // Neighbours that no prefix joins, and what only looks alike.
        assert_eq!(announced(&["192.0.2.1/32", "192.0.2.2/32"]), ["192.0.2.1/32", "192.0.2.2/32"]);
        assert_eq!(announced(&["192.0.2.0/26", "192.0.2.64/27"]), ["192.0.2.0/26", "192.0.2.64/27"]);
        assert_eq!(announced(&["0.0.0.0/0", "::/1", "8000::/1"]), ["0.0.0.0/0", "::/0"]);
        assert!(announced(&[]).is_empty());
    }

    #[test]
    fn a_table_announces_what_any_data_centre_has_and_what_nobody_has() {
        let document = br#"{"version": 1, "datacenters": {"LHR": {"forwarders": ["10.0.0.1"]}, "CDG": {"forwarders": ["10.1.0.1"]}},
            "servers": {"a": {"datacenter": "LHR", "address": "10.0.1.1"}, "b": {"datacenter": "CDG", "address": "10.1.1.1"}},
            "egress": [{"prefix": "192.0.2.0/26", "datacenter": "LHR", "server": "a"},
                       {"prefix": "192.0.2.64/26", "datacenter": "CDG", "slices": {"ports": 2048, "owners": ["b"]}},
                       {"prefix": "192.0.2.128/25", "unassigned": true},
                       {"prefix": "2001:db8:e::/64", "datacenter": "LHR", "server": "a"}]}"#;
        let source = Source::from_slice(document).unwrap();
        assert_eq!(
            announce(&source).iter().map(Prefix::to_string).collect::<Vec<_>>(),
            ["192.0.2.0/24", "2001:db8:e::/64"]
        );
    }

    /// Addresses below a prefix that leaves `bits` to choose, and how they are written in each family.
    const BITS: u8 = 6;

    fn prefix(is_v6: bool, low: u32, host: u8) -> Prefix {
        let low = low >> host << host;
        if is_v6 {
            Prefix::new(Ipv6Addr::from_bits(0x2001_0db8 << 96 | u128::from(low)).into(), 128 - host).unwrap()
        } else {
            Prefix::new(Ipv4Addr::from_bits(0xc000_0200 | low).into(), 32 - host).unwrap()
        }
    }

    proptest! {
        /// The cover has the same addresses; and it is minimal, since a set of addresses has one cover of disjoint prefixes
        /// of which no two are halves of one.
        #[test]
        fn the_cover_is_exact_and_minimal(
            chosen in prop::collection::btree_set((any::<bool>(), 0..1_u32 << BITS, 0..=BITS), 0..40),
        ) {
            let prefixes: BTreeSet<Prefix> = chosen.iter().map(|&(v6, low, host)| prefix(v6, low, host)).collect();
            let cover = aggregate(prefixes.iter().copied());
            for (v6, low) in [false, true].into_iter().flat_map(|v6| (0..1 << BITS).map(move |low| (v6, low))) {
                let address = prefix(v6, low, 0).address();
                let around = cover.iter().filter(|prefix| prefix.contains(address)).count();
                let wanted = prefixes.iter().any(|prefix| prefix.contains(address));
                prop_assert_eq!(around, usize::from(wanted), "{} in {:?}", address, cover);
            }
            // None has more addresses than the whole from which they were chosen.
            prop_assert!(cover.iter().all(|cover| [false, true].iter().any(|&v6| prefix(v6, 0, BITS).covers(*cover))));
            let parents: BTreeSet<_> = cover.iter().filter_map(Prefix::parent).collect();
            prop_assert_eq!(parents.len(), cover.len(), "halves of one whole in {:?}", cover);
            prop_assert!(cover.is_sorted());
        }
    }
}
