// SPDX-License-Identifier: MIT OR Apache-2.0
//! The forwarder as a part of a machine: beside routing daemons, as a user of its own, as a unit of systemd.
#![cfg(feature = "dpdk")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stderr,
    reason = "a test stops at the first surprise"
)]

mod announce;
#[path = "../lab/mod.rs"]
mod lab;
mod privileges;
mod unit;
mod upgrade;
mod wire;
