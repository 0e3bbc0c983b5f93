// SPDX-License-Identifier: MIT OR Apache-2.0
//! Looking at packets on real devices while they pass: a capture, and a shadow.

use std::fs::File;

use forwarder::io::pcap::Reader;
use serde_json::{Value, json};

use crate::capture;
use crate::rig::Rig;

const PACKETS: usize = 200;

fn table(generation: u64, owner: &str) -> Value {
    json!({
        "version": 1, "generation": generation,
        "datacenters": {"LHR": {"forwarders": ["10.0.0.1"]}},
        "servers": {
            "old": {"datacenter": "LHR", "address": "10.0.1.1"},
            "new": {"datacenter": "LHR", "address": "10.0.1.2"}
        },
        "egress": [{"prefix": "198.51.100.1/32", "datacenter": "LHR", "slices": {"ports": 2048, "owners": [null, owner]}}]
    })
}

/// A UDP packet to `port` of 198.51.100.1, by hand.
fn frame(port: u16) -> Vec<u8> {
    let mut frame = b"\x02\0\0\0\0\x01\x02\0\0\0\0\x09\x08\0\x45\0\0\x1c\0\0\x40\0\x40\x11\xd4\x94\xcb\0\x71\x07\xc6\x33\x64\x01\0\x35".to_vec();
    frame.extend(port.to_be_bytes());
    frame.extend([0, 8, 0, 0]);
    frame
}

/// A daemon whose device brings the same two packets for ever: one that has an owner, and one that has none.
fn rig() -> Rig {
    let rig = Rig::new(&table(5, "old"), "net_pcap0,rx_pcap={}/in.pcap,infinite_rx=1");
    capture::write(&rig.path("in.pcap"), [frame(3_000), frame(100)].into_iter());
    rig
}

#[test]
fn a_capture_has_packets_as_they_come_and_as_they_leave() {
    let rig = rig();
    let daemon = rig.start();
    let file = rig.path("seen.pcapng");
    let done =
        daemon.ask(&["capture", "--out", file.to_str().unwrap(), "--count", &PACKETS.to_string(), "--sample", "1/7"]);
    assert_eq!(done["packets"], PACKETS);
    let mut reader = Reader::new(File::open(&file).unwrap()).unwrap();
    let (mut frame_bytes, mut came, mut left) = (Vec::new(), [0, 0], 0);
    while reader.next(&mut frame_bytes).unwrap().is_some() {
        if frame_bytes == frame(3_000) {
            came[0] += 1;
        } else if frame_bytes == frame(100) {
            came[1] += 1;
        } else {
            // Ethernet, IPv4, UDP, GUE; to lhr-1's address, with the packet inside.
            assert_eq!((&frame_bytes[30..34], &frame_bytes[46..]), (&[10, 0, 1, 1][..], &frame(3_000)[14..]));
            left += 1;
        }
        frame_bytes.clear();
    }
    assert_eq!((came[0] + came[1], left), (PACKETS, came[0]));
    assert!(came[0] > 0 && came[1] > 0, "{came:?}");
    daemon.stop();
}

#[test]
fn a_shadow_looks_at_packets_of_a_real_device_and_is_published() {
    let rig = rig();
    let daemon = rig.start();
    let next = rig.path("next.json");
    std::fs::write(&next, table(6, "new").to_string()).unwrap();
    daemon.ask(&["shadow", next.to_str().unwrap(), "--sample", "1/3"]);
    let seen = loop {
        let seen = daemon.ask(&["shadow"])["shadow"].clone();
        // Pairs come somewhat later than counts.
        if seen["packets"].as_u64().unwrap() > 1_000 && seen["pairs"][0].is_object() {
            break seen;
        }
    };
    let kind = |name: &str| seen["kinds"][name]["packets"].as_u64().unwrap();
    let (same, moved) = (kind("same"), kind("moved"));
    assert!(same > 0 && moved > 0 && same.abs_diff(moved) < 200, "{seen}");
    assert_eq!(
        (&seen["pairs"][0]["from"]["target"], &seen["pairs"][0]["to"]["target"]),
        (&json!("old"), &json!("new"))
    );
    assert_eq!(daemon.ask(&["shadow", "--commit"])["generation"], 6);
    assert_eq!(daemon.ask(&["explain", "198.51.100.1:3000"])["target"], "new");
    assert_eq!(daemon.ask(&["stats"])["conservation"]["ok"], true);
    daemon.stop();
}
