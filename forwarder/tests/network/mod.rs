// SPDX-License-Identifier: MIT OR Apache-2.0
//! Network namespaces: the box that forwards, and its neighbour at the other end of a cable. They go when the test ends, however
//! it ends.
#![allow(dead_code, unreachable_pub, reason = "each test uses its part")]

use std::fs::File;
use std::os::fd::AsFd;
use std::process::{Command, Output};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::{self, JoinHandle};
use std::{env, fs, process};

use rustix::process::geteuid;
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use serde_json::Value;

const PREFIX: &str = "sluice-test-";
/// The cable's name at either end.
pub const CABLE: &str = "cable";
/// The neighbour's address.
pub const PEER_MAC: &str = "02:00:00:00:00:02";

/// The two namespaces.
pub struct Network {
    pub boxed: Namespace,
    pub peer: Namespace,
}

/// One of them.
pub struct Namespace(String);

impl Network {
    /// Both, and a cable between them that takes IP packets of `mtu` bytes. None, and the reason is told, if this process may
    /// not make any; but where everything is to run, that is a failure.
    pub fn new(mtu: u16) -> Option<Self> {
        if !geteuid().is_root() {
            assert!(env::var_os("CI").is_none(), "network namespaces need root");
            eprintln!("skipped: making network namespaces needs root");
            return None;
        }
        clear_away();
        static NUMBER: AtomicUsize = AtomicUsize::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let namespace = |side| {
            let namespace = Namespace(format!("{PREFIX}{}-{number}-{side}", process::id()));
            run(Command::new("ip").args(["netns", "add", &namespace.0]));
            namespace
        };
        let network = Self { boxed: namespace("box"), peer: namespace("peer") };
        let (boxed, peer) = (&network.boxed.0, &network.peer.0);
        let mtu = &mtu.to_string();
        let cable = ["link", "add", CABLE, "netns", boxed, "mtu", mtu, "type", "veth"];
        let end = ["peer", "name", CABLE, "netns", peer, "mtu", mtu, "address", PEER_MAC];
        run(Command::new("ip").args(cable).args(end));
        for namespace in [&network.boxed, &network.peer] {
            // Checksums must be done when a frame comes to a device that knows nothing of the sender's offloads.
            namespace
                .run("ethtool", &["-K", CABLE, "tx", "off", "rx", "off", "tso", "off", "gso", "off", "gro", "off"]);
            namespace.ip(&["link", "set", "lo", "up"]);
            namespace.ip(&["link", "set", CABLE, "up"]);
        }
        // The box's kernel has no business at its end of the cable: that is the forwarder's.
        network.boxed.ip(&["link", "set", CABLE, "arp", "off"]);
        network.boxed.ip(&["-6", "address", "flush", "dev", CABLE]);
        Some(network)
    }
}

impl Namespace {
    /// A program to run in it.
    pub fn command(&self, program: &str) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.0, program]);
        command
    }

    /// Runs a program in it, to a good end.
    pub fn run(&self, program: &str, words: &[&str]) -> String {
        run(self.command(program).args(words))
    }

    /// Runs `ip` in it.
    pub fn ip(&self, words: &[&str]) -> String {
        run(Command::new("ip").args(["-n", &self.0]).args(words))
    }

    /// What `ip --json` says of an interface, numbers included; none if there is none.
    pub fn interface(&self, name: &str) -> Option<Value> {
        let words = ["-n", &self.0, "--json", "--statistics", "link", "show", "dev", name];
        let Output { status, stdout, .. } = Command::new("ip").args(words).output().unwrap();
        status.success().then(|| serde_json::from_slice::<Value>(&stdout).unwrap()[0].clone())
    }

    /// Starts a thread in it; so are the threads that this one starts.
    pub fn spawn<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> JoinHandle<T> {
        let file = File::open(format!("/run/netns/{}", self.0)).unwrap();
        thread::spawn(move || {
            move_into_link_name_space(file.as_fd(), Some(LinkNameSpaceType::Network)).unwrap();
            work()
        })
    }

    /// Does something in it.
    pub fn inside<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> T {
        self.spawn(work).join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        // Fails only when somebody else has cleared it away.
        let _ = Command::new("ip").args(["netns", "delete", &self.0]).output();
    }
}

/// Removes what tests have left behind that were killed.
fn clear_away() {
    for entry in fs::read_dir("/run/netns").into_iter().flatten().flatten() {
        let name = entry.file_name().into_string().unwrap_or_default();
        let owner = name.strip_prefix(PREFIX).and_then(|rest| rest.split('-').next());
        if owner.is_some_and(|owner| !fs::exists(format!("/proc/{owner}")).unwrap_or(true)) {
            drop(Namespace(name));
        }
    }
}

fn run(command: &mut Command) -> String {
    let Output { status, stdout, stderr } = command.output().unwrap();
    let stdout = String::from_utf8_lossy(&stdout).into_owned();
    assert!(status.success(), "{command:?}: {status}\n{stdout}{}", String::from_utf8_lossy(&stderr));
    stdout
}
