// SPDX-License-Identifier: MIT OR Apache-2.0
//! Everything that happens off the hot path: configuration, table changes, the socket, the daemon's life.
//!
//! ```text
//!  signals ─► daemon ─► workers          socket ─► server ─► rpc ─► methods
//!               │                                                     │
//!               └──────────────► forwarder ◄──────────────────────────┘
//!                                    └─► generations ─► (published) ─► workers
//! ```

pub mod affinity;
mod announcer;
pub mod audit;
pub mod capture;
pub mod config;
pub mod daemon;
pub mod doctor;
pub mod forwarder;
pub mod generations;
pub mod guards;
mod history;
pub mod kept;
pub mod kernel;
mod limited;
mod line;
pub mod links;
pub mod load;
pub mod log;
pub mod machine;
pub mod methods;
pub mod metrics;
mod names;
pub mod netlink;
pub mod next_hops;
pub mod notify;
pub mod params;
pub mod peer;
mod places;
mod privileges;
mod readiness;
pub mod report;
pub mod rpc;
pub mod server;
pub mod shadow;
pub mod socket;
mod start;
mod threads;
mod watchdog;
mod workers;
