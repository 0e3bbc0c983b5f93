// SPDX-License-Identifier: MIT OR Apache-2.0
//! `sluice patch`, as its users run it.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test may stop at the first surprise"
)]

mod cli_support;
mod control_support;

use std::io::Write;
use std::process::{Command, Stdio};

use cli_support::{Run, sluice};
use control_support::{Running, table};
use serde_json::json;

const MOVE: &str = r#"{
  "base": [42, 0],
  "ports": [{ "prefix": "198.51.100.1/32", "ports": "2048-4095", "server": "lhr-2", "previous": "lhr-1" }]
}"#;

fn ask(running: &Running, arguments: &[&str]) -> Run {
    let socket = running.place.socket();
    sluice(&[arguments, &["--socket", socket.to_str().unwrap()]].concat())
}

/// `sluice patch -` with this on its standard input.
fn pipe(running: &Running, patch: &str, arguments: &[&str]) -> Run {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sluice"));
    command.args(["patch", "-", "--socket"]).arg(running.place.socket()).args(arguments);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(patch.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    Run {
        status: output.status.code().unwrap(),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

#[test]
fn a_patch_tells_its_revision_in_a_line() {
    let running = Running::new();
    let path = running.place.write("move.json", MOVE);
    let file = path.to_str().unwrap();
    let dry = ask(&running, &["patch", file, "--dry-run"]);
    assert!(dry.good().starts_with("2048 ports on 1 addresses change hands\n"), "{}", dry.stdout);
    assert!(dry.stdout.contains("\nrevision 1 of generation 42 would change 1 prefix; "), "{}", dry.stdout);
    let run = ask(&running, &["patch", file]);
    assert!(run.good().starts_with("revision 1 of generation 42, 1 prefix changed; "), "{}", run.stdout);
    assert_eq!(run.stdout.lines().count(), 1);
    let explained = ask(&running, &["explain", "198.51.100.1:3000", "--json"]).good_json();
    assert_eq!((&explained["target"], &explained["previous"]), (&json!("lhr-2"), &json!("lhr-1")));
    let status = ask(&running, &["status"]);
    for words in ["42, revision 1, for", "1 applied, 0 refused", "done"] {
        assert!(status.good().contains(words), "{words}: {}", status.stdout);
    }
    let next = running.place.write("next.json", &table(Some(43), true));
    let next = next.to_str().unwrap();
    let would = ask(&running, &["reload", next, "--dry-run"]);
    assert!(would.good().contains("would replace 42, whose 1 patch would be discarded; "), "{}", would.stdout);
    let reload = ask(&running, &["reload", next]);
    assert!(reload.good().starts_with("generation 43, after 42, whose 1 patch is discarded; "), "{}", reload.stdout);
}

#[test]
fn another_base_says_what_runs_and_what_to_do() {
    let running = Running::new();
    let path = running.place.write("move.json", MOVE);
    let file = path.to_str().unwrap();
    ask(&running, &["patch", file]).good();
    let message = ask(&running, &["patch", file]).failed(1).to_owned();
    assert!(message.contains("revision 1 of generation 42 runs") && message.contains("base [42, 1]"), "{message}");
    let error = ask(&running, &["patch", file, "--json"]).json()["error"].clone();
    assert_eq!((&error["code"], &error["data"]), (&json!(-32001), &json!({"generation": 42, "revision": 1})));
}

#[test]
fn a_refused_patch_lists_every_fault() {
    let running = Running::new();
    let faulty = r#"{"ports": [{"prefix": "198.51.100.1/32", "ports": "1-2", "server": "x"},
                               {"prefix": "198.51.100.3/32", "ports": "1-2", "server": null}]}"#;
    let path = running.place.write("faulty.json", faulty);
    for run in [ask(&running, &["patch", path.to_str().unwrap()]), pipe(&running, faulty, &[])] {
        let message = run.failed(1);
        assert!(message.contains("refused") && message.contains("generation 42 keeps forwarding"), "{message}");
        assert!(run.stdout.contains("ports[0].server: ") && run.stdout.contains("ports[1].prefix: "), "{run:?}");
    }
    let error = ask(&running, &["patch", path.to_str().unwrap(), "--json"]).json()["error"].clone();
    assert_eq!((&error["code"], error["data"]["faults"].as_array().unwrap().len()), (&json!(-32000), 2));
    assert!(ask(&running, &["patch", "/nonexistent"]).failed(1).contains("/nonexistent"));
}

#[test]
fn a_patch_may_come_by_standard_input() {
    let running = Running::new();
    let dry = pipe(&running, MOVE, &["--dry-run", "--json"]).good_json();
    assert_eq!((&dry["revision"], &dry["dry_run"]), (&json!(1), &json!(true)));
    assert_eq!(pipe(&running, MOVE, &["--json"]).good_json()["changed"], true);
    let again = MOVE.replace("[42, 0]", "[42, 1]");
    assert!(pipe(&running, &again, &[]).good().contains("revision 1 of generation 42 says so already; nothing done"));
    // What a message could not carry is told all the same.
    for nonsense in ["", "{", "[]", r#"{"path": "/x"}"#, r#"{"ports": [], "ports": []}"#] {
        let run = pipe(&running, nonsense, &["--json"]);
        run.failed(1);
        let error = run.json()["error"].clone();
        assert_eq!((&error["code"], error["data"]["faults"].is_array()), (&json!(-32000), true), "{nonsense}");
    }
}
