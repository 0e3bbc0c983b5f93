// SPDX-License-Identifier: MIT OR Apache-2.0
//! A worker that stands still: who is told, and that it is told again when it goes on.

use std::io::Write;
use std::net::TcpListener;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use forwarder::control::config::Config;
use forwarder::control::daemon::{Backend, Daemon};
use forwarder::control::machine::Machine;
use forwarder::io::DeviceIndex;
use forwarder::io::memory::MemoryIo;
use forwarder::wire::MacAddr;
use serde_json::{Value, json};

use super::control_support::{Place, Running, core};
use super::manager::Service;
use super::stuck::Stuck;
use super::wait_for;

/// Keeps what is logged.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    fn has(&self, text: &str) -> bool {
        String::from_utf8_lossy(&self.0.lock().unwrap()).contains(text)
    }
}

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

fn is_stalled(running: &Running) -> bool {
    let health: Value = running.client().result("status", json!({}))["health"].clone();
    health["reasons"].as_array().unwrap().iter().any(|reason| reason["code"] == "worker_stalled")
}

/// The metric that counts how often the worker stalled.
fn stalls(address: &str) -> String {
    let mut stream = std::net::TcpStream::connect(address).unwrap();
    stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
    let text = std::io::read_to_string(stream).unwrap();
    text.lines().find(|line| line.starts_with("sluice_worker_stalls_total{")).unwrap().to_owned()
}

#[test]
fn a_stalled_worker_is_logged_counted_and_makes_the_health_bad() {
    let log = Log::default();
    let writer = log.clone();
    tracing_subscriber::fmt().with_ansi(false).with_writer(move || writer.clone()).init();
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let place = Place::new();
    place.configure(&format!("[metrics]\nlisten = \"{address}\""));
    let worker = Stuck::new();
    let running = worker.run_in(place);
    wait_for(|| log.has("worker does not poll; check what else runs on its core worker=0"));
    assert!(is_stalled(&running));
    assert_eq!(stalls(&address), "sluice_worker_stalls_total{worker=\"0\"} 1");
    worker.stuck.store(false, Ordering::Relaxed);
    wait_for(|| log.has("worker polls again worker=0"));
    wait_for(|| !is_stalled(&running));
    assert_eq!(stalls(&address), "sluice_worker_stalls_total{worker=\"0\"} 1");
}

/// A device on a memory node that no machine has.
struct Far(MemoryIo);

impl Backend for Far {
    type Io = MemoryIo;

    fn mac(&self, _: DeviceIndex) -> MacAddr {
        MacAddr([2, 0, 0, 0, 0, 1])
    }

    fn node(&self, _: DeviceIndex) -> Option<u32> {
        Some(4095)
    }

    fn queues(&mut self) -> Vec<MemoryIo> {
        vec![std::mem::replace(&mut self.0, MemoryIo::new(1))]
    }
}

#[test]
fn a_device_far_from_its_worker_is_a_warning() {
    let machine = Machine::new("/");
    if machine.node_of_cpu(core()).is_none() {
        return eprintln!("skipped: this kernel does not say which memory node a core is on");
    }
    let (log, place) = (Log::default(), Place::new());
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt().with_ansi(false).with_writer(move || writer.clone()).finish();
    let daemon = tracing::subscriber::with_default(subscriber, || {
        Daemon::start(place.config(), |_: &Config| Ok::<_, String>(Far(MemoryIo::new(1)))).unwrap()
    });
    let expected =
        format!("every packet takes longer; see sluice doctor device=\"wan0\" node=4095 cores=\"{}\"", core());
    assert!(log.has(&expected), "{}", String::from_utf8_lossy(&log.0.lock().unwrap()));
    daemon.stopper().stop("the test is over");
    daemon.wait().unwrap();
}

const TEST: &str = "watchdog::systemd_hears_of_it_while_all_workers_poll";

/// A daemon whose worker polls, stands still, and polls again.
fn daemon() {
    let (worker, place) = (Stuck::new(), Place::new());
    place.configure("[readiness]\nlinger = 1");
    let mut running = worker.run_in(place);
    worker.stuck.store(false, Ordering::Relaxed);
    std::thread::sleep(Duration::from_secs(1));
    worker.stuck.store(true, Ordering::Relaxed);
    wait_for(|| is_stalled(&running));
    std::thread::sleep(Duration::from_secs(2));
    worker.stuck.store(false, Ordering::Relaxed);
    std::thread::sleep(Duration::from_secs(1));
    running.stop().unwrap();
}

#[test]
fn systemd_hears_of_it_while_all_workers_poll() {
    if Service::is_this() {
        return daemon();
    }
    let service = Service::start(TEST, &[("WATCHDOG_USEC", "200000")]);
    let mut told = Vec::new();
    while told.last().is_none_or(|last: &String| !last.contains("STOPPING=1")) {
        told.push(service.hear());
    }
    assert_eq!(service.hear(), "WATCHDOG=1", "it forwards on, and that it stops was said before");
    service.ends_well();
    assert_eq!(told[0], "READY=1\nSTATUS=forwarding");
    let at = |text: &str| told.iter().position(|message| message == text).unwrap_or_else(|| panic!("{told:?}"));
    let (stalled, again) = (at("STATUS=a worker does not poll"), at("STATUS=forwarding"));
    let pings = |part: &[String]| part.iter().filter(|message| *message == "WATCHDOG=1").count();
    assert!(pings(&told[..stalled]) > 0 && pings(&told[again..]) > 0, "{told:?}");
    assert_eq!(again, stalled + 1, "nothing is well between: {told:?}");
}
