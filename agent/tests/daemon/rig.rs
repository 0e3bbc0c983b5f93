// SPDX-License-Identifier: MIT OR Apache-2.0
//! A server with an agent, and the Internet at the other end of its cable.

use std::fs;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use agent::exec::default_cgroup;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::network::{CABLE, Namespace, Network};

const PROGRAM: &str = env!("CARGO_BIN_EXE_sluice-agent");
/// Longer than anything takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);

/// The Internet's address, which everything can be reached from.
pub const INTERNET: &str = "10.9.0.2";

pub struct Rig {
    network: Network,
    folder: TempDir,
    cgroup: PathBuf,
    agent: Option<Child>,
}

impl Rig {
    /// None, and the reason is told, without root. The server's own address is 10.9.0.1; it is `lhr-1` in tables.
    pub fn new() -> Option<Self> {
        let network = Network::new(1500)?;
        let Network { boxed, peer } = &network;
        boxed.ip(&["link", "set", CABLE, "arp", "on"]);
        boxed.ip(&["address", "add", "10.9.0.1/24", "dev", CABLE]);
        boxed.ip(&["route", "add", "default", "via", INTERNET]);
        peer.ip(&["address", "add", "10.9.0.2/24", "dev", CABLE]);
        peer.ip(&["route", "add", "198.51.100.0/24", "via", "10.9.0.1"]);
        static NUMBER: AtomicUsize = AtomicUsize::new(0);
        let name = format!("sluice-test-{}-{}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed));
        let cgroup = default_cgroup().with_file_name(name);
        let rig = Self { network, folder: TempDir::new().unwrap(), cgroup, agent: None };
        rig.configure("");
        Some(rig)
    }

    /// The server.
    pub fn server(&self) -> &Namespace {
        &self.network.boxed
    }

    /// The Internet.
    pub fn internet(&self) -> &Namespace {
        &self.network.peer
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Writes the configuration, with `more` at its end.
    pub fn configure(&self, more: &str) {
        let text = format!(
            "server = \"lhr-1\"\ntable = \"table.json\"\n[underlay]\ndevices = [\"{CABLE}\"]\n\
             [control]\nsocket = \"agent.sock\"\n[exec]\ncgroup = \"{}\"\n{more}",
            self.cgroup.display()
        );
        fs::write(self.path("agent.toml"), text).unwrap();
    }

    /// Puts another table in the place of the configured one.
    pub fn write(&self, table: &str) {
        fs::write(self.path("new"), table).unwrap();
        fs::rename(self.path("new"), self.path("table.json")).unwrap();
    }

    /// Starts the agent, and waits until it answers.
    pub fn start(&mut self) {
        let mut command = Command::new(PROGRAM);
        command.arg("run").arg("--config").arg(self.path("agent.toml")).stdin(Stdio::null());
        // Not by `ip netns exec`, which hides control groups.
        self.agent = Some(self.server().inside(move || command.spawn().unwrap()));
        self.wait_for("an answer", |rig| rig.call(&["--json", "status"]).status.success());
    }

    pub fn signal(&self, signal: Signal) {
        let pid = self.agent.as_ref().unwrap().id();
        kill_process(Pid::from_raw(pid as i32).unwrap(), signal).unwrap();
    }

    /// Ends the agent by a signal.
    pub fn end(&mut self, signal: Signal) -> ExitStatus {
        self.signal(signal);
        self.agent.take().unwrap().wait().unwrap()
    }

    /// The command line.
    pub fn call(&self, words: &[&str]) -> Output {
        Command::new(PROGRAM).arg("--socket").arg(self.path("agent.sock")).args(words).output().unwrap()
    }

    /// What a command prints with `--json`.
    pub fn json(&self, words: &[&str]) -> Value {
        let output = self.call(&[&["--json"], words].concat());
        serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {output:?}"))
    }

    pub fn status(&self) -> Value {
        self.json(&["status"])
    }

    /// Waits for a table of that generation.
    pub fn wait_for_generation(&self, generation: u64) {
        self.wait_for("the generation", |rig| rig.status()["generation"] == generation);
    }

    #[track_caller]
    pub fn wait_for(&self, what: &str, is_there: impl Fn(&Self) -> bool) {
        let start = Instant::now();
        while !is_there(self) {
            assert!(start.elapsed() < PATIENCE, "no {what}: {:?}", self.call(&["status"]));
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// The addresses of the server's loopback and its local routes, as `ip` tells of those that are not the kernel's own.
    pub fn held(&self) -> Vec<String> {
        let parse = |text: String| serde_json::from_str::<Value>(&text).unwrap();
        let links = parse(self.server().ip(&["--json", "address", "show", "dev", "lo"]));
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let addresses = links[0]["addr_info"].as_array().unwrap().iter().map(|address| text(&address["local"]));
        let mut held: Vec<_> = addresses.filter(|address| address != "127.0.0.1" && address != "::1").collect();
        for family in ["-4", "-6"] {
            let words = ["--json", family, "route", "show", "table", "local", "protocol", "83"];
            let routes = parse(self.server().ip(&words));
            held.extend(routes.as_array().unwrap().iter().map(|route| text(&route["dst"])));
        }
        held.sort();
        held
    }

    /// The range of ports that the server's kernel chooses from, and those left out.
    pub fn choice(&self) -> (String, String) {
        let sysctl = |name: &str| {
            let text = self.server().run("sysctl", &["-n", &format!("net.ipv4.{name}")]);
            text.split_whitespace().collect::<Vec<_>>().join("-")
        };
        (sysctl("ip_local_port_range"), sysctl("ip_local_reserved_ports"))
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        // By its own way, so that nothing stays of it that outlives a namespace.
        if self.agent.is_some() {
            self.end(Signal::TERM);
        }
    }
}

/// A table with `egress`, of that generation.
pub fn table(generation: u64, egress: &Value) -> String {
    let servers = json!({
        "lhr-1": { "datacenter": "LHR", "address": "10.9.0.1" },
        "lhr-2": { "datacenter": "LHR", "address": "10.9.0.3" },
    });
    let document = json!({
        "version": 1, "generation": generation, "datacenters": { "LHR": { "forwarders": ["10.9.0.2"] } },
        "servers": servers, "egress": egress,
    });
    document.to_string()
}

/// An entry of slices of 2,048 ports each.
pub fn sliced(prefix: &str, owners: &[Option<&str>], previous: &[Option<&str>]) -> Value {
    let slices = json!({ "ports": 2048, "owners": owners, "previous": previous });
    json!({ "prefix": prefix, "datacenter": "LHR", "slices": slices })
}

/// An entry of one owner.
pub fn whole(prefix: &str, owner: &str) -> Value {
    json!({ "prefix": prefix, "datacenter": "LHR", "server": owner })
}
