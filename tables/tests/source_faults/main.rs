// SPDX-License-Identifier: MIT OR Apache-2.0
//! Every way a table document can be wrong, and the exact places that must be named for it.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test may stop at the first surprise"
)]

#[path = "../contract/mod.rs"]
mod contract;
mod directory;
mod entries;
mod owners;
mod text;
mod told;

use contract::example;
use serde_json::{Value, json};
use tables::{Fault, Source};

fn faults(document: &str) -> Vec<Fault> {
    let streamed = Source::from_reader(document.as_bytes()).err().map(|faults| faults.0).unwrap_or_default();
    let whole = Source::from_slice(document.as_bytes()).err().map(|faults| faults.0).unwrap_or_default();
    let paths = |faults: &[Fault]| faults.iter().map(|fault| fault.path.clone()).collect::<Vec<_>>();
    assert_eq!(paths(&streamed), paths(&whole), "both ways of reading must agree");
    whole
}

/// Puts `value` at a JSON pointer of the example (null, so written, removes) and wants exactly these paths as faults.
#[track_caller]
fn changed(changes: &[(&str, Value)], paths: &[&str]) -> Vec<Fault> {
    let mut document = example();
    for (pointer, value) in changes {
        let (parent, key) = pointer.rsplit_once('/').unwrap();
        match document.pointer_mut(parent).unwrap() {
            Value::Object(object) if *value == json!("REMOVE") => drop(object.remove(key)),
            Value::Object(object) => drop(object.insert(key.into(), value.clone())),
            Value::Array(array) if key == "-" => array.push(value.clone()),
            Value::Array(array) => array[key.parse::<usize>().unwrap()] = value.clone(),
            other => panic!("{other} has no members"),
        }
    }
    let found = faults(&document.to_string());
    assert_eq!(found.iter().map(|fault| fault.path.as_str()).collect::<Vec<_>>(), paths, "{found:#?}");
    found
}

#[test]
fn the_example_is_right() {
    changed(&[], &[]);
    assert_eq!(Source::from_slice(example().to_string().as_bytes()).unwrap().generation(), Some(42));
}
