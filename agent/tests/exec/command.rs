// SPDX-License-Identifier: MIT OR Apache-2.0
//! `sluice-agent exec` and the daemon behind it.

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use agent::exec::default_cgroup;
use tempfile::TempDir;

use super::all_within;
use super::network::{Client, FAR, FAR6, Network, SHARED, SHARED6, unique};

const AGENT: &str = env!("CARGO_BIN_EXE_sluice-agent");

struct Daemon {
    network: Network,
    folder: TempDir,
    child: Child,
}

impl Daemon {
    fn start() -> Option<Self> {
        let network = Network::new()?;
        let folder = tempfile::tempdir().unwrap();
        let cgroup = default_cgroup().with_file_name(format!("sluice-test-{}", unique()));
        let (table, config) = (folder.path().join("table.json"), folder.path().join("agent.toml"));
        fs::write(&table, TABLE).unwrap();
        let text = format!(
            "server = \"lhr-1\"\ntable = \"table.json\"\n[underlay]\ndevices = [\"eth0\"]\n\
             [exec]\ncgroup = \"{}\"\n[control]\nsocket = \"agent.sock\"\n",
            cgroup.display()
        );
        fs::write(&config, text).unwrap();
        let child = begin(&network, &folder);
        Some(Self { network, folder, child })
    }

    /// As the kernel would that is out of memory.
    fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    fn exec(&self, words: &[&str]) -> Command {
        let socket = self.folder.path().join("agent.sock");
        self.network.command(&[&[AGENT, "--socket", socket.to_str().unwrap(), "exec"], words].concat())
    }

    fn run(&self, words: &[&str]) -> Output {
        self.exec(words).output().unwrap()
    }

    fn ask(&self, words: &[&str]) -> String {
        let socket = self.folder.path().join("agent.sock");
        let output = self.network.command(&[&[AGENT, "--socket", socket.to_str().unwrap()], words].concat()).output();
        String::from_utf8(output.unwrap().stdout).unwrap()
    }

    fn cgroups(&self) -> usize {
        let config = fs::read_to_string(self.folder.path().join("agent.toml")).unwrap();
        let cgroup = config.split('"').find(|part| part.contains("sluice-test-")).unwrap();
        fs::read_dir(cgroup).map_or(0, |entries| entries.flatten().filter(|entry| entry.path().is_dir()).count())
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
        self.child.wait().map(drop).unwrap_or_default();
    }
}

/// Returns when it is ready.
fn begin(network: &Network, folder: &TempDir) -> Child {
    let config = folder.path().join("agent.toml");
    let mut daemon = network.command(&[AGENT, "run", "--config", config.to_str().unwrap()]);
    let mut child = daemon.stderr(Stdio::piped()).spawn().unwrap();
    let log = BufReader::new(child.stderr.take().unwrap());
    let mut seen = Vec::new();
    let ready = log.lines().map_while(Result::ok).any(|line| {
        seen.push(line);
        seen.last().unwrap().contains("holding")
    });
    assert!(ready, "{seen:?}");
    child
}

const TABLE: &str = r#"{
  "version": 1,
  "datacenters": { "LHR": { "forwarders": ["10.9.0.2"] } },
  "servers": { "lhr-1": { "datacenter": "LHR", "address": "10.9.0.1" },
               "lhr-2": { "datacenter": "LHR", "address": "10.9.0.3" } },
  "egress": [
    { "prefix": "198.51.100.1/32", "datacenter": "LHR", "slices": { "ports": 2048, "owners": [null, "lhr-1", "lhr-2"] } },
    { "prefix": "198.51.100.2/32", "datacenter": "LHR", "slices": { "ports": 2048, "owners": [null, "lhr-2", "lhr-1"] },
      "tags": { "country": "GB" } },
    { "prefix": "2001:db8:e::/64", "datacenter": "LHR", "server": "lhr-1" }
  ]
}"#;

#[test]
fn a_command_becomes_the_process_and_is_bound() {
    let Some(daemon) = Daemon::start() else { return };
    let script = "import socket, sys; print(socket.create_connection((sys.argv[1], 80)).recv(100).decode().strip())";
    let seen = |words: &[&str], far: &str| {
        let output = daemon.run(&[words, &["--", "python3", "-c", script, far]].concat());
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    };
    all_within(&seen(&["--tag", "country=GB"], FAR[0]), SHARED[1], 4096..=6143);
    all_within(&seen(&["--family", "6"], FAR6), SHARED6, 1024..=65535);
    assert_eq!(daemon.run(&["--", "sh", "-c", "exit 7"]).status.code(), Some(7));
    assert_eq!(daemon.run(&["--", "sh", "-c", "kill -TERM $$"]).status.signal(), Some(15));
    // Where all its processes are gone, a group goes.
    let begun = Instant::now();
    while daemon.cgroups() > 0 {
        assert!(begun.elapsed() < Duration::from_secs(20));
        std::thread::sleep(Duration::from_millis(100));
    }
}

#[test]
fn who_goes_round_it_is_caught_and_named_in_status_and_metrics() {
    let Some(daemon) = Daemon::start() else { return };
    let script = "import socket; s = socket.socket(); s.bind(('198.51.100.1', 5000)); s.settimeout(2); \
                  s.connect(('203.0.113.1', 80))";
    let output = daemon.network.command(&["python3", "-c", script]).output().unwrap();
    assert!(String::from_utf8_lossy(&output.stderr).contains("timed out"), "lhr-2 has that port");
    let status: serde_json::Value = serde_json::from_str(&daemon.ask(&["--json", "status"])).unwrap();
    let caught = &status["guard"]["caught"][0];
    assert_eq!((&caught["verdict"], &caught["source_port"]), (&"foreign_port".into(), &5000.into()), "{status}");
    assert!(caught["process"]["name"].as_str().unwrap().starts_with("python"), "{status}");
    let told = daemon.ask(&["status"]);
    assert!(told.contains(" sends from TCP 198.51.100.1:5000, which this server does not own"), "{told}");
    let metrics = daemon.ask(&["metrics"]);
    let line = "sluice_agent_guard_caught_packets_total{reason=\"foreign_port\"} ";
    let packets = metrics.lines().find_map(|metric| metric.strip_prefix(line)).unwrap();
    assert!(packets.parse::<f64>().unwrap() >= 1.0, "{packets}");
}

#[test]
fn a_killed_daemon_sets_nobody_free() {
    let Some(mut daemon) = Daemon::start() else { return };
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/network/client.py");
    let mut client =
        Client::begin(daemon.exec(&["--family", "4", "--tag", "country=GB", "--", "python3", script]), |_| ());
    let mut connects = || all_within(&client.ask(&format!("many 20 {}", FAR[0])), SHARED[1], 4096..=6143);
    connects();
    daemon.kill();
    connects();
    daemon.child = begin(&daemon.network, &daemon.folder);
    connects();
    assert_eq!(client.ask("bind tcp 198.51.100.2 2048"), "EPERM");
    assert_eq!(client.ask("alive"), "alive");
}

#[test]
fn what_cannot_be_had_is_said() {
    let Some(daemon) = Daemon::start() else { return };
    for (words, code, error) in [
        (&["--tag", "country=FR", "--", "true"][..], 1, "owns no address for country=FR: see `sluice-agent slices`"),
        (&["--tag", "GB", "--", "true"], 1, "\"GB\" is no tag: write KEY=VALUE"),
        (&["--", "/no/such/program"], 1, "cannot run /no/such/program: No such file"),
        (&["--family", "5", "--", "true"], 1, "family has to be 4 or 6"),
        (&[], 2, "COMMAND"),
    ] {
        let output = daemon.run(words);
        let text = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.code() == Some(code) && text.contains(error), "{words:?}: {text}");
    }
}
