// SPDX-License-Identifier: MIT OR Apache-2.0
//! Where a worker and control meet, beside the published state.

use std::sync::atomic::{AtomicBool, AtomicU64};

use crate::capture::tap::Tap;
use crate::counters::{CounterCell, Tally};
use crate::shadow::Scout;
use crate::slot::Slot;

/// What a worker shares with control, beside the published state.
#[derive(Debug, Default)]
pub struct Shared {
    /// The worker's counters.
    pub counters: CounterCell,
    /// What it received and transmitted by each device.
    pub devices: Box<[DeviceTally]>,
    /// What it remembers of fragments, as of its last housekeeping.
    pub fragments: FragmentGauges,
    /// How often it has kept house: grows while it polls.
    pub beat: AtomicU64,
    /// Set to end [`Worker::run`](super::Worker::run).
    pub stop: AtomicBool,
    /// Where a tap is left for it.
    pub tap: Slot<Tap>,
    /// Where a scout is left for it.
    pub scout: Slot<Scout>,
}

/// A worker's queues of one device.
#[derive(Debug, Default)]
pub struct DeviceTally {
    /// Received.
    pub rx: Tally,
    /// Taken by the device.
    pub tx: Tally,
}

/// How full a worker's memory of fragments is.
#[derive(Debug, Default)]
pub struct FragmentGauges {
    /// Datagrams that are remembered, or waited for.
    pub datagrams: AtomicU64,
    /// Bytes of packets that wait.
    pub bytes: AtomicU64,
}

impl Shared {
    /// For a worker that polls so many devices.
    pub fn new(devices: usize) -> Self {
        Self { devices: (0..devices).map(|_| DeviceTally::default()).collect(), ..Self::default() }
    }
}
