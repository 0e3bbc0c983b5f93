// SPDX-License-Identifier: MIT OR Apache-2.0
//! The daemon's life: start, follow the table, stop.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use forwarder::control::affinity::ControlCores;
use forwarder::control::load::Document;
use forwarder::control::metrics::http::{self, MetricsServer};
use forwarder::control::notify;
use forwarder::control::rpc::Params;
use forwarder::control::server::Server;
use forwarder::control::socket::{ControlSocket, SocketError};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use crate::agent::{Agent, Refused, StartError};
use crate::config::Config;
use crate::follow::{Cause, Follower, Poke};
use crate::ownership::owned;
use crate::{methods, metrics};

/// Between two looks at what is held.
const LOOK: Duration = Duration::from_secs(2);

/// Why the daemon did not start, or stopped by itself. One line each.
#[derive(Debug, thiserror::Error)]
pub enum DaemonError {
    /// Table, addresses or sockets.
    #[error(transparent)]
    Start(#[from] StartError),
    /// No control socket.
    #[error(transparent)]
    Socket(#[from] SocketError),
    /// Nobody can ask for metrics.
    #[error(
        "cannot listen on {0} for metrics: {1}; set metrics.listen to a free address of this machine, or leave it out"
    )]
    Listen(SocketAddr, io::Error),
    /// A thread ended that the daemon can't do without.
    #[error("the thread that follows the table has panicked: please report the lines above")]
    Panicked,
    /// A thread, a signal handler or a watch was refused.
    #[error("cannot {0}: {1}")]
    System(&'static str, io::Error),
}

impl DaemonError {
    /// Everything that is wrong, a line each; the last line says it all.
    pub fn lines(&self) -> Vec<String> {
        let mut lines = match self {
            Self::Start(StartError::Table { faults, .. }) if faults.0.len() > 1 => {
                faults.0.iter().map(ToString::to_string).collect()
            }
            _ => Vec::new(),
        };
        lines.push(self.to_string());
        lines
    }
}

/// Checks configuration and table, and starts nothing. What is fine in a line, or every fault in one.
pub fn check(config: &Config) -> Result<String, Vec<String>> {
    let table = config.table.display();
    let checked = Document::File(&config.table).read().and_then(|source| owned(&source, &config.server, &[]));
    let view = match checked {
        Ok(owned) => owned.view,
        Err(faults) => return Err(faults.0.iter().map(|fault| format!("{table}: {fault}")).collect()),
    };
    let (server, held) = (&config.server, view.held.len());
    Ok(format!(
        "OK: {} and {table} (generation {}, {held} prefixes for {server})",
        config.file.display(),
        view.generation
    ))
}

/// Runs a daemon until a signal or a failure ends it.
pub fn run(config: Config) -> Result<(), DaemonError> {
    // Before anything is there to clean up, so that a signal during the start ends the daemon like any other.
    let signals = Signals::new([SIGTERM, SIGINT, SIGHUP]).map_err(system("handle signals"))?;
    // Before the table is read, so that nothing is missed.
    let follower = Follower::new(&config.table).map_err(system("watch the folder of the table"))?;
    let socket = ControlSocket::bind(&config.control.socket)?;
    let listen = |address| http::listen(address).map_err(|error| DaemonError::Listen(address, error));
    let listener = config.metrics.map(listen).transpose()?;
    let agent = Arc::new(Agent::start(config)?);
    let called = Arc::clone(&agent);
    let answer =
        Arc::new(move |peer, right, name: &str, params: Params<'_>| methods::call(&called, peer, right, name, params));
    let server = Server::start(socket, &agent.config().control, answer, ControlCores::default());
    let server = server.map_err(system("start the control thread"))?;
    let told = Arc::clone(&agent);
    let page: Arc<http::Page> = Arc::new(move || metrics::page(&told));
    let start = |listener| MetricsServer::start(listener, page, &ControlCores::default());
    let metrics = listener.map(start).transpose().map_err(system("start the metrics' threads"))?;
    let following = Following::start(follower, &agent).map_err(system("start the thread that follows the table"))?;
    let stop = obey(signals, following.poke.clone()).map_err(system("start the thread of signals"))?;
    let (server_name, generation) = (&agent.config().server, agent.status().generation);
    tracing::info!(server = server_name, generation, "holding");
    notify::ready("holding");
    let ended = following.wait(&stop);
    notify::stopping(Duration::ZERO);
    drop(server);
    drop(metrics);
    drop(following);
    // Connections that still ask have it for a moment; what is put is taken back all the same.
    agent.give_up();
    tracing::info!("stopped");
    ended
}

fn system(what: &'static str) -> impl Fn(io::Error) -> DaemonError {
    move |error| DaemonError::System(what, error)
}

/// Lets signals rule: SIGHUP reads the table again, others end the daemon.
fn obey(mut signals: Signals, reload: Poke) -> io::Result<Receiver<&'static str>> {
    let (sender, stop) = channel();
    let wait = move || {
        for signal in signals.forever() {
            match signal {
                SIGHUP => reload.poke(),
                // Once the daemon stops nobody listens any more.
                SIGINT => drop(sender.send("SIGINT")),
                _ => drop(sender.send("SIGTERM")),
            }
        }
    };
    thread::Builder::new().name("signals".to_owned()).spawn(wait)?;
    Ok(stop)
}

/// The thread that follows the table and looks after what is held. Dropped, it ends.
struct Following {
    poke: Poke,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Following {
    fn start(mut follower: Follower, agent: &Arc<Agent>) -> io::Result<Self> {
        let (poke, stop) = (follower.poke(), Arc::new(AtomicBool::new(false)));
        let (stopped, agent) = (Arc::clone(&stop), Arc::clone(agent));
        let follow = move || {
            while !stopped.load(Ordering::Relaxed) {
                // Rounded up: what is waited for is over then.
                let rest = agent.rest().map(|rest| rest + Duration::from_millis(1));
                match follower.wait(rest.unwrap_or(LOOK).min(LOOK)) {
                    Cause::Nothing => agent.look_after(),
                    _ if stopped.load(Ordering::Relaxed) => {}
                    _ => tell(agent.reload(None)),
                }
            }
        };
        let thread = thread::Builder::new().name("follow".to_owned()).spawn(follow)?;
        Ok(Self { poke, stop, thread: Some(thread) })
    }

    /// Waits until the daemon is to stop.
    fn wait(&self, stop: &Receiver<&'static str>) -> Result<(), DaemonError> {
        loop {
            match stop.recv_timeout(LOOK) {
                Ok(why) => {
                    tracing::info!("stopping: {why}");
                    return Ok(());
                }
                Err(RecvTimeoutError::Timeout) if self.thread.as_ref().is_some_and(JoinHandle::is_finished) => {
                    return Err(DaemonError::Panicked);
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return Err(DaemonError::Panicked),
            }
        }
    }
}

impl Drop for Following {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        self.poke.poke();
        // A panic has been told.
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

fn tell(reloaded: Result<crate::report::Reloaded, Refused>) {
    match reloaded {
        Ok(done) => {
            tracing::info!(previous = done.previous, generation = done.generation, changed = done.changed, "reloaded");
        }
        Err(refused) => {
            refused.faults.0.iter().for_each(|fault| tracing::warn!("{}: {fault}", refused.document));
            tracing::error!("{refused}");
        }
    }
}
