// SPDX-License-Identifier: MIT OR Apache-2.0
//! What can be asked of a forwarder.

use std::path::Path;
use std::sync::atomic::Ordering;

use super::Forwarder;
use crate::control::config::Device;
use crate::control::generations::lock;
use crate::control::kept::Kept;
use crate::control::metrics::Snapshot;
use crate::control::report::{
    self, DeviceStatus, Health, KeptGenerations, KernelReport, LoadingStatus, Stats, Status, TableStatus, Top,
    WorkerStats, WorkerStatus,
};
use crate::counters;
use crate::explain::{Explanation, QueryError, Question, ShadowAnswer, Subject};

impl Forwarder {
    /// What is kept, the newest first: `generations`.
    pub fn kept_generations(&self) -> KeptGenerations {
        let kept = self.generations.kept();
        KeptGenerations { kept: kept.map(Kept::status), generations: kept.map(Kept::list).unwrap_or_default() }
    }

    /// Where a packet would go by what runs, or by a kept generation.
    pub fn explain(&self, question: Question<'_>, at: Option<u64>) -> Result<Explanation, QueryError> {
        let settings = &self.settings;
        let running = self.generations.running().generation;
        if let Some(generation) = at.filter(|&generation| generation != running) {
            let ask = |state: &_, source: &_| self.ask_beside(question, Subject { state, settings, source });
            return self.generations.look_back(generation, ask).map_err(QueryError::Generation)?;
        }
        let ask = |state: &_, source: &_| question.ask(Subject { state, settings, source });
        let mut explanation = self.generations.look_with_source(ask)?;
        // What can't be asked of the shadow may well be of what runs: its owner may not go by port.
        let shadow = self.shadows.look(settings, |subject| self.ask_beside(question, subject));
        explanation.shadow = shadow.and_then(Result::ok).map(ShadowAnswer::from);
        Ok(explanation)
    }

    /// Asks a state that does not run, as if it ran: by the next hops that it would have.
    fn ask_beside(&self, question: Question<'_>, subject: Subject<'_>) -> Result<Explanation, QueryError> {
        let Some(underlay) = self.generations.underlay() else { return question.ask(subject) };
        let hops = Some(underlay.would_be(subject.state));
        let state = subject.state.clone().with_hops(hops);
        question.ask(Subject { state: &state, ..subject })
    }

    /// What runs.
    pub fn status(&self) -> Status {
        let health = self.health();
        let next_hops = self.next_hops();
        let running = self.generations.running();
        let stopping = self.stopping.load(Ordering::Relaxed);
        let cores = self.config.workers.cores.iter().enumerate();
        let devices = self.config.devices.iter().zip(&self.settings.devices);
        let shadow = self.shadows.summary();
        let history = lock(&self.history);
        Status {
            state: match (stopping, health.state == Health::DRAINING) {
                (true, _) => "stopping",
                (_, true) => "draining",
                _ => "forwarding",
            }
            .to_owned(),
            health,
            announced: self.readiness.announced(),
            generation: running.generation,
            revision: running.revision,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            pid: std::process::id(),
            uptime_s: self.started.elapsed().as_secs(),
            datacenter: self.config.datacenter.clone(),
            config: absolute(&self.config.file),
            table: TableStatus {
                path: absolute(&self.config.table),
                since: report::timestamp(running.since),
                datacenters: running.datacenters,
                servers: running.servers,
                prefixes: running.prefixes,
                targets: running.targets,
                remotes: running.remotes,
                bytes: self.generations.look(|state| state.table.size()),
            },
            workers: cores.map(|(worker, &core)| WorkerStatus { worker, core }).collect(),
            devices: devices.map(device).collect(),
            loading: self.generations.loading().map(|(read, of)| LoadingStatus { read, of }),
            last_reload: history.last_reload(),
            patches: history.patches(),
            swap_us: history.swap_times(),
            kept: self.generations.kept().map(Kept::status),
            shadow,
            instead: lock(&self.instead).clone(),
            next_hops,
        }
    }

    /// All that there is to see.
    pub fn top(&self) -> Top {
        Top::new(&Snapshot::take(self))
    }

    /// Every worker's counters and their sum.
    pub fn stats(&self) -> Stats {
        let counters = counters::read_all(self.workers.iter().map(|worker| &worker.counters));
        let kernel = KernelReport::all(&self.config, &self.kernel);
        let mut total = counters::total(&counters);
        total.kernel_drops += kernel.iter().map(KernelReport::lost).sum::<u64>();
        let cores = self.config.workers.cores.iter().enumerate();
        let workers = cores
            .zip(&counters)
            .map(|((worker, &core), counters)| WorkerStats { worker, core, counters: counters.into() })
            .collect();
        Stats {
            generation: self.generations.running().generation,
            uptime_s: self.started.elapsed().as_secs(),
            counters: (&total).into(),
            conservation: (&total).into(),
            workers,
            kernel,
        }
    }
}

/// Paths go to other processes, which stand in other directories.
fn absolute(path: &Path) -> String {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned()).display().to_string()
}

fn device((config, settings): (&Device, &crate::settings::Device)) -> DeviceStatus {
    DeviceStatus {
        name: config.name.clone(),
        mac: settings.mac.to_string(),
        mtu: config.mtu,
        next_hop_mac: config.next_hop.map(|mac| mac.to_string()),
        gue: config.gue,
        offloads: settings.offloads.names(),
    }
}
