// SPDX-License-Identifier: MIT OR Apache-2.0
//! Everything that there is to see, of one moment.

use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use super::destinations::DestinationTraffic;
use super::times::Times;
use super::{Measured, health};
use crate::control::config::Config;
use crate::control::forwarder::Forwarder;
use crate::control::generations::Running;
use crate::control::next_hops::Events;
use crate::control::next_hops::status::NextHopsStatus;
use crate::control::report::{Health, KernelReport, ReloadStatus};
use crate::counters::{self, Counters, Traffic};
use crate::io::hardware::Hardware;
use crate::worker::Shared;

/// What there is to see.
///
/// The counters of a worker are one consistent copy, and all copies together hold no less than nothing, so that every
/// packet is accounted for. What went by each queue and to each destination is read beside that, packet by packet.
pub struct Snapshot {
    /// How well it goes.
    pub health: Health,
    /// What the kernel's next hops lack; none if the configuration has them.
    pub next_hops: Option<NextHopsStatus>,
    /// What has happened to next hops.
    pub next_hop_events: Events,
    /// What runs.
    pub running: Running,
    /// Since the daemon started.
    pub uptime: Duration,
    /// Memory of the compiled table, in bytes.
    pub table_size: usize,
    /// The workers, by number.
    pub workers: Vec<WorkerSnapshot>,
    /// The devices, in the order of the configuration.
    pub devices: Vec<DeviceSnapshot>,
    /// What devices and pools say of themselves.
    pub hardware: Hardware,
    /// What passed between the devices and the kernel.
    pub kernel: Vec<KernelReport>,
    /// Every destination of the running table.
    pub destinations: Vec<DestinationTraffic>,
    /// What was sent to those without metrics of their own.
    pub others: Traffic,
    /// How changes of the table went.
    pub times: Times,
    /// The newest reloads, the newest first.
    pub reloads: Vec<ReloadStatus>,
}

/// One worker.
pub struct WorkerSnapshot {
    /// Its core.
    pub core: usize,
    /// What it counted.
    pub counters: Counters,
    /// How it spent its time.
    pub measured: Measured,
    /// How often the watchdog found that it did not poll.
    pub stalls: u64,
    /// Datagrams of which it remembers or awaits the first fragment.
    pub fragment_datagrams: u64,
    /// Bytes of fragments that wait for their first.
    pub fragment_bytes: u64,
}

/// One device.
pub struct DeviceSnapshot {
    /// Its name.
    pub name: String,
    /// What came and went by each queue; a worker's number is that of its queue.
    pub queues: Vec<QueueSnapshot>,
}

/// One queue pair of a device.
#[derive(Debug, Clone, Copy)]
pub struct QueueSnapshot {
    /// Received.
    pub rx: Traffic,
    /// Taken by the device.
    pub tx: Traffic,
}

impl Snapshot {
    /// Looks at everything. Takes as long as the workers take to say what they measured, which is well below a millisecond
    /// unless one is stuck.
    pub fn take(forwarder: &Forwarder) -> Self {
        let workers = workers(forwarder);
        let (destinations, others) = forwarder.generations().destinations();
        let (times, reloads) = forwarder.changes();
        let hardware = forwarder.metrics().hardware();
        let next_hops = forwarder.next_hops();
        Self {
            health: judge(forwarder, &workers, &hardware, reloads.first(), next_hops.as_ref()),
            next_hops,
            next_hop_events: forwarder.generations().underlay().map(|underlay| underlay.events()).unwrap_or_default(),
            running: forwarder.generations().running(),
            uptime: forwarder.uptime(),
            table_size: forwarder.generations().look(|state| state.table.size()),
            workers,
            devices: devices(forwarder.config(), forwarder.workers()),
            hardware,
            kernel: KernelReport::all(forwarder.config(), forwarder.kernel()),
            destinations,
            others,
            times,
            reloads,
        }
    }

    /// The sum over all workers.
    pub fn total(&self) -> Counters {
        let mut total = counters::total(self.workers.iter().map(|worker| &worker.counters));
        total.kernel_drops += self.kernel.iter().map(KernelReport::lost).sum::<u64>();
        total
    }
}

/// How well it goes, without all else that there is to see.
pub(in crate::control) fn look_at_health(forwarder: &Forwarder) -> Health {
    let (_, reloads) = forwarder.changes();
    let next_hops = forwarder.next_hops();
    judge(forwarder, &workers(forwarder), &forwarder.metrics().hardware(), reloads.first(), next_hops.as_ref())
}

fn judge(
    forwarder: &Forwarder,
    workers: &[WorkerSnapshot],
    hardware: &Hardware,
    last_reload: Option<&ReloadStatus>,
    next_hops: Option<&NextHopsStatus>,
) -> Health {
    let unresolved = next_hops.and_then(NextHopsStatus::problem);
    let (not_kept, instead) = forwarder.unlike_configured();
    let (draining, not_announced) = (forwarder.readiness().draining(), forwarder.readiness().problem());
    let changes = health::Changes {
        draining: draining.as_deref(),
        not_announced: not_announced.as_deref(),
        last_reload,
        not_kept: not_kept.as_deref(),
        instead: instead.as_deref(),
        unresolved: unresolved.as_deref(),
        is_cut_off: next_hops.is_some_and(NextHopsStatus::is_cut_off),
    };
    health::judge(forwarder.config(), workers, hardware, forwarder.kernel(), changes)
}

fn workers(forwarder: &Forwarder) -> Vec<WorkerSnapshot> {
    let measured = forwarder.metrics().measured();
    // After the measurements, which can take a while.
    let counters = counters::read_all(forwarder.workers().iter().map(|worker| &worker.counters));
    let workers = forwarder.config().workers.cores.iter().zip(forwarder.workers()).zip(counters).zip(measured);
    workers
        .enumerate()
        .map(|(number, (((&core, shared), counters), measured))| WorkerSnapshot {
            core,
            counters,
            measured,
            stalls: forwarder.metrics().stalls(number),
            fragment_datagrams: shared.fragments.datagrams.load(Relaxed),
            fragment_bytes: shared.fragments.bytes.load(Relaxed),
        })
        .collect()
}

fn devices(config: &Config, workers: &[std::sync::Arc<Shared>]) -> Vec<DeviceSnapshot> {
    let queues = |index: usize| {
        let tallies = workers.iter().filter_map(move |worker| worker.devices.get(index));
        tallies.map(|tally| QueueSnapshot { rx: tally.rx.read(), tx: tally.tx.read() }).collect()
    };
    let devices = config.devices.iter().enumerate();
    devices.map(|(index, device)| DeviceSnapshot { name: device.name.clone(), queues: queues(index) }).collect()
}
