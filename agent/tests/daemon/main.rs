// SPDX-License-Identifier: MIT OR Apache-2.0
//! `sluice-agent` as a process in a network namespace: what it puts there, follows, keeps and takes back. Needs root.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    unreachable_pub,
    reason = "a test may stop at the first surprise"
)]

#[path = "../../../forwarder/tests/network/mod.rs"]
mod network;
mod rig;

mod connections;
mod life;
mod telling;
