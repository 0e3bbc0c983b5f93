// SPDX-License-Identifier: MIT OR Apache-2.0
//! How faults are told: all of them, in order, in words that help.

use serde_json::{Value, json};

use super::{changed, example, faults};

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
