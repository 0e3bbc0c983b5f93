// SPDX-License-Identifier: MIT OR Apache-2.0
//! `sluiced` in a namespace, as a user of its own.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Output, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;

use super::netns::Netns;
use super::{Process, program, wait_for};

/// Who it becomes: a user that every system has, and that owns nothing.
pub const USER: &str = "nobody";

/// A folder for one daemon after the other.
pub struct Place {
    folder: TempDir,
}

impl Place {
    /// A folder that everybody may look into, with a table.
    pub fn new(table: &Value) -> Self {
        let folder = TempDir::new().unwrap();
        fs::set_permissions(folder.path(), Permissions::from_mode(0o755)).unwrap();
        fs::write(folder.path().join("table.json"), table.to_string()).unwrap();
        Self { folder }
    }

    /// A path in it.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Writes a configuration: a device that brings frames of nothing, and what else is given.
    pub fn configure(&self, more: &str) {
        self.configure_device("vdev = \"net_null0\"", more);
    }

    /// The same with another device, which these lines are about.
    pub fn configure_device(&self, device: &str, more: &str) {
        let core = core_affinity::get_core_ids().unwrap()[0].id;
        let config = format!(
            r#"
            datacenter = "LHR"
            table = "table.json"
            [underlay]
            ipv4 = "10.0.0.1"
            ipv6 = "2001:db8:a::1"
            [[device]]
            name = "wan0"
            {device}
            next_hop_mac = "02:00:00:00:00:02"
            [workers]
            cores = [{core}]
            idle = "sleep"
            [eal]
            args = ["--no-huge", "-m", "512", "--no-pci", "--no-shconf", "--no-telemetry"]
            [daemon]
            user = "{USER}"
            [control]
            socket = "run/control.sock"
            [state]
            folder = "state"
            {more}
            "#
        );
        fs::write(self.path("sluice.toml"), config).unwrap();
    }

    /// What the daemon says, line by line, when it does not start.
    pub fn fail_to_start(&self, netns: &Netns) -> Vec<String> {
        let mut command = netns.command("timeout");
        command.arg("30").arg(program("sluiced")).arg("--config").arg(self.path("sluice.toml"));
        let output = command.stdin(Stdio::null()).output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{said}");
        said.lines().map(str::to_owned).collect()
    }

    /// Starts the daemon in a namespace and waits until it answers.
    pub fn start(&self, netns: &Netns) -> Sluiced<'_> {
        let log = fs::File::create(self.path("log")).unwrap();
        let mut command = netns.command(program("sluiced"));
        command.arg("--config").arg(self.path("sluice.toml"));
        let child = command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log).spawn().unwrap();
        self.adopt(child)
    }

    /// Takes a daemon of this place, or what runs it, and waits until it answers.
    pub fn adopt(&self, child: Child) -> Sluiced<'_> {
        let mut sluiced = Sluiced { place: self, process: Process(child) };
        wait_for("sluiced answers", || {
            let ended = sluiced.process.0.try_wait().unwrap();
            assert!(ended.is_none(), "sluiced ended:\n{}", self.log());
            sluiced.sluice(&["status"]).status.success()
        });
        sluiced
    }

    /// What the daemon has said.
    pub fn log(&self) -> String {
        fs::read_to_string(self.path("log")).unwrap_or_default()
    }
}

/// A running daemon; killed with its owner.
pub struct Sluiced<'a> {
    place: &'a Place,
    process: Process,
}

impl Sluiced<'_> {
    /// Runs `sluice WORDS --json` beside it.
    pub fn sluice(&self, words: &[&str]) -> Output {
        let mut command = Command::new(program("sluice"));
        command.args(words).arg("--json").arg("--socket").arg(self.place.path("run/control.sock"));
        command.stdin(Stdio::null()).output().unwrap()
    }

    /// The JSON answer of a command, whatever its exit status.
    pub fn ask(&self, words: &[&str]) -> Value {
        let output = self.sluice(words);
        serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{words:?}: {error}: {output:?}"))
    }

    /// Whether `sluice health` says that it is in service.
    pub fn is_in_service(&self) -> bool {
        self.sluice(&["health"]).status.success()
    }

    pub fn pid(&self) -> Pid {
        Pid::from_child(&self.process.0)
    }

    pub fn signal(&self, signal: Signal) {
        kill_process(self.pid(), signal).unwrap();
    }

    /// Whether it runs.
    pub fn runs(&mut self) -> bool {
        self.process.0.try_wait().unwrap().is_none()
    }

    /// Waits for its end.
    pub fn wait(mut self) -> ExitStatus {
        self.process.0.wait().unwrap()
    }
}
