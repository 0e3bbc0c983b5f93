// SPDX-License-Identifier: MIT OR Apache-2.0
//! Sluice, a soft-unicast packet forwarder: looks up (destination address, port slice) of a return packet and
//! carries it in GUE to the owning server or data centre.
//!
//! Imports point downward only: `control` and `worker` stand on `pipeline`, that on `wire`; `io` hides where
//! frames come from. Control and workers meet in the published [`state::ForwardingState`], the counters and a
//! stop flag, nowhere else.

pub mod capture;
pub mod cli;
pub mod control;
pub mod counters;
pub mod explain;
pub mod hops;
pub mod io;
pub mod kernel;
mod leaving;
pub mod pipeline;
pub mod replay;
mod sampler;
pub mod settings;
pub mod shadow;
pub mod slot;
pub mod state;
#[cfg(test)]
mod testing;
pub mod wire;
pub mod worker;
