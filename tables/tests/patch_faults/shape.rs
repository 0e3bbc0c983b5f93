// SPDX-License-Identifier: MIT OR Apache-2.0
//! The shape of a patch, and the order of its faults.

use serde_json::{Value, json};
use tables::patch::Patch;

use super::{apply, example, faults, source};

#[test]
fn the_shape_of_a_patch() {
    let cases: Vec<(Value, &[&str])> = vec![
        (json!([]), &[""]),
        (json!({ "sett": {} }), &["sett"]),
        (json!({ "base": 1 }), &["base"]),
        (json!({ "base": [1] }), &["base"]),
        (json!({ "base": [1, 2, 3] }), &["base"]),
        (json!({ "base": [1, -2] }), &["base[1]"]),
        (json!({ "base": [1.5, 9_223_372_036_854_775_808_u64] }), &["base[0]", "base[1]"]),
        (json!({ "set": [] }), &["set"]),
        (json!({ "set": { "server": {} } }), &["set.server"]),
        (
            json!({ "set": { "servers": [], "datacenters": 1, "egress": {} } }),
            &["set.datacenters", "set.egress", "set.servers"],
        ),
        (json!({ "remove": { "entries": [] } }), &["remove.entries"]),
        (
            json!({ "remove": { "servers": {}, "datacenters": [1], "egress": ["x", null, "198.51.100.3/24"] } }),
            &["remove.datacenters[0]", "remove.egress[0]", "remove.egress[1]", "remove.egress[2]", "remove.servers"],
        ),
        (json!({ "ports": {} }), &["ports"]),
        (json!({ "ports": [1, {}] }), &["ports[0]", "ports[1]", "ports[1]", "ports[1]"]),
        (
            json!({ "ports": [{ "prefix": "x", "ports": "9-1", "server": 1, "previous": [], "x": 0 }] }),
            &["ports[0].ports", "ports[0].prefix", "ports[0].previous", "ports[0].server", "ports[0].x"],
        ),
    ];
    for (patch, paths) in cases {
        faults(patch, paths);
    }
    for text in ["", "{", "{} {}", r#"{"ports":["#, r#"{"a"}"#] {
        let found = Patch::from_slice(text.as_bytes()).unwrap_err().0;
        assert_eq!(found.last().unwrap().path, "", "{found:?}");
    }
    let twice = r#"{"ports":[],"ports":[],"remove":{"servers":[],"servers":[]}}"#;
    let found = Patch::from_slice(twice.as_bytes()).unwrap_err().0;
    assert_eq!(found.iter().map(|fault| fault.path.as_str()).collect::<Vec<_>>(), ["ports", "remove.servers"]);
}

#[test]
fn the_base_is_read() {
    let base = |text: &str| Patch::from_slice(text.as_bytes()).unwrap().base();
    assert_eq!(base("{}"), None);
    assert_eq!(base(r#"{"base":[42,0]}"#), Some((42, 0)));
    assert_eq!(base(r#"{"base":[0,9223372036854775807]}"#), Some((0, i64::MAX as u64)));
}

#[test]
fn nothing_is_said_twice() {
    let set = json!({ "egress": [{ "prefix": "198.51.100.1/32", "unassigned": true }],
        "servers": { "spare": { "datacenter": "LHR", "address": "10.0.1.9" } }, "datacenters": { "MAN": {} } });
    let ports = |prefix: &str, ports: &str| json!({ "prefix": prefix, "ports": ports, "server": null });
    faults(
        json!({ "set": set, "remove": { "egress": ["198.51.100.1/32"], "servers": ["spare"], "datacenters": ["MAN"] } }),
        &["remove.datacenters[0]", "remove.egress[0]", "remove.servers[0]"],
    );
    faults(
        json!({ "remove": { "egress": ["198.51.100.3/32", "198.51.100.3/32"], "servers": ["spare", "spare", "spare"],
            "datacenters": ["MAN", "MAN"] } }),
        &["remove.datacenters[1]", "remove.egress[1]", "remove.servers[1]", "remove.servers[2]"],
    );
    faults(json!({ "set": set, "ports": [ports("198.51.100.1/32", "1-2")] }), &["ports[0].prefix"]);
    faults(
        json!({ "remove": { "egress": ["198.51.100.1/32"] }, "ports": [ports("198.51.100.1/32", "1-2")] }),
        &["ports[0].prefix"],
    );
    let overlapping = [
        ports("198.51.100.1/32", "10-20"),
        ports("198.51.100.2/32", "10-20"),
        ports("198.51.100.1/32", "20-30"),
        ports("198.51.100.1/32", "1-9"),
        ports("198.51.100.1/32", "12-12"),
    ];
    let found = faults(json!({ "ports": overlapping }), &["ports[2].ports", "ports[4].ports"]);
    assert!(found[0].message.contains("10-20"), "{}", found[0].message);
}

#[test]
fn faults_come_in_the_order_of_the_patch() {
    let patch = r#"{
        "ports": [{"prefix": "198.51.100.3/32", "ports": "1-2", "server": "nobody"},
                  {"prefix": "198.51.100.1/32", "ports": "1-2", "server": "cdg-1"}],
        "remove": {"servers": ["lhr-2", "ghost"], "egress": ["192.0.2.0/24"]},
        "set": {"egress": [{"prefix": "192.0.2.1/32", "datacenter": "LHR", "server": "cdg-1"}],
                "servers": {"lhr-1": {"datacenter": "CDG", "address": "10.0.1.1"}}}
    }"#;
    let found = apply(&mut source(&example()), patch).unwrap_err().0;
    let paths: Vec<&str> = found.iter().map(|fault| fault.path.as_str()).collect();
    let wanted = [
        "ports[0].prefix",
        "ports[0].server",
        "ports[1].server",
        "remove.servers[0]",
        "remove.servers[1]",
        "remove.egress[0]",
        "set.egress[0].server",
        "set.servers.lhr-1.datacenter",
    ];
    assert_eq!(paths, wanted);
}
