// SPDX-License-Identifier: MIT OR Apache-2.0
//! Starts and stops `sluiced`, and asks it things the way an operator does: with `sluice`.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::feeder::Feeder;

/// How long anything may take on a slow machine before the demo gives up.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);
/// Packets fed, and the pause after them, while the demo waits for something else.
const TRICKLE: (u64, Duration) = (64, Duration::from_millis(1));

/// Where things are.
pub(crate) struct Places {
    /// The demo's folder: it holds all that goes in and comes out.
    pub(crate) folder: PathBuf,
    /// The control socket.
    pub(crate) socket: PathBuf,
    /// The folder of `sluice` and `sluiced`.
    pub(crate) programs: PathBuf,
}

/// A running `sluiced`. Killed when dropped.
pub(crate) struct Daemon<'a> {
    places: &'a Places,
    child: Child,
}

impl<'a> Daemon<'a> {
    /// Starts `sluiced` in the demo's folder; what it says goes to `sluiced.log`.
    pub(crate) fn start(places: &'a Places) -> Result<Self, String> {
        let program = places.programs.join("sluiced");
        let log = places.folder.join("sluiced.log");
        let output = File::create(&log).map_err(|error| format!("{}: {error}", log.display()))?;
        let child = Command::new(&program)
            .args(["--config", "config.toml"])
            .current_dir(&places.folder)
            .stdin(Stdio::null())
            .stdout(output.try_clone().map_err(|error| error.to_string())?)
            .stderr(output)
            .spawn()
            .map_err(|error| format!("{}: {error}; build it with 'make build'", program.display()))?;
        Ok(Self { places, child })
    }

    /// An error, with the last line it said, if the daemon has ended.
    pub(crate) fn check(&mut self) -> Result<(), String> {
        match self.child.try_wait() {
            Ok(None) => Ok(()),
            Ok(Some(status)) => Err(format!("sluiced ended ({status}): {}", self.last_words())),
            Err(error) => Err(error.to_string()),
        }
    }

    /// Runs `sluice ARGS` while traffic goes on; what it prints.
    pub(crate) fn ask(&mut self, feeder: &mut Feeder<'_>, args: &[&str]) -> Result<String, String> {
        let program = self.places.programs.join("sluice");
        let mut child = Command::new(&program)
            .args(args)
            .arg("--socket")
            .arg(&self.places.socket)
            .current_dir(&self.places.folder)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|error| format!("{}: {error}; build it with 'make build'", program.display()))?;
        let deadline = Instant::now() + PATIENCE;
        while child.try_wait().map_err(|error| error.to_string())?.is_none() {
            if Instant::now() > deadline {
                let _ = child.kill();
                return Err(format!("sluice {} gives no answer", args.join(" ")));
            }
            feeder.feed(TRICKLE.0, self)?;
            self.check()?;
            sleep(TRICKLE.1);
        }
        let output = child.wait_with_output().map_err(|error| error.to_string())?;
        if output.status.success() {
            Ok(String::from_utf8_lossy(&output.stdout).into_owned())
        } else {
            Err(format!("sluice {}: {}", args.join(" "), String::from_utf8_lossy(&output.stderr).trim_end()))
        }
    }

    /// Waits, under traffic, until the daemon answers.
    pub(crate) fn wait_ready(&mut self, feeder: &mut Feeder<'_>) -> Result<(), String> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            match self.ask(feeder, &["status", "--json"]) {
                Ok(_) => return Ok(()),
                Err(error) if Instant::now() > deadline => return Err(error),
                Err(_) => sleep(Duration::from_millis(20)),
            }
        }
    }

    /// The counters, once all that was fed has been received: with the feeder closed they stand still from then on.
    pub(crate) fn final_counters(&mut self, feeder: &mut Feeder<'_>) -> Result<Value, String> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let text = self.ask(feeder, &["stats", "--json"])?;
            let stats: Value = serde_json::from_str(&text).map_err(|error| format!("sluice stats --json: {error}"))?;
            let counters = stats.get("counters").ok_or("sluice stats --json: no counters")?;
            let received = counters.get("rx").and_then(Value::as_u64).ok_or("sluice stats --json: no counters.rx")?;
            if received >= feeder.fed() || Instant::now() > deadline {
                return Ok(counters.clone());
            }
            sleep(Duration::from_millis(10));
        }
    }

    /// Ends the daemon as an operator would, and waits for it.
    pub(crate) fn stop(mut self) -> Result<(), String> {
        kill_process(Pid::from_child(&self.child), Signal::TERM).map_err(|error| format!("sluiced: {error}"))?;
        let deadline = Instant::now() + PATIENCE;
        loop {
            match self.child.try_wait() {
                Ok(Some(status)) if status.success() => return Ok(()),
                Ok(Some(status)) => return Err(format!("sluiced ended ({status}): {}", self.last_words())),
                Ok(None) if Instant::now() > deadline => return Err("sluiced does not end on SIGTERM".into()),
                Ok(None) => sleep(Duration::from_millis(5)),
                Err(error) => return Err(error.to_string()),
            }
        }
    }

    fn last_words(&self) -> String {
        let log = fs::read_to_string(self.places.folder.join("sluiced.log")).unwrap_or_default();
        log.lines().last().unwrap_or("without a word").to_owned()
    }
}

impl Drop for Daemon<'_> {
    fn drop(&mut self) {
        // The first two fail only for a daemon that has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
        if let Some(elsewhere) = self.places.socket.parent().filter(|parent| *parent != self.places.folder) {
            let _ = fs::remove_dir_all(elsewhere);
        }
    }
}

/// A path short enough for a socket address: in `folder`, or else in a new folder under the system's own.
pub(crate) fn socket_path(folder: &Path) -> Result<PathBuf, String> {
    /// `sun_path` takes 108 bytes with the final zero (unix(7)).
    const LONGEST: usize = 107;
    let path = folder.join("control.sock");
    if path.as_os_str().len() <= LONGEST {
        return Ok(path);
    }
    let short = std::env::temp_dir().join(format!("sluice-demo-{}", std::process::id()));
    fs::create_dir_all(&short).map_err(|error| format!("{}: {error}", short.display()))?;
    Ok(short.join("control.sock"))
}
