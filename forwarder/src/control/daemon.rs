// SPDX-License-Identifier: MIT OR Apache-2.0
//! The daemon's life: start, wait for signals, stop.

mod error;
mod launch;

use std::io::PipeReader;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, SyncSender, sync_channel};
use std::thread;

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

pub use self::error::DaemonError;
use self::error::list;
use super::affinity::ControlCores;
use super::announcer::Announcer;
use super::config::Config;
use super::forwarder::Forwarder;
use super::generations::Loaded;
use super::kernel::KernelThread;
use super::links::LinkWatch;
use super::metrics::MetricsServer;
use super::next_hops::Following;
use super::report::Conservation;
use super::server::Server;
use super::threads;
use super::watchdog::Watchdog;
use super::workers::{WorkerError, Workers};
use super::{methods, notify, start};
use crate::counters;
use crate::io::hardware::{Hardware, Probe};
use crate::io::offload::Offloads;
use crate::io::{DeviceIndex, PacketIo};
use crate::wire::MacAddr;

/// Where frames come from and go to: DPDK, or memory in tests. Dropped when all workers have ended.
pub trait Backend {
    /// The queues of one worker.
    type Io: PacketIo + Send + 'static;

    /// A device's own address.
    fn mac(&self, device: DeviceIndex) -> MacAddr;

    /// The memory node of the machine that a device is attached to, if it says so.
    fn node(&self, _: DeviceIndex) -> Option<u32> {
        None
    }

    /// What a device does by itself to what it sends: as was chosen when it started.
    fn offloads(&self, _: DeviceIndex) -> Offloads {
        Offloads::default()
    }

    /// Whom to ask about devices and pools. It may be asked when they are gone.
    fn probe(&self) -> Probe {
        Box::new(Hardware::default)
    }

    /// The queues, one element a worker. Called once.
    fn queues(&mut self) -> Vec<Self::Io>;

    /// What the devices' drivers say while they run, line by line.
    fn log(&mut self) -> Option<PipeReader> {
        None
    }
}

/// What the daemon waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Event {
    Stop(&'static str),
    WorkerEnded(usize),
    Panicked(&'static str),
}

/// A daemon that forwards.
pub struct Daemon<B: Backend> {
    forwarder: Arc<Forwarder>,
    // Dropped in this order: nobody sends traffic, or asks, for what has ended.
    announcer: Announcer,
    server: Server,
    metrics: Option<MetricsServer>,
    watchdog: Watchdog,
    following: Option<Following>,
    links: Option<LinkWatch>,
    workers: Workers,
    kernel: Option<KernelThread>,
    backend: B,
    control_cores: ControlCores,
    events: Receiver<Event>,
    stop: Sender<Event>,
}

/// Ends a daemon from another thread.
#[derive(Debug, Clone)]
pub struct Stopper(Sender<Event>);

impl Stopper {
    /// Ends it; `why` goes into the log.
    pub fn stop(&self, why: &'static str) {
        // Without a receiver it has ended already.
        let _ = self.0.send(Event::Stop(why));
    }
}

/// Checks configuration and table, and starts nothing. What is fine in a line, or every fault in one.
pub fn check(config: &Config) -> Result<String, Vec<String>> {
    let Loaded { source, state, .. } = start::configured(config).map_err(|faults| list(&config.table, &faults))?;
    let generation = source.generation().map_or_else(|| "no generation".to_owned(), |g| format!("generation {g}"));
    Ok(format!(
        "OK: {} and {} ({generation}, {} prefixes, {} servers, {} targets for {})",
        config.file.display(),
        config.table.display(),
        source.entries().len(),
        source.servers().len(),
        state.table.targets().len(),
        config.datacenter,
    ))
}

/// Runs a daemon until a signal or a failure ends it.
pub fn run<B, E>(config: Config, start: impl FnOnce(&Config) -> Result<B, E>) -> Result<(), DaemonError>
where
    B: Backend,
    E: std::fmt::Display,
{
    // Before anything is there to clean up, so that a signal during the start ends the daemon like any other.
    let signals =
        Signals::new([SIGTERM, SIGINT, SIGHUP]).map_err(|error| DaemonError::System("handle signals", error))?;
    let daemon = Daemon::start(config, start)?;
    daemon.obey(signals)?;
    daemon.wait()
}

impl<B: Backend> Daemon<B> {
    /// The forwarder, as the socket's methods see it.
    pub fn forwarder(&self) -> &Arc<Forwarder> {
        &self.forwarder
    }

    /// What ends [`Self::wait`].
    pub fn stopper(&self) -> Stopper {
        Stopper(self.stop.clone())
    }

    /// Waits until something ends the daemon, then stops the workers and lets the devices flush.
    pub fn wait(self) -> Result<(), DaemonError> {
        let mut event = self.events.recv();
        let linger = self.forwarder.config().readiness.linger;
        notify::stopping(linger);
        drop(self.announcer);
        if let Ok(Event::Stop(why)) = event
            && !linger.is_zero()
        {
            tracing::info!("no longer announced: {why}; forwarding for {} s more", linger.as_secs());
            self.forwarder.readiness().drain(why.to_owned());
            // Whatever comes meanwhile has a reason not to wait.
            event = self.events.recv_timeout(linger).or(event);
        }
        match event {
            Ok(Event::Stop(why)) => tracing::info!("stopping: {why}"),
            Ok(Event::WorkerEnded(worker)) => tracing::error!("stopping: worker {worker} has ended by itself"),
            Ok(Event::Panicked(thread)) => tracing::error!("stopping: the thread {thread:?} has panicked"),
            Err(_) => tracing::error!("stopping: nothing is left to wait for"),
        }
        drop(self.server);
        drop(self.metrics);
        drop(self.watchdog);
        drop(self.following);
        drop(self.links);
        self.forwarder.stop_workers();
        let ended = self.workers.join();
        drop(self.kernel);
        let workers = self.forwarder.workers().iter();
        let total = counters::total(&counters::read_all(workers.map(|worker| &worker.counters)));
        tracing::info!(
            rx = total.rx,
            originated = total.originated,
            tx = total.tx,
            exception = total.exception,
            held = total.held_net(),
            drops = total.dropped_total(),
            imbalance = Conservation::from(&total).imbalance,
            "stopped"
        );
        drop(self.backend);
        match event {
            Ok(Event::WorkerEnded(worker)) => ended.and(Err(WorkerError::Ended(worker))).map_err(Into::into),
            Ok(Event::Panicked(thread)) => Err(DaemonError::Panicked(thread)),
            _ => ended.map_err(Into::into),
        }
    }

    /// Lets signals rule: SIGHUP reloads, on a thread of its own so that a long build doesn't keep SIGTERM waiting.
    fn obey(&self, mut signals: Signals) -> Result<(), DaemonError> {
        let reload = self.reloader()?;
        let stop = self.stop.clone();
        let wait = move || {
            for signal in signals.forever() {
                match signal {
                    // One reload waits at most: it will see whatever is in the file by then.
                    SIGHUP => drop(reload.try_send(())),
                    SIGINT => drop(stop.send(Event::Stop("SIGINT"))),
                    _ => drop(stop.send(Event::Stop("SIGTERM"))),
                }
            }
        };
        let spawned = threads::spawn("signals", &self.control_cores, &self.stop, wait);
        spawned.map(drop).map_err(|error| DaemonError::System("start a thread", error))
    }

    fn reloader(&self) -> Result<SyncSender<()>, DaemonError> {
        let (sender, receiver) = sync_channel(1);
        let forwarder = Arc::clone(&self.forwarder);
        let cores = self.control_cores.clone();
        let reload = move || {
            cores.apply();
            while let Ok(()) = receiver.recv() {
                methods::hang_up(&forwarder);
            }
        };
        spawn("reload", reload)?;
        Ok(sender)
    }
}

fn spawn(name: &str, body: impl FnOnce() + Send + 'static) -> Result<(), DaemonError> {
    let spawned = thread::Builder::new().name(name.to_owned()).spawn(body);
    spawned.map(drop).map_err(|error| DaemonError::System("start a thread", error))
}
