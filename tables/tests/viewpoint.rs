// SPDX-License-Identifier: MIT OR Apache-2.0
//! The example of the contract as each of its data centres sees it, and what is wrong with it for one forwarder alone.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test may stop at the first surprise"
)]

mod contract;

use std::net::IpAddr;

use serde_json::{Value, json};
use tables::table::{Address, Remote, Target, Viewpoint};
use tables::{Source, Table};

/// The example, where some paths take less than others.
fn example() -> Value {
    let mut document = contract::example();
    document["datacenters"]["CDG"]["mtu"] = json!(1400);
    document["servers"]["lhr-1"]["mtu"] = json!(1500);
    document
}

fn viewpoint(datacenter: &str, ipv4: Option<&str>, ipv6: Option<&str>) -> Viewpoint {
    Viewpoint {
        datacenter: datacenter.into(),
        ipv4: ipv4.map(|address| address.parse().unwrap()),
        ipv6: ipv6.map(|address| address.parse().unwrap()),
    }
}

fn lhr() -> Viewpoint {
    viewpoint("LHR", Some("10.0.0.1"), Some("2001:db8:a::1"))
}

fn compile(document: &Value, viewpoint: &Viewpoint) -> Result<Table, Vec<(String, String)>> {
    let source = Source::from_slice(document.to_string().as_bytes()).unwrap();
    Table::compile(&source, viewpoint)
        .map_err(|faults| faults.0.into_iter().map(|fault| (fault.path, fault.message)).collect())
}

/// The paths and messages of what is wrong for this forwarder; none if nothing is.
fn faults(document: &Value, viewpoint: &Viewpoint) -> Vec<(String, String)> {
    compile(document, viewpoint).err().unwrap_or_default()
}

fn pairs(expected: &[(&str, &str)]) -> Vec<(String, String)> {
    expected.iter().map(|&(path, message)| (path.into(), message.into())).collect()
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn target<'a>(table: &'a Table, address: &str, port: u16) -> Option<&'a Target> {
    let id = match table.address(ip(address)) {
        Address::Whole(id) => id,
        Address::Sliced(plan) => table.port(plan, port)?,
        other => panic!("{address} is {other:?}"),
    };
    Some(table.targets().get(usize::from(id.0)).unwrap())
}

#[test]
fn the_example_seen_from_its_own_data_centre() {
    let table = compile(&example(), &lhr()).unwrap();
    let lhr_1 =
        Target { name: "lhr-1".into(), address: ip("10.0.1.1"), previous: None, mtu: Some(1500), is_gone: false };
    let lhr_2 =
        Target { name: "lhr-2".into(), address: ip("2001:db8:a:1::2"), previous: None, mtu: None, is_gone: false };
    let moving = Target { previous: Some(("lhr-1".into(), ip("10.0.1.1"))), ..lhr_2.clone() };

    for (port, owner) in [(0, None), (2047, None), (2048, Some(&lhr_1)), (4095, Some(&lhr_1)), (4096, Some(&lhr_2))] {
        assert_eq!(target(&table, "198.51.100.1", port), owner, "port {port}");
    }
    for (port, owner) in [(6143, Some(&lhr_2)), (6144, None), (65_535, None)] {
        assert_eq!(target(&table, "198.51.100.1", port), owner, "port {port}");
    }
    for (port, owner) in
        [(2047, None), (2048, Some(&lhr_1)), (4096, Some(&moving)), (6143, Some(&moving)), (6144, None)]
    {
        assert_eq!(target(&table, "198.51.100.2", port), owner, "port {port}");
    }
    assert_eq!(target(&table, "2001:db8:e::", 1), Some(&lhr_1));
    assert_eq!(target(&table, "2001:db8:e::ffff:ffff:ffff:ffff", 0), Some(&lhr_1));
    assert_eq!(table.targets().len(), 3, "each pair of owners once");

    for (address, portless) in [("198.51.100.1", None), ("198.51.100.2", Some(&lhr_1))] {
        let Address::Sliced(plan) = table.address(ip(address)) else { panic!("{address} is sliced") };
        let found = table.portless(plan).map(|id| table.targets().get(usize::from(id.0)).unwrap());
        assert_eq!(found, portless, "{address}");
        assert_eq!(table.run_around(plan, 3000), (2048, 4095));
        assert_eq!(table.run_around(plan, 0), (0, 2047));
    }

    let Address::Remote(cdg) = table.address(ip("198.51.100.3")) else { panic!("CDG's address is remote") };
    let forwarders = vec![ip("10.1.0.1"), ip("2001:db8:b::1")];
    let expected = Remote { name: "CDG".into(), forwarders, mtu: Some(1400) };
    assert_eq!(table.remotes(), [expected]);
    assert_eq!(cdg.0, 0);

    for address in ["198.51.100.0", "198.51.100.4", "198.51.100.255"] {
        assert_eq!(table.address(ip(address)), Address::Unassigned, "{address}");
    }
    for address in ["198.51.99.255", "198.51.101.0", "2001:db8:d:ffff::", "2001:db8:e:1::", "::ffff:198.51.100.1"] {
        assert_eq!(table.address(ip(address)), Address::Absent, "{address}");
    }
    for forwarder in ["10.0.0.1", "2001:db8:a::1", "10.1.0.1", "2001:db8:b::1"] {
        assert!(table.is_forwarder(ip(forwarder)), "{forwarder}");
    }
    for stranger in ["10.0.0.2", "10.0.1.1", "2001:db8:a::2", "::ffff:10.0.0.1"] {
        assert!(!table.is_forwarder(ip(stranger)), "{stranger}");
    }
}

#[test]
fn the_example_seen_from_the_other_side() {
    let table = compile(&example(), &viewpoint("CDG", Some("10.1.0.1"), None)).unwrap();
    for address in ["198.51.100.1", "198.51.100.2", "2001:db8:e::1"] {
        assert!(matches!(table.address(ip(address)), Address::Remote(_)), "{address}");
    }
    assert_eq!(target(&table, "198.51.100.3", 80).map(|it| &*it.name), Some("cdg-1"));
    assert_eq!(table.targets().len(), 1, "servers of others are no targets");
    let remote = Remote { name: "LHR".into(), forwarders: vec![ip("10.0.0.1")], mtu: None };
    assert_eq!(table.remotes(), [remote], "only forwarders that IPv4 reaches");
    assert!(table.is_forwarder(ip("2001:db8:a::1")), "trust does not depend on the family");
}

#[test]
fn a_server_of_a_family_that_the_forwarder_lacks() {
    let message = "2001:db8:a:1::2 can't be reached: this forwarder has no IPv6 underlay address";
    let only4 = viewpoint("LHR", Some("10.0.0.1"), None);
    assert_eq!(faults(&example(), &only4), pairs(&[("servers.lhr-2.address", message)]));

    let mut document = example();
    document["servers"]["odd one"] = json!({ "datacenter": "LHR", "address": "10.0.1.9" });
    let only6 = viewpoint("LHR", None, Some("2001:db8:a::1"));
    let missing = |address| format!("{address} can't be reached: this forwarder has no IPv4 underlay address");
    let mut found = faults(&document, &only6);
    found.sort();
    assert_eq!(
        found,
        pairs(&[
            ("servers.lhr-1.address", &missing("10.0.1.1")),
            ("servers[\"odd one\"].address", &missing("10.0.1.9")),
        ])
    );
}

#[test]
fn a_remote_data_centre_that_the_forwarder_cannot_reach() {
    let mut document = example();
    document["datacenters"]["CDG"]["forwarders"] = json!(["2001:db8:b::1"]);
    document["servers"]["lhr-2"]["address"] = json!("10.0.1.2");
    let only4 = viewpoint("LHR", Some("10.0.0.1"), None);
    let message = "none of them has an address of a family that this forwarder has too: IPv4";
    assert_eq!(faults(&document, &only4), pairs(&[("datacenters.CDG.forwarders", message)]));
    assert_eq!(faults(&document, &lhr()), [], "with IPv6 it can");

    document["egress"].as_array_mut().unwrap().remove(2);
    assert_eq!(faults(&document, &only4), [], "nothing leads there any more");
}

#[test]
fn an_address_of_its_own_that_peers_would_not_trust() {
    let message = |address| {
        format!("this forwarder's own address {address} is missing: other data centres would not trust its packets")
    };
    let stranger = viewpoint("LHR", Some("10.0.0.2"), Some("2001:db8:a::2"));
    assert_eq!(
        faults(&example(), &stranger),
        pairs(&[
            ("datacenters.LHR.forwarders", &message("10.0.0.2")),
            ("datacenters.LHR.forwarders", &message("2001:db8:a::2")),
        ])
    );
    let swapped = viewpoint("LHR", Some("10.1.0.1"), Some("2001:db8:a::1"));
    assert_eq!(faults(&example(), &swapped), pairs(&[("datacenters.LHR.forwarders", &message("10.1.0.1"))]));

    let mut alone = example();
    alone["datacenters"].as_object_mut().unwrap().remove("CDG");
    alone["servers"].as_object_mut().unwrap().remove("cdg-1");
    alone["egress"].as_array_mut().unwrap().remove(2);
    assert_eq!(faults(&alone, &stranger), [], "there is nobody to trust it");
}

#[test]
fn all_faults_are_told_at_once() {
    let nowhere = viewpoint("LHR", None, None);
    let found = faults(&example(), &nowhere);
    let paths: Vec<&str> = found.iter().map(|(path, _)| path.as_str()).collect();
    assert_eq!(paths, ["datacenters.CDG.forwarders", "servers.lhr-1.address", "servers.lhr-2.address"]);
    assert_eq!(found[0].1, "this forwarder has no underlay address to reach any of them from");
}

#[test]
fn a_data_centre_that_the_table_does_not_know() {
    let message = "this forwarder's own data centre \"LHX\" is missing: add it, or correct `datacenter` in the \
                   forwarder's config";
    let stranger = viewpoint("LHX", Some("10.0.0.1"), Some("2001:db8:a::1"));
    assert_eq!(faults(&example(), &stranger), pairs(&[("datacenters", message)]));

    let empty = json!({ "version": 1, "datacenters": {}, "servers": {}, "egress": [] });
    let table = compile(&empty, &stranger).unwrap();
    assert_eq!(table.address(ip("198.51.100.1")), Address::Absent, "an empty table is one from any viewpoint");
}

#[test]
fn more_targets_than_a_table_holds_are_refused_and_as_many_as_it_holds_are_not() {
    let network = |count: u32| {
        let server = |number: u32| {
            let [_, a, b, c] = number.to_be_bytes();
            (format!("s{number}"), json!({ "datacenter": "LHR", "address": format!("10.{a}.{b}.{c}") }))
        };
        let entry = |number: u32| {
            let [_, a, b, c] = number.to_be_bytes();
            json!({ "prefix": format!("100.{a}.{b}.{c}/32"), "datacenter": "LHR", "server": format!("s{number}") })
        };
        json!({
            "version": 1,
            "datacenters": { "LHR": { "forwarders": ["10.0.0.1"] } },
            "servers": (0..count).map(server).collect::<serde_json::Map<_, _>>(),
            "egress": (0..count).map(entry).collect::<Vec<_>>(),
        })
    };
    let table = compile(&network(65_535), &lhr()).unwrap();
    assert_eq!(target(&table, "100.0.255.254", 1).map(|it| &*it.name), Some("s65534"));
    let found = faults(&network(65_536), &lhr());
    assert_eq!(found[0].0, "egress");
    assert!(found[0].1.contains("more than 65535 distinct pairs of a server and its previous owner"), "{found:?}");
}

#[test]
fn equal_plans_are_stored_once() {
    let document = |distinct: bool| {
        let entry = |host: usize| {
            let owner = if distinct && host % 2 == 1 { "b" } else { "a" };
            json!({
                "prefix": format!("192.0.2.{host}/32"), "datacenter": "LHR",
                "slices": { "ports": 64, "owners": [owner, owner, "b"] },
            })
        };
        json!({
            "version": 1,
            "datacenters": { "LHR": { "forwarders": ["10.0.0.1"] } },
            "servers": { "a": { "datacenter": "LHR", "address": "10.0.1.1" },
                         "b": { "datacenter": "LHR", "address": "10.0.1.2" } },
            "egress": (0..100).map(entry).collect::<Vec<_>>(),
        })
    };
    let (one, two) = (compile(&document(false), &lhr()).unwrap(), compile(&document(true), &lhr()).unwrap());
    assert_eq!(two.size() - one.size(), 2048, "one block of 1,024 slots more");
}
