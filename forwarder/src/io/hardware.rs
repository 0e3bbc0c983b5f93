// SPDX-License-Identifier: MIT OR Apache-2.0
//! What devices and buffer pools say of themselves, beside what workers count.

use serde::{Deserialize, Serialize};

/// Asks the devices and pools; from any thread, and also when they are gone.
pub type Probe = Box<dyn Fn() -> Hardware + Send + Sync>;

/// All devices, in the order of the configuration, and all pools. Empty if there is nothing to ask.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Hardware {
    /// The devices.
    pub devices: Vec<DeviceHealth>,
    /// The pools.
    pub pools: Vec<PoolReport>,
}

/// What a device says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct DeviceHealth {
    /// Whether it has a link.
    pub link_up: bool,
    /// Frames that it had no room for: workers were too slow. No worker has seen them, so they are in no other counter.
    pub rx_missed: u64,
    /// Frames that it received damaged.
    pub rx_errors: u64,
    /// Frames that it had no buffer for.
    pub rx_no_buffer: u64,
    /// Frames that it took and failed to send.
    pub tx_errors: u64,
}

/// A pool of packet buffers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PoolReport {
    /// Its name.
    pub name: String,
    /// Buffers in all.
    pub size: u64,
    /// Buffers that somebody has: a device's queue, a worker, a fragment that waits.
    pub in_use: u64,
}
