// SPDX-License-Identifier: MIT OR Apache-2.0
//! The kernel beside the forwarder: both in a network namespace, on a virtual cable to a neighbour in another.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::network::{CABLE, Namespace, Network, PEER_MAC};
use crate::rig::{Daemon, Rig};

const SLUICED: &str = env!("CARGO_BIN_EXE_sluiced");
const TAP: &str = "wan0-k";
const MAC: &str = "02:00:00:00:00:01";
const BOX4: &str = "192.0.2.1";
const PEER4: &str = "192.0.2.2";
const BOX6: &str = "2001:db8:1::1";
const PEER6: &str = "2001:db8:1::2";
/// In the table, and not the box's.
const EGRESS: &str = "198.51.100.1";
const BGP: u16 = 179;

fn rig(vdev: &str, mtu: u16, more: &str) -> Rig {
    let table = json!({
        "version": 1, "generation": 5, "datacenters": {"LHR": {"forwarders": ["10.0.0.1", "2001:db8:a::1"]}},
        "servers": {"a": {"datacenter": "LHR", "address": "10.0.1.1"}},
        "egress": [{"prefix": "198.51.100.1/32", "datacenter": "LHR", "server": "a"}]
    });
    let rig = Rig::new(&table, vdev);
    rig.edit_config("mtu = 1600", &format!("mtu = {mtu}\nkernel = \"{TAP}\""));
    rig.edit_config("[workers]", &format!("{more}\n[workers]"));
    rig
}

/// Starts the daemon in the box, and gives both ends their addresses.
fn start<'a>(rig: &'a Rig, network: &Network) -> Daemon<'a> {
    let daemon = rig.start_by(network.boxed.command(SLUICED));
    for (side, interface, v4, v6) in [(&network.boxed, TAP, BOX4, BOX6), (&network.peer, CABLE, PEER4, PEER6)] {
        side.ip(&["address", "add", &format!("{v4}/24"), "dev", interface]);
        side.ip(&["address", "add", &format!("{v6}/64"), "dev", interface, "nodad"]);
    }
    network.peer.ip(&["route", "add", EGRESS, "via", BOX4]);
    daemon
}

/// The counters, each packet of which is accounted for.
fn stats(daemon: &Daemon<'_>) -> Value {
    let stats = daemon.ask(&["stats"]);
    assert_eq!(stats["conservation"]["ok"], true, "{stats}");
    stats
}

/// Five answers. A virtual device on a busy machine may lose some.
fn ping(from: &Namespace, to: &str, bytes: usize) {
    from.run("ping", &["-c", "5", "-i", "0.05", "-w", "30", "-M", "do", "-s", &bytes.to_string(), to]);
}

/// Who has that address, as the kernel of `side` knows by now.
fn neighbour(side: &Namespace, interface: &str, address: &str) -> String {
    let known: Value = serde_json::from_str(&side.ip(&["--json", "neigh", "show", address, "dev", interface])).unwrap();
    known[0]["lladdr"].as_str().unwrap_or_default().to_owned()
}

/// Does something in `side` again and again, as long as it lives.
struct Endless {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<u64>>,
}

impl Endless {
    fn new<T>(
        side: &Namespace,
        begin: impl FnOnce() -> T + Send + 'static,
        work: impl Fn(&mut T) + Send + 'static,
    ) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let until = Arc::clone(&stop);
        let thread = side.spawn(move || {
            let (mut with, mut times) = (begin(), 0);
            while !until.load(Ordering::Relaxed) {
                work(&mut with);
                times += 1;
            }
            times
        });
        Self { stop, thread: Some(thread) }
    }

    /// Ends it; how often it was done.
    fn end(mut self) -> u64 {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.take().unwrap().join().unwrap()
    }
}

impl Drop for Endless {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

/// Packets that the box forwards.
fn forwarded(peer: &Namespace) -> Endless {
    let begin = || UdpSocket::bind((PEER4, 0)).unwrap();
    Endless::new(peer, begin, |socket| {
        // What the cable does not take is as good as sent.
        let _ = socket.send_to(&[0; 100], (EGRESS, 5000));
        thread::sleep(Duration::from_micros(500));
    })
}

/// A server in the box that gives back what it gets, on one connection.
fn echo(boxed: &Namespace, address: SocketAddr) -> JoinHandle<()> {
    let listener = boxed.inside(move || TcpListener::bind(address).unwrap());
    thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut writer = stream.try_clone().unwrap();
        std::io::copy(&mut stream, &mut writer).unwrap();
    })
}

/// Sends `bytes` there and back.
fn transfer(network: &Network, address: &str, bytes: usize) {
    let address = SocketAddr::new(address.parse().unwrap(), 5001);
    let server = echo(&network.boxed, address);
    network.peer.inside(move || {
        let sent: Vec<u8> = (0..bytes).map(|n| (n * n / 7) as u8).collect();
        let mut stream = TcpStream::connect(address).unwrap();
        let (mut writer, to_send) = (stream.try_clone().unwrap(), sent.clone());
        let sender = thread::spawn(move || {
            writer.write_all(&to_send).unwrap();
            writer.shutdown(std::net::Shutdown::Write).unwrap();
        });
        let mut back = Vec::new();
        stream.read_to_end(&mut back).unwrap();
        sender.join().unwrap();
        assert!(back == sent, "{} bytes of {bytes} came back, or others", back.len());
    });
    server.join().unwrap();
}

#[test]
fn the_box_is_found_pinged_and_talked_to_while_it_forwards() {
    let Some(network) = Network::new(1500) else { return };
    let rig = rig(&format!("net_af_packet0,iface={CABLE}"), 1496, "");
    let daemon = start(&rig, &network);
    let traffic = forwarded(&network.peer);
    let before = daemon.wait_for(|counters| counters["tx"].as_u64().unwrap(), 10);
    for (from, to) in [(&network.peer, BOX4), (&network.peer, BOX6), (&network.boxed, PEER4), (&network.boxed, PEER6)] {
        ping(from, to, 56);
        ping(from, to, 1400);
    }
    for (address4, address6, side, interface, mac) in
        [(BOX4, BOX6, &network.peer, CABLE, MAC), (PEER4, PEER6, &network.boxed, TAP, PEER_MAC)]
    {
        assert_eq!(neighbour(side, interface, address4), mac);
        assert_eq!(neighbour(side, interface, address6), mac);
    }
    transfer(&network, BOX4, 2_000_000);
    transfer(&network, BOX6, 200_000);
    daemon.wait_for(|counters| counters["tx"].as_u64().unwrap(), before["tx"].as_u64().unwrap() + 500);
    assert!(traffic.end() > 500);

    let stats = stats(&daemon);
    let (counters, side) = (&stats["counters"], &stats["kernel"][0]);
    assert_eq!((&side["device"], &side["interface"]), (&json!("wan0"), &json!(TAP)));
    assert_eq!((&counters["drops"]["no_kernel_path"], &counters["drops"]["kernel_policed"]), (&json!(0), &json!(0)));
    let sum = |way: &str, fate: &str| -> u64 {
        side[way].as_object().unwrap().values().map(|class| class[fate].as_u64().unwrap()).sum()
    };
    assert_eq!(sum("to", "passed"), counters["exception"].as_u64().unwrap());
    assert!(counters["kernel_tx"].as_u64().unwrap() >= 2_200_000 / 1496, "{counters}");
    assert!(side["to"]["neighbours"]["passed"].as_u64().unwrap() >= 2, "{side}");
    daemon.stop();
}

#[test]
fn frames_longer_than_1522_bytes_pass() {
    let Some(network) = Network::new(3000) else { return };
    // The one virtual device for a cable that takes them.
    let rig = rig(&format!("net_pcap0,rx_iface_in={CABLE},tx_iface={CABLE}"), 3000, "");
    let daemon = start(&rig, &network);
    assert_eq!(network.boxed.interface(TAP).unwrap()["mtu"], 3000);
    for (from, to4, to6) in [(&network.peer, BOX4, BOX6), (&network.boxed, PEER4, PEER6)] {
        ping(from, to4, 3000 - 28);
        ping(from, to6, 3000 - 48);
    }
    transfer(&network, BOX4, 500_000);
    let stats = stats(&daemon);
    assert!(stats["counters"]["rx_bytes"].as_u64().unwrap() > 500_000 + 10 * 3000);
    daemon.stop();
}

#[test]
fn a_flood_of_arp_leaves_bgp_and_what_is_forwarded_alone() {
    const BUDGET: u64 = 100;
    let Some(network) = Network::new(1500) else { return };
    let vdev = format!("net_af_packet0,iface={CABLE}");
    let rig = rig(&vdev, 1496, &format!("[kernel]\nto = {{ neighbours = {BUDGET} }}"));
    let daemon = start(&rig, &network);
    ping(&network.peer, BOX4, 56);
    // Known for good: the flood takes the place of any question.
    network.peer.ip(&["neigh", "replace", BOX4, "lladdr", MAC, "dev", CABLE]);
    network.boxed.ip(&["neigh", "replace", PEER4, "lladdr", PEER_MAC, "dev", TAP]);
    let address = SocketAddr::new(BOX4.parse().unwrap(), BGP);
    let session = echo(&network.boxed, address);
    let mut stream = network.peer.inside(move || TcpStream::connect(address).unwrap());
    stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();

    let began = Instant::now();
    let flood = Endless::new(
        &network.peer,
        || pcap::Capture::from_device(CABLE).unwrap().open().unwrap(),
        |capture| {
            // What the cable does not take is as good as sent. Without a pause it is the virtual device that drowns, which comes
            // before any budget.
            (0..64).for_each(|_| drop(capture.sendpacket(who_has_the_box())));
            thread::sleep(Duration::from_millis(2));
        },
    );
    let traffic = forwarded(&network.peer);
    let policed = |counters: &Value| counters["drops"]["kernel_policed"].as_u64().unwrap();
    let before = daemon.wait_for(policed, 10 * BUDGET);
    for n in 0..200_u8 {
        let mut keepalive = [n; 19];
        stream.write_all(&keepalive).unwrap();
        stream.read_exact(&mut keepalive).unwrap();
        assert_eq!(keepalive, [n; 19]);
    }
    daemon.wait_for(policed, policed(&before) + 10_000);
    daemon.wait_for(|counters| counters["tx"].as_u64().unwrap(), before["tx"].as_u64().unwrap() + 100);
    let stats = stats(&daemon);
    let took = began.elapsed().as_secs_f64();
    drop(stream);
    session.join().unwrap();
    assert!(traffic.end() > 0 && 64 * flood.end() > 10_000);

    let to = &stats["kernel"][0]["to"];
    assert_eq!((&to["routing"]["policed"], &to["routing"]["full"]), (&json!(0), &json!(0)), "{to}");
    assert!(to["routing"]["passed"].as_u64().unwrap() >= 200, "{to}");
    let passed = to["neighbours"]["passed"].as_u64().unwrap() as f64;
    assert!(passed <= BUDGET as f64 * (took + 2.0), "{passed} in {took} s");
    assert_eq!(to["neighbours"]["policed"], stats["counters"]["drops"]["kernel_policed"]);
    daemon.stop();
}

/// An ARP request of somebody who is not there.
fn who_has_the_box() -> Vec<u8> {
    let mut frame = vec![0xff; 6];
    frame.extend([2, 0, 0, 0, 0, 9, 8, 6, 0, 1, 8, 0, 6, 4, 0, 1, 2, 0, 0, 0, 0, 9, 192, 0, 2, 9]);
    frame.extend([0, 0, 0, 0, 0, 0, 192, 0, 2, 1]);
    frame
}

#[test]
fn an_interface_that_cannot_be_had_ends_the_start_in_one_line() {
    let Some(network) = Network::new(1500) else { return };
    let rig = rig("net_null0", 1500, "");
    rig.edit_config(TAP, CABLE);
    let mut sluiced: Command = network.boxed.command(SLUICED);
    let output = sluiced.arg("--config").arg(rig.path("config.toml")).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    let last = said.lines().last().unwrap();
    assert!(last.contains("cannot open the TAP interface cable") && last.contains("choose another name"), "{said}");
}
