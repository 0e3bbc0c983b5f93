// SPDX-License-Identifier: MIT OR Apache-2.0
//! The two programs as a user meets them: `sluiced` on real DPDK devices, `sluice` beside it.
#![cfg(feature = "dpdk")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stderr,
    reason = "a test stops at the first surprise"
)]

mod bad_input;
mod cable;
mod capture;
mod devices;
mod golden;
mod kernel;
mod killed;
mod looking;
mod metrics;
mod namespace;
#[path = "../network/mod.rs"]
mod network;
mod offloads;
mod reload;
mod rig;
#[path = "../world/mod.rs"]
mod world;
