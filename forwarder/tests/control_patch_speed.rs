// SPDX-License-Identifier: MIT OR Apache-2.0
//! How long a patch of one slice takes over the socket, at a million addresses with a plan each. Ignored: it takes a minute,
//! 3 GB of memory and a release build, and says something only on a quiet machine:
//! `cargo test --release -p forwarder --test control_patch_speed -- --ignored --nocapture`.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a test may stop at the first surprise, and this one prints"
)]

mod control_support;

use std::io::{BufWriter, Write};
use std::time::{Duration, Instant};

use control_support::{Place, Running};
use forwarder::io::memory::MemoryIo;
use serde_json::json;

const ADDRESSES: u32 = 1_000_000;
const SERVERS: u32 = 2_000;
const PATCHES: u32 = 10_000;

fn prefix(address: u32) -> String {
    format!("{}/32", std::net::Ipv4Addr::from(0x1400_0000 + address))
}

fn write(place: &Place) {
    let mut file = BufWriter::new(std::fs::File::create(place.path("table.json")).unwrap());
    let forwarders = r#""datacenters": {"LHR": {"forwarders": ["10.0.0.1", "2001:db8:a::1"]}}"#;
    write!(file, r#"{{"version": 1, "generation": 1, {forwarders}, "servers": {{"#).unwrap();
    for server in 0..SERVERS {
        let comma = if server > 0 { "," } else { "" };
        let address = std::net::Ipv4Addr::from(0x0a01_0000 + server);
        write!(file, r#"{comma}"s{server}": {{"datacenter": "LHR", "address": "{address}"}}"#).unwrap();
    }
    write!(file, r#"}}, "egress": ["#).unwrap();
    for address in 0..ADDRESSES {
        let comma = if address > 0 { "," } else { "" };
        let owners: Vec<_> = (0..31)
            .map(|slice| format!(r#""s{}""#, (address * 7 + slice * slice * 11 + address / 1_999 * slice) % SERVERS))
            .collect();
        let (prefix, owners) = (prefix(address), owners.join(","));
        write!(
            file,
            r#"{comma}{{"prefix":"{prefix}","datacenter":"LHR","slices":{{"ports":2048,"owners":[null,{owners}]}}}}"#
        )
        .unwrap();
    }
    file.write_all(b"]}").unwrap();
    file.flush().unwrap();
}

#[test]
#[ignore = "a measurement"]
fn one_slice_of_a_million_addresses() {
    let place = Place::new();
    write(&place);
    let running = Running::with(place, MemoryIo::new(1));
    let mut client = running.client();
    let mut times = Vec::new();
    let start = Instant::now();
    for turn in 0..PATCHES {
        let address = turn.wrapping_mul(2_654_435_761) % ADDRESSES;
        let (slice, server) = (1 + turn % 31, turn * 17 % SERVERS);
        let ports = format!("{}-{}", slice * 2048, slice * 2048 + 2047);
        let sent = Instant::now();
        client.result(
            "patch",
            json!({"ports": [{"prefix": prefix(address), "ports": ports, "server": format!("s{server}")}]}),
        );
        times.push(sent.elapsed());
    }
    let all = start.elapsed();
    times.sort_unstable();
    let at = |share: f64| times[((times.len() - 1) as f64 * share) as usize];
    println!("{PATCHES} patches in {all:?}: p50 {:?}, p99 {:?}, at most {:?}", at(0.5), at(0.99), at(1.0));
    println!("swaps {}", client.result("status", json!({}))["swap_us"]);
    assert!(at(0.5) < Duration::from_millis(1), "a thousand patches a second");
}
