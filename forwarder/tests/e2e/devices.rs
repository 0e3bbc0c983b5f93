// SPDX-License-Identifier: MIT OR Apache-2.0
//! Several devices, several queues, several workers: every packet is accounted for, and arrives once, unchanged.

use std::fs;
use std::process::Command;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use crate::capture;
use crate::rig::{Daemon, Rig};

/// Frames in each queue's capture.
pub(crate) const FRAMES: u16 = 8_000;
/// Every so many is a fragment.
const FRAGMENTED: u16 = 16;
/// Link, IPv4, UDP and GUE header in front of a forwarded packet.
const OUTER: usize = 14 + 20 + 8 + 4;

/// Two data centres with a forwarder and a server each; the addresses of the second one are one server's, but for one that is shared.
fn table() -> Value {
    json!({
        "version": 1, "generation": 1,
        "datacenters": {"LHR": {"forwarders": ["10.0.0.1"]}, "CDG": {"forwarders": ["10.1.0.1"]}},
        "servers": {
            "lhr-1": {"datacenter": "LHR", "address": "10.0.1.1"},
            "cdg-1": {"datacenter": "CDG", "address": "10.1.1.1"}
        },
        "egress": [
            {"prefix": "198.51.100.1/32", "datacenter": "LHR", "slices": {"ports": 65536, "owners": ["lhr-1"]}},
            {"prefix": "198.51.100.2/32", "datacenter": "CDG", "server": "cdg-1"}
        ]
    })
}

/// A forwarder with these devices and a worker on each of `cores`.
pub(crate) fn rig(datacenter: &str, address: &str, devices: &str, cores: &[usize]) -> Rig {
    let rig = Rig::new(&table(), "net_null0");
    let devices = devices.replace("{}", &rig.path("").display().to_string());
    let config = format!(
        "datacenter = \"{datacenter}\"\ntable = \"table.json\"\n[underlay]\nipv4 = \"{address}\"\n{devices}\n\
         [workers]\ncores = {cores:?}\nidle = \"sleep\"\n[state]\ngenerations = 0\n\
         [eal]\nargs = [\"--no-huge\", \"-m\", \"256\", \"--no-pci\"]\n[control]\nsocket = \"control.sock\"\n"
    );
    fs::write(rig.path("config.toml"), config).unwrap();
    rig
}

/// Two cores, if this process may use as many.
pub(crate) fn two_cores() -> Option<[usize; 2]> {
    let cores = core_affinity::get_core_ids().unwrap();
    let [first, second, ..] = &cores[..] else {
        eprintln!("skipped: two workers need two cores, and this process may use {}", cores.len());
        return None;
    };
    Some([first.id, second.id])
}

/// An IPv4 packet of UDP, or a piece of one, in a frame: `offset` in bytes.
pub(crate) fn frame(destination: u8, id: u16, offset: u16, more: bool, payload: &[u8]) -> Vec<u8> {
    let mut header = [0x45, 0, 0, 0, 0, 0, 0, 0, 64, 17, 0, 0, 203, 0, 113, 7, 198, 51, 100, destination];
    header[2..4].copy_from_slice(&(20 + payload.len() as u16).to_be_bytes());
    header[4..6].copy_from_slice(&id.to_be_bytes());
    header[6..8].copy_from_slice(&((offset / 8) | (u16::from(more) << 13)).to_be_bytes());
    let sum: u32 = header.chunks(2).map(|pair| u32::from(u16::from_be_bytes([pair[0], pair[1]]))).sum();
    let sum = (sum & 0xffff) + (sum >> 16);
    header[10..12].copy_from_slice(&(!((sum & 0xffff) + (sum >> 16)) as u16).to_be_bytes());
    [&[2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 9, 8, 0][..], &header, payload].concat()
}

/// What comes to a queue: packets to many ports, and now and then a piece of a datagram whose other piece is in the other queue.
fn frames(queue: u16, destination: u8) -> Vec<Vec<u8>> {
    let whole =
        |id: u16| [&[0, 53][..], &(1024 + id % 4096).to_be_bytes(), &[0, 24, 0, 0], &[queue as u8; 16]].concat();
    let numbers = 0..FRAMES;
    let frame = |id: u16| match (id % FRAGMENTED, id / FRAGMENTED % 2 == queue) {
        // Each queue has the first piece of every second datagram.
        (0, true) => frame(destination, id, 0, true, &whole(id)),
        (0, false) => frame(destination, id, 24, false, &[0xfe; 40]),
        _ => frame(destination, id | queue << 15, 0, false, &whole(id)),
    };
    numbers.map(frame).collect()
}

/// Waits until so many frames were received and none is held any more. Every packet is accounted for whenever it looks.
pub(crate) fn settle(daemon: &Daemon<'_>, rx: u64) -> Value {
    loop {
        let counters = daemon.wait_for(|counters| counters["rx"].as_u64().unwrap(), rx);
        assert_eq!(daemon.ask(&["stats"])["conservation"]["imbalance"], 0);
        if counters["held"] == 0 {
            return counters;
        }
    }
}

/// The packets inside the frames of these captures, sorted.
fn inside(rig: &Rig, files: &[&str]) -> Vec<Vec<u8>> {
    let frames = files.iter().flat_map(|file| capture::read(&rig.path(file)));
    let mut packets: Vec<_> = frames.map(|frame| frame[OUTER..].to_vec()).collect();
    packets.sort_unstable();
    packets
}

/// Writes what comes to both queues; the packets in it, sorted.
pub(crate) fn write_queues(rig: &Rig, destination: u8) -> Vec<Vec<u8>> {
    let mut packets = Vec::new();
    for queue in 0..2 {
        let frames = frames(queue, destination);
        packets.extend(frames.iter().map(|frame| frame[14..].to_vec()));
        capture::write(&rig.path(&format!("in{queue}.pcap")), frames.into_iter());
    }
    packets.sort_unstable();
    packets
}

const SOURCE: &str = "[[device]]\nname = \"wan0\"\nvdev = \"net_pcap0,rx_pcap={}/in0.pcap,rx_pcap={}/in1.pcap\"\n";
const SINK: &str = "[[device]]\nname = \"lan0\"\nvdev = \"net_pcap1,tx_pcap={}/out0.pcap,tx_pcap={}/out1.pcap\"\n\
                    mtu = 1600\nnext_hop_mac = \"02:00:00:00:00:02\"\n";

#[test]
fn two_workers_forward_from_one_device_to_the_other() {
    let Some(cores) = two_cores() else { return };
    let rig = rig("LHR", "10.0.0.1", &format!("{SOURCE}{SINK}"), &cores);
    let sent = write_queues(&rig, 1);
    let daemon = rig.start();
    let counters = settle(&daemon, 2 * u64::from(FRAMES));
    assert_eq!((&counters["rx"], &counters["tx"]), (&json!(2 * FRAMES), &json!(2 * FRAMES)), "{counters}");
    let top = daemon.ask(&["top"]);
    let [wan, lan] = [0, 1].map(|device| top["devices"][device]["queues"].clone());
    for queue in 0..2 {
        assert_eq!((&wan[queue]["rx_packets"], &wan[queue]["tx_packets"]), (&json!(FRAMES), &json!(0)), "{top}");
        assert!(lan[queue]["tx_packets"].as_u64().unwrap() > u64::from(FRAMES) / 2, "both transmit: {top}");
    }
    daemon.stop();
    assert!(inside(&rig, &["out0.pcap", "out1.pcap"]) == sent, "packets differ");
}

/// Four workers on two cores, in two daemons with two queues of shared memory between them: the first one sends to the other
/// data centre, the second one opens it and sends it to its server. What one's device took, the other has received.
#[test]
fn two_daemons_of_two_workers_each_share_two_cores() {
    let Some(cores) = two_cores() else { return };
    let memif = |role: &str, folder: &str| {
        format!("vdev = \"net_memif0,role={role},socket={folder}/memif.sock,socket-abstract=no\"\n")
    };
    let near = format!("[[device]]\nname = \"peer\"\n{}{SINK}", memif("server", "{}"));
    let receiver = rig("CDG", "10.1.0.1", &near, &cores);
    let receiving = receiver.start();

    let folder = receiver.path("").display().to_string();
    let far = memif("client", &folder);
    let far =
        format!("[[device]]\nname = \"peer\"\nlink_wait = 30\nnext_hop_mac = \"02:00:00:00:00:02\"\nmtu = 1600\n{far}");
    let sender = rig("LHR", "10.0.0.1", &format!("{SOURCE}{far}"), &cores);
    write_queues(&sender, 2);
    let sending = sender.start();
    let counters = settle(&sending, 2 * u64::from(FRAMES));
    let (tx, full) = (counters["tx"].as_u64().unwrap(), counters["drops"]["tx_full"].as_u64().unwrap_or(0));
    assert_eq!(tx + full, 2 * u64::from(FRAMES), "{counters}");
    assert!(tx >= 1024, "less than one ring full: {counters}");
    let counters = settle(&receiving, tx);
    assert_eq!((&counters["rx"], &counters["tx"]), (&json!(tx), &json!(tx)), "{counters}");
    // The server first: in 22.11 it does not survive a client that leaves.
    receiving.stop();
    sending.stop();
    let packets = inside(&receiver, &["out0.pcap", "out1.pcap"]);
    assert_eq!(packets.len() as u64, tx);
    assert!(packets.iter().all(|packet| packet[12..20] == [203, 0, 113, 7, 198, 51, 100, 2]), "packets differ");
}

/// The daemon's last words when it can't start.
fn last_words(rig: &Rig) -> String {
    let output = rig.fail_to_start();
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    String::from_utf8(output.stderr).unwrap().lines().last().unwrap().to_owned()
}

#[test]
fn a_device_with_too_few_queues_or_no_link_ends_the_start() {
    let first = core_affinity::get_core_ids().unwrap()[0].id;
    let memif = "[[device]]\nname = \"wan0\"\nvdev = \"net_memif0,role=server,socket={}/m,socket-abstract=no\"\nlink_wait = 1\n";
    let waits = rig("LHR", "10.0.0.1", memif, &[first]);
    let expected = format!(
        "sluiced: device \"wan0\" (net_memif0,role=server,socket={}/m,socket-abstract=no) has no link after 1 s: check its cable and its \
         peer, or set link_wait = 0 to start without one",
        waits.path("").display()
    );
    assert_eq!(last_words(&waits), expected);

    let Some(cores) = two_cores() else { return };
    let one = "[[device]]\nname = \"wan0\"\nvdev = \"net_pcap0,rx_pcap={}/in0.pcap\"\n";
    let short = rig("LHR", "10.0.0.1", one, &cores);
    write_queues(&short, 1);
    let expected = format!(
        "sluiced: device \"wan0\" (net_pcap0,rx_pcap={}/in0.pcap) has 1 receive queue(s) for 2 worker(s), which need one \
         each: take fewer workers.cores, or give the device more queues",
        short.path("").display()
    );
    assert_eq!(last_words(&short), expected);
}

/// Whoever stops a daemon that waits for a link need not wait for it.
#[test]
fn a_start_that_waits_for_a_link_can_be_stopped() {
    let first = core_affinity::get_core_ids().unwrap()[0].id;
    let memif = "[[device]]\nname = \"wan0\"\nvdev = \"net_memif0,role=server,socket={}/m,socket-abstract=no\"\nlink_wait = 3600\n";
    let rig = rig("LHR", "10.0.0.1", memif, &[first]);
    let log = fs::File::create(rig.path("log")).unwrap();
    let mut daemon = Command::new(env!("CARGO_BIN_EXE_sluiced"))
        .args(["--config".as_ref(), rig.path("config.toml").as_os_str()])
        .stderr(log)
        .spawn()
        .unwrap();
    let give_up = Instant::now() + Duration::from_secs(60);
    while !rig.log().contains("mac=") {
        assert!(Instant::now() < give_up && daemon.try_wait().unwrap().is_none(), "{}", rig.log());
        std::thread::sleep(Duration::from_millis(20));
    }
    assert!(!rig.log().contains("forwarding"), "{}", rig.log());
    kill_process(Pid::from_child(&daemon), Signal::TERM).unwrap();
    while daemon.try_wait().unwrap().is_none() {
        if Instant::now() >= give_up {
            daemon.kill().unwrap();
            panic!("it waits on: {}", rig.log());
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    assert!(daemon.wait().unwrap().success() && !rig.path("control.sock").exists(), "{}", rig.log());
}
