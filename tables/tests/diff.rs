// SPDX-License-Identifier: MIT OR Apache-2.0
//! What moves between two tables, compared with looking up every address and every port that matters in both.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test may stop at the first surprise"
)]

mod documents;

use documents::{Document, PortMap, addresses, two_documents};
use proptest::prelude::*;
use tables::diff::{Change, Diff, diff};
use tables::{Prefix, Source};

fn read(document: &Document) -> Source {
    Source::from_slice(document.json().as_bytes()).unwrap()
}

/// Where a lookup from `here` leads: owner, previous owner.
fn lookup(
    document: &Document,
    address: std::net::IpAddr,
    port: u16,
    here: &str,
) -> (Option<&'static str>, Option<&'static str>) {
    let Some(entry) = document.find(address) else { return (None, None) };
    match entry.datacenter {
        Some(datacenter) if datacenter != here => (Some(datacenter), None),
        _ => entry.owner(port).map_or((None, None), |(server, previous)| (Some(server), previous)),
    }
}

/// The same for protocols without ports; whether that is a question of its own.
fn lookup_portless(document: &Document, address: std::net::IpAddr, here: &str) -> (Option<&'static str>, bool) {
    let Some(entry) = document.find(address) else { return (None, false) };
    match (&entry.ports, entry.datacenter) {
        (_, Some(datacenter)) if datacenter != here => (Some(datacenter), false),
        (PortMap::Slices(..) | PortMap::Ranges(_), _) => (entry.portless, true),
        (PortMap::Whole((server, _)), _) => (Some(server), false),
        (PortMap::None, _) => (None, false),
    }
}

/// The one change of an address and port, if there is one.
fn change_at<'a>(
    changes: &[Change<'a>],
    address: std::net::IpAddr,
    port: u16,
) -> Option<(Option<&'a str>, Option<&'a str>)> {
    let covers = |change: &&Change<'_>| {
        change.prefix.contains(address) && (change.ports.first()..=change.ports.last()).contains(&port)
    };
    let found: Vec<_> = changes.iter().filter(covers).map(|change| (change.from, change.to)).collect();
    assert!(found.len() <= 1, "{address} {port}: {found:?}");
    found.first().copied()
}

fn check_form(changes: &[Change<'_>]) {
    assert!(changes.is_sorted_by_key(|change| (change.prefix, change.ports)));
    for two in changes.windows(2).filter(|two| two[0].prefix == two[1].prefix) {
        let touching = two[0].ports.last() + 1 == two[1].ports.first();
        assert!(!touching || (two[0].from, two[0].to) != (two[1].from, two[1].to), "not merged: {two:?}");
    }
    assert!(changes.iter().all(|change| change.from != change.to));
}

proptest! {
    #[test]
    fn what_moves_is_what_lookups_say((a, b) in two_documents(), here in 0..4_usize) {
        let here = ["LHR", "CDG", "MAN", "nowhere"][here];
        let (before, after) = (read(&a), read(&b));
        let diff = diff(&before, &after, here);
        check_form(&diff.changes);
        check_form(&diff.previous);
        let mut touched = 0;
        for address in addresses() {
            let mut ports: Vec<u16> = Vec::new();
            for document in [&a, &b] {
                ports.extend(document.find(address).map(|entry| entry.bounds()).unwrap_or_default());
            }
            ports.sort_unstable();
            ports.dedup();
            let mut moves = false;
            for port in ports {
                let (from, to) = (lookup(&a, address, port, here), lookup(&b, address, port, here));
                let wanted = Some((from.0, to.0)).filter(|(from, to)| from != to);
                prop_assert_eq!(change_at(&diff.changes, address, port), wanted, "{} {}", address, port);
                moves |= wanted.is_some();
                let wanted = Some((from.1, to.1)).filter(|(from, to)| from != to);
                prop_assert_eq!(change_at(&diff.previous, address, port), wanted, "{} {}", address, port);
            }
            touched += u128::from(moves);

            let (from, to) = (lookup_portless(&a, address, here), lookup_portless(&b, address, here));
            let wanted = Some((from.0, to.0)).filter(|(was, will)| was != will && (from.1 || to.1));
            let mut found = diff.portless.iter().filter(|change| change.prefix.contains(address));
            prop_assert_eq!(found.next().map(|change| (change.from, change.to)), wanted, "{}", address);
            prop_assert!(found.next().is_none());

            let contains = |prefixes: &[Prefix]| prefixes.iter().filter(|prefix| prefix.contains(address)).count();
            let (was, will) = (a.find(address).is_some(), b.find(address).is_some());
            prop_assert_eq!(contains(&diff.entering), usize::from(!was && will));
            prop_assert_eq!(contains(&diff.leaving), usize::from(was && !will));
        }
        prop_assert_eq!(diff.summary.addresses, touched);
        let s = diff.summary;
        prop_assert_eq!(s.ports, s.moved + s.newly_served + s.newly_dropped + s.newly_remote + s.newly_local);
        let addresses = |prefix: Prefix| 1_u128 << (if prefix.address().is_ipv4() { 32 } else { 128 } - prefix.length());
        let ports: u128 = diff.changes.iter().map(|c| addresses(c.prefix) * u128::from(c.ports.count())).sum();
        prop_assert_eq!(s.ports, ports);
        let overview = tables::diff::overview(&before, &after, here);
        prop_assert_eq!((overview.summary, &overview.moves, &overview.targets), (s, &diff.moves, &diff.targets));
        prop_assert_eq!((overview.entering > 0, overview.leaving > 0), (!diff.entering.is_empty(), !diff.leaving.is_empty()));
        prop_assert_eq!(overview.moves.iter().map(|row| row.ports).sum::<u128>(), s.ports);
        for row in &diff.moves {
            let of_row = |change: &&Change<'_>| (change.from, change.to) == (row.from, row.to);
            let ports_of = |change: &Change<'_>| u128::from(change.ports.count()) * addresses(change.prefix);
            prop_assert_eq!(diff.changes.iter().filter(of_row).map(ports_of).sum::<u128>(), row.ports);
        }
    }

    #[test]
    fn nothing_moves_between_a_table_and_itself((a, _) in two_documents()) {
        let source = read(&a);
        let mut other = a.clone();
        other.entries.reverse();
        prop_assert!(diff(&source, &read(&other), "LHR").is_empty());
    }
}

fn table(egress: &str) -> Source {
    let document = format!(
        r#"{{"version":1,
        "datacenters":{{"LHR":{{"forwarders":["10.0.0.1"]}},"CDG":{{"forwarders":["10.1.0.1"]}}}},
        "servers":{{"lhr-1":{{"datacenter":"LHR","address":"10.0.1.1"}},"lhr-2":{{"datacenter":"LHR","address":"10.0.1.2"}},
                    "cdg-1":{{"datacenter":"CDG","address":"10.1.1.1"}}}},
        "egress":[{egress}]}}"#
    );
    Source::from_slice(document.as_bytes()).unwrap()
}

fn rows(diff: &Diff<'_>) -> Vec<String> {
    let row = |c: &Change<'_>| format!("{} {} {}>{}", c.prefix, c.ports, c.from.unwrap_or("-"), c.to.unwrap_or("-"));
    diff.changes.iter().map(row).collect()
}

#[test]
fn a_moved_slice_reads_well() {
    let slices = |owners: &str| {
        let egress = r#"{"prefix":"198.51.100.0/24","datacenter":"LHR","slices":{"ports":2048,"owners":"#;
        table(&format!("{egress}{owners}}}}}"))
    };
    let (a, b) = (slices(r#"[null,"lhr-1","lhr-1","lhr-2"]"#), slices(r#"[null,"lhr-2","lhr-2",null,"lhr-1"]"#));
    let diff = diff(&a, &b, "LHR");
    let wanted = [
        "198.51.100.0/24 2048-6143 lhr-1>lhr-2",
        "198.51.100.0/24 6144-8191 lhr-2>-",
        "198.51.100.0/24 8192-10239 ->lhr-1",
    ];
    assert_eq!(rows(&diff), wanted);
    assert_eq!(diff.summary.addresses, 256);
    assert_eq!((diff.summary.moved, diff.summary.newly_dropped), (256 * 4096, 256 * 2048));
    assert!(rows(&tables::diff::diff(&a, &b, "CDG")).is_empty(), "another data centre sees no difference");
    let json = serde_json::to_value(&diff).unwrap();
    let first = serde_json::json!({"prefix":"198.51.100.0/24","ports":"2048-6143","from":"lhr-1","to":"lhr-2"});
    assert_eq!(json["changes"][0], first);
    assert_eq!(json["changes"][1]["to"], serde_json::Value::Null);
}

#[test]
fn a_longer_prefix_in_one_table_cuts_the_shorter_one_of_the_other() {
    let a = table(r#"{"prefix":"192.0.2.0/30","datacenter":"LHR","server":"lhr-1"}"#);
    let b = table(
        r#"{"prefix":"192.0.2.0/30","datacenter":"LHR","server":"lhr-1"},
           {"prefix":"192.0.2.1/32","datacenter":"CDG","server":"cdg-1"},
           {"prefix":"192.0.2.2/31","datacenter":"LHR","server":"lhr-1","previous":"lhr-2"}"#,
    );
    let there = diff(&a, &b, "LHR");
    assert_eq!(rows(&there), ["192.0.2.1/32 0-65535 lhr-1>CDG"]);
    assert_eq!(there.summary.newly_remote, 65_536);
    assert_eq!(there.previous.len(), 1);
    assert_eq!(rows(&diff(&b, &a, "LHR")), ["192.0.2.1/32 0-65535 CDG>lhr-1"]);
    assert_eq!(rows(&diff(&a, &b, "CDG")), ["192.0.2.1/32 0-65535 LHR>cdg-1"]);
}

#[test]
fn a_server_with_a_new_address_is_told() {
    let a = table("");
    let json = r#"{"version":1,"datacenters":{"LHR":{"forwarders":["10.0.0.1","10.0.0.2"],"mtu":1400}},
        "servers":{"lhr-1":{"datacenter":"LHR","address":"10.0.1.9"}},"egress":[]}"#;
    let b = Source::from_slice(json.as_bytes()).unwrap();
    let diff = diff(&a, &b, "LHR");
    let told: Vec<_> = diff.targets.iter().map(|t| (t.name, t.what, t.from.as_deref(), t.to.as_deref())).collect();
    let wanted = [
        ("LHR", "forwarders", Some("10.0.0.1"), Some("10.0.0.1 10.0.0.2")),
        ("LHR", "mtu", None, Some("1400")),
        ("lhr-1", "address", Some("10.0.1.1"), Some("10.0.1.9")),
    ];
    assert_eq!(told, wanted);
    assert!(!diff.is_empty());
}

#[test]
fn whole_families_do_not_overflow_the_figures() {
    let whole = |server: &str| table(&format!(r#"{{"prefix":"::/0","datacenter":"LHR","server":"{server}"}}"#));
    let (a, b) = (whole("lhr-1"), whole("lhr-2"));
    let diff = diff(&a, &b, "LHR");
    assert_eq!(rows(&diff), ["::/0 0-65535 lhr-1>lhr-2"]);
    assert_eq!((diff.summary.addresses, diff.summary.moved), (u128::MAX, u128::MAX));
}
