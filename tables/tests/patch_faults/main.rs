// SPDX-License-Identifier: MIT OR Apache-2.0
//! Every way a patch can be wrong, and the exact places that must be named for it; and what a right one says of itself.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test may stop at the first surprise"
)]

mod changes;
#[path = "../contract/mod.rs"]
mod contract;
mod set;
mod shape;
mod uses;

use serde_json::{Value, json};
use tables::patch::{Changes, Patch};
use tables::{Fault, Faults, Source};

/// The document of the contract, section 3, with a data centre that nothing is in and a server that owns nothing.
fn example() -> Value {
    let mut document = contract::example();
    document["datacenters"]["MAN"] = json!({});
    document["servers"]["spare"] = json!({ "datacenter": "LHR", "address": "10.0.1.9" });
    document
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
