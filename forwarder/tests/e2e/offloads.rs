// SPDX-License-Identifier: MIT OR Apache-2.0
//! Devices that do by themselves what they can of what they send: on the wire it is what software makes.

use std::collections::BTreeSet;
use std::fs::File;
use std::process::Stdio;
use std::thread;
use std::time::{Duration, Instant};

use forwarder::io::pcap::Reader;
use pcap::{Active, Capture};
use serde_json::{Value, json};

use crate::devices::{frame, rig, settle};
use crate::network::{CABLE, Network};
use crate::rig::{Rig, sluice};

const VLAN: [u8; 4] = [0x81, 0, 0, 100];
const NEXT_HOP: [u8; 6] = [2, 0, 0, 0, 0, 2];
/// Where the test sees what leaves.
const OUT: &str = "out1";
/// A driver that puts tags in, on a cable.
const TAGS: &str = "net_af_packet1,iface=out0";
/// A driver that fills checksums in.
const CHECKSUMS: &str = "net_tap0,iface=out1";
/// A driver that does neither, on that cable.
const NEITHER: &str = "net_pcap0,rx_iface_in=out0,tx_iface=out0";
/// The frames of [`frames`], and the second piece of one of them.
const SENT: usize = 23;

/// Plain packets, one behind a tag, and one that is cut.
fn frames() -> Vec<Vec<u8>> {
    let packet = |id: u16, len| {
        let payload = [&[0, 53, 8, id as u8, 0, 24, 0, 0][..], &vec![id as u8; len]].concat();
        frame(1 + id as u8 % 2, id, 0, false, &payload)
    };
    let mut frames: Vec<_> = (0..20).map(|id| packet(id, 16 + usize::from(id))).collect();
    let mut tagged = packet(20, 16);
    tagged.splice(12..12, [0x81, 0, 0, 7]);
    frames.extend([tagged, packet(21, 900)]);
    frames
}

/// What one forwarder did.
struct Run {
    /// What left, in order.
    wire: Vec<Vec<u8>>,
    /// What `sluice capture` says that left.
    captured: BTreeSet<Vec<u8>>,
    /// What `sluice status` says of both devices.
    offloads: Value,
    tx_bytes: u64,
    log: String,
}

/// Lets [`frames`] pass to the device `vdev`, which is configured with `more`; none if this process may not.
fn run(vdev: &str, more: &str) -> Option<Run> {
    let network = Network::new(1500)?;
    network.boxed.ip(&["link", "add", "out0", "type", "veth", "peer", "name", "out2"]);
    if vdev != CHECKSUMS {
        network.boxed.ip(&["link", "set", "out2", "name", OUT]);
        network.boxed.ip(&["link", "set", "out0", "up"]);
        network.boxed.ip(&["link", "set", OUT, "up"]);
    }
    let devices = format!(
        "[[device]]\nname = \"wan0\"\nvdev = \"net_af_packet0,iface={CABLE}\"\n\
         [[device]]\nname = \"lan0\"\nvdev = \"{vdev}\"\nmac = \"02:00:00:00:00:01\"\nmtu = 600\n\
         next_hop_mac = \"02:00:00:00:00:02\"\nvlan = 100\n{more}\n"
    );
    let rig = rig("LHR", "10.0.0.1", &devices, &[core_affinity::get_core_ids().unwrap()[0].id]);
    let daemon = rig.start_by(network.boxed.command(env!("CARGO_BIN_EXE_sluiced")));
    let mut out = network.boxed.inside(|| open(OUT));
    let mut into = network.peer.inside(|| open(CABLE));

    frames().iter().for_each(|frame| into.sendpacket(&frame[..]).unwrap());
    let mut wire = Vec::new();
    until(|| {
        read(&mut out, &mut wire);
        wire.len() >= SENT
    });
    let tx_bytes = settle(&daemon, frames().len() as u64)["tx_bytes"].as_u64().unwrap();
    let captured = captured(&rig, &mut into);
    let devices = daemon.ask(&["status"])["devices"].clone();
    daemon.stop();
    let offloads = json!([devices[0]["offloads"], devices[1]["offloads"]]);
    Some(Run { wire, captured, offloads, tx_bytes, log: rig.log() })
}

/// What `sluice capture` sees leave while [`frames`] come again and again.
fn captured(rig: &Rig, into: &mut Capture<Active>) -> BTreeSet<Vec<u8>> {
    let file = rig.path("left.pcapng");
    let mut command = sluice(&["capture", "--out", file.to_str().unwrap(), "--snap-length", "1600", "--count", "100"]);
    let mut capture = command.arg("--socket").arg(rig.path("control.sock")).stdout(Stdio::null()).spawn().unwrap();
    until(|| {
        frames().iter().for_each(|frame| into.sendpacket(&frame[..]).unwrap());
        thread::sleep(Duration::from_millis(20));
        capture.try_wait().unwrap().is_some()
    });
    let mut reader = Reader::new(File::open(&file).unwrap()).unwrap();
    let (mut frame, mut left) = (Vec::new(), BTreeSet::new());
    while reader.next(&mut frame).unwrap().is_some() {
        if frame.starts_with(&NEXT_HOP) {
            left.insert(frame.clone());
        }
        frame.clear();
    }
    left
}

fn open(interface: &str) -> Capture<Active> {
    let capture = Capture::from_device(interface).unwrap().promisc(true).immediate_mode(true).timeout(10);
    capture.open().unwrap().setnonblock().unwrap()
}

/// What has come and was sent by the forwarder; the kernel may have something to say there, too.
fn read(from: &mut Capture<Active>, frames: &mut Vec<Vec<u8>>) {
    while let Ok(packet) = from.next_packet() {
        if packet.data.starts_with(&NEXT_HOP) {
            frames.push(packet.data.to_vec());
        }
    }
}

fn until(mut done: impl FnMut() -> bool) {
    let start = Instant::now();
    while !done() {
        assert!(start.elapsed() < Duration::from_secs(60), "nothing happened");
        thread::sleep(Duration::from_millis(5));
    }
}

/// Frames in GUE that are as they have to be: tagged, with a right checksum.
fn check(run: &Run) {
    for frame in &run.wire {
        assert_eq!((&frame[..6], &frame[12..18]), (&NEXT_HOP[..], &[&VLAN[..], &[8, 0]].concat()[..]));
        let sum: u32 = frame[18..38].chunks(2).map(|pair| u32::from(u16::from_be_bytes([pair[0], pair[1]]))).sum();
        assert_eq!((sum & 0xffff) + (sum >> 16), 0xffff, "{frame:02x?}");
        assert_eq!(frame.len(), 18 + usize::from(u16::from_be_bytes([frame[20], frame[21]])));
    }
    assert_eq!((run.wire.len(), run.captured.len()), (SENT, SENT));
    assert!(run.captured == run.wire.iter().cloned().collect(), "a capture shows something else than what leaves");
    assert_eq!(run.tx_bytes, run.wire.iter().map(|frame| frame.len() as u64).sum::<u64>(), "bytes that are counted");
}

/// The device does `does`, and what leaves is what leaves when it is asked for nothing.
fn same_by(vdev: &str, does: &Value) {
    let Some(auto) = run(vdev, "") else { return };
    check(&auto);
    assert_eq!(auto.offloads, json!([[], does]));
    let names: Vec<_> = does.as_array().unwrap().iter().map(Value::to_string).collect();
    assert!(auto.log.contains(&format!("offloads=[{}]", names.join(", "))), "{}", auto.log);
    let off = run(vdev, "offload = \"off\"").unwrap();
    assert_eq!(off.offloads, json!([[], []]));
    check(&off);
    assert!(auto.wire == off.wire, "frames differ");
}

#[test]
fn a_device_that_puts_tags_in_sends_what_software_would() {
    same_by(TAGS, &json!(["vlan"]));
}

#[test]
fn a_device_that_fills_checksums_in_sends_what_software_would() {
    same_by(CHECKSUMS, &json!(["ipv4_checksum"]));
}

/// Asked for what it can't do, it would refuse to be configured.
#[test]
fn a_device_that_can_neither_is_not_asked() {
    same_by(NEITHER, &json!([]));
}
