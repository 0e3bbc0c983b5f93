// SPDX-License-Identifier: MIT OR Apache-2.0
//! The golden vectors through `sluice replay`: all cases of a world as one capture.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test may stop at the first surprise"
)]

#[path = "e2e/capture.rs"]
mod capture;
mod cli_support;
mod world;

use std::collections::BTreeMap;
use std::path::Path;

use cli_support::sluice;
use serde_json::Value;
use tempfile::TempDir;
use world::Fate;
use world::vectors::{cases_of, drops, sent_by};

/// Numbers that are not 0.
fn counted(counters: &Value) -> BTreeMap<&str, u64> {
    let numbers = counters.as_object().unwrap().iter().filter_map(|(name, n)| Some((name.as_str(), n.as_u64()?)));
    numbers.filter(|(_, n)| *n > 0).collect()
}

fn check(world: &str, generation: u64) {
    let cases = cases_of(world);
    let folder = TempDir::new().unwrap();
    let path = |name: &str| folder.path().join(name);
    let (input, output, exceptions) = (path("in.pcap"), path("out.pcap"), path("exceptions.pcap"));
    capture::write(&input, cases.iter().map(|case| case.frame.clone()));

    let config = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors").join(world).join("config.toml");
    let [config, input] = [&config, &input].map(|path| path.to_str().unwrap());
    let [out, exc] = [&output, &exceptions].map(|path| path.to_str().unwrap());
    let run = sluice(&["replay", "--config", config, "--in", input, "--out", out, "--exceptions", exc, "--json"]);
    let report = run.good_json();

    let expected = sent_by(&cases, None);
    for (n, (sent, expected)) in capture::read(&output).iter().zip(&expected).enumerate() {
        assert!(sent == expected, "frame {n} of {world} is {sent:02x?}, not {expected:02x?}");
    }
    assert_eq!(capture::read(&output).len(), expected.len());
    // in a replay there always is a kernel path
    let mut drops = drops(&cases);
    drops.remove("no_kernel_path");
    let to_kernel = cases.iter().filter(|case| {
        case.fate == Fate::Kernel || case.reason.is_some_and(|reason| reason.name() == "no_kernel_path")
    });
    let to_kernel: Vec<_> = to_kernel.map(|case| case.frame.clone()).collect();
    assert!(capture::read(&exceptions) == to_kernel, "exceptions of {world}");

    let counters = &report["counters"];
    let number = |name: &str| counters[name].as_u64().unwrap();
    assert_eq!(report["generation"], generation);
    assert_eq!(counted(&counters["drops"]), drops);
    assert_eq!((number("rx"), number("tx")), (cases.len() as u64, expected.len() as u64));
    assert_eq!((number("exception"), number("held")), (to_kernel.len() as u64, 0));
    assert_eq!(number("originated"), cases.iter().map(|case| case.originated()).sum::<u64>());
}

#[test]
fn the_plain_world() {
    check("plain", 42);
}

#[test]
fn the_tagged_world() {
    check("tagged", (1 << 32) + 42);
}
