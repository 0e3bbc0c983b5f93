// SPDX-License-Identifier: MIT OR Apache-2.0
//! `sluice table` and the offline `sluice explain`: shapes, exit statuses, messages.
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
use control_support::{Place, TABLE, table};
use serde_json::{Value, json};

fn explain(place: &Place, destination: &str, more: &[&str]) -> Value {
    let table = place.path("table.json");
    let arguments = ["explain", destination, "--datacenter", "LHR", "--json", "--table", table.to_str().unwrap()];
    sluice(&[&arguments, more].concat()).good_json()
}

/// `value` without the keys that go beyond the contract, which may grow.
fn contract_keys(value: &Value) -> Value {
    let keys = [
        "generation",
        "address",
        "port",
        "verdict",
        "target",
        "outer_destination",
        "previous",
        "reason",
        "prefix",
        "ports",
    ];
    keys.iter().map(|key| ((*key).to_owned(), value.get(key).cloned().unwrap_or(json!("MISSING")))).collect()
}

#[test]
fn explain_tells_the_fate_by_the_contract() {
    let place = Place::new();
    let a = "198.51.100.1/32";
    let b = "198.51.100.2/32";
    let row = |address: &str, port: u16, verdict: &str, names: [Option<&str>; 4], prefix: Option<&str>, ports: &str| {
        let [target, outer, previous, reason] = names;
        json!({ "generation": 42, "address": address, "port": port, "verdict": verdict, "target": target,
                "outer_destination": outer, "previous": previous, "reason": reason, "prefix": prefix, "ports": ports })
    };
    let one = [Some("lhr-1"), Some("10.0.1.1"), None, None];
    let two = [Some("lhr-2"), Some("2001:db8:a:1::2"), None, None];
    let draining = [Some("lhr-2"), Some("2001:db8:a:1::2"), Some("lhr-1"), None];
    let remote = [Some("CDG"), Some("10.1.0.1"), None, None];
    let unallocated = [None, None, None, Some("unallocated_port")];
    let unassigned = [None, None, None, Some("unassigned_address")];
    let cases = [
        ("198.51.100.1", 2048, "server", one, Some(a), "2048-4095"),
        ("198.51.100.1", 4095, "server", one, Some(a), "2048-4095"),
        ("198.51.100.1", 4096, "server", two, Some(a), "4096-6143"),
        ("198.51.100.1", 0, "drop", unallocated, Some(a), "0-2047"),
        ("198.51.100.1", 2047, "drop", unallocated, Some(a), "0-2047"),
        ("198.51.100.1", 6144, "drop", unallocated, Some(a), "6144-65535"),
        ("198.51.100.2", 5000, "server", draining, Some(b), "4096-6143"),
        ("198.51.100.3", 80, "datacenter", remote, Some("198.51.100.3/32"), "0-65535"),
        ("198.51.100.77", 80, "drop", unassigned, Some("198.51.100.0/24"), "0-65535"),
        ("192.0.2.1", 80, "kernel", [None; 4], None, "0-65535"),
        ("224.0.0.1", 80, "kernel", [None; 4], None, "0-65535"),
    ];
    for (address, port, verdict, names, prefix, ports) in cases {
        let got = explain(&place, &format!("{address}:{port}"), &[]);
        assert_eq!(contract_keys(&got), row(address, port, verdict, names, prefix, ports));
        assert!(got["why"].as_str().is_some_and(|why| !why.is_empty()));
    }
    let whole = explain(&place, "[2001:db8:e::5]:443", &["--proto", "udp"]);
    assert_eq!(contract_keys(&whole), row("2001:db8:e::5", 443, "server", one, Some("2001:db8:e::/64"), "0-65535"));
    assert_eq!(explain(&place, "198.51.100.3:80", &[])["forwarders"], json!(["10.1.0.1", "2001:db8:b::1"]));
}

#[test]
fn explain_knows_port_zero_and_protocols_without_ports() {
    let place = Place::new();
    place.write("table.json", &TABLE.replace("[null, \"lhr-1\"", "[\"lhr-1\", \"lhr-1\""));
    let zero = explain(&place, "198.51.100.1:0", &[]);
    assert_eq!((&zero["reason"], &zero["ports"]), (&json!("unallocated_port"), &json!("0-0")));
    assert_eq!(explain(&place, "198.51.100.1:1", &[])["ports"], "1-4095");

    let gre = explain(&place, "198.51.100.2", &["--proto", "47"]);
    assert_eq!((&gre["target"], &gre["port"], &gre["ports"]), (&json!("lhr-1"), &Value::Null, &json!("0-65535")));
    let gre = explain(&place, "198.51.100.1:5000", &["--proto", "47"]);
    assert_eq!((&gre["verdict"], &gre["reason"]), (&json!("drop"), &json!("no_port")));
    for (name, number) in [("udp", 17), ("TCP", 6), ("132", 132), ("33", 33), ("136", 136)] {
        let answer = explain(&place, "198.51.100.1:5000", &["--proto", name]);
        assert_eq!((&answer["target"], &answer["protocol"]), (&json!("lhr-2"), &json!(number)), "{name}");
    }
}

#[test]
fn explain_takes_an_echo_reply_by_its_identifier() {
    let place = Place::new();
    for (identifier, target, reason, ports) in [
        (2048, json!("lhr-1"), Value::Null, "2048-4095"),
        (4096, json!("lhr-2"), Value::Null, "4096-6143"),
        (0, Value::Null, json!("unallocated_port"), "0-2047"),
    ] {
        let answer = explain(&place, &format!("198.51.100.1:{identifier}"), &["--proto", "icmp"]);
        assert_eq!((&answer["target"], &answer["reason"]), (&target, &reason), "{identifier}");
        assert_eq!((&answer["ports"], &answer["protocol"]), (&json!(ports), &json!(1)), "{identifier}");
        assert!(answer["why"].as_str().is_some_and(|why| why.contains("identifiers")), "{answer}");
    }
    let whole = explain(&place, "2001:db8:e::5", &["--proto", "icmp"]);
    assert_eq!((&whole["target"], &whole["protocol"]), (&json!("lhr-1"), &json!(58)));
    let path = place.path("table.json");
    let question =
        ["explain", "198.51.100.1", "--proto", "icmp", "--table", path.to_str().unwrap(), "--datacenter", "LHR"];
    assert!(sluice(&question).failed(1).contains("give ADDRESS:PORT"));
}

#[test]
fn explain_for_people_and_wrong_questions() {
    let place = Place::new();
    let path = place.path("table.json");
    let table = path.to_str().unwrap();
    let run = sluice(&["explain", "198.51.100.2:5000", "--table", table, "--datacenter", "LHR"]);
    let text = run.good();
    for word in ["server", "lhr-2", "2001:db8:a:1::2", "previous", "lhr-1", "198.51.100.2/32", "4096-6143", "42"] {
        assert!(text.contains(word), "{word}: {text}");
    }
    let offline =
        |destination, datacenter| sluice(&["explain", destination, "--table", table, "--datacenter", datacenter]);
    assert!(offline("198.51.100.1", "LHR").failed(1).contains("port"));
    assert!(offline("198.51.100.1:x", "LHR").failed(2).contains("ADDRESS:PORT"));
    assert!(offline("198.51.100.1:1", "LHX").failed(1).contains("the nearest is \"LHR\""));
    sluice(&["explain", "198.51.100.1:1", "--table", table]).failed(2);
    sluice(&["explain", "198.51.100.1:1", "--proto", "gre"]).failed(2);
    sluice(&["explain"]).failed(2);
}

#[test]
fn check_says_ok_or_every_fault() {
    let place = Place::new();
    let path = place.path("table.json");
    let file = path.to_str().unwrap();
    assert!(sluice(&["table", "check", file]).good().starts_with("OK: generation 42, 5 prefixes, 3 servers"));
    assert_eq!(sluice(&["table", "check", file, "--json"]).good_json(), json!({"ok": true, "faults": []}));

    place.write("table.json", &TABLE.replace("\"server\": \"cdg-1\"", "\"server\": \"x\"").replace("4096-6143", "9-8"));
    let run = sluice(&["table", "check", file, "--json"]);
    let document = run.json();
    assert_eq!(document["ok"], json!(false));
    assert!(run.failed(1).ends_with("table.json: 2 faults\n"), "{run:?}");
    let paths: Vec<_> = document["faults"].as_array().unwrap().iter().map(|f| f["path"].as_str().unwrap()).collect();
    assert_eq!(paths, ["egress[1].ranges[1].ports", "egress[2].server"]);
    assert!(document["faults"].as_array().unwrap().iter().all(|fault| fault["message"].is_string()));
    let run = sluice(&["table", "check", file]);
    assert!(run.failed(1).ends_with("table.json: 2 faults\n"), "{run:?}");
    let lines: Vec<_> = run.stdout.lines().collect();
    assert!(lines.len() == 2 && lines[0].starts_with("egress[1].ranges[1].ports: "), "{run:?}");
    assert!(lines[1].starts_with("egress[2].server: "), "{run:?}");

    for text in ["", "{", "[]", "nonsense", "\u{0}"] {
        place.write("table.json", text);
        let run = sluice(&["table", "check", file, "--json"]);
        assert!(run.failed(1).ends_with("table.json: 1 fault\n"), "{run:?}");
        assert_eq!(run.json()["ok"], json!(false), "{text:?}");
    }
    let missing = sluice(&["table", "check", "/nonexistent", "--json"]);
    assert!(missing.failed(1).contains("/nonexistent"), "{missing:?}");
    assert_eq!(missing.json()["ok"], json!(false));
    assert!(sluice(&["table", "check", "/nonexistent"]).failed(1).contains("/nonexistent"));
    sluice(&["table", "check"]).failed(2);
}

#[test]
fn slices_lists_what_a_server_owns() {
    let place = Place::new();
    let path = place.path("table.json");
    let file = path.to_str().unwrap();
    let document = sluice(&["table", "slices", file, "--server", "lhr-1", "--json"]).good_json();
    let expected = json!([
        {"prefix": "198.51.100.1/32", "ports": "2048-4095"},
        {"prefix": "198.51.100.2/32", "ports": "2048-4095"},
        {"prefix": "2001:db8:e::/64", "ports": "0-65535"},
    ]);
    assert_eq!((&document["server"], &document["slices"]), (&json!("lhr-1"), &expected));
    let text = sluice(&["table", "slices", file, "--server", "lhr-1"]);
    assert!(text.good().starts_with("198.51.100.1/32  2048-4095\n"), "{}", text.stdout);
    assert!(sluice(&["table", "slices", file, "--server", "lhr-3"]).failed(1).contains("the nearest is"));
}

#[test]
fn diff_lists_what_moves() {
    let place = Place::new();
    let path = place.path("table.json");
    let (a, b) = (path.to_str().unwrap(), place.write("next.json", &table(Some(43), true)));
    let b = b.to_str().unwrap();
    let expected = json!([{"prefix": "198.51.100.1/32", "ports": "2048-4095", "from": "lhr-1", "to": "lhr-2"}]);
    let document = sluice(&["table", "diff", a, b, "--datacenter", "LHR", "--json"]).good_json();
    assert_eq!(document["changes"], expected);
    let run = sluice(&["table", "diff", a, b, "--datacenter", "LHR", "--exit-code", "--json"]);
    assert_eq!((run.status, &run.json()["changes"]), (1, &expected));
    let text = sluice(&["table", "diff", a, b, "--datacenter", "LHR"]);
    assert!(text.good().contains("198.51.100.1/32  2048-4095  lhr-1  →  lhr-2"), "{}", text.stdout);
    let sums = "\
2048 ports on 1 addresses change hands
  2048 ports from one owner to another
  lhr-1  →  lhr-2  2048 ports  1 addresses
";
    assert!(text.stdout.ends_with(sums), "{}", text.stdout);
    assert_eq!(document["moves"], json!([{"from": "lhr-1", "to": "lhr-2", "addresses": 1, "ports": 2048}]));
    let same = sluice(&["table", "diff", a, a, "--datacenter", "LHR", "--exit-code", "--json"]).good_json();
    assert_eq!(same["changes"], json!([]));
    let elsewhere = sluice(&["table", "diff", a, b, "--datacenter", "CDG", "--exit-code", "--json"]).good_json();
    assert_eq!(elsewhere["changes"], json!([]));
    sluice(&["table", "diff", a, b, "--datacenter", "NRT"]).failed(1);
    sluice(&["table", "diff", a, b]).failed(2);
}

#[test]
fn geofeed_is_csv() {
    let place = Place::new();
    let path = place.path("table.json");
    let file = path.to_str().unwrap();
    assert_eq!(sluice(&["table", "geofeed", file]).good(), "198.51.100.1/32,GB,,,\n");
    let document = sluice(&["table", "geofeed", file, "--json"]).good_json();
    assert_eq!(document["prefixes"], json!([{"prefix": "198.51.100.1/32", "country": "GB"}]));
}

#[test]
fn a_table_that_is_needed_must_be_valid() {
    let place = Place::new();
    place.write("table.json", &TABLE.replace("\"server\": \"cdg-1\"", "\"server\": \"x\"").replace("4096-6143", "9-8"));
    let path = place.path("table.json");
    let file = path.to_str().unwrap();
    let commands: [&[&str]; 4] = [
        &["table", "slices", file, "--server", "lhr-1"],
        &["table", "geofeed", file],
        &["table", "diff", file, file, "--datacenter", "LHR"],
        &["explain", "198.51.100.1:1", "--table", file, "--datacenter", "LHR"],
    ];
    for command in commands {
        let run = sluice(command);
        let message = run.failed(1);
        assert!(message.contains("egress[1].ranges[1]") && message.contains("1 more"), "{message}");
        let run: Run = sluice(&[command, &["--json"]].concat());
        assert_eq!((run.status, run.json()["error"]["data"]["faults"].as_array().unwrap().len()), (1, 2));
    }
}

#[test]
fn a_table_that_suits_no_forwarder_there_is_told_whole() {
    let place = Place::new();
    // A valid table, but the only forwarder of LHR has no IPv6, which lhr-2 and all of CDG need.
    let text = TABLE.replace("\"10.0.0.1\", \"2001:db8:a::1\"", "\"10.0.0.1\"").replace("\"10.1.0.1\", ", "");
    let path = place.write("table.json", &text);
    let file = path.to_str().unwrap();
    sluice(&["table", "check", file]).good();
    let command = ["explain", "198.51.100.1:3000", "--table", file, "--datacenter", "LHR"];
    let run = sluice(&command);
    let message = run.failed(1);
    assert!(message.contains("(and 1 more fault)") && !message.contains("sluice table check"), "{message}");
    for fault in ["datacenters.CDG.forwarders: ", "servers.lhr-2.address: "] {
        assert!(run.stdout.lines().any(|line| line.starts_with(fault)), "{fault}: {run:?}");
    }
    let run = sluice(&[&command[..], &["--json"]].concat());
    assert_eq!((run.status, run.json()["error"]["data"]["faults"].as_array().unwrap().len()), (1, 2));
}

#[test]
fn a_table_without_number_is_explained_as_the_first_generation() {
    let place = Place::new();
    place.write("table.json", &table(None, false));
    assert_eq!(explain(&place, "198.51.100.1:3000", &[])["generation"], 1);
}

#[test]
fn wrong_usage_help_and_version_have_their_statuses() {
    sluice(&[]).failed(2);
    sluice(&["frobnicate"]).failed(2);
    sluice(&["status", "--frobnicate"]).failed(2);
    for command in [&["--help"][..], &["help", "reload"], &["explain", "--help"], &["table", "diff", "--help"]] {
        assert!(sluice(command).good().contains("Usage: "));
    }
    assert!(sluice(&["--version"]).good().starts_with("sluice "));
}

#[test]
fn a_reader_that_leaves_early_is_no_reason_to_complain() {
    let place = Place::new();
    let path = place.path("table.json");
    let script =
        format!("{} table check {} | true; exit ${{PIPESTATUS[0]}}", env!("CARGO_BIN_EXE_sluice"), path.display());
    let output = std::process::Command::new("bash").args(["-c", &script]).output().unwrap();
    assert_eq!((output.status.code(), output.stderr), (Some(0), Vec::new()));

    // What failed stays failed, whoever reads.
    place.write("table.json", "{");
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_sluice"));
    let output = command.args(["table", "check"]).arg(&path).stdout(writer).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8(output.stderr).unwrap().ends_with("table.json: 1 fault\n"));
}

#[test]
fn a_full_disk_is_told() {
    let place = Place::new();
    let path = place.path("table.json");
    let file = path.to_str().unwrap();
    for arguments in [&["table", "check", file][..], &["table", "check", file, "--json"], &["--help"], &["--version"]] {
        let full = || std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
        let run = |command: &mut std::process::Command| command.args(arguments).output().unwrap();
        let output = run(std::process::Command::new(env!("CARGO_BIN_EXE_sluice")).stdout(full()));
        let told = String::from_utf8(output.stderr).unwrap();
        assert_eq!((output.status.code(), told.lines().count()), (Some(1), 1), "{arguments:?}: {told}");
        assert!(told.starts_with("sluice: cannot write to standard output"), "{arguments:?}: {told}");
        let output = run(std::process::Command::new(env!("CARGO_BIN_EXE_sluice")).stdout(full()).stderr(full()));
        assert_eq!(output.status.code(), Some(1), "{arguments:?}");
    }
}
