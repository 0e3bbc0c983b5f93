// SPDX-License-Identifier: MIT OR Apache-2.0
//! The daemon's life: start, wait for signals, stop.

use std::io::{self, PipeReader};
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::thread;

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use tables::Faults;

use super::affinity::{self, ControlCores, Cores, NoCore};
use super::announcer::Announcer;
use super::config::Config;
use super::forwarder::Forwarder;
use super::generations::{Loaded, summary};
use super::kernel::{self, KernelThread, TapError, Taps};
use super::load::Document;
use super::log;
use super::methods;
use super::metrics::{self, MetricsServer};
use super::next_hops::{Follower, Following, Underlay};
use super::notify;
use super::privileges::{PrivilegeError, Privileges};
use super::readiness::{Readiness, ReadinessError};
use super::report::Conservation;
use super::server::Server;
use super::socket::{ControlSocket, SocketError};
use super::start::{self, Start};
use super::watchdog::Watchdog;
use super::workers::{WorkerError, Workers};
use crate::counters;
use crate::io::hardware::{Hardware, Probe};
use crate::io::{DeviceIndex, PacketIo};
use crate::settings::Settings;
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

/// Why the daemon did not start, or stopped by itself. One line each.
#[derive(Debug, thiserror::Error)]
pub enum DaemonError {
    /// A core is missing.
    #[error(transparent)]
    Core(#[from] NoCore),
    /// The table is refused.
    #[error("{} was refused: {}", Document::File(path), summary(faults))]
    Table {
        /// Its file.
        path: PathBuf,
        /// Every fault.
        faults: Faults,
    },
    /// No control socket.
    #[error(transparent)]
    Socket(#[from] SocketError),
    /// Nobody can ask for metrics.
    #[error(
        "cannot listen on {0} for metrics: {1}; set metrics.listen to a free address of this machine, or leave it out"
    )]
    Listen(SocketAddr, io::Error),
    /// It can't be the user that it should be.
    #[error(transparent)]
    Privileges(#[from] PrivilegeError),
    /// Routing daemons can't be told that it is in service.
    #[error(transparent)]
    Readiness(#[from] ReadinessError),
    /// The devices could not be started.
    #[error("{0}")]
    Backend(String),
    /// A device has no kernel's side.
    #[error(transparent)]
    Tap(#[from] TapError),
    /// A worker did not start, or failed.
    #[error(transparent)]
    Worker(#[from] WorkerError),
    /// A thread or a signal handler was refused.
    #[error("cannot {0}: {1}")]
    System(&'static str, io::Error),
}

impl DaemonError {
    /// Everything that is wrong, a line each; the last line says it all.
    pub fn lines(&self) -> Vec<String> {
        let mut lines = match self {
            Self::Table { path, faults } if faults.0.len() > 1 => list(path, faults),
            _ => Vec::new(),
        };
        lines.push(self.to_string());
        lines
    }
}

/// Every fault of a table, with its file.
fn list(path: &Path, faults: &Faults) -> Vec<String> {
    faults.0.iter().map(|fault| format!("{}: {fault}", path.display())).collect()
}

/// What the daemon waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Event {
    Stop(&'static str),
    WorkerEnded(usize),
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
    /// Loads the table, takes the socket, starts the devices with `start` and a worker for each core.
    pub fn start<E>(config: Config, start: impl FnOnce(&Config) -> Result<B, E>) -> Result<Self, DaemonError>
    where
        E: std::fmt::Display,
    {
        config.warnings().iter().for_each(|warning| tracing::warn!("{warning}"));
        let cores = Cores::enumerate();
        cores.check(&config.workers.cores)?;
        let privileges = Privileges::lower(&config)?;
        let readiness = Readiness::new(&config.readiness, privileges.uid())?;
        tracing::info!(table = %config.table.display(), "loading");
        let kept = start::folder(&config);
        let Start { loaded, instead } = start::load(&config, kept.as_deref())
            .map_err(|faults| DaemonError::Table { path: config.table.clone(), faults })?;
        let socket = ControlSocket::bind(&config.control.socket)?;
        let listener = config.metrics.listen.map(listen).transpose()?;

        privileges.raise()?;
        let backend = start(&config).map_err(|error| DaemonError::Backend(error.to_string()));
        cores.restore();
        let mut backend = backend?;
        let macs: Vec<_> = (0..=u8::MAX).zip(&config.devices).map(|(i, _)| backend.mac(DeviceIndex(i))).collect();
        affinity::warn_of_far_cores(&config, &backend);
        let settings = Arc::new(config.settings(&macs));
        let taps = Taps::open(&config, &settings)?;
        let control_cores = cores.besides(&config.workers.cores);
        let (underlay, follower) = open_underlay(&config, &settings)?.unzip();
        let (forwarder, readers) =
            Forwarder::new(config.clone(), Arc::clone(&settings), loaded, kept, underlay.clone());

        let forwarder = Arc::new(forwarder.started(instead).signalling(readiness));
        forwarder.metrics().watch(backend.probe());
        let (stop, events) = channel();
        if let Some(lines) = backend.log() {
            let cores = control_cores.clone();
            spawn("device-log", move || {
                cores.apply();
                log::repeat(lines);
            })?;
        }
        let (ends, kernel) = kernel::start(taps, &config, &settings, forwarder.kernel(), &control_cores)
            .map_err(|error| DaemonError::System("start the kernel path's thread", error))?;
        // All other threads that touch what comes from outside are started by one that has no rights left.
        privileges.give_up()?;
        let workers = Workers::start(&forwarder, readers, backend.queues(), ends, &stop)?;
        let watchdog = Watchdog::start(&forwarder, control_cores.clone())
            .map_err(|error| DaemonError::System("start the watchdog", error))?;
        let following = underlay.zip(follower).map(|(underlay, follower)| {
            follower.start(underlay, Arc::clone(forwarder.generations()), control_cores.clone())
        });
        let following =
            following.transpose().map_err(|error| DaemonError::System("start the thread of next hops", error))?;
        let server = Server::start(socket, Arc::clone(&forwarder), control_cores.clone())
            .map_err(|error| DaemonError::System("start the control thread", error))?;
        let metrics = listener
            .map(|listener| MetricsServer::start(listener, &forwarder, &control_cores))
            .transpose()
            .map_err(|error| DaemonError::System("start the metrics' threads", error))?;
        let announcer = Announcer::start(&forwarder, &control_cores)
            .map_err(|error| DaemonError::System("start the thread of readiness", error))?;
        let running = forwarder.generations().running();
        tracing::info!(
            generation = running.generation,
            prefixes = running.prefixes,
            targets = running.targets,
            cores = ?config.workers.cores,
            socket = %config.control.socket.display(),
            "forwarding"
        );
        notify::ready("forwarding");
        Ok(Self {
            forwarder,
            announcer,
            server,
            metrics,
            watchdog,
            following,
            workers,
            kernel,
            backend,
            control_cores,
            events,
            stop,
        })
    }

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
        notify::stopping();
        drop(self.announcer);
        let linger = self.forwarder.config().readiness.linger;
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
            Err(_) => tracing::error!("stopping: nothing is left to wait for"),
        }
        drop(self.server);
        drop(self.metrics);
        drop(self.watchdog);
        drop(self.following);
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
            _ => ended.map_err(Into::into),
        }
    }

    /// Lets signals rule: SIGHUP reloads, on a thread of its own so that a long build doesn't keep SIGTERM waiting.
    fn obey(&self, mut signals: Signals) -> Result<(), DaemonError> {
        let reload = self.reloader()?;
        let stop = self.stop.clone();
        let cores = self.control_cores.clone();
        let wait = move || {
            cores.apply();
            for signal in signals.forever() {
                match signal {
                    // One reload waits at most: it will see whatever is in the file by then.
                    SIGHUP => drop(reload.try_send(())),
                    SIGINT => drop(stop.send(Event::Stop("SIGINT"))),
                    _ => drop(stop.send(Event::Stop("SIGTERM"))),
                }
            }
        };
        spawn("signals", wait)
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

/// What follows the kernel's routes, if next hops are to come from there.
fn open_underlay(config: &Config, settings: &Settings) -> Result<Option<(Arc<Underlay>, Follower)>, DaemonError> {
    let open = || Underlay::open(config, settings, config.workers.cores.len());
    let opened = config.follows_kernel().then(open).transpose();
    let opened = opened.map_err(|error| DaemonError::System("read the kernel's routes", error))?;
    Ok(opened.map(|(underlay, follower)| (Arc::new(underlay), follower)))
}

fn listen(address: SocketAddr) -> Result<TcpListener, DaemonError> {
    metrics::listen(address).map_err(|error| DaemonError::Listen(address, error))
}

fn spawn(name: &str, body: impl FnOnce() + Send + 'static) -> Result<(), DaemonError> {
    let spawned = thread::Builder::new().name(name.to_owned()).spawn(body);
    spawned.map(drop).map_err(|error| DaemonError::System("start a thread", error))
}
