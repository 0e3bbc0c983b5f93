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
fn faults_name_their_places() {
    faults(json!({ "remove": { "servers": ["lhr-1"] } }), &["remove.servers[0]"]);
    faults(json!({ "remove": { "servers": ["spare"] } }), &[]);
}
