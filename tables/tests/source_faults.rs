// SPDX-License-Identifier: MIT OR Apache-2.0
//! Every way a table document can be wrong, and the exact places that must be named for it.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test may stop at the first surprise"
)]

use serde_json::{Value, json};
use tables::{Fault, Source};

/// The document of the contract, section 3.
fn example() -> Value {
    json!({
      "version": 1,
      "generation": 42,
      "datacenters": {
        "LHR": { "forwarders": ["10.0.0.1", "2001:db8:a::1"] },
        "CDG": { "forwarders": ["10.1.0.1", "2001:db8:b::1"] }
      },
      "servers": {
        "lhr-1": { "datacenter": "LHR", "address": "10.0.1.1" },
        "lhr-2": { "datacenter": "LHR", "address": "2001:db8:a:1::2" },
        "cdg-1": { "datacenter": "CDG", "address": "10.1.1.1" }
      },
      "egress": [
        { "prefix": "198.51.100.1/32", "datacenter": "LHR",
          "slices": { "ports": 2048, "owners": [null, "lhr-1", "lhr-2"] },
          "tags": { "country": "GB", "trust": "untrusted" } },
        { "prefix": "198.51.100.2/32", "datacenter": "LHR",
          "ranges": [ { "ports": "2048-4095", "server": "lhr-1" },
                      { "ports": "4096-6143", "server": "lhr-2", "previous": "lhr-1" } ],
          "portless": "lhr-1" },
        { "prefix": "198.51.100.3/32", "datacenter": "CDG", "server": "cdg-1" },
        { "prefix": "198.51.100.0/24", "unassigned": true },
        { "prefix": "2001:db8:e::/64", "datacenter": "LHR", "server": "lhr-1" }
      ]
    })
}

fn faults(document: &str) -> Vec<Fault> {
    let streamed = Source::from_reader(document.as_bytes()).err().map(|faults| faults.0).unwrap_or_default();
    let whole = Source::from_slice(document.as_bytes()).err().map(|faults| faults.0).unwrap_or_default();
    let paths = |faults: &[Fault]| faults.iter().map(|fault| fault.path.clone()).collect::<Vec<_>>();
    assert_eq!(paths(&streamed), paths(&whole), "both ways of reading must agree");
    whole
}

/// Puts `value` at a JSON pointer of the example (null, so written, removes) and wants exactly these paths as faults.
#[track_caller]
fn changed(changes: &[(&str, Value)], paths: &[&str]) -> Vec<Fault> {
    let mut document = example();
    for (pointer, value) in changes {
        let (parent, key) = pointer.rsplit_once('/').unwrap();
        match document.pointer_mut(parent).unwrap() {
            Value::Object(object) if *value == json!("REMOVE") => drop(object.remove(key)),
            Value::Object(object) => drop(object.insert(key.into(), value.clone())),
            Value::Array(array) if key == "-" => array.push(value.clone()),
            Value::Array(array) => array[key.parse::<usize>().unwrap()] = value.clone(),
            other => panic!("{other} has no members"),
        }
    }
    let found = faults(&document.to_string());
    assert_eq!(found.iter().map(|fault| fault.path.as_str()).collect::<Vec<_>>(), paths, "{found:#?}");
    found
}

#[test]
fn the_example_is_right() {
    changed(&[], &[]);
    assert_eq!(Source::from_slice(example().to_string().as_bytes()).unwrap().generation(), Some(42));
}

#[test]
fn the_top_of_the_document() {
    let cases: &[(&str, Value, &[&str])] = &[
        ("/version", json!(2), &["version"]),
        ("/version", json!(1.0), &["version"]),
        ("/version", json!("1"), &["version"]),
        ("/version", json!("REMOVE"), &[""]),
        ("/datacenters", json!([]), &["datacenters"]),
        ("/generation", json!(0), &[]),
        ("/generation", json!(9_223_372_036_854_775_807_u64), &[]),
        ("/generation", json!(9_223_372_036_854_775_808_u64), &["generation"]),
        ("/generation", json!(-1), &["generation"]),
        ("/generation", json!(1e3), &["generation"]),
        ("/generation", json!(1e300), &["generation"]),
        ("/generation", json!("42"), &["generation"]),
        ("/generation", Value::Null, &["generation"]),
        ("/generation", json!("REMOVE"), &[]),
        ("/comment", json!({"deep": [1, {"er": null}]}), &["comment"]),
        ("/egress", json!({}), &["egress"]),
        ("/egress", json!("REMOVE"), &[""]),
        ("/egress", json!([]), &[]),
        ("/egress/0", json!(7), &["egress[0]"]),
        ("/egress/1", Value::Null, &["egress[1]"]),
    ];
    for (pointer, value, paths) in cases {
        changed(&[(pointer, value.clone())], paths);
    }
    for document in ["[]", "null", "3", "\"x\"", "true", "{}"] {
        let paths: Vec<String> = faults(document).into_iter().map(|fault| fault.path).collect();
        let missing = if document == "{}" { 4 } else { 1 };
        assert_eq!(paths, vec![""; missing], "{document}");
    }
}

#[test]
fn data_centres_and_servers() {
    let lhr_1 = "/servers/lhr-1";
    let odd = json!({ "datacenter": "LHR", "address": "10.0.0" });
    let cases: &[(&str, Value, &[&str])] = &[
        ("/datacenters/LHR", json!([]), &["datacenters.LHR"]),
        ("/datacenters/LHR/forwarders", json!("10.0.0.1"), &["datacenters.LHR.forwarders"]),
        ("/datacenters/LHR/forwarders/1", json!("10.0.0.256"), &["datacenters.LHR.forwarders[1]"]),
        ("/datacenters/LHR/forwarders/1", json!("10.0.0.1"), &["datacenters.LHR.forwarders[1]"]),
        ("/datacenters/LHR/forwarders/1", json!(1), &["datacenters.LHR.forwarders[1]"]),
        ("/datacenters/LHR/forwarders", json!([]), &["datacenters.LHR.forwarders"]),
        ("/datacenters/LHR/forwarders", json!("REMOVE"), &["datacenters.LHR.forwarders"]),
        ("/datacenters/LHR/mtu", json!(1400), &[]),
        ("/datacenters/LHR/mtu", json!(67), &["datacenters.LHR.mtu"]),
        ("/datacenters/LHR/mtu", json!(65_536), &["datacenters.LHR.mtu"]),
        ("/datacenters/LHR/mtu", json!("1500"), &["datacenters.LHR.mtu"]),
        ("/datacenters/LHR/forwarder", json!([]), &["datacenters.LHR.forwarder"]),
        // Without entries a data centre needs nobody who takes packets.
        ("/datacenters/MAN", json!({}), &[]),
        ("/datacenters/", json!({}), &[r#"datacenters[""]"#]),
        ("/servers/lhr 1", odd.clone(), &[r#"servers["lhr 1"].address"#]),
        ("/servers/a.b", odd.clone(), &[r#"servers["a.b"].address"#]),
        ("/servers/\"", odd, &[r#"servers["\""].address"#]),
        (lhr_1, json!({}), &["servers.lhr-1", "servers.lhr-1"]),
        ("/servers/lhr-1/datacenter", json!("LGW"), &["servers.lhr-1.datacenter"]),
        ("/servers/lhr-1/datacenter", json!(null), &["servers.lhr-1.datacenter"]),
        ("/servers/lhr-1/address", json!("::ffff:10.0.0.1"), &["servers.lhr-1.address"]),
        ("/servers/lhr-1/address", json!("224.0.0.1"), &["servers.lhr-1.address"]),
        ("/servers/lhr-1/address", json!("lhr-1.example"), &["servers.lhr-1.address"]),
        ("/servers/lhr-1/mtu", json!(67), &["servers.lhr-1.mtu"]),
        ("/servers/lhr-1/mtu", json!(68), &[]),
        ("/servers/lhr-2/mtu", json!(1279), &["servers.lhr-2.mtu"]),
        ("/servers/lhr-2/mtu", json!(1280), &[]),
        ("/servers/lhr-1/adress", json!("10.0.0.1"), &["servers.lhr-1.adress"]),
    ];
    for (pointer, value, paths) in cases {
        changed(&[(pointer, value.clone())], paths);
    }
    // A single data centre has nobody to forward to.
    let alone = [
        ("/datacenters", json!({ "LHR": {} })),
        ("/servers", json!({ "lhr-1": { "datacenter": "LHR", "address": "10.0.1.1" } })),
        ("/egress", json!([{ "prefix": "192.0.2.1/32", "datacenter": "LHR", "server": "lhr-1" }])),
    ];
    changed(&alone, &[]);
}

#[test]
fn prefixes_and_kinds_of_entries() {
    let mut cases: Vec<(&str, Value, Vec<&str>)> = vec![
        ("/egress/0/datacenter", json!("REMOVE"), vec!["egress[0]"]),
        ("/egress/0/datacenter", json!("LGW"), vec!["egress[0].datacenter"]),
        ("/egress/0/datacenter", json!(1), vec!["egress[0].datacenter"]),
        ("/egress/0/prefix", json!("REMOVE"), vec!["egress[0]"]),
        ("/egress/4/prefix", json!("198.51.100.2/32"), vec!["egress[4].prefix"]),
        ("/egress/0/server", json!("lhr-1"), vec!["egress[0]"]),
        ("/egress/0/ranges", json!([]), vec!["egress[0]"]),
        ("/egress/0/unassigned", json!(true), vec!["egress[0]", "egress[0].datacenter", "egress[0].tags"]),
        ("/egress/0/slices", json!("REMOVE"), vec!["egress[0]"]),
        ("/egress/0/previous", json!("lhr-1"), vec!["egress[0].previous"]),
        ("/egress/0/portless", json!("cdg-1"), vec!["egress[0].portless"]),
        ("/egress/0/portless", json!("lhr-9"), vec!["egress[0].portless"]),
        ("/egress/0/portless", json!(null), vec!["egress[0].portless"]),
        ("/egress/2/portless", json!("cdg-1"), vec!["egress[2].portless"]),
        ("/egress/2/server", json!("lhr-1"), vec!["egress[2].server"]),
        ("/egress/2/server", json!("cdg-2"), vec!["egress[2].server"]),
        ("/egress/2/server", json!(["cdg-1"]), vec!["egress[2].server"]),
        ("/egress/2/previous", json!("cdg-1"), vec!["egress[2].previous"]),
        ("/egress/2/previous", json!("cdg-2"), vec!["egress[2].previous"]),
        ("/egress/2/previous", json!("lhr-1"), vec![]),
        ("/egress/2/previous", json!(null), vec![]),
        ("/egress/2/previous", json!(4), vec!["egress[2].previous"]),
        ("/egress/3/unassigned", json!(false), vec!["egress[3].unassigned"]),
        ("/egress/3/unassigned", json!(1), vec!["egress[3].unassigned"]),
        // Beside what it contradicts it may be a long way of saying nothing.
        ("/egress/0/unassigned", json!(false), vec!["egress[0].unassigned"]),
        ("/egress/1/unassigned", json!(false), vec!["egress[1].unassigned"]),
        ("/egress/2/unassigned", json!(null), vec!["egress[2].unassigned"]),
        ("/egress/3/datacenter", json!("LHR"), vec!["egress[3].datacenter"]),
        ("/egress/3/tags", json!({}), vec!["egress[3].tags"]),
        ("/egress/3/portless", json!("lhr-1"), vec!["egress[3].portless"]),
        ("/egress/3/previous", json!("lhr-1"), vec!["egress[3].previous"]),
        ("/egress/3/prefix ", json!("x"), vec![r#"egress[3]["prefix "]"#]),
        ("/egress/-", json!({ "prefix": "198.51.100.0/24", "unassigned": true }), vec!["egress[5].prefix"]),
        ("/egress/0/tags/country", json!("gb"), vec!["egress[0].tags.country"]),
        ("/egress/0/tags/country", json!("GBR"), vec!["egress[0].tags.country"]),
        ("/egress/0/tags/country", json!("ÄÖ"), vec!["egress[0].tags.country"]),
        ("/egress/0/tags/country", json!(""), vec!["egress[0].tags.country"]),
        ("/egress/0/tags/trust", json!(1), vec!["egress[0].tags.trust"]),
        ("/egress/0/tags/trust", json!(["a"]), vec!["egress[0].tags.trust"]),
        ("/egress/0/tags", json!([]), vec!["egress[0].tags"]),
        ("/egress/0/tags/Country", json!("no country"), vec![]),
    ];
    let bad_prefixes = [
        "198.51.100.1",
        "198.51.100.1/24",
        "198.51.100.1/33",
        "198.51.100.1/",
        "198.51.100.1/+32",
        "198.51.100/24",
        "2001:db8::1/64",
        "2001:db8::/129",
        "::ffff:192.0.2.0/120",
        "",
        "/",
        "x/8",
    ];
    cases.extend(bad_prefixes.map(|prefix| ("/egress/0/prefix", json!(prefix), vec!["egress[0].prefix"])));
    for (pointer, value, paths) in cases {
        changed(&[(pointer, value)], &paths);
    }
}

#[test]
fn false_for_unassigned_is_one_fault_whatever_else_the_entry_says() {
    let with = |changes: &[(&'static str, Value)], paths: &[&str]| {
        let mut all = vec![("/egress/0/unassigned", json!(false))];
        all.extend_from_slice(changes);
        changed(&all, paths);
    };
    let only = ["egress[0].unassigned"];
    with(&[("/egress/0/slices", json!("REMOVE"))], &only);
    with(&[("/egress/0/slices", json!("REMOVE")), ("/egress/0/datacenter", json!("REMOVE"))], &only);
    with(&[("/egress/0/slices", json!("REMOVE")), ("/egress/0/previous", json!("lhr-1"))], &only);
    // The entry's own faults are still found.
    with(&[("/egress/0/datacenter", json!("REMOVE"))], &["egress[0].unassigned", "egress[0]"]);
    with(&[("/egress/0/ranges", json!([]))], &["egress[0].unassigned", "egress[0]"]);
}

#[test]
fn slices() {
    let owners = |n: usize| json!(vec!["lhr-1"; n]);
    let mut cases: Vec<(&str, Value, Vec<&str>)> = vec![
        ("/egress/0/slices", json!([]), vec!["egress[0].slices"]),
        ("/egress/0/slices/ports", json!("REMOVE"), vec!["egress[0].slices"]),
        ("/egress/0/slices/owners", json!("REMOVE"), vec!["egress[0].slices"]),
        ("/egress/0/slices/owners", json!([]), vec![]),
        ("/egress/0/slices/owners", owners(32), vec![]),
        ("/egress/0/slices/owners", owners(33), vec!["egress[0].slices.owners"]),
        ("/egress/0/slices/owners", json!({}), vec!["egress[0].slices.owners"]),
        (
            "/egress/0/slices/owners",
            json!([null, "lhr-1", 3, "lhr-2", "man-1"]),
            vec!["egress[0].slices.owners[2]", "egress[0].slices.owners[4]"],
        ),
        ("/egress/0/slices/owners/1", json!("cdg-1"), vec!["egress[0].slices.owners[1]"]),
        (
            "/egress/0/slices/owners",
            json!([null, null, "x", "x", "lhr-1", "x"]),
            vec!["egress[0].slices.owners[2]", "egress[0].slices.owners[3]", "egress[0].slices.owners[5]"],
        ),
        ("/egress/0/slices/previous", json!([null, null, "lhr-1"]), vec![]),
        ("/egress/0/slices/previous", json!([null, "cdg-1", "lhr-1"]), vec![]),
        ("/egress/0/slices/previous", json!([null, null, "lhr-2"]), vec!["egress[0].slices.previous[2]"]),
        (
            "/egress/0/slices/previous",
            json!([null, "x", "x"]),
            vec!["egress[0].slices.previous[1]", "egress[0].slices.previous[2]"],
        ),
        // Nobody owns these slices now.
        ("/egress/0/slices/previous", json!(["lhr-1", null, null, null, "lhr-2"]), vec![]),
        (
            "/egress/0/slices/previous",
            json!(["x", null, null, null, "x"]),
            vec!["egress[0].slices.previous[0]", "egress[0].slices.previous[4]"],
        ),
        ("/egress/0/slices/previous", json!(vec![Value::Null; 32]), vec![]),
        ("/egress/0/slices/previous", json!(vec![Value::Null; 33]), vec!["egress[0].slices.previous"]),
        ("/egress/0/slices/previous", json!(null), vec!["egress[0].slices.previous"]),
        ("/egress/0/slices/owner", json!([]), vec!["egress[0].slices.owner"]),
    ];
    for bad in [
        json!(0),
        json!(32),
        json!(63),
        json!(65),
        json!(3000),
        json!(131_072),
        json!(2048.0),
        json!("2048"),
        json!(-64),
    ] {
        cases.push(("/egress/0/slices/ports", bad, vec!["egress[0].slices.ports"]));
    }
    for good in [64, 2048, 16_384] {
        cases.push(("/egress/0/slices/ports", json!(good), vec![]));
    }
    for (pointer, value, paths) in cases {
        changed(&[(pointer, value)], &paths);
    }
    let whole = json!({ "ports": 65_536, "owners": ["lhr-9"] });
    changed(&[("/egress/0/slices", whole)], &["egress[0].slices.owners[0]"]);
    let smallest = json!({ "ports": 64, "owners": vec!["lhr-1"; 1025] });
    changed(&[("/egress/0/slices", smallest)], &["egress[0].slices.owners"]);
}

#[test]
fn ranges() {
    let ports = |ports: &[&str]| {
        let server = ["lhr-1", "lhr-2"];
        let range = |(n, ports): (usize, &&str)| json!({ "ports": ports, "server": server[n % 2] });
        json!(ports.iter().enumerate().map(range).collect::<Vec<_>>())
    };
    let at = |pointer: &'static str, value: Value, paths: &[&str]| changed(&[(pointer, value)], paths);
    at("/egress/1/ranges", ports(&["5000-5999", "0-0", "65535-65535", "1-4999"]), &[]);
    at("/egress/1/ranges", ports(&["1-2", "2-3"]), &["egress[1].ranges[1].ports"]);
    at("/egress/1/ranges", ports(&["2-3", "1-2"]), &["egress[1].ranges[1].ports"]);
    at("/egress/1/ranges", ports(&["5-5", "1-9", "7-7"]), &["egress[1].ranges[1].ports", "egress[1].ranges[2].ports"]);
    at(
        "/egress/1/ranges",
        ports(&["1-9", "20-29", "2-3", "25-40"]),
        &["egress[1].ranges[2].ports", "egress[1].ranges[3].ports"],
    );
    at(
        "/egress/1/ranges",
        ports(&["5000-6000", "100-200", "150-5000", "0-65535", "7-8"]),
        &["egress[1].ranges[2].ports", "egress[1].ranges[3].ports", "egress[1].ranges[4].ports"],
    );
    at("/egress/1/ranges", ports(&["1-2", "1-2", "1-2"]), &["egress[1].ranges[1].ports", "egress[1].ranges[2].ports"]);
    for bad in ["2-1", "65535-65536", "1", "", "a-b", "1 - 2", "01-2", "-1-2"] {
        at("/egress/1/ranges", ports(&["100-200", bad]), &["egress[1].ranges[1].ports"]);
    }
    at("/egress/1/ranges", json!({}), &["egress[1].ranges"]);
    at("/egress/1/ranges/0", json!("1-2"), &["egress[1].ranges[0]"]);
    at("/egress/1/ranges/0", json!({}), &["egress[1].ranges[0]", "egress[1].ranges[0]"]);
    at("/egress/1/ranges/0/ports", json!(80), &["egress[1].ranges[0].ports"]);
    at("/egress/1/ranges/0/server", Value::Null, &["egress[1].ranges[0].server"]);
    at("/egress/1/ranges/0/server", json!("cdg-1"), &["egress[1].ranges[0].server"]);
    at("/egress/1/ranges/0/server", json!("lhr-9"), &["egress[1].ranges[0].server"]);
    at("/egress/1/ranges/1/previous", json!("lhr-2"), &["egress[1].ranges[1].previous"]);
    at("/egress/1/ranges/1/previous", json!("cdg-1"), &[]);
    at("/egress/1/ranges/1/previous", json!("lhr-9"), &["egress[1].ranges[1].previous"]);
    at("/egress/1/ranges/1/last", json!(1), &["egress[1].ranges[1].last"]);
    at("/egress/1/portless", json!("lhr-9"), &["egress[1].portless"]);
    // Ranges that become one run, or change places, still have their own names.
    let range = |ports: &str, server: &str| json!({ "ports": ports, "server": server });
    let touching = json!([range("10-19", "x"), range("0-9", "x"), range("20-29", "lhr-1")]);
    at("/egress/1/ranges", touching, &["egress[1].ranges[0].server", "egress[1].ranges[1].server"]);
}

#[test]
fn every_fault_is_told_in_the_order_of_the_document() {
    let entry = json!({
        "prefix": "198.51.100.9/24", "datacenter": "LHR", "slices": { "ports": 100, "owners": ["lhr-9", "cdg-1"] },
        "ranges": [{ "ports": "9-1", "server": "lhr-8" }], "server": "cdg-1", "portless": "nobody", "x": 1
    });
    let changes = [
        ("/version", json!(3)),
        ("/datacenters/LHR/mtu", json!(1)),
        ("/servers/lhr-1/datacenter", json!("LGW")),
        ("/egress/0/tags/country", json!("UK1")),
        ("/egress/1", entry),
        ("/egress/2/server", json!("cdg-9")),
        ("/egress/4/prefix", json!("198.51.100.3/32")),
    ];
    // serde_json writes members by name: datacenters, egress, servers, version.
    let paths = [
        "datacenters.LHR.mtu",
        "egress[0].tags.country",
        "egress[1].prefix",
        "egress[1].ranges[0].ports",
        "egress[1].slices.ports",
        "egress[1].x",
        "egress[1]",
        "egress[1].slices.owners[0]",
        "egress[1].slices.owners[1]",
        "egress[1].ranges[0].server",
        "egress[1].server",
        "egress[1].portless",
        "egress[2].server",
        "egress[4].prefix",
        "servers.lhr-1.datacenter",
        "version",
    ];
    // Where lhr-1 is used is no fault: its data centre is.
    assert_eq!(changed_paths(&changes), paths);
}

fn changed_paths(changes: &[(&str, Value)]) -> Vec<String> {
    let mut document = example();
    for (pointer, value) in changes {
        *document.pointer_mut(pointer).unwrap_or(&mut Value::Null) = value.clone();
        let (parent, key) = pointer.rsplit_once('/').unwrap();
        if let Some(Value::Object(object)) = document.pointer_mut(parent) {
            object.insert(key.into(), value.clone());
        }
    }
    faults(&document.to_string()).into_iter().map(|fault| fault.path).collect()
}

#[test]
fn keys_that_stand_twice() {
    let text = example().to_string();
    let cases = [
        (r#""version":1"#, r#""version":1,"version":2"#, "version"),
        (r#""lhr-1":{"#, r#""lhr-1":{"datacenter":"LHR","address":"10.0.1.9"},"lhr-1":{"#, "servers.lhr-1"),
        (r#""LHR":{"#, r#""LHR":{"forwarders":[]},"LHR":{"#, "datacenters.LHR"),
        (r#""portless":"lhr-1""#, r#""portless":"lhr-1","portless":"lhr-2""#, "egress[1].portless"),
        (r#""ports":2048"#, r#""ports":2048,"ports":64"#, "egress[0].slices.ports"),
        (r#""ports":"2048-4095""#, r#""ports":"2048-4095","ports":"1-2""#, "egress[1].ranges[0].ports"),
        (r#""country":"GB""#, r#""country":"GB","b":"","country":"FR""#, "egress[0].tags.country"),
        (r#""address":"10.1.1.1""#, r#""address":"10.1.1.1","address":5"#, "servers.cdg-1.address"),
        // The same key in other letters.
        (r#""version":1"#, r#""version":1,"\u0076ersion":1"#, "version"),
    ];
    for (once, twice, path) in cases {
        assert!(text.contains(once), "{once}");
        let mut found = faults(&text.replacen(once, twice, 1));
        // The first LHR counts, and that one has no forwarder.
        found.retain(|fault| fault.path != "datacenters.LHR.forwarders");
        assert_eq!(found.iter().map(|fault| fault.path.as_str()).collect::<Vec<_>>(), [path], "{found:?}");
    }
}

#[test]
fn what_is_no_json_ends_the_list() {
    let text = example().to_string();
    let cut = |at: usize| text[..at].to_string();
    let documents = [
        String::new(),
        " \n".into(),
        cut(1),
        cut(text.len() / 2),
        cut(text.len() - 1),
        format!("{text}]"),
        format!("{text}{text}"),
        text.replacen(':', "=", 1),
        text.replacen("LHR", "\\ud800", 1),
        text.replacen("LHR", "\\x", 1),
        text.replacen("LHR", "a\nb", 1),
        text.replacen("42", "042", 1),
        text.replacen("42", "NaN", 1),
        text.replacen("42", "1e999", 1),
        text.replacen("[{", "[,{", 1),
        format!("\u{feff}{text}"),
        "[".repeat(100_000),
        "{\"a\":".repeat(100_000),
        format!("{{\"egress\":{}", "[".repeat(200)),
    ];
    for document in documents {
        let found = faults(&document);
        let last = found.last().unwrap();
        assert_eq!(last.path, "", "{found:?}");
        assert!(last.message.contains(" line ") && last.message.contains(" column "), "{}", last.message);
    }
    let mut bytes = text.clone().into_bytes();
    let at = text.find("LHR").unwrap();
    bytes[at] = 0xff;
    for found in [Source::from_slice(&bytes), Source::from_reader(bytes.as_slice())] {
        assert!(found.unwrap_err().0.last().unwrap().message.contains("line 1"));
    }
}

#[test]
fn faults_before_the_end_of_half_a_document_are_told() {
    let document = r#"{"version":2,"egress":[{"prefix":"192.0.2.1","datacenter":"LHR","server":"lhr-1"},"#;
    let found = faults(document);
    let paths: Vec<&str> = found.iter().map(|fault| fault.path.as_str()).collect();
    // Whether lhr-1 exists would have been in the other half.
    assert_eq!(paths, ["version", "egress[0].prefix", ""]);
    assert!(found[2].message.contains("ends too early"), "{}", found[2].message);
}

#[test]
fn a_reader_that_fails_is_told() {
    struct Broken;
    impl std::io::Read for Broken {
        fn read(&mut self, _: &mut [u8]) -> std::io::Result<usize> {
            Err(std::io::Error::other("the disk is on fire"))
        }
    }
    let faults = Source::from_reader(Broken).unwrap_err();
    assert_eq!(faults.0.len(), 1);
    assert!(faults.0[0].message.contains("cannot be read: the disk is on fire"), "{faults:?}");
}

#[test]
fn messages_say_what_would_be_right() {
    let message = |pointer: &str, value: Value, path: &str| changed(&[(pointer, value)], &[path])[0].message.clone();
    let cases = [
        (message("/egress/0/prefix", json!("198.51.100.1/24"), "egress[0].prefix"), "198.51.100.0/24"),
        (message("/egress/0/slices/port", json!(1), "egress[0].slices.port"), "did you mean \"ports\"?"),
        (message("/egress/0/slices/ports", json!(100), "egress[0].slices.ports"), "a power of two from 64 to 65536"),
        (message("/egress/2/server", json!("lhr-1"), "egress[2].server"), "server \"lhr-1\" is in \"LHR\""),
        (message("/egress/2/server", json!("lhr-9"), "egress[2].server"), "there is no server \"lhr-9\""),
        (message("/egress/4/prefix", json!("198.51.100.2/32"), "egress[4].prefix"), "egress[1]"),
    ];
    for (message, part) in cases {
        assert!(message.contains(part), "{message:?} lacks {part:?}");
        assert!(!message.contains('\n'));
    }
    let long = message("/egress/0/datacenter", json!(["x"]), "egress[0].datacenter");
    assert_eq!(long, "must be the name of a data centre, not an array");
    let endless = message("/version", json!("x".repeat(10_000)), "version");
    assert!(endless.len() < 200, "{endless}");
}
