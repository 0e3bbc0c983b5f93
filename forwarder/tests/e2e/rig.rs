// SPDX-License-Identifier: MIT OR Apache-2.0
//! A folder with a configuration, a running daemon in it, and the command line beside it.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;

/// How long anything may take before a test gives up; generous, since the machine may be busy.
const PATIENCE: Duration = Duration::from_secs(60);

const EAL_ARGS: &str = r#"args = ["--no-huge", "-m", "512", "--no-pci"]"#;
const SOCKET: &str = r#"socket = "control.sock""#;

/// A folder of its own for one daemon.
pub(crate) struct Rig {
    folder: TempDir,
}

impl Rig {
    /// A folder with the configuration and the table of a world of the golden vectors.
    pub(crate) fn of_world(name: &str) -> Self {
        let rig = Self { folder: TempDir::new().unwrap() };
        let world = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors").join(name);
        for file in ["config.toml", "table.json"] {
            std::fs::copy(world.join(file), rig.path(file)).unwrap();
        }
        rig.edit_config("cores = [0]", &format!("cores = [{}]", first_allowed_core()));
        let mut config = OpenOptions::new().append(true).open(rig.path("config.toml")).unwrap();
        config.write_all(format!("[eal]\n{EAL_ARGS}\n[control]\n{SOCKET}\n").as_bytes()).unwrap();
        rig
    }

    /// A folder with `table.json` and a `config.toml` whose device is `vdev` (`{}` stands for the folder).
    pub(crate) fn new(table: &Value, vdev: &str) -> Self {
        let rig = Self { folder: TempDir::new().unwrap() };
        std::fs::write(rig.path("table.json"), table.to_string()).unwrap();
        let vdev = vdev.replace("{}", &rig.folder.path().display().to_string());
        std::fs::write(
            rig.path("config.toml"),
            format!(
                r#"
                datacenter = "LHR"
                table = "table.json"
                [underlay]
                ipv4 = "10.0.0.1"
                ipv6 = "2001:db8:a::1"
                [[device]]
                name = "wan0"
                vdev = "{vdev}"
                mtu = 1600
                mac = "02:00:00:00:00:01"
                next_hop_mac = "02:00:00:00:00:02"
                [workers]
                cores = [{core}]
                [eal]
                {EAL_ARGS}
                [control]
                {SOCKET}
                "#,
                core = first_allowed_core(),
            ),
        )
        .unwrap();
        rig
    }

    /// A path in the folder.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Replaces `from` in the configuration.
    pub(crate) fn edit_config(&self, from: &str, to: &str) {
        let text = std::fs::read_to_string(self.path("config.toml")).unwrap();
        assert!(text.contains(from), "nothing to replace: {from}");
        std::fs::write(self.path("config.toml"), text.replace(from, to)).unwrap();
    }

    /// Starts the daemon and waits until it answers.
    pub(crate) fn start(&self) -> Daemon<'_> {
        self.start_by(Command::new(env!("CARGO_BIN_EXE_sluiced")))
    }

    /// The same by `sluiced`, a command that becomes the daemon.
    pub(crate) fn start_by(&self, mut sluiced: Command) -> Daemon<'_> {
        let log = std::fs::File::create(self.path("log")).unwrap();
        let child = sluiced
            .arg("--config")
            .arg(self.path("config.toml"))
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        let mut daemon = Daemon { rig: self, child };
        let give_up = Instant::now() + PATIENCE;
        while !daemon.sluice(&["status"]).status.success() {
            assert!(daemon.child.try_wait().unwrap().is_none(), "sluiced ended:\n{}", self.log());
            assert!(Instant::now() < give_up, "sluiced does not answer:\n{}", self.log());
            std::thread::sleep(Duration::from_millis(20));
        }
        daemon
    }

    /// Runs the daemon to its end, for starts that must fail.
    pub(crate) fn fail_to_start(&self) -> Output {
        let mut sluiced = Command::new(env!("CARGO_BIN_EXE_sluiced"));
        sluiced.arg("--config").arg(self.path("config.toml")).stdin(Stdio::null()).output().unwrap()
    }

    /// What the daemon has said so far.
    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.path("log")).unwrap_or_default()
    }
}

/// A running `sluiced`; killed when the test ends before it.
pub(crate) struct Daemon<'a> {
    rig: &'a Rig,
    child: Child,
}

impl Daemon<'_> {
    /// Runs `sluice … --json --socket …`.
    pub(crate) fn sluice(&self, words: &[&str]) -> Output {
        sluice(words).arg("--socket").arg(self.rig.path("control.sock")).output().unwrap()
    }

    /// The JSON answer of a command that must succeed.
    pub(crate) fn ask(&self, words: &[&str]) -> Value {
        let output = self.sluice(words);
        assert!(output.status.success(), "{words:?}: {output:?}\n{}", self.rig.log());
        serde_json::from_slice(&output.stdout).unwrap()
    }

    /// Waits until `count` of the counters is at least `least`.
    pub(crate) fn wait_for(&self, count: impl Fn(&Value) -> u64, least: u64) -> Value {
        let give_up = Instant::now() + PATIENCE;
        loop {
            let counters = self.ask(&["stats"])["counters"].clone();
            if count(&counters) >= least {
                return counters;
            }
            assert!(Instant::now() < give_up, "waited for {least}: {counters}");
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    /// SIGHUP.
    pub(crate) fn hang_up(&self) {
        self.signal(Signal::HUP);
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// SIGTERM, then the end: it must be a clean one.
    pub(crate) fn stop(mut self) {
        self.signal(Signal::TERM);
        let give_up = Instant::now() + PATIENCE;
        loop {
            match self.child.try_wait().unwrap() {
                Some(status) => return assert!(status.success(), "{status}:\n{}", self.rig.log()),
                None => assert!(Instant::now() < give_up, "sluiced does not stop"),
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Daemon<'_> {
    fn drop(&mut self) {
        // Fails only when the daemon has ended already, which is what is wanted.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// `sluice WORDS --json`.
pub(crate) fn sluice(words: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sluice"));
    command.args(words).arg("--json").stdin(Stdio::null());
    command
}

fn first_allowed_core() -> usize {
    core_affinity::get_core_ids().unwrap()[0].id
}
