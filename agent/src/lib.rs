// SPDX-License-Identifier: MIT OR Apache-2.0
//! Sluice's agent: on each server that shares egress addresses, it holds the server's addresses, takes in what the
//! forwarders send, hands on what belongs to another owner's connection, and keeps senders to their own ports.
//!
//! The way down: the table's document becomes a [`view::View`], what this server has to know of it, and that is what
//! the programs in the kernel and the addresses, limits and figures around them follow.

pub mod addresses;
pub mod agent;
pub mod config;
pub mod daemon;
pub mod exec;
pub mod follow;
pub mod guard;
pub mod holding;
pub mod maps;
pub mod methods;
pub mod metrics;
mod nest;
pub mod ownership;
pub mod parts;
pub mod ports;
pub mod receive;
pub mod report;
pub mod sets;
mod settling;
pub mod sockets;
pub mod status;
pub mod view;
