// SPDX-License-Identifier: MIT OR Apache-2.0
//! All that there is to see: `top`. Numbers are since the daemon started, so that whoever asks twice knows what happened
//! between.

use std::time::Duration;

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

use super::{Conservation, Health, ReloadStatus};
use crate::control::metrics::Snapshot;
use crate::counters::{CountersReport, Traffic};
use crate::io::hardware::{DeviceHealth, PoolReport};

/// The document.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Top {
    /// Since the daemon started.
    pub uptime_ms: u64,
    /// The table's generation.
    pub generation: u64,
    /// Patches applied since.
    pub revision: u64,
    /// Whether all is well.
    pub health: Health,
    /// The sum over all workers.
    pub counters: CountersReport,
    /// Whether every packet is accounted for.
    pub conservation: Conservation,
    /// The workers, by number.
    pub workers: Vec<WorkerTop>,
    /// The devices, in the order of the configuration.
    pub devices: Vec<DeviceTop>,
    /// The pools of packet buffers.
    pub pools: Vec<PoolReport>,
    /// The servers and data centres of the running table.
    pub targets: Vec<TargetTop>,
    /// The newest reloads, the newest first.
    pub reloads: Vec<ReloadStatus>,
}

/// A worker.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorkerTop {
    /// Its number.
    pub worker: usize,
    /// Its core.
    pub core: usize,
    /// It was asked what it measured, and did not answer.
    pub stalled: bool,
    /// Frames that it received.
    pub rx: u64,
    /// Nanoseconds that it was busy with bursts.
    pub busy_ns: u64,
    /// Polls that brought frames.
    pub polls: u64,
    /// Polls that brought none.
    pub empty_polls: u64,
    /// How long bursts stayed: nanoseconds (two digits are exact), and how many bursts.
    pub residency_ns: Vec<(u64, u64)>,
    /// Datagrams of which it remembers or awaits the first fragment.
    pub fragment_datagrams: u64,
}

/// A device.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeviceTop {
    /// Its name.
    pub name: String,
    /// What it says of itself; nothing if it can't be asked.
    pub health: Option<DeviceHealth>,
    /// Its queues, by number.
    pub queues: Vec<QueueTop>,
}

/// What came and went by a queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct QueueTop {
    /// Frames received.
    pub rx_packets: u64,
    /// Their bytes.
    pub rx_bytes: u64,
    /// Frames that the device took.
    pub tx_packets: u64,
    /// Their bytes.
    pub tx_bytes: u64,
}

/// What was sent to a server or data centre.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TargetTop {
    /// `server` or `datacenter`.
    pub kind: String,
    /// Its name.
    pub name: String,
    /// Frames.
    pub packets: u64,
    /// Their bytes, outer headers included.
    pub bytes: u64,
}

impl Top {
    /// The document of a snapshot.
    pub fn new(snapshot: &Snapshot) -> Self {
        let total = snapshot.total();
        let target = |one: &crate::control::metrics::destinations::DestinationTraffic| {
            let Traffic { packets, bytes } = one.traffic;
            TargetTop { kind: one.kind.name().to_owned(), name: one.name.to_string(), packets, bytes }
        };
        Self {
            uptime_ms: millis(snapshot.uptime),
            generation: snapshot.running.generation,
            revision: snapshot.running.revision,
            health: snapshot.health.clone(),
            counters: (&total).into(),
            conservation: (&total).into(),
            workers: workers(snapshot),
            devices: devices(snapshot),
            pools: snapshot.hardware.pools.clone(),
            targets: snapshot.destinations.iter().map(target).collect(),
            reloads: snapshot.reloads.clone(),
        }
    }
}

fn workers(snapshot: &Snapshot) -> Vec<WorkerTop> {
    let worker = |(worker, one): (usize, &crate::control::metrics::WorkerSnapshot)| {
        let readings = &one.measured.readings;
        WorkerTop {
            worker,
            core: one.core,
            stalled: one.measured.stalled,
            rx: one.counters.rx,
            busy_ns: readings.busy,
            polls: readings.occupancy.len(),
            empty_polls: readings.empty,
            residency_ns: recorded(&readings.residency),
            fragment_datagrams: one.fragment_datagrams,
        }
    };
    snapshot.workers.iter().enumerate().map(worker).collect()
}

fn devices(snapshot: &Snapshot) -> Vec<DeviceTop> {
    let devices = snapshot.devices.iter().enumerate();
    devices
        .map(|(index, device)| DeviceTop {
            name: device.name.clone(),
            health: snapshot.hardware.devices.get(index).copied(),
            queues: device
                .queues
                .iter()
                .map(|queue| QueueTop {
                    rx_packets: queue.rx.packets,
                    rx_bytes: queue.rx.bytes,
                    tx_packets: queue.tx.packets,
                    tx_bytes: queue.tx.bytes,
                })
                .collect(),
        })
        .collect()
}

/// What a histogram has: values, and how often.
fn recorded(histogram: &Histogram<u64>) -> Vec<(u64, u64)> {
    histogram.iter_recorded().map(|step| (step.value_iterated_to(), step.count_at_value())).collect()
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
