// SPDX-License-Identifier: MIT OR Apache-2.0
//! Network namespaces and the wires between them.

use std::ffi::OsStr;
use std::fs::File;
use std::os::fd::AsFd;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::{self, JoinHandle};

use rustix::process::{Pid, Signal, kill_process};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use super::run;

/// Before the number of the process that made it.
const PREFIX: &str = "sluice-lab-";

static COUNT: AtomicUsize = AtomicUsize::new(0);

/// A network namespace of its own, removed with its owner.
pub struct Netns {
    name: String,
}

impl Netns {
    /// A namespace whose name no other test has; loopback is up. What tests have left that were killed is removed.
    pub fn new() -> Self {
        for left in run(Command::new("ip").args(["netns", "list"])).lines() {
            let name = left.split_whitespace().next().unwrap_or_default();
            let owner = name.strip_prefix(PREFIX).and_then(|rest| rest.split('-').next());
            if owner.is_some_and(|pid| !Path::new("/proc").join(pid).exists()) {
                drop(Self { name: name.to_owned() });
            }
        }
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let netns = Self { name: format!("{PREFIX}{}-{number}", std::process::id()) };
        run(Command::new("ip").args(["netns", "add", &netns.name]));
        netns.ip("link set lo up");
        netns
    }

    /// What `ip WORDS` prints in it.
    pub fn ip(&self, words: &str) -> String {
        run(Command::new("ip").args(["-n", &self.name]).args(words.split_whitespace()))
    }

    /// A command that runs in it.
    pub fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.name]).arg(program);
        command
    }

    /// Starts a thread in it.
    pub fn spawn<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> JoinHandle<T> {
        let file = File::open(Path::new("/run/netns").join(&self.name)).unwrap();
        thread::spawn(move || {
            move_into_link_name_space(file.as_fd(), Some(LinkNameSpaceType::Network)).unwrap();
            work()
        })
    }

    /// A wire to another one, an interface with these addresses at each end.
    pub fn wire(&self, other: &Self, [one, two]: [&str; 2], [ones, twos]: [&[&str]; 2]) {
        self.ip(&format!("link add {one} type veth peer name {two} netns {}", other.name));
        for (netns, interface, addresses) in [(self, one, ones), (other, two, twos)] {
            for address in addresses {
                let nodad = if address.contains(':') { "nodad" } else { "" };
                netns.ip(&format!("address add {address} dev {interface} {nodad}"));
            }
            netns.ip(&format!("link set {interface} up"));
        }
    }
}

impl Drop for Netns {
    fn drop(&mut self) {
        // A test that was killed leaves its daemons behind, and nobody else's are in here.
        let inside = Command::new("ip").args(["netns", "pids", &self.name]).output();
        let pids = inside.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default();
        for pid in pids.split_whitespace().filter_map(|pid| pid.parse().ok()).filter_map(Pid::from_raw) {
            let _ = kill_process(pid, Signal::KILL);
        }
        let _ = Command::new("ip").args(["netns", "delete", &self.name]).output();
    }
}
