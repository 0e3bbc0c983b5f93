// SPDX-License-Identifier: MIT OR Apache-2.0
//! The signals that this forwarder may attract traffic, for routing daemons: a file, and an interface with a carrier, there
//! exactly while it is in service.
//!
//! The interface is a persistent TUN interface, whose carrier is that a process holds it. So the kernel takes the signal
//! away whatever ends the process, and giving it takes no capability: the interface belongs to the daemon's user. It is made
//! by whoever sets up the machine: to make it is to hold it, which would be a signal.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Condvar, Mutex};
use std::time::{Duration, Instant};

use tun_rs::{DeviceBuilder, Layer, SyncDevice};

use super::config;
use super::generations::lock;

/// Between two looks whether it is in service.
const INTERVAL: Duration = Duration::from_millis(250);

/// Why there can be no signals.
#[derive(Debug, thiserror::Error)]
pub enum ReadinessError {
    /// A file of an earlier daemon says that this one is ready.
    #[error("cannot remove the readiness file {}: {error}; give its folder to the daemon's user, or set another \
             readiness.file", path.display())]
    Stale {
        /// The file.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// There is no such interface, or it is not the daemon's.
    #[error(
        "the interface {name} {what}; make it before sluiced starts: ip tuntap add dev {name} mode tun user {uid} && \
             ip link set {name} up"
    )]
    Interface {
        /// Its name.
        name: String,
        /// What is wrong with it.
        what: String,
        /// Whose it should be.
        uid: u32,
    },
}

/// The signals, whether they are given, and whether somebody wants none.
#[derive(Default)]
pub(super) struct Readiness {
    config: config::Readiness,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    /// Since when all is well.
    well_since: Option<Instant>,
    given: bool,
    /// On whose behalf it drains.
    draining: Option<String>,
    /// Held while the signals are given.
    link: Option<SyncDevice>,
    /// Why they can't be given.
    problem: Option<String>,
    /// To look again at once.
    woken: bool,
    /// There is no more to give.
    ended: bool,
}

impl Readiness {
    /// No signals yet: a file that an earlier daemon has left is removed. The interface has to belong to `uid`: anybody could
    /// hold one that belongs to nobody.
    pub(super) fn new(config: &config::Readiness, uid: u32) -> Result<Self, ReadinessError> {
        if let Some(path) = &config.file {
            remove(path).map_err(|error| ReadinessError::Stale { path: path.clone(), error })?;
        }
        if let Some(name) = &config.interface {
            let folder = Path::new("/sys/class/net").join(name);
            let what = match fs::read_to_string(folder.join("owner")) {
                Ok(owner) if owner.trim() == uid.to_string() => None,
                Ok(owner) => Some(format!("belongs to uid {}", owner.trim())),
                Err(_) if folder.exists() => Some("is no TUN interface".to_owned()),
                Err(_) => Some("is not there".to_owned()),
            };
            if let Some(what) = what {
                return Err(ReadinessError::Interface { name: name.clone(), what, uid });
            }
        }
        Ok(Self { config: config.clone(), state: Mutex::default(), changed: Condvar::new() })
    }

    /// Whether there are signals to give.
    pub(super) fn is_configured(&self) -> bool {
        self.config.file.is_some() || self.config.interface.is_some()
    }

    /// Whether the signals are given; none if there are none.
    pub(super) fn announced(&self) -> Option<bool> {
        self.is_configured().then(|| lock(&self.state).given)
    }

    /// Why the signals can't be given or taken away.
    pub(super) fn problem(&self) -> Option<String> {
        lock(&self.state).problem.clone()
    }

    /// Takes the signals away at once when it is not in service; gives them when it has been for long enough.
    pub(super) fn update(&self, in_service: bool) {
        self.settle(&mut lock(&self.state), in_service);
    }

    /// Draining counts as it is at this moment, so that nobody who looked before gives the signals again.
    fn settle(&self, state: &mut State, in_service: bool) {
        let now = Instant::now();
        let in_service = in_service && state.draining.is_none() && !state.ended;
        state.well_since = if in_service { state.well_since.or(Some(now)) } else { None };
        let give = state.well_since.is_some_and(|since| now.duration_since(since) >= self.config.settle);
        if give == state.given && state.problem.is_none() {
            return;
        }
        let done = if give { self.give(state) } else { self.take(state) };
        let problem = done.err();
        if give && problem.is_some() {
            // Half a signal announces as well as a whole one. What can't be taken away either is told the next time.
            let _ = self.take(state);
        }
        if let Some(problem) = problem.as_ref().filter(|problem| state.problem.as_ref() != Some(problem)) {
            tracing::error!("{problem}");
        } else if problem.is_none() && give != state.given && self.is_configured() {
            tracing::info!("{}", if give { "ready: it may be announced" } else { "not ready: no longer announced" });
        }
        state.given = give && problem.is_none();
        state.problem = problem;
    }

    /// The interface last: routing daemons follow it at once, and the file may fail.
    fn give(&self, state: &mut State) -> Result<(), String> {
        if let Some(path) = &self.config.file {
            create(path).map_err(|error| {
                let path = path.display();
                format!("cannot write the readiness file {path}: {error}; give its folder to the daemon's user")
            })?;
        }
        if let (Some(name), None) = (&self.config.interface, &state.link) {
            let link = hold(name).map_err(|error| {
                format!("cannot hold the interface {name}, so this forwarder is not announced: {error}; see docs/announce.md")
            })?;
            state.link = Some(link);
        }
        Ok(())
    }

    fn take(&self, state: &mut State) -> Result<(), String> {
        state.link = None;
        let Some(path) = &self.config.file else { return Ok(()) };
        remove(path).map_err(|error| {
            let path = path.display();
            format!("cannot remove the readiness file {path}, so this forwarder stays announced: {error}; remove it")
        })
    }

    /// On whose behalf it drains, if it does.
    pub(super) fn draining(&self) -> Option<String> {
        lock(&self.state).draining.clone()
    }

    /// Goes out of service, on somebody's behalf. The signals are gone when it returns; whether it drained not before.
    pub(super) fn drain(&self, by: String) -> bool {
        let mut state = lock(&self.state);
        let changed = state.draining.is_none();
        state.draining.get_or_insert(by);
        self.settle(&mut state, false);
        changed
    }

    /// Comes back into service; whether it drained before. The signals follow when all has been well for long enough.
    pub(super) fn undrain(&self) -> bool {
        let mut state = lock(&self.state);
        state.woken = true;
        self.changed.notify_all();
        state.draining.take().is_some()
    }

    /// Takes the signals away for good.
    pub(super) fn end(&self) {
        let mut state = lock(&self.state);
        state.ended = true;
        self.settle(&mut state, false);
        self.changed.notify_all();
    }

    /// Waits for the next look; false at the end.
    pub(super) fn wait(&self) -> bool {
        let waiting = |state: &mut State| !state.ended && !state.woken;
        let waited = self.changed.wait_timeout_while(lock(&self.state), INTERVAL, waiting);
        let (mut state, _) = waited.unwrap_or_else(std::sync::PoisonError::into_inner);
        state.woken = false;
        !state.ended
    }
}

/// Holds a TUN interface, which makes its carrier.
fn hold(name: &str) -> io::Result<SyncDevice> {
    DeviceBuilder::new().name(name).layer(Layer::L3).inherit_enable_state().build_sync()
}

/// The whole file appears at once.
fn create(path: &Path) -> io::Result<()> {
    let mut new = path.as_os_str().to_owned();
    new.push(".new");
    fs::write(&new, format!("{}\n", std::process::id()))?;
    fs::rename(&new, path)
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn readiness(folder: &Path, settle: Duration) -> Readiness {
        let file = Some(folder.join("ready"));
        Readiness::new(&config::Readiness { file, interface: None, settle, linger: Duration::ZERO }, 0).unwrap()
    }

    #[test]
    fn half_a_signal_is_none() {
        let folder = tempfile::tempdir().unwrap();
        let mut readiness = readiness(folder.path(), Duration::ZERO);
        readiness.config.interface = Some("longer-than-any-interface".to_owned());
        readiness.update(true);
        assert!(readiness.problem().unwrap().contains("longer-than"));
        assert_eq!((fs::read_dir(folder.path()).unwrap().count(), readiness.announced()), (0, Some(false)));
        // Where the file fails, nobody comes to hold the interface.
        readiness.config.file = Some(folder.path().join("none/ready"));
        readiness.update(true);
        assert!(readiness.problem().unwrap().contains("none/ready"));
    }

    #[test]
    fn the_file_is_there_exactly_while_in_service() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("ready");
        fs::write(&file, "of another daemon").unwrap();
        let readiness = readiness(folder.path(), Duration::ZERO);
        assert!(!file.exists(), "it outlives its daemon");
        for in_service in [true, true, false, false, true] {
            readiness.update(in_service);
            assert_eq!((file.exists(), readiness.announced()), (in_service, Some(in_service)));
        }
        assert_eq!(fs::read_to_string(&file).unwrap(), format!("{}\n", std::process::id()));
        readiness.end();
        readiness.update(true);
        assert_eq!((fs::read_dir(folder.path()).unwrap().count(), readiness.announced()), (0, Some(false)));
    }

    #[test]
    fn nobody_gives_signals_while_it_drains() {
        let folder = tempfile::tempdir().unwrap();
        let readiness = readiness(folder.path(), Duration::ZERO);
        readiness.update(true);
        assert!(readiness.drain("uid 1".to_owned()));
        assert_eq!(readiness.announced(), Some(false), "before anybody looks again");
        assert!(!readiness.drain("uid 2".to_owned()));
        readiness.update(true);
        assert_eq!((readiness.announced(), readiness.draining().as_deref()), (Some(false), Some("uid 1")));
        assert!(readiness.undrain() && !readiness.undrain());
        readiness.update(true);
        assert_eq!(readiness.announced(), Some(true));
    }

    #[test]
    fn it_comes_late_and_goes_at_once() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("ready");
        let settle = Duration::from_millis(50);
        let readiness = readiness(folder.path(), settle);
        let start = Instant::now();
        while !file.exists() {
            readiness.update(true);
        }
        assert!(start.elapsed() >= settle);
        readiness.update(false);
        readiness.update(true);
        assert!(!file.exists(), "a moment of health is not enough");
    }

    #[test]
    fn what_cannot_be_given_is_told_and_tried_again() {
        let folder = tempfile::tempdir().unwrap();
        let readiness = readiness(&folder.path().join("none"), Duration::ZERO);
        readiness.update(true);
        assert_eq!(readiness.announced(), Some(false));
        assert!(readiness.problem().unwrap().contains("none/ready"));
        fs::create_dir(folder.path().join("none")).unwrap();
        readiness.update(true);
        assert_eq!((readiness.announced(), readiness.problem()), (Some(true), None));
    }
}
