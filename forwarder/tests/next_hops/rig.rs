// SPDX-License-Identifier: MIT OR Apache-2.0
//! A forwarder in a network namespace of its own, with real kernel interfaces. Its two devices are cables to another namespace, the
//! network: what leaves by one is received there, and seen by the test.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use forwarder::control::daemon::Backend;
use forwarder::io::hardware::{DeviceHealth, Hardware, Probe};
use forwarder::io::memory::{MemoryIo, VecBuf};
use forwarder::io::{Allocator, DeviceIndex, Nanos, PacketBuf, PacketIo, Received};
use forwarder::wire::MacAddr;
use rustix::thread::{CapabilitySet, CapabilitySets, LinkNameSpaceType, move_into_link_name_space, set_capabilities};
use serde_json::Value;
use tun_rs::{DeviceBuilder, Layer, SyncDevice};

use crate::control_support::{Place, Running, core};
use crate::frames::packet;

/// How long anything may take that is to happen.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) const TABLE: &str = r#"{
  "version": 1,
  "generation": 1,
  "datacenters": {
    "LHR": { "forwarders": ["10.0.0.1", "2001:db8:a::1"] },
    "CDG": { "forwarders": ["10.1.0.1", "10.1.0.2"] }
  },
  "servers": {
    "lhr-1": { "datacenter": "LHR", "address": "10.0.1.1" },
    "lhr-2": { "datacenter": "LHR", "address": "2001:db8:a:1::2" },
    "cdg-1": { "datacenter": "CDG", "address": "10.1.1.1" }
  },
  "egress": [
    { "prefix": "198.51.100.1/32", "datacenter": "LHR", "server": "lhr-1" },
    { "prefix": "198.51.100.2/32", "datacenter": "LHR", "server": "lhr-2" },
    { "prefix": "198.51.100.3/32", "datacenter": "CDG", "server": "cdg-1" }
  ]
}"#;

/// Whose addresses lead where.
pub(crate) const V4_SERVER: [u8; 4] = [198, 51, 100, 1];
pub(crate) const V6_SERVER: [u8; 4] = [198, 51, 100, 2];
pub(crate) const DATACENTER: [u8; 4] = [198, 51, 100, 3];

/// The routers, by the device that leads to each.
pub(crate) const ROUTERS: [MacAddr; 2] = [MacAddr([2, 0, 0, 0, 9, 2]), MacAddr([2, 0, 0, 0, 8, 2])];

/// Two namespaces; gone with all that is in them when this is dropped.
pub(crate) struct Namespaces {
    forwarder: String,
    network: String,
}

impl Namespaces {
    /// `None`, and a line that says why, where there can be none.
    pub(crate) fn new(test: &str) -> Option<Self> {
        if !rustix::process::geteuid().is_root() {
            println!("skipped: network namespaces take root");
            return None;
        }
        let name = |end| format!("sluice-{}-{test}-{end}", std::process::id());
        let namespaces = Self { forwarder: name("f"), network: name("n") };
        for name in [&namespaces.forwarder, &namespaces.network] {
            if !Command::new("ip").args(["netns", "add", name]).status().is_ok_and(|status| status.success()) {
                println!("skipped: ip netns add {name} does not work here");
                return None;
            }
        }
        namespaces.build();
        Some(namespaces)
    }

    fn build(&self) {
        for (number, network) in [(0, 9), (1, 8)] {
            self.network(&format!("tuntap add dev up{number} mode tap"));
            self.network(&format!("link set up{number} address 02:00:00:00:0{network}:02 mtu 1600 up"));
            // As the daemon wants them, so that one without rights can take them.
            self.forwarder(&format!("tuntap add dev wan{number}-k mode tap"));
            self.forwarder(&format!("link set wan{number}-k address 02:00:00:00:00:01 mtu 1600 up"));
            self.network(&format!("address add 10.0.{network}.2/24 dev up{number}"));
            self.forwarder(&format!("address add 10.0.{network}.1/24 dev wan{number}-k"));
            self.network(&format!("address add 2001:db8:{network}::2/64 dev up{number} nodad"));
            self.forwarder(&format!("address add 2001:db8:{network}::1/64 dev wan{number}-k nodad"));
            // Whoever does not answer is given up within a second or two.
            for (key, value) in [
                ("base_reachable_time_ms", "300"),
                ("delay_first_probe_time", "1"),
                ("retrans_time_ms", "100"),
                ("ucast_solicit", "2"),
            ] {
                self.set(&self.forwarder, &format!("net/ipv4/neigh/wan{number}-k/{key}"), value);
            }
        }
    }

    /// `ip`, as the forwarder's kernel has it.
    pub(crate) fn forwarder(&self, command: &str) {
        ip(&format!("-n {} {command}", self.forwarder));
    }

    /// `ip`, as the routers have it.
    pub(crate) fn network(&self, command: &str) {
        ip(&format!("-n {} {command}", self.network));
    }

    /// Gives the first router a permanent entry. The kernel makes it a learnt one again if it is just then asked to look for it, so this
    /// looks twice.
    pub(crate) fn make_permanent(&self, mac: MacAddr) {
        let start = Instant::now();
        loop {
            self.forwarder(&format!("neigh replace 10.0.9.2 lladdr {mac} dev wan0-k nud permanent"));
            thread::sleep(Duration::from_millis(200));
            let shown = Command::new("ip").args(["-n", &self.forwarder, "neigh", "show", "10.0.9.2"]).output().unwrap();
            if String::from_utf8_lossy(&shown.stdout).contains("PERMANENT") {
                return;
            }
            assert!(start.elapsed() < PATIENCE, "no permanent entry: {shown:?}");
        }
    }

    /// Lets the routers' kernel set `key`.
    pub(crate) fn set_network(&self, key: &str, value: &str) {
        self.set(&self.network, key, value);
    }

    fn set(&self, namespace: &str, key: &str, value: &str) {
        let write = format!("echo {value} > /proc/sys/{key}");
        run(Command::new("ip").args(["netns", "exec", namespace, "sh", "-c", &write]));
    }

    /// Starts a daemon there.
    pub(crate) fn start(&self) -> Rig {
        self.start_with(|| {})
    }

    /// One without any capability, as it is when it has become another user.
    pub(crate) fn start_without_rights(&self) -> Rig {
        let none = CapabilitySet::empty();
        let sets = CapabilitySets { effective: none, permitted: none, inheritable: none };
        self.start_with(move || set_capabilities(None, sets).unwrap())
    }

    fn start_with(&self, prepare: impl FnOnce() + Send + 'static) -> Rig {
        let place = Place::new();
        place.write("table.json", TABLE);
        place.write("sluice.toml", &config());
        let cables = inside(&self.network, || [0, 1].map(cable));
        let (io, feed, frames) = Wire::new(cables);
        let done = Arc::clone(&io.done);
        let links = Arc::new([true, true].map(AtomicBool::new));
        let backend = Devices { io: Some(io), links: Arc::clone(&links) };
        let running = inside(&self.forwarder, move || {
            prepare();
            Running::start(place, backend)
        });
        Rig { running, links, feed, fed: AtomicU64::new(0), done, frames }
    }
}

/// Does something in a namespace: threads, sockets and interfaces are where their maker is.
fn inside<T: Send + 'static>(namespace: &str, work: impl FnOnce() -> T + Send + 'static) -> T {
    let path = Path::new("/run/netns").join(namespace);
    let there = thread::spawn(move || {
        let namespace = std::fs::File::open(path).unwrap();
        move_into_link_name_space(std::os::fd::AsFd::as_fd(&namespace), Some(LinkNameSpaceType::Network)).unwrap();
        work()
    });
    there.join().unwrap()
}

/// The network's end of a device.
fn cable(number: u8) -> SyncDevice {
    let builder = DeviceBuilder::new().name(format!("up{number}")).layer(Layer::L2).inherit_enable_state();
    let cable = builder.build_sync().unwrap();
    cable.set_nonblocking(true).unwrap();
    cable
}

impl Drop for Namespaces {
    fn drop(&mut self) {
        for name in [&self.forwarder, &self.network] {
            let _ = Command::new("ip").args(["netns", "delete", name]).status();
        }
    }
}

fn ip(command: &str) {
    run(Command::new("ip").args(command.split(' ')));
}

fn run(command: &mut Command) {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}

fn config() -> String {
    let device = |number| {
        format!(
            "[[device]]\nname = \"wan{number}\"\nvdev = \"net_null{number}\"\nmtu = 1600\nkernel = \"wan{number}-k\"\n"
        )
    };
    format!(
        "datacenter = \"LHR\"\ntable = \"table.json\"\n[underlay]\nipv4 = \"10.0.0.1\"\nipv6 = \"2001:db8:a::1\"\n{}{}\
         [workers]\ncores = [{}]\n[control]\nsocket = \"run/control.sock\"\n",
        device(0),
        device(1),
        core()
    )
}

/// A daemon, and both ends of its devices.
pub(crate) struct Rig {
    pub(crate) running: Running,
    /// Whether each device has a link.
    pub(crate) links: Arc<[AtomicBool; 2]>,
    feed: Sender<Vec<u8>>,
    fed: AtomicU64,
    done: Arc<AtomicU64>,
    frames: Receiver<Left>,
}

/// A frame that left, and was not the kernel's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Left {
    pub(crate) device: u8,
    pub(crate) frame: Vec<u8>,
}

impl Left {
    /// The next hop.
    pub(crate) fn to(&self) -> MacAddr {
        MacAddr(*self.frame.first_chunk().unwrap())
    }

    /// The destination of an outer IPv4 header.
    pub(crate) fn outer(&self) -> [u8; 4] {
        *self.frame[30..].first_chunk().unwrap()
    }
}

impl Rig {
    /// What leaves of a frame, if anything does. Counters have it then.
    pub(crate) fn send(&self, frame: Vec<u8>) -> Option<Left> {
        let fed = self.fed.fetch_add(1, Ordering::Relaxed) + 1;
        self.feed.send(frame).unwrap();
        let start = Instant::now();
        while self.done.load(Ordering::Acquire) < fed {
            assert!(start.elapsed() < PATIENCE, "the frame was never received");
            thread::sleep(Duration::from_micros(50));
        }
        self.frames.try_recv().ok()
    }

    /// A frame of every of `flows` flows; what left.
    pub(crate) fn send_flows(&self, to: [u8; 4], flows: u16) -> Vec<Left> {
        (0..flows).filter_map(|flow| self.send(packet(to, 1024 + flow, 28))).collect()
    }

    /// Sends packets until what leaves of one is as it should be; how long that took.
    pub(crate) fn until(&self, to: [u8; 4], what: &str, is_right: impl Fn(Option<&Left>) -> bool) -> Duration {
        let start = Instant::now();
        loop {
            let left = self.send(packet(to, 53, 28));
            if is_right(left.as_ref()) {
                return start.elapsed();
            }
            assert!(start.elapsed() < PATIENCE, "{what}: {left:?}; {}", self.status()["next_hops"]);
            thread::sleep(Duration::from_micros(200));
        }
    }

    pub(crate) fn until_by(&self, to: [u8; 4], what: &str, device: u8, mac: MacAddr) -> Duration {
        self.until(to, what, |left| left.is_some_and(|left| (left.device, left.to()) == (device, mac)))
    }

    pub(crate) fn status(&self) -> Value {
        self.running.client().result("status", serde_json::json!({}))
    }

    /// How many were dropped for want of a next hop.
    pub(crate) fn unresolved_drops(&self) -> u64 {
        let stats = self.running.client().result("stats", serde_json::json!({}));
        stats["counters"]["drops"]["next_hop_unresolved"].as_u64().unwrap()
    }
}

/// Devices that say whether they have links.
struct Devices {
    io: Option<Wire>,
    links: Arc<[AtomicBool; 2]>,
}

impl Backend for Devices {
    type Io = Wire;

    fn mac(&self, _: DeviceIndex) -> MacAddr {
        MacAddr([2, 0, 0, 0, 0, 1])
    }

    fn probe(&self) -> Probe {
        let links = Arc::clone(&self.links);
        let health =
            |link: &AtomicBool| DeviceHealth { link_up: link.load(Ordering::Relaxed), ..DeviceHealth::default() };
        Box::new(move || Hardware { devices: links.iter().map(health).collect(), pools: Vec::new() })
    }

    fn queues(&mut self) -> Vec<Wire> {
        self.io.take().into_iter().collect()
    }
}

/// Two devices, and a test that feeds the first.
struct Wire {
    feed: Receiver<Vec<u8>>,
    frames: Sender<Left>,
    cables: [SyncDevice; 2],
    memory: MemoryIo,
    /// Frames fed in the round that runs.
    taken: u64,
    /// In those that have ended.
    done: Arc<AtomicU64>,
}

impl Wire {
    fn new(cables: [SyncDevice; 2]) -> (Self, Sender<Vec<u8>>, Receiver<Left>) {
        let ((feeder, feed), (frames, left)) = (channel(), channel());
        let wire = Self { feed, frames, cables, memory: MemoryIo::new(2), taken: 0, done: Arc::default() };
        (wire, feeder, left)
    }
}

/// Whether a frame is GUE or an ICMP error, neither of which the kernel sends here.
fn is_ours(frame: &[u8]) -> bool {
    const GUE: [u8; 2] = 6080_u16.to_be_bytes();
    match frame[12..14] {
        [0x08, 0x00] => frame[23] == 1 || (frame[23] == 17 && frame[36..38] == GUE),
        [0x86, 0xdd] => frame[20] == 17 && frame[56..58] == GUE,
        _ => false,
    }
}

impl Allocator<VecBuf> for Wire {
    fn allocate(&mut self, len: usize) -> Option<VecBuf> {
        self.memory.allocate(len)
    }
}

impl PacketIo for Wire {
    type Buf = VecBuf;

    fn receive(&mut self, device: DeviceIndex, frames: &mut Vec<VecBuf>, max: usize) -> Received {
        let before = frames.len();
        if device == DeviceIndex(0) {
            self.done.fetch_add(self.taken, Ordering::Release);
            frames.extend(self.feed.try_iter().take(max).map(|frame| VecBuf::new(&frame)));
            self.taken = (frames.len() - before) as u64;
        }
        let mut frame = [0; 2048];
        while frames.len() - before < max
            && let Ok(len) = self.cables[usize::from(device.0)].recv(&mut frame)
        {
            frames.push(VecBuf::new(&frame[..len]));
        }
        if frames.len() == before {
            // The test's other threads need the core, too.
            thread::sleep(Duration::from_micros(20));
        }
        Received::default()
    }

    fn transmit(&mut self, device: DeviceIndex, frames: &mut Vec<VecBuf>) {
        for frame in frames.drain(..) {
            // An interface that is down takes none.
            let _ = self.cables[usize::from(device.0)].send(frame.data());
            if is_ours(frame.data()) {
                // Nobody looks any more when the test is over.
                let _ = self.frames.send(Left { device: device.0, frame: frame.data().to_vec() });
            }
        }
    }

    fn to_kernel(&mut self, _: DeviceIndex, _: &mut Vec<VecBuf>) {}

    fn free(&mut self, frames: &mut Vec<VecBuf>) {
        self.memory.free(frames);
    }

    fn now(&self) -> Nanos {
        Nanos::monotonic()
    }
}
