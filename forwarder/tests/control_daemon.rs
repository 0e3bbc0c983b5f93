// SPDX-License-Identifier: MIT OR Apache-2.0
//! The daemon's life on plain memory: start, refusal to start, traffic, bad clients, end.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test may stop at the first surprise"
)]

mod control_support;

use std::collections::VecDeque;
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use control_support::{Client, Memory, Place, Running, table};
use forwarder::control::config::Config;
use forwarder::control::daemon::{self, Daemon, DaemonError};
use forwarder::io::memory::{MemoryIo, VecBuf};
use forwarder::io::{Allocator, DeviceIndex, Nanos, PacketBuf, PacketIo, Received};
use serde_json::{Value, json};

fn refusal<Io: PacketIo + Send + 'static>(config: Config, queues: Vec<Io>) -> DaemonError {
    match Daemon::start(config, |_: &Config| Ok::<_, String>(Memory(queues))) {
        Ok(_) => panic!("the daemon has started"),
        Err(error) => {
            assert_eq!(error.to_string().lines().count(), 1, "{error}");
            error
        }
    }
}

#[test]
fn it_starts_tells_its_state_and_stops() {
    let mut running = Running::new();
    let socket = running.place.socket();
    assert_eq!(std::fs::metadata(&socket).unwrap().permissions().mode() & 0o7777, 0o660);
    let status = running.client().result("status", json!({}));
    assert_eq!((&status["state"], &status["generation"]), (&json!("forwarding"), &json!(42)));
    assert_eq!((&status["pid"], &status["datacenter"]), (&json!(std::process::id()), &json!("LHR")));
    assert_eq!(status["table"]["path"], json!(running.place.path("table.json")));
    assert_eq!((&status["table"]["prefixes"], &status["table"]["servers"]), (&json!(5), &json!(3)));
    assert_eq!(status["devices"][0]["mac"], "02:00:00:00:00:01");
    assert_eq!(status["workers"].as_array().unwrap().len(), 1);
    running.stop().unwrap();
    assert!(!socket.exists());
}

#[test]
fn it_checks_without_starting() {
    let place = Place::new();
    let good = daemon::check(&place.config()).unwrap();
    assert!(good.starts_with("OK: ") && good.contains("generation 42"), "{good}");
    assert!(!place.socket().exists());
    place.write("table.json", &table(Some(42), false).replace("\"10.0.0.1\", ", "").replace("10.0.1.1", "10.0.1"));
    let faults = daemon::check(&place.config()).unwrap_err();
    assert!(faults.len() == 1 && faults[0].contains("servers.lhr-1.address"), "{faults:?}");
    place.write("table.json", &table(Some(42), false).replace("\"10.0.0.1\", ", ""));
    let faults = daemon::check(&place.config()).unwrap_err();
    assert!(faults.len() == 1 && faults[0].contains("datacenters.LHR.forwarders"), "{faults:?}");
}

#[test]
fn it_does_not_start_without_table_core_socket_or_devices() {
    let place = Place::new();
    let mut config = place.config();
    config.table = place.path("missing.json");
    let error = refusal(config.clone(), vec![MemoryIo::new(1)]);
    assert_eq!(error.to_string().matches("missing.json").count(), 1, "{error}");
    let faults = daemon::check(&config).unwrap_err();
    assert!(faults.len() == 1 && faults[0].matches("missing.json").count() == 1, "{faults:?}");

    let mut config = place.config();
    config.workers.cores = vec![1000];
    let error = refusal(config, vec![MemoryIo::new(1)]);
    assert!(error.to_string().contains("workers.cores: core 1000"), "{error}");

    let mut config = place.config();
    config.control.socket = place.write("file", "");
    let error = refusal(config, vec![MemoryIo::new(1)]);
    assert!(matches!(error, DaemonError::Socket(_)) && error.to_string().contains("file"), "{error}");

    assert!(matches!(refusal::<MemoryIo>(place.config(), Vec::new()), DaemonError::Worker(_)));
    let Err(error) = Daemon::<Memory<MemoryIo>>::start(place.config(), |_: &Config| Err("no such vdev")) else {
        panic!("the daemon has started")
    };
    assert_eq!(error.to_string(), "no such vdev");
    assert!(!place.socket().exists(), "a failed start leaves nothing behind");
}

#[test]
fn a_table_that_does_not_suit_is_told_whole_before_any_device_is_touched() {
    let place = Place::new();
    let config = std::fs::read_to_string(place.path("sluice.toml")).unwrap();
    place.write("sluice.toml", &config.replace("10.0.0.1", "10.0.0.2").replace("ipv6", "# ipv6"));
    let start = |_: &Config| -> Result<Memory<MemoryIo>, String> { panic!("a device is touched") };
    let Err(error) = Daemon::start(place.config(), start) else { panic!("the daemon has started") };
    let lines = error.lines();
    assert_eq!(lines.last(), Some(&error.to_string()));
    assert!(error.to_string().contains("(and 1 more fault)"), "{error}");
    for fault in ["table.json: datacenters.LHR.forwarders: ", "table.json: servers.lhr-2.address: "] {
        assert!(lines.iter().filter(|line| line.contains(fault)).count() == 1, "{fault}: {lines:?}");
    }
    assert!(lines.iter().all(|line| line.lines().count() == 1), "{lines:?}");
    assert!(!place.socket().exists());
}

#[test]
fn a_second_one_leaves_the_first_alone() {
    let running = Running::new();
    let error = refusal(running.place.config(), vec![MemoryIo::new(1)]);
    let socket = running.place.socket();
    assert!(error.to_string().contains(socket.to_str().unwrap()), "{error}");
    assert_eq!(running.client().result("status", json!({}))["state"], "forwarding");
}

#[test]
fn a_worker_that_fails_ends_the_daemon_with_an_error() {
    struct Failing;
    impl Allocator<VecBuf> for Failing {
        fn allocate(&mut self, _: usize) -> Option<VecBuf> {
            None
        }
    }
    impl PacketIo for Failing {
        type Buf = VecBuf;
        fn receive(&mut self, _: DeviceIndex, _: &mut Vec<VecBuf>, _: usize) -> Received {
            panic!("as the test wants")
        }
        fn transmit(&mut self, _: DeviceIndex, _: &mut Vec<VecBuf>) {}
        fn to_kernel(&mut self, _: DeviceIndex, _: &mut Vec<VecBuf>) {}
        fn now(&self) -> Nanos {
            Nanos(0)
        }
    }
    let mut running = Running::with(Place::new(), Failing);
    let error = running.wait().unwrap_err();
    assert!(error.to_string().starts_with("worker 0 has panicked"), "{error}");
    assert!(!running.place.socket().exists());
}

/// A UDP packet from 203.0.113.7:53 to port 3000 of 198.51.100.1, in a frame.
fn frame() -> Vec<u8> {
    let mut ip = vec![
        0x45, 0, 0, 28, 0, 0, 0x40, 0, 64, 17, 0, 0, // UDP, DF, TTL 64, checksum to come
        203, 0, 113, 7, 198, 51, 100, 1, //
        0, 53, 0x0b, 0xb8, 0, 8, 0, 0,
    ];
    let sum: u32 = ip[..20].chunks(2).map(|pair| u32::from(pair[0]) << 8 | u32::from(pair[1])).sum();
    let checksum = !((sum & 0xffff) + (sum >> 16)) as u16;
    ip[10..12].copy_from_slice(&checksum.to_be_bytes());
    [&[2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 9, 8, 0][..], &ip].concat()
}

/// Endless traffic to a port that moves from an IPv4 to an IPv6 server.
#[derive(Default)]
struct Endless {
    seen: Arc<Seen>,
    after: bool,
    spare: VecDeque<VecBuf>,
}

#[derive(Default)]
struct Seen {
    /// The reload has been answered.
    answered: AtomicBool,
    received: AtomicU64,
    old: AtomicU64,
    new: AtomicU64,
    late: AtomicU64,
}

impl Allocator<VecBuf> for Endless {
    fn allocate(&mut self, _: usize) -> Option<VecBuf> {
        None
    }
}

impl PacketIo for Endless {
    type Buf = VecBuf;

    fn receive(&mut self, _: DeviceIndex, frames: &mut Vec<VecBuf>, max: usize) -> Received {
        self.after = self.seen.answered.load(Ordering::SeqCst);
        let frame = frame();
        for _ in 0..max {
            let mut buf = self.spare.pop_front().unwrap_or_default();
            buf.refill(&frame);
            frames.push(buf);
        }
        self.seen.received.fetch_add(max as u64, Ordering::Relaxed);
        Received::default()
    }

    fn transmit(&mut self, _: DeviceIndex, frames: &mut Vec<VecBuf>) {
        for buf in frames.drain(..) {
            let old = buf.data()[12..14] == [0x08, 0x00];
            let seen = if old { &self.seen.old } else { &self.seen.new };
            seen.fetch_add(1, Ordering::Relaxed);
            self.seen.late.fetch_add(u64::from(old && self.after), Ordering::Relaxed);
            self.spare.push_back(buf);
        }
    }

    fn to_kernel(&mut self, _: DeviceIndex, _: &mut Vec<VecBuf>) {}

    fn now(&self) -> Nanos {
        Nanos(0)
    }
}

fn wait_for(condition: impl Fn() -> bool) {
    while !condition() {
        thread::sleep(Duration::from_millis(1));
    }
}

#[test]
fn a_reload_under_traffic_loses_nothing_and_is_over_when_it_says_so() {
    let seen = Arc::new(Seen::default());
    let mut running = Running::with(Place::new(), Endless { seen: Arc::clone(&seen), ..Endless::default() });
    wait_for(|| seen.old.load(Ordering::Relaxed) > 10_000);
    let path = running.place.write("next.json", &table(Some(43), true));
    running.client().result("reload", json!({"path": path}));
    seen.answered.store(true, Ordering::SeqCst);
    let so_far = seen.new.load(Ordering::Relaxed);
    wait_for(|| seen.new.load(Ordering::Relaxed) > so_far + 10_000);
    let stats = running.client().result("stats", json!({}));
    assert_eq!(stats["conservation"], json!({"imbalance": 0, "ok": true}));
    running.stop().unwrap();

    let load = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
    assert_eq!(load(&seen.late), 0, "packets at the old owner after the answer");
    assert_eq!(load(&seen.old) + load(&seen.new), load(&seen.received), "every packet is old or new");
    let total = running.forwarder.stats().counters;
    assert_eq!((total.rx, total.tx), (load(&seen.received), load(&seen.received)));
    assert!(total.drops.values().all(|drops| *drops == 0));
}

/// A worker that does nothing until it is told to go on.
#[derive(Clone)]
struct Stuck {
    stuck: Arc<AtomicBool>,
    /// The worker is in the midst of a round.
    polled: Arc<AtomicBool>,
}

impl Stuck {
    fn new() -> Self {
        Self { stuck: Arc::new(AtomicBool::new(true)), polled: Arc::default() }
    }

    /// A daemon whose worker is stuck by now, with the table that it started with.
    fn run(&self) -> Running {
        let running = Running::with(Place::new(), self.clone());
        wait_for(|| self.polled.load(Ordering::Relaxed));
        running
    }
}

impl Allocator<VecBuf> for Stuck {
    fn allocate(&mut self, _: usize) -> Option<VecBuf> {
        None
    }
}

impl PacketIo for Stuck {
    type Buf = VecBuf;
    fn receive(&mut self, _: DeviceIndex, _: &mut Vec<VecBuf>, _: usize) -> Received {
        self.polled.store(true, Ordering::Relaxed);
        while self.stuck.load(Ordering::Relaxed) {
            thread::sleep(Duration::from_millis(1));
        }
        Received::default()
    }
    fn transmit(&mut self, _: DeviceIndex, _: &mut Vec<VecBuf>) {}
    fn to_kernel(&mut self, _: DeviceIndex, _: &mut Vec<VecBuf>) {}
    fn now(&self) -> Nanos {
        Nanos(0)
    }
}

#[test]
fn a_late_worker_is_named_and_holds_up_nobody_who_looks() {
    let worker = Stuck::new();
    let running = worker.run();
    let path = running.place.write("next.json", &table(Some(43), true));
    let start = Instant::now();
    let answer = thread::scope(|scope| {
        let reload = scope.spawn(|| running.client().error("reload", json!({"path": path})));
        // The new table is there to be looked at while the reload still waits.
        let mut client = running.client();
        wait_for(|| running.generation() == 43);
        let explained = client.result("explain", json!({"address": "198.51.100.1", "port": 3000}));
        assert_eq!((&explained["target"], &explained["generation"]), (&json!("lhr-2"), &json!(43)));
        // Unless the machine has slept for the whole patience of the reload.
        assert!(!reload.is_finished() || start.elapsed() >= Duration::from_secs(5));
        reload.join().unwrap()
    });
    assert_eq!(answer, (-32004, json!({"generation": 43, "late": [0]})));
    worker.stuck.store(false, Ordering::Relaxed);
    running.place.write("next.json", &table(Some(44), false));
    assert_eq!(running.client().result("reload", json!({"path": path}))["generation"], 44);
}

#[test]
fn drops_show_in_the_stats() {
    let mut io = MemoryIo::new(1);
    io.push(DeviceIndex(0), &frame());
    io.push(DeviceIndex(0), &[0; 60]);
    io.push(DeviceIndex(0), &[0; 5]);
    let running = Running::with(Place::new(), io);
    wait_for(|| running.forwarder.stats().counters.rx == 3);
    let stats = running.client().result("stats", json!({}));
    let counters = &stats["counters"];
    assert_eq!((&counters["tx"], &counters["originated"], &counters["held"]), (&json!(1), &json!(0), &json!(0)));
    assert_eq!(counters["drops"]["no_kernel_path"], 1);
    assert_eq!(counters["drops"]["malformed"], 1);
    assert_eq!((&stats["workers"][0]["worker"], &stats["workers"][0]["counters"]), (&json!(0), counters));
}

#[test]
fn bad_clients_harm_nobody() {
    let running = Running::new();
    let socket = running.place.socket();
    let mut stalled = UnixStream::connect(&socket).unwrap();
    stalled.write_all(b"{\"jsonrpc\":").unwrap();
    for half in [&b"{"[..], b"", b"{\"jsonrpc\":\"2.0\",\"method\":\"reload\",\"params\":{\"pa"] {
        UnixStream::connect(&socket).unwrap().write_all(half).unwrap();
    }
    // Hangs up on its answers.
    for _ in 0..50 {
        let mut rude = UnixStream::connect(&socket).unwrap();
        let _ = rude.write_all(&b"{\"jsonrpc\":\"2.0\",\"method\":\"status\",\"id\":1}\n".repeat(100));
    }
    let mut garbage = Client::new(&socket);
    garbage.send(b"\x00\xff\xfe garbage\n\n  \r\n[[[[\n{}\nnull\n");
    let codes: Vec<_> = (0..4).map(|_| garbage.receive().unwrap()["error"]["code"].clone()).collect();
    assert_eq!(codes, [-32700, -32700, -32600, -32600]);
    assert_eq!(garbage.result("status", json!({}))["generation"], 42);
    let mut notifying = Client::new(&socket);
    notifying.send(b"{\"jsonrpc\":\"2.0\",\"method\":\"status\"}\n");
    assert_eq!(notifying.result("status", json!({}))["state"], "forwarding");
    assert_eq!(running.generation(), 42);
}

#[test]
fn a_hundred_connections_are_served_at_once() {
    let running = Running::new();
    let mut clients: Vec<_> = (0..100).map(|_| running.client()).collect();
    for client in clients.iter_mut().rev() {
        assert_eq!(client.result("status", json!({}))["generation"], 42);
    }
}

#[test]
fn idle_connections_keep_nobody_out() {
    let running = Running::new();
    let mut idle: Vec<_> = (0..300).map(|_| UnixStream::connect(running.place.socket()).unwrap()).collect();
    // They are let in one after the other: who is served now has come after all of them.
    assert_eq!(running.client().result("status", json!({}))["generation"], 42);
    for stream in &idle[..300 - 255] {
        assert_eq!((&*stream).read(&mut [0]).unwrap(), 0, "the longest idle have lost their places");
    }
    let mut last = idle.pop().unwrap();
    last.write_all(b"{\"jsonrpc\":\"2.0\",\"method\":\"status\",\"id\":1}\n").unwrap();
    assert_ne!(last.read(&mut [0]).unwrap(), 0, "the others keep theirs");
}

#[test]
fn too_many_connections_are_sent_away_and_places_come_back() {
    let worker = Stuck::new();
    let running = worker.run();
    let path = running.place.write("next.json", &table(None, true));
    let reload = json!({"jsonrpc": "2.0", "method": "reload", "params": {"path": path}, "id": 1}).to_string() + "\n";
    // Whoever has asked for a reload keeps its place: they become more until none is left.
    let mut peers: Vec<UnixStream> = Vec::new();
    let refused = 'refused: loop {
        let mut peer = UnixStream::connect(running.place.socket()).unwrap();
        peer.set_nonblocking(true).unwrap();
        // The refusal may come before anything is sent.
        let _ = peer.write_all(reload.as_bytes());
        peers.push(peer);
        thread::sleep(Duration::from_millis(1));
        for peer in &mut peers {
            let mut answer = [0; 1024];
            if let Ok(length @ 1..) = peer.read(&mut answer) {
                let answer: Value = serde_json::from_slice(&answer[..length]).unwrap();
                if answer["error"]["code"] == -32005 {
                    break 'refused answer;
                }
            }
        }
        assert!(peers.len() < 10_000, "there is no bound");
    };
    assert!(refused["error"]["message"].as_str().unwrap().contains("try again later"), "{refused}");
    assert!(peers.len() > 256, "{}", peers.len());
    worker.stuck.store(false, Ordering::Relaxed);
    drop(peers);
    wait_for(|| {
        let mut client = running.client();
        client.send(b"{\"jsonrpc\":\"2.0\",\"method\":\"status\",\"id\":1}\n");
        client.receive().is_some_and(|answer| answer.get("result").is_some())
    });
}
