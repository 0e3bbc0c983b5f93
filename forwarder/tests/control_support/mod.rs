// SPDX-License-Identifier: MIT OR Apache-2.0
//! Daemons on plain memory, and clients for them.
#![allow(dead_code, unreachable_pub, reason = "each test uses its part")]

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;

use forwarder::control::config::{Config, Purpose};
use forwarder::control::daemon::{Backend, Daemon, DaemonError, Stopper};
use forwarder::control::forwarder::Forwarder;
use forwarder::io::memory::MemoryIo;
use forwarder::io::{DeviceIndex, PacketIo};
use forwarder::wire::MacAddr;
use serde_json::{Value, json};
use tempfile::TempDir;

/// The table of contract section 3.
pub const TABLE: &str = r#"{
  "version": 1,
  "generation": 42,
  "datacenters": {
    "LHR": { "forwarders": ["10.0.0.1", "2001:db8:a::1"] },
    "CDG": { "forwarders": ["10.1.0.1", "2001:db8:b::1"] }
  },
  "servers": {
    "lhr-1": { "datacenter": "LHR", "address": "10.0.1.1" },
    "lhr-2": { "datacenter": "LHR", "address": "2001:db8:a:1::2" },
    "cdg-1": { "datacenter": "CDG", "address": "10.1.1.1" }
  },
  "egress": [
    { "prefix": "198.51.100.1/32", "datacenter": "LHR",
      "slices": { "ports": 2048, "owners": [null, "lhr-1", "lhr-2"] },
      "tags": { "country": "GB", "trust": "untrusted" } },
    { "prefix": "198.51.100.2/32", "datacenter": "LHR",
      "ranges": [ { "ports": "2048-4095", "server": "lhr-1" },
                  { "ports": "4096-6143", "server": "lhr-2", "previous": "lhr-1" } ],
      "portless": "lhr-1" },
    { "prefix": "198.51.100.3/32", "datacenter": "CDG", "server": "cdg-1" },
    { "prefix": "198.51.100.0/24", "unassigned": true },
    { "prefix": "2001:db8:e::/64", "datacenter": "LHR", "server": "lhr-1" }
  ]
}"#;

/// [`TABLE`] with another number, and lhr-1's slice of 198.51.100.1 at lhr-2 if it has `moved`.
pub fn table(generation: Option<u64>, moved: bool) -> String {
    let number = generation.map_or_else(String::new, |number| format!("\"generation\": {number},"));
    let text = TABLE.replace("\"generation\": 42,", &number);
    if moved { text.replace(r#"[null, "lhr-1", "lhr-2"]"#, r#"[null, "lhr-2", "lhr-2"]"#) } else { text }
}

/// A UDP packet from 203.0.113.7:53 to `port` of 198.51.100.1, in a frame.
pub fn frame(port: u16) -> Vec<u8> {
    frame_to([198, 51, 100, 1], port)
}

/// The same to another address.
pub fn frame_to([a, b, c, d]: [u8; 4], port: u16) -> Vec<u8> {
    // DF, TTL 64, UDP, checksum to come.
    let mut ip = vec![0x45, 0, 0, 28, 0, 0, 0x40, 0, 64, 17, 0, 0, 203, 0, 113, 7, a, b, c, d, 0, 53];
    let sum: u32 = ip[..20].chunks(2).map(|pair| u32::from(pair[0]) << 8 | u32::from(pair[1])).sum();
    let sum = (sum & 0xffff) + (sum >> 16);
    ip[10..12].copy_from_slice(&(!((sum & 0xffff) + (sum >> 16)) as u16).to_be_bytes());
    ip.extend(port.to_be_bytes());
    ip.extend([0, 8, 0, 0]);
    [&[2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 9, 8, 0][..], &ip].concat()
}

/// A core that tests may use.
pub fn core() -> usize {
    core_affinity::get_core_ids().unwrap().last().unwrap().id
}

/// A directory with configuration and table, for one daemon after the other.
#[derive(Clone)]
pub struct Place {
    directory: Arc<TempDir>,
}

impl Place {
    pub fn new() -> Self {
        let place = Self { directory: Arc::new(tempfile::tempdir().unwrap()) };
        place.write("table.json", TABLE);
        let config = format!(
            r#"
            datacenter = "LHR"
            table = "table.json"
            [underlay]
            ipv4 = "10.0.0.1"
            ipv6 = "2001:db8:a::1"
            [[device]]
            name = "wan0"
            vdev = "net_null0"
            mtu = 1600
            next_hop_mac = "02:00:00:00:00:02"
            [workers]
            cores = [{}]
            [control]
            socket = "run/control.sock"
            "#,
            core()
        );
        place.write("sluice.toml", &config);
        place
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub fn write(&self, name: &str, content: &str) -> PathBuf {
        std::fs::write(self.path(name), content).unwrap();
        self.path(name)
    }

    /// Adds lines to the configuration.
    pub fn configure(&self, lines: &str) {
        let config = std::fs::read_to_string(self.path("sluice.toml")).unwrap();
        self.write("sluice.toml", &format!("{config}\n{lines}\n"));
    }

    pub fn config(&self) -> Config {
        Config::load(&self.path("sluice.toml"), Purpose::Daemon).unwrap()
    }

    pub fn socket(&self) -> PathBuf {
        self.path("run/control.sock")
    }
}

/// Any queues as a backend.
pub struct Memory<Io>(pub Vec<Io>);

impl<Io: PacketIo + Send + 'static> Backend for Memory<Io> {
    type Io = Io;

    fn mac(&self, _: DeviceIndex) -> MacAddr {
        MacAddr([2, 0, 0, 0, 0, 1])
    }

    fn queues(&mut self) -> Vec<Io> {
        std::mem::take(&mut self.0)
    }
}

/// A daemon on a thread of its own.
pub struct Running {
    pub place: Place,
    pub forwarder: Arc<Forwarder>,
    stopper: Stopper,
    thread: Option<JoinHandle<Result<(), DaemonError>>>,
}

impl Running {
    /// One worker without any frames.
    pub fn new() -> Self {
        Self::with(Place::new(), MemoryIo::new(1))
    }

    pub fn with<Io: PacketIo + Send + 'static>(place: Place, io: Io) -> Self {
        Self::start(place, Memory(vec![io]))
    }

    pub fn start<B: Backend + Send + 'static>(place: Place, backend: B) -> Self {
        let daemon = Daemon::start(place.config(), |_: &Config| Ok::<_, String>(backend)).unwrap();
        let (forwarder, stopper) = (Arc::clone(daemon.forwarder()), daemon.stopper());
        let thread = std::thread::spawn(move || daemon.wait());
        Self { place, forwarder, stopper, thread: Some(thread) }
    }

    pub fn client(&self) -> Client {
        Client::new(&self.place.socket())
    }

    pub fn generation(&self) -> u64 {
        self.forwarder.generations().running().generation
    }

    /// Waits for the end, without asking for it.
    pub fn wait(&mut self) -> Result<(), DaemonError> {
        self.thread.take().unwrap().join().unwrap()
    }

    pub fn stop(&mut self) -> Result<(), DaemonError> {
        self.stopper.stop("the test is over");
        self.wait()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stopper.stop("the test is over");
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// A well-behaved client, and one that sends whatever it is told.
pub struct Client {
    stream: BufReader<UnixStream>,
}

impl Client {
    pub fn new(socket: &Path) -> Self {
        Self { stream: BufReader::new(UnixStream::connect(socket).unwrap()) }
    }

    /// Sends what it can: a daemon that hangs up may have answered before, and the answer is what counts.
    pub fn send(&mut self, bytes: &[u8]) {
        let _ = self.stream.get_mut().write_all(bytes);
    }

    /// The next answer; `None` if the daemon has hung up.
    pub fn receive(&mut self) -> Option<Value> {
        let mut line = String::new();
        let read = self.stream.read_line(&mut line).unwrap_or(0);
        (read > 0).then(|| serde_json::from_str(&line).unwrap())
    }

    pub fn ask(&mut self, method: &str, params: Value) -> Value {
        let request = json!({"jsonrpc": "2.0", "method": method, "params": params, "id": 7});
        self.send(format!("{request}\n").as_bytes());
        let answer = self.receive().unwrap();
        assert_eq!((&answer["jsonrpc"], &answer["id"]), (&json!("2.0"), &json!(7)));
        answer
    }

    pub fn result(&mut self, method: &str, params: Value) -> Value {
        let answer = self.ask(method, params);
        assert!(answer.get("error").is_none(), "{answer}");
        answer["result"].clone()
    }

    pub fn error(&mut self, method: &str, params: Value) -> (i64, Value) {
        let answer = self.ask(method, params);
        assert!(answer.get("result").is_none(), "{answer}");
        (answer["error"]["code"].as_i64().unwrap(), answer["error"]["data"].clone())
    }
}

/// The paths of the faults of a refused table.
pub fn fault_paths(data: &Value) -> Vec<&str> {
    data["faults"].as_array().unwrap().iter().map(|fault| fault["path"].as_str().unwrap()).collect()
}
