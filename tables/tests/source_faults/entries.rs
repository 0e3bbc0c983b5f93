// SPDX-License-Identifier: MIT OR Apache-2.0
//! Prefixes, and what is beside them.

use serde_json::{Value, json};

use super::changed;

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
