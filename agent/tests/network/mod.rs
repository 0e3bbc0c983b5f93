// SPDX-License-Identifier: MIT OR Apache-2.0
//! A server with shared addresses and a host on the Internet, each a network namespace, with a cable between them.
#![allow(dead_code, reason = "no test uses all of it")]

use std::io::{BufRead, BufReader, Write};
use std::net::IpAddr;
use std::os::fd::AsFd;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use agent::view::{Held, Keeper, Run, View};

/// What the server's kernel calls the cable.
pub(crate) const DEVICE: &str = "eth0";
/// The server's own addresses.
pub(crate) const OWN: [&str; 2] = ["10.9.0.1", "2001:db8:a::1"];
/// Addresses of the host on the Internet.
pub(crate) const FAR: [&str; 2] = ["203.0.113.1", "203.0.113.2"];
pub(crate) const FAR6: &str = "2001:db8:f::1";
/// The shared addresses.
pub(crate) const SHARED: [&str; 2] = ["198.51.100.1", "198.51.100.2"];
pub(crate) const SHARED6: &str = "2001:db8:e::1";

const CLIENT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/network/client.py");

pub(crate) struct Network {
    server: String,
    internet: String,
    origin: Option<Child>,
}

impl Network {
    /// None, and why, where there is no root or a tool is missing.
    pub(crate) fn new() -> Option<Self> {
        if !is_root() {
            eprintln!("skipped: making network namespaces needs root");
            return None;
        }
        for tool in ["ip", "nsenter", "python3"] {
            if Command::new(tool).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status().is_err() {
                eprintln!("skipped: there is no {tool}; .ci/deps test installs it");
                return None;
            }
        }
        let number = unique();
        let network =
            Self { server: format!("sluice-server-{number}"), internet: format!("sluice-far-{number}"), origin: None };
        Some(network.build())
    }

    fn build(mut self) -> Self {
        let (server, internet) = (self.server.clone(), self.internet.clone());
        ip(&["netns", "add", &server]);
        ip(&["netns", "add", &internet]);
        ip(&["-n", &server, "link", "add", DEVICE, "type", "veth", "peer", "name", DEVICE, "netns", &internet]);
        for (space, own) in [(&server, OWN), (&internet, ["10.9.0.2", "2001:db8:a::2"])] {
            ip(&["-n", space, "link", "set", "lo", "up"]);
            ip(&["-n", space, "link", "set", DEVICE, "up"]);
            ip(&["-n", space, "address", "add", &format!("{}/24", own[0]), "dev", DEVICE]);
            ip(&["-n", space, "address", "add", &format!("{}/64", own[1]), "dev", DEVICE, "nodad"]);
        }
        for (space, addresses) in [(&server, [SHARED[0], SHARED[1], SHARED6]), (&internet, [FAR[0], FAR[1], FAR6])] {
            addresses.iter().for_each(|address| ip(&["-n", space, "address", "add", address, "dev", "lo"]));
        }
        ip(&["-n", &server, "route", "add", "default", "via", "10.9.0.2"]);
        ip(&["-n", &server, "-6", "route", "add", "default", "via", "2001:db8:a::2"]);
        ip(&["-n", &internet, "route", "add", "198.51.100.0/24", "via", OWN[0]]);
        ip(&["-n", &internet, "-6", "route", "add", "2001:db8:e::/64", "via", OWN[1]]);
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/network/origin.py");
        let mut origin =
            within(&internet, &["python3", script, FAR[0], FAR[1], FAR6]).stdout(Stdio::piped()).spawn().unwrap();
        let mut ready = String::new();
        BufReader::new(origin.stdout.take().unwrap()).read_line(&mut ready).unwrap();
        assert_eq!(ready, "ready\n");
        self.origin = Some(origin);
        self
    }

    /// A command on the server.
    pub(crate) fn command(&self, words: &[&str]) -> Command {
        within(&self.server, words)
    }

    /// Does it in a thread on the server; what that starts stays there.
    pub(crate) fn inside<T: Send>(&self, act: impl FnOnce() -> T + Send) -> T {
        let space = std::fs::File::open(format!("/run/netns/{}", self.server)).unwrap();
        let enter = || {
            move_into_link_name_space(space.as_fd(), Some(LinkNameSpaceType::Network)).unwrap();
            act()
        };
        std::thread::scope(|scope| scope.spawn(enter).join().unwrap())
    }

    /// A program on the Internet that does what it is told.
    pub(crate) fn stranger(&self) -> Client {
        Client::begin(within(&self.internet, &["python3", CLIENT]), |_| ())
    }

    /// Changes the server's network.
    pub(crate) fn ip(&self, words: &[&str]) {
        ip(&[&["-n", &self.server], words].concat());
    }

    /// Sets one of the server's, by its path below `/proc/sys`.
    pub(crate) fn sysctl(&self, name: &str, value: &str) {
        let line = format!("echo {value} > /proc/sys/{name}");
        assert!(self.command(&["sh", "-c", &line]).status().unwrap().success());
    }

    /// A program that waits to be told what to connect to. `admit` gets its process before it begins.
    pub(crate) fn client(&self, admit: impl FnOnce(u32)) -> Client {
        let waiting = ["sh", "-c", "read -r _; exec \"$@\"", "sh", "python3", CLIENT];
        let mut client = Client::begin(self.command(&waiting), admit);
        client.told.write_all(b"\n").unwrap();
        client
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        if let Some(origin) = &mut self.origin {
            origin.kill().unwrap_or_default();
            origin.wait().map(drop).unwrap_or_default();
        }
        for space in [&self.server, &self.internet] {
            Command::new("ip").args(["netns", "delete", space]).status().map(drop).unwrap_or_default();
        }
    }
}

/// See `client.py`.
pub(crate) struct Client {
    child: Child,
    told: ChildStdin,
    said: BufReader<ChildStdout>,
}

impl Client {
    pub(crate) fn begin(mut command: Command, admit: impl FnOnce(u32)) -> Self {
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        admit(child.id());
        let (told, said) = (child.stdin.take().unwrap(), BufReader::new(child.stdout.take().unwrap()));
        Self { child, told, said }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// What it answers: where the other end saw it come from, or the name of an error.
    pub(crate) fn ask(&mut self, command: &str) -> String {
        writeln!(self.told, "{command}").unwrap();
        let mut answer = String::new();
        self.said.read_line(&mut answer).unwrap();
        answer.trim().to_owned()
    }

    /// The address and port that the other end saw.
    pub(crate) fn seen(&mut self, command: &str) -> (IpAddr, u16) {
        let answer = self.ask(command);
        seen(&answer).unwrap_or_else(|| panic!("{command}: {answer}"))
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        self.child.kill().unwrap_or_default();
        self.child.wait().map(drop).unwrap_or_default();
    }
}

pub(crate) fn seen(answer: &str) -> Option<(IpAddr, u16)> {
    let (address, port) = answer.split_once(' ')?;
    Some((address.parse().ok()?, port.parse().ok()?))
}

/// A view in which this server has these ports.
pub(crate) fn view(owned: &[(&str, &str)]) -> View {
    View { held: owned.iter().map(|(prefix, ports)| held(prefix, ports)).collect(), ..View::default() }
}

/// A prefix with one slice of this server's.
pub(crate) fn held(prefix: &str, ports: &str) -> Held {
    let keeper = Keeper { own: true, other: None };
    Held {
        prefix: prefix.parse().unwrap(),
        runs: vec![Run { ports: ports.parse().unwrap(), keeper }],
        portless: Keeper::default(),
        tags: Vec::new(),
    }
}

/// A number that no other test has.
pub(crate) fn unique() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    format!("{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed))
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

fn within(space: &str, words: &[&str]) -> Command {
    let mut command = Command::new("nsenter");
    command.arg(format!("--net=/run/netns/{space}")).args(words);
    command
}

fn ip(words: &[&str]) {
    let output = Command::new("ip").args(words).output().unwrap();
    assert!(output.status.success(), "ip {}: {}", words.join(" "), String::from_utf8_lossy(&output.stderr));
}
