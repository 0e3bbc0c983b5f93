// SPDX-License-Identifier: MIT OR Apache-2.0
//! Every way a patch can be wrong, and the exact places that must be named for it; and what a right one says of itself.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test may stop at the first surprise"
)]

use serde_json::{Value, json};
use tables::patch::{Changes, Patch};
use tables::{Fault, Faults, Source};

/// The document of the contract, section 3, and a data centre that nothing is in.
fn example() -> Value {
    json!({
      "version": 1,
      "generation": 42,
      "datacenters": {
        "LHR": { "forwarders": ["10.0.0.1", "2001:db8:a::1"] },
        "CDG": { "forwarders": ["10.1.0.1", "2001:db8:b::1"] },
        "MAN": {}
      },
      "servers": {
        "lhr-1": { "datacenter": "LHR", "address": "10.0.1.1" },
        "lhr-2": { "datacenter": "LHR", "address": "2001:db8:a:1::2" },
        "cdg-1": { "datacenter": "CDG", "address": "10.1.1.1" },
        "spare": { "datacenter": "LHR", "address": "10.0.1.9" }
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

fn source(document: &Value) -> Source {
    Source::from_slice(document.to_string().as_bytes()).unwrap()
}

fn apply(source: &mut Source, patch: &str) -> Result<Changes, Faults> {
    let before = source.digest();
    let outcome = Patch::from_slice(patch.as_bytes()).and_then(|patch| source.apply(&patch));
    if outcome.is_err() {
        assert_eq!(source.digest(), before, "a refused patch must change nothing");
    }
    outcome
}

/// Applies a patch to the example, and wants exactly these paths as faults.
#[track_caller]
fn faults(patch: Value, paths: &[&str]) -> Vec<Fault> {
    let found = apply(&mut source(&example()), &patch.to_string()).err().map(|faults| faults.0).unwrap_or_default();
    assert_eq!(found.iter().map(|fault| fault.path.as_str()).collect::<Vec<_>>(), paths, "{found:#?}");
    found
}

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
