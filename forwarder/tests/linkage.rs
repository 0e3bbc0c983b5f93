// SPDX-License-Identifier: MIT OR Apache-2.0
//! `sluice` runs where there is no DPDK. Built together with the feature `dpdk` it is another program, so this is
//! asked without it only.
#![cfg(not(feature = "dpdk"))]

use std::process::Command;

#[test]
fn sluice_links_no_dpdk() {
    let output = Command::new("ldd").arg(env!("CARGO_BIN_EXE_sluice")).output().unwrap();
    let libraries = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success() && libraries.contains("libc.so"), "ldd says: {libraries}");
    assert!(!libraries.contains("librte"), "{libraries}");
}
