// SPDX-License-Identifier: MIT OR Apache-2.0
//! FRR in a namespace: its zebra, static routes, BFD and BGP.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};

use tempfile::TempDir;

use super::netns::Netns;
use super::{Process, run, wait_for};

pub struct Frr {
    folder: TempDir,
    _processes: Vec<Process>,
}

impl Frr {
    /// Starts the daemons, waits until they can be asked, and tells them the configuration.
    pub fn start(netns: &Netns, config: &str) -> Self {
        // The daemons become a user of their own.
        let mut frr = Self { folder: TempDir::new().unwrap(), _processes: Vec::new() };
        fs::set_permissions(frr.folder.path(), Permissions::from_mode(0o777)).unwrap();
        for daemon in ["zebra", "staticd", "bfdd", "bgpd"] {
            let path = |name: &str| frr.folder.path().join(format!("{daemon}{name}"));
            fs::write(path(".conf"), "").unwrap();
            let log = fs::File::create(path(".log")).unwrap();
            let mut command = netns.command(format!("/usr/lib/frr/{daemon}"));
            command.args(["-P", "0", "--log", "stdout", "-f"]).arg(path(".conf"));
            command.arg("-i").arg(path(".pid")).arg("--vty_socket").arg(frr.folder.path());
            command.arg("-z").arg(frr.folder.path().join("zserv.api"));
            if daemon == "bfdd" {
                command.arg("--bfdctl").arg(path(".sock"));
            }
            let child = command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log).spawn().unwrap();
            frr._processes.push(Process(child));
            wait_for("an FRR daemon answers", || path(".vty").exists());
        }
        frr.configure(config);
        frr
    }

    fn command(&self) -> Command {
        let mut command = Command::new("vtysh");
        command.arg("--vty_socket").arg(self.folder.path());
        command
    }

    /// Adds to the configuration.
    pub fn configure(&self, config: &str) {
        let file = self.folder.path().join("more.conf");
        fs::write(&file, config).unwrap();
        run(self.command().arg("-f").arg(file));
    }

    /// Waits until a BGP session is up.
    pub fn wait_for_session(&self, neighbour: &str) {
        wait_for("a BGP session", || self.is_established(neighbour));
    }

    /// Whether a BGP session is up.
    pub fn is_established(&self, neighbour: &str) -> bool {
        self.ask(&[&format!("show bgp neighbors {neighbour}")]).contains("BGP state = Established")
    }

    /// What `vtysh -c LINE -c …` prints.
    pub fn ask(&self, lines: &[&str]) -> String {
        run(self.command().args(lines.iter().flat_map(|line| ["-c", line])))
    }
}
