// SPDX-License-Identifier: MIT OR Apache-2.0
//! The program that receives, in a network namespace with real sockets, addresses, routes and neighbours. Frames are
//! built from the contract, not by the code under test. Needs root.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stderr,
    reason = "a test may stop at the first surprise"
)]

#[path = "../../../forwarder/tests/network/mod.rs"]
mod network;

mod frames;
mod host;

mod carrying;
mod cost;
mod decapsulation;
mod drops;
mod fragments;
mod mutations;
mod passing_on;
mod sockets;
mod wire;
