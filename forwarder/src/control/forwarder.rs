// SPDX-License-Identifier: MIT OR Apache-2.0
//! A running forwarder, as control sees it: what can be asked of it, and what can be changed.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Instant, SystemTime};

use hdrhistogram::Histogram;
use tables::{Reader, Source};

use super::config::{Config, Device};
use super::generations::{Generations, Options, ReloadError, Reloaded, lock};
use super::load::Document;
use super::peer::Peer;
use super::report::{
    self, DeviceStatus, ReloadStatus, Stats, Status, SwapTimes, TableStatus, WorkerStats, WorkerStatus,
};
use crate::counters;
use crate::explain::{self, Explanation, Query, QueryError};
use crate::settings::Settings;
use crate::state::ForwardingState;
use crate::worker::Shared;

/// Significant digits of the times in [`Forwarder::status`].
const SWAP_DIGITS: u8 = 3;

/// What control knows of a forwarder, and its grip on it.
pub struct Forwarder {
    config: Config,
    settings: Arc<Settings>,
    generations: Generations,
    workers: Vec<Arc<Shared>>,
    started: Instant,
    stopping: AtomicBool,
    last_reload: Mutex<Option<LastReload>>,
    /// How long each swap took until the last worker was seen on the new table, in microseconds.
    swaps: Mutex<Histogram<u64>>,
}

/// The newest attempt to reload, dry runs excepted.
struct LastReload {
    at: SystemTime,
    by: Peer,
    from: String,
    generation: u64,
    error: Option<String>,
}

impl Forwarder {
    /// A forwarder whose workers will forward by `state`, which was made of `source`; a reader for each of them comes
    /// with it.
    pub fn new(
        config: Config,
        settings: Arc<Settings>,
        source: Source,
        state: ForwardingState,
    ) -> (Self, Vec<Reader<ForwardingState>>) {
        let workers = config.workers.cores.len();
        let viewpoint = config.viewpoint();
        let Ok(swaps) = Histogram::new(SWAP_DIGITS) else { unreachable!("histograms keep up to five digits") };
        let (generations, readers) = Generations::new(source, state, viewpoint, Arc::clone(&settings), workers);
        let forwarder = Self {
            config,
            settings,
            generations,
            workers: (0..workers).map(|_| Arc::default()).collect(),
            started: Instant::now(),
            stopping: AtomicBool::new(false),
            last_reload: Mutex::default(),
            swaps: Mutex::new(swaps),
        };
        (forwarder, readers)
    }

    /// Its configuration.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// What its datapath was told.
    pub fn settings(&self) -> &Arc<Settings> {
        &self.settings
    }

    /// What is shared with each worker.
    pub fn workers(&self) -> &[Arc<Shared>] {
        &self.workers
    }

    /// Its generations.
    pub fn generations(&self) -> &Generations {
        &self.generations
    }

    /// Tells every worker to end.
    pub fn stop_workers(&self) {
        self.stopping.store(true, Ordering::Relaxed);
        for worker in &self.workers {
            worker.stop.store(true, Ordering::Release);
        }
    }

    /// Reloads, on behalf of `peer`, and writes that down in the log.
    pub fn reload(&self, peer: Peer, document: Document<'_>, options: Options) -> Result<Reloaded, ReloadError> {
        let from = match document {
            Document::File(path) => path.display().to_string(),
            Document::Text(_) => "the socket".to_owned(),
        };
        let result = self.generations.reload(document, options);
        let Options { dry_run, force } = options;
        match &result {
            Ok(Reloaded { previous, generation, changed, forced, parse, build, swap }) => tracing::info!(
                %peer, from, dry_run, force, forced, changed, previous, generation, ?parse, ?build, ?swap, "reload"
            ),
            Err(error) => tracing::warn!(%peer, from, dry_run, force, "reload failed: {error}"),
        }
        if let (false, Ok(Reloaded { changed: true, swap, .. })) = (dry_run, &result) {
            lock(&self.swaps).saturating_record(report::micros(*swap));
        }
        if !dry_run {
            *lock(&self.last_reload) = Some(LastReload {
                at: SystemTime::now(),
                by: peer,
                from,
                generation: self.generations.running().generation,
                error: result.as_ref().err().map(ReloadError::to_string),
            });
        }
        result
    }

    /// Reloads the configured table: what SIGHUP does.
    pub fn reload_configured(&self) -> Result<Reloaded, ReloadError> {
        self.reload(Peer::Signal, Document::File(&self.config.table), Options::default())
    }

    /// Where a packet would go.
    pub fn explain(&self, query: Query) -> Result<Explanation, QueryError> {
        let own = &self.settings.underlay;
        let prefix = self.generations.prefix_around(query.address);
        self.generations.look(|state| explain::explain(&state.table, prefix, state.generation, own, query))
    }

    /// What runs.
    pub fn status(&self) -> Status {
        let running = self.generations.running();
        let stopping = self.stopping.load(Ordering::Relaxed);
        let cores = self.config.workers.cores.iter().enumerate();
        let devices = self.config.devices.iter().zip(&self.settings.devices);
        Status {
            state: if stopping { "stopping" } else { "forwarding" }.to_owned(),
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
                bytes: running.bytes,
            },
            workers: cores.map(|(worker, &core)| WorkerStatus { worker, core }).collect(),
            devices: devices.map(device).collect(),
            last_reload: lock(&self.last_reload).as_ref().map(last_reload),
            swap_us: swap_times(&lock(&self.swaps)),
        }
    }

    /// Every worker's counters and their sum.
    pub fn stats(&self) -> Stats {
        let counters = counters::read_all(self.workers.iter().map(|worker| &worker.counters));
        let total = counters::total(&counters);
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
    }
}

fn swap_times(swaps: &Histogram<u64>) -> SwapTimes {
    let at = |quantile| swaps.value_at_quantile(quantile);
    SwapTimes { count: swaps.len(), p50: at(0.5), p99: at(0.99), max: swaps.max() }
}

fn last_reload(last: &LastReload) -> ReloadStatus {
    ReloadStatus {
        at: report::timestamp(last.at),
        by: last.by.to_string(),
        from: last.from.clone(),
        generation: last.generation,
        ok: last.error.is_none(),
        error: last.error.clone(),
    }
}
