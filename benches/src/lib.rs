// SPDX-License-Identifier: MIT OR Apache-2.0
//! What several benchmarks share: tables of any size, frames for them, buffers, and what is told about the machine.

pub mod document;
#[cfg(feature = "dpdk")]
pub mod dpdk;
pub mod driver;
pub mod frames;
pub mod machine;
pub mod network;
pub mod random;
pub mod slot;
pub mod windows;

pub use document::{Family, Pool, Shape};
pub use random::Random;
