// SPDX-License-Identifier: MIT OR Apache-2.0
//! The state folder: what a restart comes up with, rollbacks, and what happens if nothing can be kept.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test may stop at the first surprise"
)]

#[path = "../control_support/mod.rs"]
mod control_support;
mod crash;
mod degraded;
mod faults;
mod restart;
mod rollback;

use control_support::{Client, Place, Running, table};
use forwarder::io::memory::MemoryIo;
use serde_json::{Value, json};

/// One more daemon at the same place.
fn start(place: &Place) -> Running {
    Running::with(place.clone(), MemoryIo::new(1))
}

/// Whose port 3000 of 198.51.100.1 is.
fn owner(client: &mut Client) -> Value {
    client.result("explain", json!({"address": "198.51.100.1", "port": 3000}))["target"].clone()
}

/// That slice goes to lhr-`server`.
fn ports(server: u32) -> Value {
    json!({"ports": [{"prefix": "198.51.100.1/32", "ports": "2048-4095", "server": format!("lhr-{server}")}]})
}

/// Generation, revision and owner.
fn what_runs(running: &Running) -> (u64, u64, Value) {
    let is = running.forwarder.generations().running();
    (is.generation, is.revision, owner(&mut running.client()))
}

fn reload(client: &mut Client, generation: u64, moved: bool) {
    let table: Value = serde_json::from_str(&table(Some(generation), moved)).unwrap();
    assert_eq!(client.result("reload", json!({"table": table}))["kept"], true);
}

fn problem(client: &mut Client) -> Value {
    client.result("status", json!({}))["kept"]["problem"].clone()
}
