// SPDX-License-Identifier: MIT OR Apache-2.0
//! Which thread runs on which core: every worker has one to itself, everything else stays away from those.

use core_affinity::CoreId;
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

use super::config::Config;
use super::daemon::Backend;
use super::machine::{self, Machine};
use crate::io::DeviceIndex;

/// The cores that this process may use, as they were before anybody pinned the calling thread.
#[derive(Debug, Clone)]
pub(super) struct Cores {
    available: Vec<usize>,
    all: Option<CpuSet>,
}

/// The cores that control may use; all by default.
#[derive(Debug, Clone, Default)]
pub struct ControlCores(Option<CpuSet>);

/// A worker's core that this process may not use.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "workers.cores: core {core} does not exist or is not allowed to this process, which may use {}",
    list(available)
)]
pub struct NoCore {
    core: usize,
    available: Vec<usize>,
}

fn list(cores: &[usize]) -> String {
    cores.iter().map(usize::to_string).collect::<Vec<_>>().join(", ")
}

impl Cores {
    /// Asks the system. Threads inherit the answer, and DPDK's start narrows it: ask before.
    pub(super) fn enumerate() -> Self {
        let available = core_affinity::get_core_ids().unwrap_or_default().into_iter().map(|core| core.id).collect();
        Self { available, all: sched_getaffinity(None).ok() }
    }

    /// Whether every one of `cores` can be used.
    pub(super) fn check(&self, cores: &[usize]) -> Result<(), NoCore> {
        match cores.iter().find(|core| !self.available.contains(core)) {
            Some(core) => Err(NoCore { core: *core, available: self.available.clone() }),
            None => Ok(()),
        }
    }

    /// Gives the calling thread back what it had.
    pub(super) fn restore(&self) {
        ControlCores(self.all).apply();
    }

    /// All cores but those of the workers; all if the workers have them all.
    pub(super) fn besides(&self, workers: &[usize]) -> ControlCores {
        ControlCores(self.all.map(|all| {
            let mut others = all;
            workers.iter().for_each(|core| others.unset(*core));
            if others.count() == 0 { all } else { others }
        }))
    }
}

impl ControlCores {
    /// Keeps the calling thread, and those that it will start, to these cores. Without the right to, it stays where it is.
    pub fn apply(&self) {
        if let Some(set) = &self.0
            && let Err(error) = sched_setaffinity(None, set)
        {
            tracing::warn!("cannot keep a control thread off the workers' cores: {error}");
        }
    }
}

/// Warns of each device that is attached to another memory node than workers are on.
pub(super) fn warn_of_far_cores<B: Backend>(config: &Config, backend: &B) {
    let machine = Machine::new("/");
    for (index, device) in (0..=u8::MAX).zip(&config.devices) {
        let Some(node) = backend.node(DeviceIndex(index)) else { continue };
        let far = machine.elsewhere(node, &config.workers.cores);
        if !far.is_empty() {
            let (device, cores) = (&device.name, machine::list(&far));
            tracing::warn!(
                device,
                node,
                cores,
                "device is on another memory node than workers: every packet takes longer; see sluice doctor"
            );
        }
    }
}

/// Pins the calling thread to one core.
pub(super) fn pin(core: usize) -> bool {
    core_affinity::set_for_current(CoreId { id: core })
}
