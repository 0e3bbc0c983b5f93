// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a right patch says of itself.

use serde_json::{Value, json};
use tables::Source;
use tables::patch::Changes;

use super::{apply, example, source};

#[test]
fn a_patch_may_be_empty() {
    for patch in [json!({}), json!({ "set": {}, "remove": {}, "ports": [] }), json!({ "base": [0, 0] })] {
        let changes = apply(&mut source(&example()), &patch.to_string()).unwrap();
        assert_eq!(changes, Changes::default());
    }
}

#[test]
fn ports_change_hands() {
    let mut source = source(&example());
    let patch = json!({ "ports": [
        { "prefix": "198.51.100.1/32", "ports": "4096-6143", "server": "lhr-1", "previous": "lhr-2" },
        { "prefix": "198.51.100.2/32", "ports": "2000-4099", "server": null },
    ] });
    let changes = apply(&mut source, &patch.to_string()).unwrap();
    assert_eq!(changes.prefixes, ["198.51.100.1/32".parse().unwrap(), "198.51.100.2/32".parse().unwrap()]);
    assert!(!changes.directory && !changes.renumbered);
    assert_eq!(changes.freed_plans.len(), 2);
    let mut wanted = example();
    wanted["egress"][0]["slices"] =
        json!({ "ports": 2048, "owners": [null, "lhr-1", "lhr-1"], "previous": [null, null, "lhr-2"] });
    wanted["egress"][1]["ranges"] = json!([{ "ports": "4100-6143", "server": "lhr-2", "previous": "lhr-1" }]);
    assert_eq!(source.digest(), self::source(&wanted).digest());
    // The same again changes nothing.
    assert_eq!(apply(&mut source, &patch.to_string()).unwrap(), Changes::default());
}

#[test]
fn a_port_run_may_cut_split_and_join_others() {
    let at = |ports: &str, server: Value| json!({ "prefix": "198.51.100.2/32", "ports": ports, "server": server });
    let range = |ports: &str, server: &str| json!({ "ports": ports, "server": server });
    let cases = [
        (vec![at("3000-3000", Value::Null)], vec![range("2048-2999", "lhr-1"), range("3001-4095", "lhr-1")], true),
        (vec![at("4096-6143", json!("lhr-1"))], vec![range("2048-6143", "lhr-1")], false),
        (vec![at("0-65535", json!("spare"))], vec![range("0-65535", "spare")], false),
        (vec![at("0-65535", Value::Null)], vec![], false),
        (vec![at("6144-65535", json!("lhr-1")), at("0-6143", Value::Null)], vec![range("6144-65535", "lhr-1")], false),
        (
            vec![at("4096-4096", json!("lhr-2")), at("4098-6143", json!("lhr-2")), at("4097-4097", json!("lhr-2"))],
            vec![range("2048-4095", "lhr-1"), range("4096-6143", "lhr-2")],
            false,
        ),
    ];
    for (ports, mut ranges, last_stays) in cases {
        let mut source = source(&example());
        apply(&mut source, &json!({ "ports": ports }).to_string()).unwrap();
        if last_stays {
            ranges.push(json!({ "ports": "4096-6143", "server": "lhr-2", "previous": "lhr-1" }));
        }
        let mut wanted = example();
        wanted["egress"][1]["ranges"] = json!(ranges);
        assert_eq!(source.digest(), self::source(&wanted).digest(), "{ports:?}");
    }
}

#[test]
fn plans_are_shared_freed_and_reused() {
    let mut source = source(&example());
    let plan = |source: &Source, prefix: &str| source.entry(prefix.parse().unwrap()).unwrap().1.plan().unwrap();
    let (first, second) = (plan(&source, "198.51.100.1/32"), plan(&source, "198.51.100.2/32"));
    let set = |prefix: &str| {
        json!({ "set": { "egress": [{ "prefix": prefix, "datacenter": "LHR",
        "ranges": [{ "ports": "2048-4095", "server": "lhr-1" }, { "ports": "4096-6143", "server": "lhr-2" }] }] } })
    };
    // A new entry with a plan that is there already, and one that moves off its own plan onto that.
    let changes = apply(&mut source, &set("192.0.2.0/24").to_string()).unwrap();
    assert_eq!((plan(&source, "192.0.2.0/24"), changes.freed_plans), (first, vec![]));
    let changes = apply(&mut source, &set("198.51.100.2/32").to_string()).unwrap();
    assert_eq!((plan(&source, "198.51.100.2/32"), changes.freed_plans), (first, vec![second]));
    assert_eq!(source.runs(second).count(), 0);
    // Its id goes to the next new plan.
    let ports = json!({ "ports": [{ "prefix": "192.0.2.0/24", "ports": "1-9", "server": "spare" }] });
    let changes = apply(&mut source, &ports.to_string()).unwrap();
    assert_eq!((plan(&source, "192.0.2.0/24"), changes.freed_plans), (second, vec![]));
    assert_eq!(source.plans(), 2);
}

#[test]
fn what_stays_the_same_is_no_change() {
    let document = example();
    let patch = json!({ "set": {
        "servers": document["servers"], "datacenters": document["datacenters"], "egress": document["egress"] } });
    assert_eq!(apply(&mut source(&document), &patch.to_string()).unwrap(), Changes::default());
    // The tags are part of an entry.
    let mut entry = document["egress"][0].clone();
    entry["tags"]["country"] = json!("IE");
    let changes = apply(&mut source(&document), &json!({ "set": { "egress": [entry] } }).to_string()).unwrap();
    assert_eq!(changes, Changes { prefixes: vec!["198.51.100.1/32".parse().unwrap()], ..Changes::default() });
}

#[test]
fn a_server_moves_with_its_entries() {
    let mut source = source(&example());
    let patch = json!({
        "remove": { "datacenters": ["CDG"] },
        "set": {
            "datacenters": { "PAR": { "forwarders": ["10.4.0.1"] } },
            "servers": { "cdg-1": { "datacenter": "PAR", "address": "10.1.1.1" } },
            "egress": [{ "prefix": "198.51.100.3/32", "datacenter": "PAR", "server": "cdg-1" }],
        },
    });
    let changes = apply(&mut source, &patch.to_string()).unwrap();
    assert_eq!(changes.prefixes, ["198.51.100.3/32".parse().unwrap()]);
    assert!(changes.directory && changes.renumbered);
    let mut wanted = example();
    wanted["datacenters"] = json!({ "LHR": wanted["datacenters"]["LHR"], "MAN": {},
        "PAR": { "forwarders": ["10.4.0.1"] } });
    wanted["servers"]["cdg-1"]["datacenter"] = json!("PAR");
    wanted["egress"][2]["datacenter"] = json!("PAR");
    assert_eq!(source.digest(), self::source(&wanted).digest());
}
