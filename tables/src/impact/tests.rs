// SPDX-License-Identifier: MIT OR Apache-2.0

use proptest::prelude::*;

use super::*;
use crate::patch::Patch;

const SERVERS: [(&str, &str); 4] = [("a", "LHR"), ("b", "LHR"), ("c", "CDG"), ("d", "CDG")];

fn source(egress: &[String]) -> Source {
    let servers: Vec<String> =
        SERVERS.iter().map(|(name, at)| format!(r#""{name}":{{"datacenter":"{at}","address":"10.0.0.9"}}"#)).collect();
    let document = format!(
        r#"{{"version":1,"datacenters":{{"LHR":{{"forwarders":["10.0.0.1"]}},"CDG":{{"forwarders":["10.1.0.1"]}}}},
            "servers":{{{}}},"egress":[{}]}}"#,
        servers.join(","),
        egress.join(",")
    );
    Source::from_slice(document.as_bytes()).unwrap()
}

/// Owners of quarters of the ports: `a` and `b` in LHR, others in CDG, `-` nobody.
fn sliced(prefix: &str, owners: &str) -> String {
    let owner = |c: char| if c == '-' { "null".to_owned() } else { format!("\"{c}\"") };
    let at = if owners.contains(['c', 'd']) { "CDG" } else { "LHR" };
    let owners: Vec<String> = owners.chars().map(owner).collect();
    format!(r#"{{"prefix":"{prefix}","datacenter":"{at}","slices":{{"ports":16384,"owners":[{}]}}}}"#, owners.join(","))
}

fn figures(a: &[String], b: &[String]) -> (u64, u64, u64, u64, Vec<String>) {
    let (a, b) = (source(a), source(b));
    let (impact, census) = between(&a, &Census::of(&a), &b);
    assert_eq!(census.ports.iter().sum::<u64>(), Census::of(&b).allocated_ports());
    let quarters = |ports: u64| ports / 16384;
    let Impact { addresses, allocated_ports, removed_ports, moved_ports, emptied_datacenters } = impact;
    (addresses, quarters(allocated_ports), quarters(removed_ports), quarters(moved_ports), emptied_datacenters)
}

#[test]
fn figures_count_each_address_once() {
    let before = [sliced("192.0.2.0/30", "ab-a"), sliced("192.0.2.1/32", "cc"), sliced("2001:db8::/32", "a")];
    assert_eq!(figures(&before, &before), (5, 12, 0, 0, vec![]));
    // 192.0.2.1 falls to the prefix around it: one of its quarters is a's then, one b's.
    let after = [sliced("192.0.2.0/30", "ab-a"), sliced("2001:db8::/32", "a")];
    assert_eq!(figures(&before, &after), (5, 12, 0, 2, vec!["CDG".to_owned()]));
    let after = [sliced("192.0.2.0/30", "bb--"), sliced("192.0.2.1/32", "cc")];
    assert_eq!(figures(&before, &after), (5, 12, 3 + 1, 3, vec![]));
    assert_eq!(figures(&before, &[]), (5, 12, 12, 0, vec!["LHR".to_owned(), "CDG".to_owned()]));
    let unassigned = [r#"{"prefix":"10.0.0.0/8","unassigned":true}"#.to_owned()];
    assert_eq!(figures(&unassigned, &before), (0, 0, 0, 0, vec![]));
}

/// The document of a source, its servers the other way round.
fn turned(source: &Source) -> Vec<u8> {
    let mut written = Vec::new();
    source.write(1, &mut written).unwrap();
    let mut lines: Vec<String> = String::from_utf8(written).unwrap().lines().map(str::to_owned).collect();
    let first = lines.iter().position(|line| line.starts_with("\"a\"")).unwrap();
    // Each has a comma behind it, or what ends the object.
    let (a, b) = (lines[first].clone(), lines[first + 1].clone());
    (lines[first], lines[first + 1]) = (b, a);
    lines.join("\n").into_bytes()
}

fn prefix() -> impl Strategy<Value = String> {
    prop_oneof![
        (0..16_u8, 28..=32_u8).prop_map(|(low, length)| {
            let network = u32::from(low) & (u32::MAX << (32 - u32::from(length)));
            format!("192.0.2.{network}/{length}")
        }),
        (0..4_u8).prop_map(|low| format!("2001:db8:{low}::/48")),
    ]
}

fn entry() -> impl Strategy<Value = String> {
    prop_oneof![
        prop::collection::vec(prop::sample::select(vec!['a', 'b', '-']), 0..=4),
        prop::collection::vec(prop::sample::select(vec!['c', 'd', '-']), 0..=4),
    ]
    .prop_map(|owners| owners.into_iter().collect())
}

proptest! {
    /// What a patch does is what the whole table says before and after it, and so is the census.
    #[test]
    fn a_patch_is_judged_as_the_whole_table(
        before in prop::collection::btree_map(prefix(), entry(), 0..10),
        set in prop::collection::btree_map(prefix(), entry(), 0..5),
        removed in prop::collection::vec(any::<prop::sample::Index>(), 0..4),
    ) {
        let entries = |map: &std::collections::BTreeMap<String, String>| -> Vec<String> {
            map.iter().map(|(prefix, owners)| sliced(prefix, owners)).collect()
        };
        let mut source = source(&entries(&before));
        let mut removed: Vec<String> = removed
            .iter()
            .filter(|_| !before.is_empty())
            .map(|index| before.keys().nth(index.index(before.len())).unwrap().clone())
            .filter(|prefix| !set.contains_key(prefix))
            .collect();
        removed.sort();
        removed.dedup();
        let patch = format!(r#"{{"set":{{"egress":[{}]}},"remove":{{"egress":{removed:?}}}}}"#, entries(&set).join(","));
        let patch = Patch::from_slice(patch.as_bytes()).unwrap();
        let (old, census) = (source.clone(), Census::of(&source));
        let staged = source.stage(&patch).unwrap();
        let (impact, after) = of_patch(&source, &census, &staged);
        source.commit(staged);
        let (whole, whole_census) = between(&old, &census, &source);
        prop_assert_eq!(&impact, &whole);
        prop_assert_eq!(after.addresses, whole_census.addresses);
        prop_assert_eq!(after.allocated_ports(), whole_census.allocated_ports());
        let fresh = Census::of(&source);
        let same = |id| fresh.of_datacenter(DatacenterId(id)) == whole_census.of_datacenter(DatacenterId(id));
        prop_assert!(fresh.addresses == whole_census.addresses && (0..4).all(same));
        // A document that names servers in another order has other ids.
        let turned = Source::from_slice(&turned(&source)).unwrap();
        let (impact, turned_census) = between(&old, &census, &turned);
        prop_assert_eq!(&impact.removed_ports, &whole.removed_ports);
        prop_assert_eq!(&impact.moved_ports, &whole.moved_ports);
        prop_assert_eq!(turned_census.allocated_ports(), fresh.allocated_ports());
    }
}
