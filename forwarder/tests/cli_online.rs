// SPDX-License-Identifier: MIT OR Apache-2.0
//! The commands that ask a daemon, and what they say when there is none.
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

use std::os::unix::net::UnixListener;

use cli_support::{Run, sluice, sluice_with};
use control_support::{Place, Running, table};
use forwarder::explain;
use serde_json::json;

fn ask(running: &Running, arguments: &[&str]) -> Run {
    let socket = running.place.socket();
    sluice(&[arguments, &["--socket", socket.to_str().unwrap()]].concat())
}

#[test]
fn reload_prints_the_generation() {
    let running = Running::new();
    let path = running.place.write("next.json", &table(Some(43), true));
    let file = path.to_str().unwrap();
    let dry = ask(&running, &["reload", file, "--dry-run"]);
    assert!(dry.good().contains("generation 43 would replace 42"), "{}", dry.stdout);
    assert!(ask(&running, &["reload", file]).good().starts_with("generation 43, after 42; "));
    assert!(ask(&running, &["reload", file]).good().contains("nothing done"));
    let forced = ask(&running, &["reload", file, "--force", "--json"]).good_json();
    assert_eq!((&forced["generation"], &forced["forced"]), (&json!(43), &json!(true)));
}

#[test]
fn reload_finds_files_from_where_the_user_stands() {
    let running = Running::new();
    running.place.write("next.json", &table(Some(43), true));
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_sluice"));
    command.current_dir(running.place.path("")).args(["reload", "./next.json", "--socket", "run/control.sock"]);
    assert!(command.output().unwrap().status.success());
    assert_eq!(running.generation(), 43);
}

#[test]
fn a_refused_reload_lists_every_fault() {
    let running = Running::new();
    let faulty =
        table(Some(43), true).replace("\"server\": \"cdg-1\"", "\"server\": \"x\"").replace("4096-6143", "9-8");
    let path = running.place.write("next.json", &faulty);
    let file = path.to_str().unwrap();
    let run = ask(&running, &["reload", file]);
    let message = run.failed(1);
    assert!(message.contains("refused") && message.contains("generation 42 keeps forwarding"), "{message}");
    assert!(run.stdout.contains("egress[1].ranges[1].ports: ") && run.stdout.contains("egress[2].server: "), "{run:?}");
    let run = ask(&running, &["reload", file, "--json"]);
    let error = &run.json()["error"];
    assert_eq!((run.status, &error["code"]), (1, &json!(-32000)));
    assert_eq!(error["data"]["faults"].as_array().unwrap().len(), 2);
    let lower = running.place.write("lower.json", &table(Some(1), false));
    assert!(ask(&running, &["reload", lower.to_str().unwrap()]).failed(1).contains("--force"));
    assert!(ask(&running, &["reload", "/nonexistent"]).failed(1).contains("/nonexistent"));
    assert_eq!(running.generation(), 42);
}

#[test]
fn status_and_stats_in_both_forms() {
    let running = Running::new();
    let document = ask(&running, &["status", "--json"]).good_json();
    assert_eq!((&document["generation"], &document["state"]), (&json!(42), &json!("forwarding")));
    let status = ask(&running, &["status"]);
    for word in ["forwarding", "42", "table.json", "wan0", "02:00:00:00:00:02", "pid"] {
        assert!(status.good().contains(word), "{word}: {}", status.stdout);
    }
    assert!(!status.stdout.contains('\x1b'), "colour without a terminal");
    let document = ask(&running, &["stats", "--json"]).good_json();
    assert_eq!((&document["counters"]["rx"], &document["conservation"]["ok"]), (&json!(0), &json!(true)));
    assert!(document["counters"]["drops"]["no_kernel_path"].is_u64());
    assert!(ask(&running, &["stats"]).good().contains("every packet is accounted for"));
}

#[test]
fn stats_watch_repeats_until_nobody_reads() {
    let running = Running::new();
    let socket = running.place.socket();
    let script =
        format!("{} stats --watch --json --socket {} | head -n 2", env!("CARGO_BIN_EXE_sluice"), socket.display());
    let output = std::process::Command::new("bash").args(["-c", &script]).output().unwrap();
    assert_eq!((output.stdout.iter().filter(|byte| **byte == b'\n').count(), output.stderr), (2, Vec::new()));
}

#[test]
fn explain_online_is_explain_offline() {
    let running = Running::new();
    let path = running.place.path("table.json");
    let file = path.to_str().unwrap();
    let questions: [&[&str]; 8] = [
        &["198.51.100.1:3000"],
        &["198.51.100.2:5000", "--proto", "udp"],
        &["198.51.100.3:1"],
        &["198.51.100.77:1"],
        &["[2001:db8:e::1]:53"],
        &["198.51.100.2", "--proto", "47"],
        &["198.51.100.1:3000", "--proto", "icmp"],
        &["192.0.2.1"],
    ];
    let config = running.place.path("sluice.toml");
    for question in questions {
        let mut online = ask(&running, &[&["explain", "--json"], question].concat()).good_json();
        let offline = [&["explain", "--json", "--config", config.to_str().unwrap()], question].concat();
        assert_eq!(online, sluice(&offline).good_json(), "{question:?}");
        // A table alone knows neither devices nor the forwarder's own address.
        let offline = [&["explain", "--json", "--table", file, "--datacenter", "LHR"], question].concat();
        let mut offline = sluice(&offline).good_json();
        for document in [&mut online, &mut offline] {
            ["outer", "mtu", "steps"].iter().for_each(|key| document[key] = json!(null));
        }
        assert_eq!(online, offline, "{question:?}");
    }
    let own = ask(&running, &["explain", "10.0.0.1:6080", "--json"]).good_json();
    assert_eq!((&own["verdict"], &own["prefix"]), (&json!("kernel"), &json!(null)));
    assert!(ask(&running, &["explain", "198.51.100.1"]).failed(1).contains("198.51.100.1:4242"));
}

/// A UDP packet from 192.0.2.1 port 53 to 198.51.100.1 port 3000, which is lhr-1's.
const FRAME: &str = "020000000001 020000000009 0800 4500001c 0000 4000 4011 4e9b c0000201 c6336401 0035 0bb8 0008 0000";

#[test]
fn frames_are_explained_from_anywhere() {
    let running = Running::new();
    let path = running.place.path("table.json");
    let config = running.place.path("sluice.toml");
    let online = ask(&running, &["explain", "--frame", FRAME, "--json"]).good_json();
    assert_eq!((&online["verdict"], &online["target"]), (&json!("server"), &json!("lhr-1")));
    assert_eq!((&online["path"], &online["ports"]), (&json!("egress[0].slices.owners[1]"), &json!("2048-4095")));
    assert_eq!(online["mtu"], json!({"limit": 1600, "overhead": 32, "largest": 1568, "packet": 28, "verdict": "fits"}));
    assert_eq!((&online["outer"]["source"], &online["outer"]["destination"]), (&json!("10.0.0.1"), &json!("10.0.1.1")));
    let sent = online["sent"][0]["frame"].as_str().unwrap();
    assert!(
        sent.starts_with("020000000002020000000001080045")
            && sent.ends_with(&FRAME.split_once(" 0800 ").unwrap().1.replace(' ', "")),
        "{sent}"
    );

    let bytes = explain::read_hex(FRAME).unwrap();
    let pcap = running.place.path("in.pcap");
    let arp = [&[0xff; 12][..], &[8, 6], &[0; 28]].concat();
    capture::write(&pcap, [arp, bytes.clone()].into_iter());
    assert_eq!(capture::read(&pcap)[1], bytes);
    let pcap = pcap.to_str().unwrap();
    let asked = |more: &[&str]| ask(&running, &[&["explain", "--json", "--pcap", pcap], more].concat());
    assert_eq!(asked(&["--index", "2"]).good_json(), online);
    assert_eq!(asked(&[]).good_json()["reason"], "no_kernel_path", "the first packet");
    assert!(asked(&["--index", "3"]).failed(1).contains("has 2 packets"));
    assert!(asked(&["--device", "wan7"]).failed(1).contains("there are: wan0"));

    let offline = ["explain", "--json", "--frame", FRAME, "--config", config.to_str().unwrap()];
    let mut offline = sluice(&offline).good_json();
    assert_eq!(offline["target"], "lhr-1");
    // The daemon's device has an address of its own.
    assert!(offline["sent"][0]["frame"].as_str().unwrap().starts_with("020000000002000000000000080045"));
    offline["sent"] = online["sent"].clone();
    assert_eq!(offline, online);
    let unconfigured = ["explain", "--frame", FRAME, "--table", path.to_str().unwrap(), "--datacenter", "LHR"];
    let text = sluice(&unconfigured);
    for word in ["server", "lhr-1", "10.0.1.1", "egress[0].slices.owners[1]", "not known", "192.0.2.1"] {
        assert!(text.good().contains(word), "{word}: {}", text.stdout);
    }
    for wrong in [&["explain", "--frame", "0g"][..], &["explain", "--frame", "00", "--device", "wan9"]] {
        ask(&running, wrong).failed(1);
    }
    sluice(&["explain", "198.51.100.1:1", "--frame", "00"]).failed(2);
    sluice(&["explain", "198.51.100.1:1", "--index", "2"]).failed(2);
}

#[test]
fn the_socket_comes_from_the_environment_too() {
    let running = Running::new();
    let socket = running.place.socket();
    let run = sluice_with(&["status", "--json"], &[("SLUICE_SOCKET", socket.to_str().unwrap())]);
    assert_eq!(run.good_json()["generation"], 42);
}

#[test]
fn without_a_daemon_the_message_says_what_to_do() {
    let place = Place::new();
    let path = place.path("control.sock");
    let socket = path.to_str().unwrap();
    let message = sluice(&["status", "--socket", socket]).failed(1).to_owned();
    assert!(message.contains(socket) && message.contains("is sluiced running?"), "{message}");
    drop(UnixListener::bind(&path).unwrap());
    assert!(sluice(&["stats", "--socket", socket]).failed(1).contains("nobody answers"));
    place.write("file", "");
    sluice(&["status", "--socket", place.path("file").to_str().unwrap()]).failed(1);
    let run = sluice(&["status", "--json", "--socket", "/nonexistent"]);
    assert_eq!((run.status, run.json()["error"]["message"].is_string()), (1, true));
}

#[test]
fn a_daemon_that_hangs_up_or_talks_nonsense_is_told() {
    for answer in [&b""[..], b"nonsense\n", b"{\"jsonrpc\":\"2.0\",\"id\":1}\n", b"{\"result\":"] {
        let place = Place::new();
        let path = place.path("control.sock");
        let listener = UnixListener::bind(&path).unwrap();
        let server = std::thread::spawn(move || {
            use std::io::{BufRead, BufReader, Write};
            let (mut stream, _) = listener.accept().unwrap();
            BufReader::new(stream.try_clone().unwrap()).read_line(&mut String::new()).unwrap();
            stream.write_all(answer).unwrap();
        });
        sluice(&["status", "--socket", path.to_str().unwrap()]).failed(1);
        server.join().unwrap();
    }
}
