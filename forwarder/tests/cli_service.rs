// SPDX-License-Identifier: MIT OR Apache-2.0
//! `sluice health`, `drain`, `undrain`, and `table announce`: texts, documents, exit statuses.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test may stop at the first surprise"
)]

mod cli_support;
mod control_support;

use std::time::{Duration, Instant};

use cli_support::{Run, sluice};
use control_support::{Place, Running};
use forwarder::io::memory::MemoryIo;
use serde_json::json;

fn ask(running: &Running, arguments: &[&str]) -> Run {
    let socket = running.place.socket();
    sluice(&[arguments, &["--socket", socket.to_str().unwrap()]].concat())
}

#[test]
fn health_drain_and_back() {
    let place = Place::new();
    place.configure("[readiness]\nfile = \"run/ready\"\nsettle = 0");
    let running = Running::with(place, MemoryIo::new(1));
    let ready = running.place.path("run/ready");
    let appears = || {
        let give_up = Instant::now() + Duration::from_secs(30);
        while !ready.exists() {
            assert!(Instant::now() < give_up, "never ready");
            std::thread::sleep(Duration::from_millis(5));
        }
    };
    appears();
    assert_eq!(ask(&running, &["health"]).good(), "ready, in service, may be announced\n");
    let well = json!({"state": "ready", "in_service": true, "announced": true, "reasons": []});
    assert_eq!(ask(&running, &["health", "--json"]).good_json(), well);

    assert_eq!(ask(&running, &["drain"]).good(), "drains: not announced, and forwards on\n");
    assert!(!ready.exists());
    assert_eq!(ask(&running, &["drain"]).good(), "drained already\n");
    let drained = ask(&running, &["health"]);
    assert_eq!((drained.status, drained.stderr.as_str()), (1, ""));
    assert!(drained.stdout.starts_with("draining, out of service, not announced\ndrained by uid "), "{drained:?}");
    let document = ask(&running, &["health", "--json"]);
    assert_eq!((document.status, &document.json()["reasons"][0]["code"]), (1, &json!("draining")));
    assert!(ask(&running, &["status"]).good().contains("draining"));
    assert_eq!(ask(&running, &["status", "--exit-code"]).status, 1);

    assert_eq!(ask(&running, &["undrain", "--json"]).good_json(), json!({"changed": true, "draining": false}));
    appears();
    assert_eq!(ask(&running, &["undrain"]).good(), "was not drained\n");
    drop(running);
    assert!(!ready.exists(), "it outlives its daemon");
}

#[test]
fn health_fails_where_nobody_answers() {
    let place = Place::new();
    let socket = place.socket();
    let run = sluice(&["health", "--socket", socket.to_str().unwrap()]);
    assert!(run.failed(1).contains("is sluiced running?"));
}

#[test]
fn what_degrades_a_forwarder_leaves_it_in_service() {
    let running = Running::new();
    let refused = running.place.write("bad.json", "{");
    assert_eq!(ask(&running, &["reload", refused.to_str().unwrap()]).status, 1);
    let health = ask(&running, &["health"]);
    assert!(health.good().starts_with("degraded, in service\nthe last reload failed"), "{health:?}");
    assert_eq!(ask(&running, &["status", "--exit-code"]).status, 1);
}

#[test]
fn a_table_is_announced_in_three_ways() {
    let place = Place::new();
    let table = place.path("table.json");
    let announce = |more: &[&str]| sluice(&[&["table", "announce", table.to_str().unwrap()], more].concat());
    assert_eq!(announce(&[]).good(), "198.51.100.0/24\n2001:db8:e::/64\n");
    let prefixes = json!({"prefixes": ["198.51.100.0/24", "2001:db8:e::/64"], "underlay": []});
    assert_eq!(announce(&["--json", "--daemon", "bird"]).good_json(), prefixes);
    assert_eq!(
        announce(&["--daemon", "frr", "--interface", "up0"]).good(),
        "ip route 198.51.100.0/24 up0 tag 6080\nip route 198.51.100.0/24 blackhole 2\n\
         ipv6 route 2001:db8:e::/64 up0 tag 6080\nipv6 route 2001:db8:e::/64 blackhole 2\n"
    );
    let bird = announce(&["--daemon", "bird"]);
    for (line, times) in [
        ("    route 198.51.100.0/24 via \"sluice-ready\";", 2),
        ("    route 198.51.100.0/24 blackhole;", 1),
        ("    route 2001:db8:e::/64 via \"sluice-ready\";", 2),
        ("    check link;", 6),
    ] {
        assert_eq!(bird.good().lines().filter(|other| *other == line).count(), times, "{line}");
    }
    assert!(!bird.good().contains("underlay"));
    let own = ["--underlay", "10.0.0.1", "--underlay", "2001:db8:a::1"];
    let frr = announce(&[&["--daemon", "frr"], &own[..]].concat());
    for host in ["ip route 10.0.0.1/32 sluice-ready tag 6080", "ipv6 route 2001:db8:a::1/128 sluice-ready tag 6080"] {
        assert!(frr.good().lines().any(|line| line == host), "{}", frr.good());
    }
    assert!(!frr.good().contains("/32 blackhole") && !frr.good().contains("/128 blackhole"));
    let bird = announce(&[&["--daemon", "bird"], &own[..]].concat());
    let host = "protocol static sluice4_underlay {\n    ipv4 { preference 210; };\n    check link;\n    \
                route 10.0.0.1/32 via \"sluice-ready\";\n}";
    assert!(bird.good().contains(host) && bird.good().matches("10.0.0.1").count() == 1, "{}", bird.good());
    assert_eq!(announce(&["--json", "--underlay", "10.0.0.1"]).good_json()["underlay"], json!(["10.0.0.1/32"]));
    assert!(announce(&["--interface", "a\"b"]).failed(1).contains("no interface"));
    assert!(announce(&["--daemon", "quagga"]).failed(2).contains("possible values"));
    assert!(announce(&["--underlay", "10.9.9.9"]).failed(1).contains("10.9.9.9 is no forwarder"));
    place.write("table.json", "{");
    assert!(announce(&[]).failed(1).contains("table.json"));
}
