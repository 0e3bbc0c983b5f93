// SPDX-License-Identifier: MIT OR Apache-2.0
//! Where `sluiced` logs: as JSON to standard error, and to the journal when systemd leads standard error there.
#![cfg(feature = "dpdk")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stderr,
    reason = "a test may stop at the first surprise"
)]

mod control_support;

use std::collections::BTreeMap;
use std::fs::File;
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::{UnixDatagram, UnixStream};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use control_support::{Client, Place, table};
use rustix::process::{Pid, Signal, geteuid, kill_process};
use serde_json::{Value, json};

const DAEMON: &str = env!("CARGO_BIN_EXE_sluiced");

/// A place whose daemon needs no hardware.
fn place(log: &str) -> Place {
    let place = Place::new();
    let config = std::fs::read_to_string(place.path("sluice.toml")).unwrap();
    let eal = "[eal]\nargs = [\"--no-huge\", \"-m\", \"512\", \"--no-pci\"]";
    place.write("sluice.toml", &format!("{config}\n{eal}\n{log}\n"));
    place
}

/// Waits for the daemon, reloads by its socket and stops it. Its process may be a child of the one that was started.
fn reload_and_stop(place: &Place, mut daemon: Child) {
    while UnixStream::connect(place.socket()).is_err() {
        assert_eq!(daemon.try_wait().unwrap(), None, "it has ended");
        thread::sleep(Duration::from_millis(5));
    }
    let path = place.write("next.json", &table(Some(43), true));
    Client::new(&place.socket()).result("reload", json!({"path": path}));
    kill_process(Pid::from_child(&daemon), Signal::TERM).unwrap();
    assert!(daemon.wait().unwrap().success());
}

#[test]
fn lines_of_json_have_a_member_for_each_value() {
    let place = place("[log]\nformat = \"json\"");
    let (file, config) = (place.path("log"), place.path("sluice.toml"));
    let mut command = Command::new(DAEMON);
    command.arg("--config").arg(config).stdin(Stdio::null()).stderr(File::create(&file).unwrap());
    // Of another standard error than this one.
    reload_and_stop(&place, command.env("JOURNAL_STREAM", "1:2").spawn().unwrap());
    let text = std::fs::read_to_string(&file).unwrap();
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let find = |message: &str| lines.iter().find(|line| line["message"] == message).unwrap_or_else(|| panic!("{text}"));
    assert_eq!(find("loading")["table"], json!(place.path("table.json")));
    assert_eq!((&find("forwarding")["generation"], &find("stopped")["imbalance"]), (&json!(42), &json!(0)));
    let audit = lines.iter().find(|line| line["target"] == "audit").unwrap();
    assert_eq!((&audit["method"], &audit["uid"]), (&json!("reload"), &json!(geteuid().as_raw())));
}

/// The fields of a message to the journal: `NAME=value`, or a name, the value's length in eight bytes, and the value.
fn fields(mut message: &[u8]) -> BTreeMap<String, String> {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    let mut fields = BTreeMap::new();
    while let Some(end) = message.iter().position(|byte| b"=\n".contains(byte)) {
        let (name, rest) = (text(&message[..end]), &message[end + 1..]);
        let (value, rest) = if message[end] == b'=' {
            rest.split_at(rest.iter().position(|byte| *byte == b'\n').unwrap())
        } else {
            let (length, rest) = rest.split_at(8);
            rest.split_at(u64::from_le_bytes(length.try_into().unwrap()) as usize)
        };
        fields.insert(name, text(value));
        message = &rest[1..];
    }
    fields
}

#[test]
fn the_journal_gets_fields() {
    // Only who may mount can put another socket in the journal's place.
    let probe = Command::new("unshare").args(["--mount", "true"]).output();
    if !probe.as_ref().is_ok_and(|output| output.status.success()) {
        return eprintln!("skipped: no mount namespace of its own: {probe:?}");
    }
    let place = place("");
    let journal = UnixDatagram::bind(place.path("journal")).unwrap();
    let messages = thread::spawn(move || {
        let mut messages = Vec::new();
        loop {
            let mut message = vec![0; 1 << 16];
            let length = journal.recv(&mut message).unwrap();
            messages.push(fields(&message[..length]));
            if messages.last().and_then(|last| last.get("MESSAGE")).is_some_and(|message| message == "stopped") {
                return messages;
            }
        }
    });
    let stderr = File::create(place.path("log")).unwrap();
    let found = stderr.metadata().unwrap();
    let script = r#"mount -t tmpfs none /run && mkdir -p /run/systemd/journal &&
        ln -s "$1" /run/systemd/journal/socket && exec "$2" --config "$3""#;
    let mut command = Command::new("unshare");
    command.args(["--mount", "sh", "-c", script, "sh"]).arg(place.path("journal")).arg(DAEMON);
    command.arg(place.path("sluice.toml")).stdin(Stdio::null()).stderr(stderr);
    command.env("JOURNAL_STREAM", format!("{}:{}", found.dev(), found.ino()));
    reload_and_stop(&place, command.spawn().unwrap());
    let messages = messages.join().unwrap();
    let audit = messages.iter().find(|fields| fields.get("TARGET").is_some_and(|target| target == "audit")).unwrap();
    let uid = geteuid().as_raw().to_string();
    let expected = [
        ("PRIORITY", "6"),
        ("SYSLOG_IDENTIFIER", "sluiced"),
        ("MESSAGE", "done"),
        ("SLUICE_METHOD", "reload"),
        ("SLUICE_UID", &uid),
    ];
    for (name, value) in expected {
        assert_eq!(audit.get(name).map(String::as_str), Some(value), "{name}: {audit:?}");
    }
    assert_eq!(std::fs::read_to_string(place.path("log")).unwrap(), "", "nothing goes to both");
}
