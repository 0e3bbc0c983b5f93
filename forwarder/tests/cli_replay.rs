// SPDX-License-Identifier: MIT OR Apache-2.0
//! `sluice replay` as a user runs it: a capture in, captures and counters out.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test may stop at the first surprise"
)]

mod cli_support;
mod control_support;

use cli_support::{Run, sluice};
use control_support::{Place, table};
use serde_json::json;

/// No workers, no device address, no control, no EAL: a replay needs none of them.
const CONFIG: &str = r#"
datacenter = "LHR"
table = "table.json"
[underlay]
ipv4 = "10.0.0.1"
ipv6 = "2001:db8:a::1"
[[device]]
name = "wan0"
mtu = 1600
"#;

/// UDP from 203.0.113.7:53 to `port` of 198.51.100.1, in a frame.
fn frame(port: u16) -> Vec<u8> {
    let mut ip = vec![0x45, 0, 0, 28, 0, 0, 0x40, 0, 64, 17, 0, 0, 203, 0, 113, 7, 198, 51, 100, 1, 0, 53];
    let sum: u32 = ip[..20].chunks(2).map(|pair| u32::from(pair[0]) << 8 | u32::from(pair[1])).sum();
    ip[10..12].copy_from_slice(&(!((sum & 0xffff) + (sum >> 16)) as u16).to_be_bytes());
    ip.extend(port.to_be_bytes());
    ip.extend([0, 8, 0, 0]);
    [&[2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 9, 8, 0][..], &ip].concat()
}

/// A little-endian pcap of Ethernet frames, a second apart.
fn pcap(frames: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = [0xa1b2_c3d4_u32, 0x0004_0002, 0, 0, 65535, 1].map(u32::to_le_bytes).concat();
    for (second, frame) in (1_u32..).zip(frames) {
        let length = u32::try_from(frame.len()).unwrap();
        bytes.extend([second, 0, length, length].map(u32::to_le_bytes).concat());
        bytes.extend(frame);
    }
    bytes
}

/// A place with configuration and capture: two ports with an owner, one without, and a frame that is not IP.
fn place() -> Place {
    let place = Place::new();
    place.write("sluice.toml", CONFIG);
    let arp = [&[0xff; 6][..], &[2, 0, 0, 0, 0, 9, 8, 6], &[0; 46]].concat();
    std::fs::write(place.path("in.pcap"), pcap(&[frame(3000), frame(5000), frame(7), arp])).unwrap();
    place
}

fn replay(place: &Place, more: &[&str]) -> Run {
    let path = |name: &str| place.path(name).to_str().unwrap().to_owned();
    let (config, input, output) = (path("sluice.toml"), path("in.pcap"), path("out.pcap"));
    let arguments = ["replay", "--config", &config, "--in", &input, "--out", &output];
    sluice(&[&arguments, more].concat())
}

#[test]
fn counters_are_those_of_the_contract() {
    let place = place();
    let exceptions = place.path("exc.pcap");
    let report = replay(&place, &["--json", "--exceptions", exceptions.to_str().unwrap()]).good_json();
    let counters = &report["counters"];
    assert_eq!(report["generation"], 42);
    let numbers = ["rx", "originated", "tx", "exception", "held"].map(|key| counters[key].as_u64().unwrap());
    assert_eq!(numbers, [4, 0, 2, 1, 0]);
    let dropped: Vec<_> = counters["drops"].as_object().unwrap().iter().filter(|(_, n)| **n != json!(0)).collect();
    assert_eq!(dropped, [(&"unallocated_port".to_owned(), &json!(1))]);
    // A header, then a record header, an outer Ethernet, IPv4, UDP and GUE header, and the 28 bytes of the first packet.
    let out = std::fs::read(place.path("out.pcap")).unwrap();
    assert_eq!(out[24 + 16 + 14 + 20 + 8 + 4..][..28], frame(3000)[14..]);
    assert_eq!(std::fs::read(exceptions).unwrap().len(), 24 + 16 + 60);
}

#[test]
fn another_table_counts_and_people_can_read_it() {
    let place = place();
    let path = place.write("other.json", &table(None, false).replace("198.51.100.1/32", "198.51.100.5/32"));
    let run = replay(&place, &["--table", path.to_str().unwrap()]);
    let text = run.good();
    assert!(text.starts_with("generation 1 ") && text.contains("unassigned_address"), "{text}");
    assert!(text.ends_with("every packet is accounted for\n") && !text.contains("unallocated_port"), "{text}");
}

#[test]
fn a_cut_capture_fails_and_counts_what_came_before() {
    let place = place();
    let whole = std::fs::read(place.path("in.pcap")).unwrap();
    std::fs::write(place.path("in.pcap"), &whole[..whole.len() - 1]).unwrap();
    let run = replay(&place, &["--json"]);
    let document = run.json();
    assert!(run.failed(1).contains("in.pcap"), "{run:?}");
    assert_eq!((&document["generation"], &document["counters"]["rx"]), (&json!(42), &json!(3)));
    assert_eq!((&document["counters"]["tx"], &document["counters"]["exception"]), (&json!(2), &json!(0)));
    assert!(run.stderr.contains(document["error"]["message"].as_str().unwrap()), "{run:?}");
    let run = replay(&place, &[]);
    assert!(run.failed(1).contains("in.pcap"), "{run:?}");
    assert!(run.stdout.starts_with("generation 42 ") && run.stdout.contains("unallocated_port"), "{run:?}");
}

#[test]
fn every_fault_is_told() {
    let place = place();
    place.write("sluice.toml", &CONFIG.replace("10.0.0.1", "10.0.0.2").replace("ipv6", "# ipv6"));
    let run = replay(&place, &[]);
    let message = run.failed(1);
    assert!(message.contains("(and 1 more fault)") && !message.contains("sluice table check"), "{message}");
    for fault in ["datacenters.LHR.forwarders: ", "servers.lhr-2.address: "] {
        assert!(run.stdout.lines().any(|line| line.starts_with(fault)), "{fault}: {run:?}");
    }
    place.write("sluice.toml", &CONFIG.replace("mtu =", "mut =").replace("table =", "tabel ="));
    let run = replay(&place, &[]);
    assert!(run.failed(1).contains("more problem"), "{run:?}");
    for key in ["tabel", "mut"] {
        assert!(run.stdout.lines().any(|line| line.contains(key)), "{key}: {run:?}");
    }
}

#[test]
fn what_is_wrong_is_told_in_a_line() {
    let place = place();
    let told = |run: Run, words: &[&str]| {
        let message = run.failed(1);
        assert!(words.iter().all(|word| message.contains(word)), "{message}");
    };
    told(replay(&place, &["--table", "/nonexistent"]), &["/nonexistent"]);
    place.write("sluice.toml", &CONFIG.replace("mtu =", "mut ="));
    told(replay(&place, &[]), &["sluice.toml:9: device[0].mut: unknown key", "mtu"]);
    place.write("sluice.toml", &CONFIG.replace("10.0.0.1", "10.0.0.2"));
    told(replay(&place, &[]), &["table.json: datacenters.LHR.forwarders"]);
    place.write("sluice.toml", CONFIG);
    let whole = std::fs::read(place.path("in.pcap")).unwrap();
    std::fs::write(place.path("in.pcap"), &whole[..whole.len() - 1]).unwrap();
    told(replay(&place, &[]), &["in.pcap"]);
    place.write("in.pcap", "no capture");
    told(replay(&place, &[]), &["in.pcap"]);
    std::fs::remove_file(place.path("in.pcap")).unwrap();
    told(replay(&place, &[]), &["in.pcap"]);
    sluice(&["replay", "--config", "x"]).failed(2);
}
