// SPDX-License-Identifier: MIT OR Apache-2.0
//! The main job with the real programs on a real DPDK device: the demo, which fails unless every packet is where it
//! belongs across a reload.
#![cfg(feature = "dpdk")]

use std::path::Path;
use std::process::Command;

#[test]
fn the_demo_passes_its_own_checks() {
    let demo = Path::new(env!("CARGO_BIN_EXE_sluiced")).with_file_name("examples").join("demo");
    let folder = tempfile::tempdir().unwrap();
    let output = Command::new(&demo).arg(folder.path()).output();
    let output = output.unwrap_or_else(|error| panic!("{}: {error}; cargo build --example demo", demo.display()));
    let report = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{report}\n{}", String::from_utf8_lossy(&output.stderr));
    // Success alone would be cheap: the checks must have been made.
    assert_eq!(report.lines().filter(|line| line.starts_with("  ok   ")).count(), 12, "{report}");
}
