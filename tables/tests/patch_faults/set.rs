// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a patch sets: entries, ports, data centres.

use serde_json::{Value, json};

use super::{apply, faults, source};

#[test]
fn what_is_set_is_checked_like_a_document() {
    let entry = |changes: &[(&str, Value)]| {
        let mut entry = json!({ "prefix": "192.0.2.1/32", "datacenter": "LHR", "server": "lhr-1" });
        changes.iter().for_each(|(key, value)| entry[key] = value.clone());
        json!({ "set": { "egress": [entry] } })
    };
    let cases: Vec<(Value, &[&str])> = vec![
        (entry(&[]), &[]),
        (entry(&[("prefix", json!("192.0.2.1/24"))]), &["set.egress[0].prefix"]),
        (entry(&[("datacenter", json!("LGW"))]), &["set.egress[0].datacenter"]),
        (
            entry(&[("datacenter", json!("MAN")), ("server", json!("x"))]),
            &["set.egress[0].server", "set.egress[0].datacenter"],
        ),
        (entry(&[("server", json!("cdg-1"))]), &["set.egress[0].server"]),
        (entry(&[("previous", json!("lhr-1"))]), &["set.egress[0].previous"]),
        (entry(&[("previous", json!("cdg-1"))]), &[]),
        (entry(&[("unassigned", json!(true))]), &["set.egress[0]", "set.egress[0].datacenter"]),
        (entry(&[("tags", json!({ "country": "gb" }))]), &["set.egress[0].tags.country"]),
        (
            json!({ "set": { "egress": [{ "prefix": "192.0.2.1/32", "datacenter": "LHR",
            "slices": { "ports": 2048, "owners": ["lhr-1", null, "cdg-1", "x"] } }] } }),
            &["set.egress[0].slices.owners[2]", "set.egress[0].slices.owners[3]"],
        ),
        (
            json!({ "set": { "egress": [{ "prefix": "192.0.2.1/32", "datacenter": "LHR", "portless": "cdg-1",
            "ranges": [{ "ports": "1-2", "server": "lhr-1" }, { "ports": "2-3", "server": "lhr-2" }] }] } }),
            &["set.egress[0].ranges[1].ports"],
        ),
        (
            json!({ "set": { "egress": [
            { "prefix": "192.0.2.1/32", "unassigned": true }, { "prefix": "192.0.2.1/32", "unassigned": true }] } }),
            &["set.egress[1].prefix"],
        ),
        (
            json!({ "set": { "servers": { "a b": { "datacenter": "LGW", "address": "10.0.0.300" } } } }),
            &[r#"set.servers["a b"].address"#],
        ),
        (
            json!({ "set": { "servers": { "a b": { "datacenter": "LGW", "address": "10.0.0.30" } } } }),
            &[r#"set.servers["a b"].datacenter"#],
        ),
        (json!({ "set": { "servers": { "": {} } } }), &[r#"set.servers[""]"#; 3]),
        (
            json!({ "set": { "servers": { "x": { "datacenter": "LHR", "address": "2001:db8::1", "mtu": 1279 } } } }),
            &["set.servers.x.mtu"],
        ),
        (
            json!({ "set": { "datacenters": { "X": { "forwarders": ["10.0.0.1", "10.0.0.1"], "mtu": 0 } } } }),
            &["set.datacenters.X.forwarders[1]", "set.datacenters.X.mtu"],
        ),
    ];
    for (patch, paths) in cases {
        faults(patch, paths);
    }
}

#[test]
fn ports_of_what_can_have_them() {
    let change = |prefix: &str, server: Value, previous: Value| json!({ "ports": [{ "prefix": prefix, "ports": "64-127", "server": server, "previous": previous }] });
    let null = Value::Null;
    faults(change("198.51.100.1/32", json!("spare"), json!("cdg-1")), &[]);
    faults(change("198.51.100.1/32", null.clone(), json!("cdg-1")), &[]);
    faults(change("198.51.100.1/32", null.clone(), json!("lhr-9")), &["ports[0].previous"]);
    faults(change("198.51.100.1/32", json!("spare"), json!("spare")), &["ports[0].previous"]);
    faults(change("198.51.100.1/32", json!("cdg-1"), null.clone()), &["ports[0].server"]);
    faults(change("198.51.100.1/32", json!("lhr-9"), json!("lhr-8")), &["ports[0].server", "ports[0].previous"]);
    for prefix in ["198.51.100.3/32", "198.51.100.0/24", "198.51.100.4/32", "198.51.100.0/32", "::/0"] {
        faults(change(prefix, json!("nobody"), null.clone()), &["ports[0].prefix", "ports[0].server"]);
    }
    // A server that the patch brings.
    let mut patch = change("198.51.100.1/32", json!("new"), null.clone());
    patch["set"] = json!({ "servers": { "new": { "datacenter": "LHR", "address": "10.0.1.7" } } });
    faults(patch.clone(), &[]);
    patch["set"]["servers"]["new"]["datacenter"] = json!("CDG");
    faults(patch, &["ports[0].server"]);
}

#[test]
fn data_centres_need_forwarders_once_there_are_others() {
    let entry = json!({ "prefix": "192.0.2.1/32", "datacenter": "MAN", "ranges": [] });
    faults(json!({ "set": { "egress": [entry] } }), &["set.egress[0].datacenter"]);
    let forwarders = |forwarders: Value| json!({ "MAN": { "forwarders": forwarders } });
    faults(json!({ "set": { "egress": [entry], "datacenters": forwarders(json!(["10.5.0.1"])) } }), &[]);
    faults(
        json!({ "set": { "egress": [entry], "datacenters": forwarders(json!([])) } }),
        &["set.datacenters.MAN.forwarders"],
    );
    faults(json!({ "set": { "datacenters": { "LHR": {} } } }), &["set.datacenters.LHR.forwarders"]);
    // Alone, it needs none; until another comes.
    let alone = json!({
        "version": 1, "datacenters": { "LHR": {} },
        "servers": { "a": { "datacenter": "LHR", "address": "10.0.1.1" } },
        "egress": [{ "prefix": "192.0.2.1/32", "datacenter": "LHR", "server": "a" }]
    });
    let paths = |patch: Value| match apply(&mut source(&alone), &patch.to_string()) {
        Ok(_) => Vec::new(),
        Err(faults) => faults.0.into_iter().map(|fault| fault.path).collect(),
    };
    let nothing: [&str; 0] = [];
    assert_eq!(paths(json!({ "set": { "datacenters": { "LHR": { "mtu": 1400 } } } })), nothing);
    assert_eq!(paths(json!({ "set": { "datacenters": { "MAN": {}, "CDG": {} } } })), ["set.datacenters.CDG"]);
    let both = json!({ "set": { "datacenters": { "MAN": {}, "LHR": { "forwarders": ["10.0.0.1"] } } } });
    assert_eq!(paths(both), nothing);
    let emptied = json!({ "set": { "datacenters": { "MAN": {} } }, "remove": { "egress": ["192.0.2.1/32"] } });
    assert_eq!(paths(emptied), nothing);
    let another = json!({ "prefix": "192.0.2.2/32", "datacenter": "LHR", "server": "a" });
    let more = json!({ "set": { "egress": [another] } });
    assert_eq!(paths(more), nothing);
    let more = json!({ "set": { "egress": [another], "datacenters": { "MAN": {} } } });
    assert_eq!(paths(more), ["set.datacenters.MAN", "set.egress[0].datacenter"]);
}
