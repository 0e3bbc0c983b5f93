// SPDX-License-Identifier: MIT OR Apache-2.0
//! `sluice replay` as a user runs it: a capture in, captures and counters out.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test may stop at the first surprise"
)]

#[path = "e2e/capture.rs"]
mod capture;
mod cli_support;
mod control_support;

use cli_support::{REPLAY, Run, sluice};
use control_support::{Place, frame, table};
use serde_json::json;

/// A place with configuration and capture: two ports with an owner, one without, and a frame that is not IP.
fn place() -> Place {
    let place = Place::new();
    place.write("sluice.toml", REPLAY);
    let arp = [&[0xff; 6][..], &[2, 0, 0, 0, 0, 9, 8, 6], &[0; 46]].concat();
    capture::write(&place.path("in.pcap"), [frame(3000), frame(5000), frame(7), arp].into_iter());
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
    // An outer Ethernet, IPv4, UDP and GUE header, and the first packet.
    let out = capture::read(&place.path("out.pcap"));
    assert_eq!(out[0][14 + 20 + 8 + 4..], frame(3000)[14..]);
    assert_eq!((out.len(), capture::read(&exceptions)[0].len()), (2, 60));
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
    place.write("sluice.toml", &REPLAY.replace("10.0.0.1", "10.0.0.2").replace("ipv6", "# ipv6"));
    let run = replay(&place, &[]);
    let message = run.failed(1);
    assert!(message.contains("(and 1 more fault)") && !message.contains("sluice table check"), "{message}");
    for fault in ["datacenters.LHR.forwarders: ", "servers.lhr-2.address: "] {
        assert!(run.stdout.lines().any(|line| line.starts_with(fault)), "{fault}: {run:?}");
    }
    place.write("sluice.toml", &REPLAY.replace("mtu =", "mut =").replace("table =", "tabel ="));
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
    place.write("sluice.toml", &REPLAY.replace("mtu =", "mut ="));
    told(replay(&place, &[]), &["sluice.toml:9: device[0].mut: unknown key", "mtu"]);
    place.write("sluice.toml", &REPLAY.replace("10.0.0.1", "10.0.0.2"));
    told(replay(&place, &[]), &["table.json: datacenters.LHR.forwarders"]);
    place.write("sluice.toml", REPLAY);
    let whole = std::fs::read(place.path("in.pcap")).unwrap();
    std::fs::write(place.path("in.pcap"), &whole[..whole.len() - 1]).unwrap();
    told(replay(&place, &[]), &["in.pcap"]);
    place.write("in.pcap", "no capture");
    told(replay(&place, &[]), &["in.pcap"]);
    std::fs::remove_file(place.path("in.pcap")).unwrap();
    told(replay(&place, &[]), &["in.pcap"]);
    sluice(&["replay", "--config", "x"]).failed(2);
}
