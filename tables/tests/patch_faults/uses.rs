// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a patch removes or moves, and who still uses it.

use serde_json::json;

use super::{apply, example, faults, source};

#[test]
fn removals() {
    let remove = |kind: &str, names: &[&str]| json!({ "remove": { kind: names } });
    faults(remove("servers", &["spare"]), &[]);
    faults(remove("datacenters", &["MAN"]), &[]);
    faults(remove("egress", &["198.51.100.3/32", "198.51.100.0/24"]), &[]);
    faults(remove("servers", &["spare", "lhr-9"]), &["remove.servers[1]"]);
    faults(remove("datacenters", &["LGW"]), &["remove.datacenters[0]"]);
    faults(remove("egress", &["198.51.100.3/32", "198.51.100.0/25"]), &["remove.egress[1]"]);
    let found = faults(remove("servers", &["lhr-1", "cdg-1"]), &["remove.servers[0]", "remove.servers[1]"]);
    assert_eq!(found[0].message, "is still used: 198.51.100.1/32 names it as owner");
    assert_eq!(found[1].message, "is still used: 198.51.100.3/32 names it as owner");
    let found = faults(remove("datacenters", &["CDG"]), &["remove.datacenters[0]"]);
    assert_eq!(found[0].message, r#"is still used: server "cdg-1" is in it"#);
    // With what uses them they go.
    faults(json!({ "remove": { "datacenters": ["CDG"], "servers": ["cdg-1"], "egress": ["198.51.100.3/32"] } }), &[]);
    faults(
        json!({ "remove": { "datacenters": ["CDG"], "servers": ["cdg-1"] } }),
        &["remove.datacenters[0]", "remove.servers[0]"],
    );
    // What the patch sets can't be in what it removes.
    faults(
        json!({ "remove": { "datacenters": ["MAN"], "servers": ["spare"] }, "set": {
            "servers": { "x": { "datacenter": "MAN", "address": "10.0.0.7" } },
            "egress": [{ "prefix": "192.0.2.1/32", "datacenter": "MAN", "server": "x", "previous": "spare" }] } }),
        &["set.egress[0].datacenter", "set.egress[0].previous", "set.servers.x.datacenter"],
    );
    // A server of which only some ports are taken away, and one that loses all.
    let ports = |ports: &str| json!({ "prefix": "198.51.100.1/32", "ports": ports, "server": "spare" });
    let mut document = example();
    document["egress"][1] = json!({ "prefix": "198.51.100.2/32", "unassigned": true });
    for (change, fine) in [("4096-6143", true), ("0-65535", true), ("4096-6142", false), ("4097-6143", false)] {
        let patch = json!({ "remove": { "servers": ["lhr-2"] }, "ports": [ports(change)] });
        assert_eq!(apply(&mut source(&document), &patch.to_string()).is_ok(), fine, "{change}");
    }
    let to_the_removed = json!({ "prefix": "198.51.100.1/32", "ports": "1-2", "server": "lhr-2" });
    faults(
        json!({ "remove": { "servers": ["lhr-2"] }, "ports": [to_the_removed] }),
        &["ports[0].server", "remove.servers[0]"],
    );
}

#[test]
fn every_use_of_a_server_counts() {
    let uses = [
        json!({ "server": "spare" }),
        json!({ "server": "lhr-1", "previous": "spare" }),
        json!({ "slices": { "ports": 64, "owners": ["lhr-1", "spare"] } }),
        json!({ "ranges": [{ "ports": "1-2", "server": "lhr-1", "previous": "spare" }] }),
        json!({ "ranges": [], "portless": "spare" }),
    ];
    let roles = ["owner", "previous owner", "owner", "previous owner", "portless owner"];
    for (used, role) in uses.into_iter().zip(roles) {
        let mut document = example();
        let mut entry = used.clone();
        (entry["prefix"], entry["datacenter"]) = (json!("192.0.2.0/24"), json!("LHR"));
        document["egress"].as_array_mut().unwrap().push(entry);
        let patch = json!({ "remove": { "servers": ["spare"] } }).to_string();
        let found = apply(&mut source(&document), &patch).unwrap_err().0;
        assert_eq!(found[0].message, format!("is still used: 192.0.2.0/24 names it as {role}"), "{used}");
        // Only a previous owner may move away.
        let patch = json!({ "set": { "servers": { "spare": { "datacenter": "CDG", "address": "10.0.1.9" } } } });
        let outcome = apply(&mut source(&document), &patch.to_string());
        assert_eq!(outcome.is_ok(), role == "previous owner", "{used}");
        if let Err(faults) = outcome {
            assert_eq!(faults.0[0].path, "set.servers.spare.datacenter");
            let message = format!(r#"leaves "LHR", where 192.0.2.0/24 names this server as {role}"#);
            assert_eq!(faults.0[0].message, message);
        }
    }
}
