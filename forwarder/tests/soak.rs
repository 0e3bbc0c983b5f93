// SPDX-License-Identifier: MIT OR Apache-2.0
//! A long capture through `sluice replay`: millions of packets over an hour of capture time, 1 % of them fragments. What the
//! forwarder remembers has a time to live, so its memory must stay where it is, and its counters must say to the packet what
//! the contract says (sections 6 and 8).
//!
//! The store of fragments is set up with little more room than the fragments need that are alive together. What stays in it
//! although its time is over soon takes the room away from others, or is met by another datagram with the same identification.
//!
//! Not proved here: what happens when the store is full on purpose, and memory of more than one worker.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test may stop at the first surprise"
)]

#[path = "soak/bytes.rs"]
mod bytes;
#[path = "soak/capture.rs"]
mod capture;
mod cli_support;
#[path = "soak/datagrams.rs"]
mod datagrams;
#[path = "soak/whole.rs"]
mod whole;

use std::collections::BTreeMap;
use std::io::Write;
use std::process::{Command, Stdio};

use capture::Capture;
use cli_support::REPLAY;
use serde_json::Value;
use tempfile::TempDir;

/// Packets of the capture.
const PACKETS: u64 = 2_000_000;
/// Packets between two looks at the memory.
const BETWEEN_LOOKS: u64 = PACKETS / 200;
/// Packets until nothing may grow any more.
const WARM_UP: u64 = PACKETS / 10;
/// What may be added to the most memory seen in the warm-up, in KiB. Four bytes a fragment that stayed, or a bit for every
/// fourth packet, would be more; as a rule it is a page or two.
const GROWTH: u64 = 64;

/// Fragments that are alive at one time are fewer than half of what has room.
const FRAGMENTS: &str = "
[fragments]
contexts = 256
packets = 32
bytes = 16384
";

const TABLE: &str = r#"{
  "version": 1,
  "generation": 1,
  "datacenters": { "LHR": { "forwarders": ["10.0.0.1", "2001:db8:a::1"] } },
  "servers": {
    "lhr-1": { "datacenter": "LHR", "address": "10.0.1.1" },
    "lhr-2": { "datacenter": "LHR", "address": "2001:db8:a:1::2" }
  },
  "egress": [
    { "prefix": "198.51.100.1/32", "datacenter": "LHR", "slices": { "ports": 2048, "owners": [null, "lhr-1", "lhr-2"] } },
    { "prefix": "198.51.100.0/24", "unassigned": true },
    { "prefix": "2001:db8:e::/64", "datacenter": "LHR", "slices": { "ports": 2048, "owners": [null, "lhr-2", "lhr-1"] } }
  ]
}"#;

/// Resident memory of a process, in KiB: counted page by page, while `VmRSS` is a sum over processors that may be old.
fn resident(process: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/smaps_rollup")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("Rss:")).expect("the process has ended");
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

/// Counters that are not 0, drops by their reason. Bytes are not compared.
fn counted(report: &Value) -> BTreeMap<String, u64> {
    let counters = report["counters"].as_object().unwrap();
    let drops = counters["drops"].as_object().unwrap();
    let numbers = counters.iter().chain(drops).filter_map(|(name, number)| Some((name.clone(), number.as_u64()?)));
    numbers.filter(|(name, number)| *number > 0 && !name.ends_with("_bytes")).collect()
}

#[test]
fn memory_stays_flat_and_every_packet_meets_its_fate() {
    let folder = TempDir::new().unwrap();
    let config = folder.path().join("sluice.toml");
    std::fs::write(&config, [REPLAY, FRAGMENTS].concat()).unwrap();
    std::fs::write(folder.path().join("table.json"), TABLE).unwrap();
    // The child inherits it. Otherwise the kernel may put a huge page where small ones were, at a time of its own.
    rustix::thread::disable_transparent_huge_pages(true).unwrap();
    let mut replay = Command::new(env!("CARGO_BIN_EXE_sluice"))
        .args(["replay", "--json", "--in", "/dev/stdin", "--out", "/dev/null", "--config"])
        .arg(&config)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();

    // What the process has not read yet, of 64 KiB in the pipe, is little: it is where the capture is.
    let mut input = replay.stdin.take().unwrap();
    let mut capture = Capture::new();
    let (mut warm, mut most) = (0, 0);
    while capture.packets() < PACKETS {
        capture.advance(BETWEEN_LOOKS);
        if capture.packets() >= PACKETS {
            capture.finish();
        }
        input.write_all(capture.part()).expect("the replay reads on");
        let now = resident(replay.id());
        if capture.packets() <= WARM_UP {
            warm = warm.max(now);
        }
        most = most.max(now);
    }
    drop(input);
    let output = replay.wait_with_output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    println!("{} of capture time, {warm} KiB after the warm-up, {most} KiB at most, {report}", capture.length());

    assert_eq!(counted(&report), capture.expected(), "counted, and expected");
    let counters = &report["counters"];
    let number = |name: &str| counters[name].as_u64().unwrap();
    let drops: u64 = counters["drops"].as_object().unwrap().values().map(|drops| drops.as_u64().unwrap()).sum();
    assert_eq!(number("rx") + number("originated"), number("tx") + number("exception") + number("held") + drops);
    assert_eq!(number("held"), 0);
    assert!(most <= warm + GROWTH, "from {warm} KiB after the warm-up to {most} KiB");
    capture.check_mixture();
}
