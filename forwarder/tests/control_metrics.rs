// SPDX-License-Identifier: MIT OR Apache-2.0
//! What `/metrics` says of a daemon under traffic, and what hostile clients can do to it.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test may stop at the first surprise"
)]

mod control_support;
mod metrics_support;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use control_support::{Running, table};
use metrics_support::{ask, get, imbalance, samples, serving, sum, udp};
use serde_json::{Value, json};

/// Two packets to lhr-1 of 100 and 200 bytes at the IP level, one that nobody owns.
fn traffic() -> Vec<Vec<u8>> {
    vec![udp(2100, 72), udp(2101, 172), udp(80, 0)]
}

/// What is in front of a packet to lhr-1: Ethernet, IPv4, UDP, GUE.
const OUTER: f64 = 46.0;

#[test]
fn every_scrape_accounts_for_every_packet() {
    let (_running, address) = serving(&traffic(), "");
    let mut last = 0.0;
    for _ in 0..50 {
        let samples = samples(&get(address, "/metrics"));
        assert_eq!(imbalance(&samples), 0.0);
        let rx = samples["sluice_rx_packets_total{worker=\"0\"}"];
        assert!(rx >= last, "a counter fell");
        last = rx;
    }
    assert!(last > 0.0, "nothing came, so nothing was tested");
}

#[test]
fn numbers_agree_with_each_other() {
    let (running, address) = serving(&traffic(), "");
    let give_up = Instant::now() + Duration::from_secs(20);
    while sum(&samples(&get(address, "/metrics")), "sluice_rx_packets_total") < 3000.0 {
        assert!(Instant::now() < give_up);
    }
    let samples = samples(&get(address, "/metrics"));
    let of = |series: &str| *samples.get(series).unwrap_or_else(|| panic!("no {series} in {samples:#?}"));
    let sent = of("sluice_tx_packets_total{worker=\"0\"}");
    assert!((of("sluice_drops_total{worker=\"0\",reason=\"unallocated_port\"}") - sent / 2.0).abs() <= 64.0);
    // Read apart from the counters, a few bursts later.
    let target = of("sluice_target_packets_total{kind=\"server\",target=\"lhr-1\"}");
    assert!(target >= sent && target < sent + 10_000.0, "{target} {sent}");
    let bytes = of("sluice_target_bytes_total{kind=\"server\",target=\"lhr-1\"}");
    assert!((bytes - target * (150.0 + OUTER)).abs() <= 400.0, "{bytes} for {target}");
    assert_eq!(of("sluice_target_packets_total{kind=\"server\",target=\"lhr-2\"}"), 0.0);
    assert_eq!(of("sluice_target_packets_total{kind=\"datacenter\",target=\"CDG\"}"), 0.0);
    let queue = of("sluice_device_rx_packets_total{device=\"wan0\",queue=\"0\"}");
    assert!(queue >= of("sluice_rx_packets_total{worker=\"0\"}"));
    let frames = of("sluice_poll_frames_sum{worker=\"0\"}");
    assert_eq!(of("sluice_poll_frames_bucket{worker=\"0\",le=\"4\"}"), of("sluice_poll_frames_count{worker=\"0\"}"));
    assert_eq!(frames, 3.0 * of("sluice_poll_frames_count{worker=\"0\"}"));
    assert!(of("sluice_burst_residency_seconds_sum{worker=\"0\"}") > 0.0);
    assert!(of("sluice_empty_polls_total{worker=\"0\"}") > 0.0);
    assert_eq!((of("sluice_table_generation"), of("sluice_ready")), (42.0, 1.0));
    let top = running.client().result("top", json!({}));
    assert!(top["workers"][0]["residency_ns"].as_array().unwrap().iter().all(|step| step[1].as_u64() > Some(0)));
    assert_eq!(top["health"]["state"], "ready");
}

#[test]
fn reloads_show_and_targets_go_on() {
    let (running, address) = serving(&traffic(), "");
    let mut client = running.client();
    let lhr1 = "sluice_target_packets_total{kind=\"server\",target=\"lhr-1\"}";
    let mut last = 0.0;
    for generation in 43..60 {
        let document: Value = serde_json::from_str(&table(Some(generation), generation % 2 == 0)).unwrap();
        client.result("reload", json!({ "table": document }));
        let samples = samples(&get(address, "/metrics"));
        assert!(samples[lhr1] >= last, "a target's count fell");
        last = samples[lhr1];
    }
    client.error("reload", json!({"table": {"version": 2}}));
    let samples = samples(&get(address, "/metrics"));
    assert_eq!(samples["sluice_table_generation"], 59.0);
    assert_eq!(samples["sluice_reloads_total{result=\"done\"}"], 17.0);
    assert_eq!(samples["sluice_reloads_total{result=\"refused\"}"], 1.0);
    assert_eq!(samples["sluice_change_duration_seconds_count{phase=\"swap\"}"], 17.0);
    assert_eq!((samples["sluice_last_reload_ok"], samples["sluice_ready"]), (0.0, 0.0));
    assert_eq!(samples["sluice_degraded{reason=\"reload_failed\"}"], 1.0);
    let status = client.result("status", json!({}));
    assert_eq!((&status["state"], &status["health"]["state"]), (&json!("forwarding"), &json!("degraded")));
    assert_eq!(status["health"]["reasons"][0]["code"], "reload_failed");
    assert_eq!(client.result("top", json!({}))["reloads"].as_array().unwrap().len(), 5);
}

/// A table of so many servers, each with a slice.
fn large(servers: usize) -> Value {
    let server =
        |n: usize| (format!("s{n}"), json!({"datacenter": "LHR", "address": format!("10.2.{}.{}", n >> 8, n & 255)}));
    let entry = |n: usize| json!({"prefix": format!("203.0.{}.{}/32", n >> 8, n & 255), "datacenter": "LHR", "server": format!("s{n}")});
    json!({
        "version": 1, "generation": 50,
        "datacenters": {"LHR": {"forwarders": ["10.0.0.1", "2001:db8:a::1"]}},
        "servers": (0..servers).map(server).collect::<serde_json::Map<_, _>>(),
        "egress": (0..servers).map(entry).collect::<Vec<_>>(),
    })
}

#[test]
fn ten_thousand_servers_have_bounded_series() {
    let (running, address) = serving(&traffic(), "targets = 2000\n");
    running.client().result("reload", json!({ "table": large(10_000) }));
    let page = get(address, "/metrics");
    let targets = page.lines().filter(|line| line.starts_with("sluice_target_packets_total")).count();
    assert_eq!(targets, 2_001, "those with series of their own, and all others as one");
    let rest = page.lines().filter(|line| !line.starts_with('#') && !line.starts_with("sluice_target_")).count();
    assert!(rest < 200, "{rest} series beside the targets'");
    let again = samples(&get(address, "/metrics"));
    assert!(again["sluice_target_packets_total{kind=\"other\"}"] >= 0.0);
}

#[test]
fn promtool_finds_no_fault_in_the_page() {
    let (_running, address) = serving(&traffic(), "");
    let page = get(address, "/metrics");
    let promtool =
        Command::new("promtool").args(["check", "metrics"]).stdin(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let Ok(mut promtool) = promtool else {
        return eprintln!("skipped: no promtool here (Debian package prometheus)");
    };
    promtool.stdin.take().unwrap().write_all(page.as_bytes()).unwrap();
    let output = promtool.wait_with_output().unwrap();
    assert!(output.status.success() && output.stderr.is_empty(), "{output:?}\n{page}");
}

#[test]
fn other_requests_get_their_answers() {
    let (_running, address) = serving(&[], "");
    let status = |request: &str| ask(address, request).lines().next().unwrap_or_default().to_owned();
    assert_eq!(status("GET / HTTP/1.1\r\n\r\n"), "HTTP/1.1 404 Not Found");
    assert_eq!(status("GET /metrics?a=b HTTP/1.0\r\n\r\n"), "HTTP/1.1 200 OK");
    assert_eq!(status("POST /metrics HTTP/1.1\r\nContent-Length: 1\r\n\r\nx"), "HTTP/1.1 405 Method Not Allowed");
    assert_eq!(status("\x16\x03\x01\x02\r\n\r\n"), "HTTP/1.1 400 Bad Request");
    let head = ask(address, "HEAD /metrics HTTP/1.1\r\n\r\n");
    assert!(
        head.starts_with("HTTP/1.1 200 OK\r\nContent-Type: text/plain; version=0.0.4") && head.ends_with("\r\n\r\n")
    );
    let long = format!("GET /metrics HTTP/1.1\r\nX: {}", "x".repeat(8 << 10));
    assert_eq!(status(&long), "HTTP/1.1 400 Bad Request");
}

#[test]
fn clients_that_never_finish_keep_nobody_out() {
    let (mut running, address) = serving(&traffic(), "");
    let stuck: Vec<_> = (0..8)
        .map(|_| {
            let mut stream = TcpStream::connect(address).unwrap();
            stream.write_all(b"GET /metr").unwrap();
            stream
        })
        .collect();
    assert!(get(address, "/metrics").contains("sluice_rx_packets_total"), "after their time is up");
    for mut stream in stuck {
        assert_eq!(stream.read(&mut [0; 10]).unwrap_or(0), 0, "no answer, and the end");
    }
    running.stop().unwrap();
    assert!(TcpStream::connect(address).is_err(), "nobody listens when the daemon has ended");
}

#[test]
fn an_address_in_use_is_told_before_anything_starts() {
    let (running, address) = serving(&[], "");
    let place = control_support::Place::new();
    let config = std::fs::read_to_string(place.path("sluice.toml")).unwrap();
    place.write("sluice.toml", &format!("{config}\n[metrics]\nlisten = \"{address}\"\n"));
    let start =
        |_: &forwarder::control::config::Config| -> Result<control_support::Memory<metrics_support::Endless>, String> {
            panic!("the devices were started")
        };
    let error = forwarder::control::daemon::Daemon::start(place.config(), start).err().unwrap().to_string();
    assert!(error.contains(&address.to_string()) && error.contains("metrics.listen"), "{error}");
    drop::<Running>(running);
}
