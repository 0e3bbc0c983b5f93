// SPDX-License-Identifier: MIT OR Apache-2.0
//! A running forwarder, as control sees it: what can be asked of it, and what can be changed.

mod look;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tables::Reader;

use super::capture::{CaptureError, Captures, Request, Session};
use super::config::Config;
use super::generations::{Generations, Loaded, Options, PatchError, Patched, ReloadError, Reloaded, lock};
use super::history::History;
use super::kept::Kept;
use super::links::Links;
use super::load::{Document, PatchDocument};
use super::metrics::{self, Metrics, Times};
use super::next_hops::Underlay;
use super::next_hops::status::NextHopsStatus;
use super::peer::Peer;
use super::readiness::Readiness;
use super::report::{Health, ReloadStatus, ShadowReport};
use super::shadow::{ShadowError, Shadows};
use crate::kernel::tally::KernelTallies;
use crate::settings::Settings;
use crate::state::ForwardingState;
use crate::worker::Shared;

/// What a change came by if it came in a message.
const SOCKET: &str = "the socket";

/// What control knows of a forwarder, and its grip on it.
pub struct Forwarder {
    config: Config,
    settings: Arc<Settings>,
    generations: Arc<Generations>,
    workers: Vec<Arc<Shared>>,
    started: Instant,
    stopping: AtomicBool,
    history: Mutex<History>,
    captures: Captures,
    shadows: Shadows,
    /// Why it did not start with the configured table, until it is given another one.
    instead: Mutex<Option<String>>,
    metrics: Metrics,
    kernel: Arc<KernelTallies>,
    links: Arc<Links>,
    readiness: Readiness,
}

impl Forwarder {
    /// A forwarder whose workers will forward by what was `loaded`, and by the next hops of `underlay` unless the configuration has
    /// them; a reader for each of them comes with it.
    pub fn new(
        config: Config,
        settings: Arc<Settings>,
        mut loaded: Loaded,
        kept: Option<Arc<Kept>>,
        underlay: Option<Arc<Underlay>>,
    ) -> (Self, Vec<Reader<ForwardingState>>) {
        let workers = config.workers.cores.len();
        let viewpoint = config.viewpoint();
        let hops = underlay.as_ref().map(|underlay| Arc::new(underlay.next_hops(&loaded.state)));
        loaded.state = loaded.state.with_hops(hops);
        let (generations, readers) =
            Generations::new(loaded, viewpoint, Arc::clone(&settings), workers, config.metrics.targets);
        let generations = generations.with(config.guards.clone(), kept).following(underlay);
        let forwarder = Self {
            settings,
            generations: Arc::new(generations),
            workers: (0..workers).map(|_| Arc::new(Shared::new(config.devices.len()))).collect(),
            metrics: Metrics::new(workers),
            kernel: Arc::new(KernelTallies::new(workers, config.devices.len())),
            links: Arc::new(Links::new(config.devices.len())),
            readiness: Readiness::default(),
            started: Instant::now(),
            stopping: AtomicBool::new(false),
            history: Mutex::default(),
            captures: Captures::default(),
            shadows: Shadows::default(),
            instead: Mutex::default(),
            config,
        };
        (forwarder, readers)
    }

    /// The same, which did not start with the configured table for this reason, if there is one.
    pub fn started(self, instead: Option<String>) -> Self {
        Self { instead: Mutex::new(instead), ..self }
    }

    /// The same, with these signals that it is in service.
    pub(super) fn signalling(self, readiness: Readiness) -> Self {
        Self { readiness, ..self }
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
    pub fn generations(&self) -> &Arc<Generations> {
        &self.generations
    }

    /// What is measured.
    pub fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// What passed between the devices and the kernel.
    pub fn kernel(&self) -> &Arc<KernelTallies> {
        &self.kernel
    }

    /// Which devices have links.
    pub fn links(&self) -> &Arc<Links> {
        &self.links
    }

    /// Asks the devices for that.
    pub(super) fn look_at_links(&self) {
        self.links.note(&self.metrics.hardware());
    }

    /// Since the start.
    pub fn uptime(&self) -> Duration {
        self.started.elapsed()
    }

    /// How changes went, and the newest reloads, the newest first.
    pub(super) fn changes(&self) -> (Times, Vec<ReloadStatus>) {
        let history = lock(&self.history);
        (history.times().clone(), history.reloads())
    }

    /// What the kernel's next hops lack; none if the configuration has them.
    pub(super) fn next_hops(&self) -> Option<NextHopsStatus> {
        let underlay = self.generations.underlay()?;
        self.generations.look(|state| NextHopsStatus::of(state, underlay))
    }

    /// Why something could not be kept at last, and why what ran before goes on and not the configured table.
    pub(super) fn unlike_configured(&self) -> (Option<String>, Option<String>) {
        let not_kept = self.generations.kept().and_then(|kept| kept.status().problem);
        (not_kept, lock(&self.instead).clone())
    }

    /// The signals that it is in service, and whether it drains.
    pub(super) fn readiness(&self) -> &Readiness {
        &self.readiness
    }

    /// How well it goes.
    pub(super) fn health(&self) -> Health {
        metrics::look_at_health(self)
    }

    /// Tells every worker to end.
    pub fn stop_workers(&self) {
        self.stopping.store(true, Ordering::Relaxed);
        for worker in &self.workers {
            worker.stop.store(true, Ordering::Release);
        }
    }

    /// Reloads, on behalf of `peer`.
    pub fn reload(&self, peer: Peer, document: Document<'_>, options: Options) -> Result<Reloaded, ReloadError> {
        let result = self.generations.reload(document, peer.to_string(), options);
        self.note(peer, origin(document), options, &result);
        result
    }

    /// Goes back to a kept generation, on behalf of `peer`.
    pub fn rollback(&self, peer: Peer, generation: Option<u64>, options: Options) -> Result<Reloaded, ReloadError> {
        let result = self.generations.rollback(generation, peer.to_string(), options);
        let to = generation.map_or_else(|| "an earlier generation".to_owned(), |number| format!("generation {number}"));
        self.note(peer, format!("rollback to {to}"), options, &result);
        result
    }

    fn note(&self, peer: Peer, from: String, options: Options, result: &Result<Reloaded, ReloadError>) {
        if options.dry_run {
            return;
        }
        lock(&self.history).reloaded(peer, from, result, &self.generations.running());
        if result.is_ok() {
            lock(&self.instead).take();
        }
    }

    /// Applies a patch, on behalf of `peer`.
    pub fn patch(&self, peer: Peer, document: PatchDocument<'_>, options: Options) -> Result<Patched, PatchError> {
        let from = match document {
            PatchDocument::File(path) => path.display().to_string(),
            PatchDocument::Text(_) => SOCKET.to_owned(),
        };
        let result = self.generations.patch(document, options);
        if !options.dry_run {
            lock(&self.history).patched(peer, from, &result, &self.generations.running());
        }
        result
    }

    /// Reloads the configured table: what SIGHUP does.
    pub fn reload_configured(&self) -> Result<Reloaded, ReloadError> {
        self.reload(Peer::Signal, Document::File(&self.config.table), Options::default())
    }

    /// The shadow, if there is one.
    pub fn shadows(&self) -> &Shadows {
        &self.shadows
    }

    /// Compiles a table beside what runs and holds it against one packet of `every`, on behalf of `peer`.
    pub fn shadow(&self, peer: Peer, document: Document<'_>, every: u64) -> Result<ShadowReport, ShadowError> {
        self.shadows.begin(self, peer, (document, origin(document)), every)
    }

    /// Publishes the shadow, on behalf of `peer`.
    pub fn commit(&self, peer: Peer, force: bool) -> Result<Reloaded, ShadowError> {
        let from = self.shadows.summary().map_or_else(|| "the shadow".to_owned(), |summary| summary.from);
        let result = match self.shadows.commit(self, peer.to_string(), force) {
            Ok(reloaded) => Ok(reloaded),
            Err(ShadowError::Reload(error)) => Err(error),
            Err(error) => return Err(error),
        };
        self.note(peer, from, Options { dry_run: false, force }, &result);
        Ok(result?)
    }

    /// Begins a capture, on behalf of `peer`.
    pub fn capture(&self, peer: Peer, request: Request) -> Result<Arc<Session>, CaptureError> {
        self.captures.begin(self, peer, request)
    }

    /// Its captures.
    pub fn captures(&self) -> &Captures {
        &self.captures
    }
}

/// Where a table came from.
fn origin(document: Document<'_>) -> String {
    match document {
        Document::File(path) => path.display().to_string(),
        Document::Text(_) => SOCKET.to_owned(),
    }
}
