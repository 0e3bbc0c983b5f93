// SPDX-License-Identifier: MIT OR Apache-2.0
//! How a daemon starts: what can fail without a device first, then devices with all rights, then everything else without any.

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::mpsc::channel;

use super::{Backend, Daemon, DaemonError, spawn};
use crate::control::affinity::{self, Cores};
use crate::control::announcer::Announcer;
use crate::control::config::Config;
use crate::control::forwarder::Forwarder;
use crate::control::kernel::{self, Taps};
use crate::control::links::LinkWatch;
use crate::control::metrics::{self, MetricsServer};
use crate::control::next_hops::{Follower, Underlay};
use crate::control::privileges::Privileges;
use crate::control::readiness::Readiness;
use crate::control::rpc::Params;
use crate::control::server::Server;
use crate::control::socket::ControlSocket;
use crate::control::start::{self, Start};
use crate::control::watchdog::Watchdog;
use crate::control::workers::Workers;
use crate::control::{log, methods, notify};
use crate::io::DeviceIndex;
use crate::settings::Settings;

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
        notify::starting(config.devices.iter().map(|device| device.link_wait).max().unwrap_or_default());
        let backend = start(&config).map_err(|error| DaemonError::Backend(error.to_string()));
        cores.restore();
        let mut backend = backend?;
        let macs: Vec<_> = (0..=u8::MAX).zip(&config.devices).map(|(i, _)| backend.mac(DeviceIndex(i))).collect();
        affinity::warn_of_far_cores(&config, &backend);
        let mut settings = config.settings(&macs);
        for (index, device) in (0..=u8::MAX).zip(&mut settings.devices) {
            device.offloads = backend.offloads(DeviceIndex(index));
        }
        let settings = Arc::new(settings);
        let taps = Taps::open(&config, &settings)?;
        let control_cores = cores.besides(&config.workers.cores);
        let (underlay, follower) = open_underlay(&config, &settings)?.unzip();
        let (forwarder, readers) =
            Forwarder::new(config.clone(), Arc::clone(&settings), loaded, kept, underlay.clone());

        let forwarder = Arc::new(forwarder.started(instead).signalling(readiness));
        forwarder.metrics().watch(backend.probe());
        forwarder.look_at_links();
        let (stop, events) = channel();
        let urgency = taps.urgency();
        // All threads but DPDK's are started by one that has no rights left: some read what strangers send.
        privileges.give_up()?;
        let seen = (forwarder.kernel(), forwarder.links());
        let (ends, kernel) = kernel::start(taps, &config, &settings, seen, &control_cores, &stop)
            .map_err(|error| DaemonError::System("start the kernel path's thread", error))?;
        drop(urgency);
        if let Some(lines) = backend.log() {
            let cores = control_cores.clone();
            spawn("device-log", move || {
                cores.apply();
                log::repeat(lines);
            })?;
        }
        let workers = Workers::start(&forwarder, readers, backend.queues(), ends, &stop)?;
        let watchdog = Watchdog::start(&forwarder, &control_cores, &stop)
            .map_err(|error| DaemonError::System("start the watchdog", error))?;
        let links = kernel.as_ref().map(|_| LinkWatch::start(&forwarder, &control_cores, &stop)).transpose();
        let links = links.map_err(|error| DaemonError::System("start the thread of links", error))?;
        let following = underlay
            .zip(follower)
            .map(|(underlay, follower)| follower.start(underlay, Arc::clone(&forwarder), &control_cores, &stop));
        let following =
            following.transpose().map_err(|error| DaemonError::System("start the thread of next hops", error))?;
        let called = Arc::clone(&forwarder);
        let answer = Arc::new(move |peer, right, name: &str, params: Params<'_>| {
            methods::call(&called, peer, right, name, params)
        });
        let server = Server::start(socket, &config.control, answer, control_cores.clone())
            .map_err(|error| DaemonError::System("start the control thread", error))?;
        let metrics = listener
            .map(|listener| MetricsServer::start(listener, metrics::page(&forwarder), &control_cores))
            .transpose()
            .map_err(|error| DaemonError::System("start the metrics' threads", error))?;
        let announcer = Announcer::start(&forwarder, &control_cores, &stop)
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
            links,
            workers,
            kernel,
            backend,
            control_cores,
            events,
            stop,
        })
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
