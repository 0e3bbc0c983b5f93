// SPDX-License-Identifier: MIT OR Apache-2.0
//! Who owns the ports of an entry.

use serde_json::{Value, json};

use super::changed;

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
