// SPDX-License-Identifier: MIT OR Apache-2.0
//! Who owns which address and port, and where that owner is.
//!
//! The way down: a JSON document is read into a [`Source`] (every fault is named by its JSON path), a
//! source is compiled from one data centre's point of view into an immutable [`Table`], and a
//! [`Publisher`] hands tables to readers that never wait. Nothing here knows packets or DPDK.

pub mod announce;
pub mod diff;
pub mod fault;
mod flatten;
pub mod generation;
pub mod geofeed;
pub mod growing;
pub mod holdings;
pub mod impact;
mod pages;
pub mod ports;
pub mod prefetch;
pub mod prefix;
pub mod source;
pub mod table;

pub use fault::{Fault, Faults};
pub use flatten::disjoint;
pub use generation::{Publisher, Reader};
pub use growing::Growing;
pub use ports::Ports;
pub use prefix::Prefix;
pub use source::{Source, patch};
pub use table::Table;
