// SPDX-License-Identifier: MIT OR Apache-2.0
//! The daemon's life on plain memory: start, refusal to start, traffic, bad clients, end.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test may stop at the first surprise"
)]

mod clients;
#[path = "../control_support/mod.rs"]
mod control_support;
mod documents;
mod hostile;
mod life;
mod manager;
mod panics;
mod patience;
mod stuck;
mod traffic;
mod watchdog;

use std::thread;
use std::time::Duration;

fn wait_for(condition: impl Fn() -> bool) {
    while !condition() {
        thread::sleep(Duration::from_millis(1));
    }
}
