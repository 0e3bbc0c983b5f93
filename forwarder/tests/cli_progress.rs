// SPDX-License-Identifier: MIT OR Apache-2.0
//! What takes long shows on a terminal how far it is, and leaves nothing behind; in a pipe it shows nothing.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test may stop at the first surprise"
)]

mod cli_support;

use std::fs::{self, File, OpenOptions};
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use cli_support::sluice;
use rustix::fs::{CWD, Mode, mkfifoat};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use serde_json::{Value, json};
use tempfile::TempDir;

/// Longer than nothing is shown for.
const LONG: Duration = Duration::from_millis(900);

/// Runs `sluice` with a terminal for stderr; its stdout and what the terminal got.
fn on_terminal(arguments: &[&str]) -> (String, String) {
    let terminal = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
    grantpt(&terminal).unwrap();
    unlockpt(&terminal).unwrap();
    let name = ptsname(&terminal, Vec::new()).unwrap().into_string().unwrap();
    let other = OpenOptions::new().read(true).write(true).open(name).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_sluice"));
    command.args(arguments).env("TERM", "xterm").stdin(Stdio::null()).stdout(Stdio::piped()).stderr(other);
    let child = command.spawn().unwrap();
    // The last writer has to go, or reading never ends.
    drop(command);
    let reader = thread::spawn(move || {
        let (mut terminal, mut shown, mut part) = (File::from(terminal), Vec::new(), [0; 4096]);
        // Without a writer left, Linux says EIO.
        while let Ok(length @ 1..) = terminal.read(&mut part) {
            shown.extend_from_slice(&part[..length]);
        }
        String::from_utf8(shown).unwrap()
    });
    let output = child.wait_with_output().unwrap();
    let shown = reader.join().unwrap();
    assert!(output.status.success(), "{shown}");
    (String::from_utf8(output.stdout).unwrap(), shown)
}

/// A table of so many addresses in nobody's hands.
fn table(addresses: u32) -> String {
    let entry = |n: u32| json!({ "prefix": format!("{}/32", std::net::Ipv4Addr::from_bits(0x0a00_0000 + n)), "unassigned": true });
    let egress: Vec<Value> = (0..addresses).map(entry).collect();
    json!({ "version": 1, "datacenters": {}, "servers": {}, "egress": egress }).to_string()
}

/// Each line that was on the terminal took the place of the one before, and the last left none.
fn lines(shown: &str) -> Vec<&str> {
    assert!(shown.starts_with("\r\x1b[K") && shown.ends_with("\r\x1b[K") && !shown.contains('\n'), "{shown:?}");
    shown.split("\r\x1b[K").filter(|line| !line.is_empty()).collect()
}

#[test]
fn a_large_table_shows_a_bar_on_a_terminal_and_nothing_in_a_pipe() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("table.json");
    let path = file.to_str().unwrap();
    // Nobody knows how fast the machine is.
    for addresses in [100_000, 400_000, 1_600_000] {
        fs::write(&file, table(addresses)).unwrap();
        let (said, shown) = on_terminal(&["table", "check", path]);
        assert!(said.starts_with("OK: "), "{said}");
        if shown.is_empty() {
            continue;
        }
        let lines = lines(&shown);
        assert!(
            lines.iter().all(|line| line.starts_with('[') && line.contains(" % of ") && line.len() < 80),
            "{lines:?}"
        );
        sluice(&["table", "check", path]).good();
        return;
    }
    panic!("never a bar");
}

#[test]
fn a_small_table_shows_nothing() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("table.json");
    fs::write(&file, table(3)).unwrap();
    let (said, shown) = on_terminal(&["--json", "table", "check", file.to_str().unwrap()]);
    assert_eq!((said.as_str(), shown.as_str()), ("{\"faults\":[],\"ok\":true}\n", ""));
}

#[test]
fn a_pipe_shows_how_much_has_come() {
    let folder = TempDir::new().unwrap();
    let pipe = folder.path().join("pipe");
    mkfifoat(CWD, &pipe, Mode::from_raw_mode(0o600)).unwrap();
    let writer = thread::spawn({
        let pipe = pipe.clone();
        move || {
            let mut pipe = OpenOptions::new().write(true).open(pipe).unwrap();
            let text = table(1_000);
            let (one, other) = text.split_at(text.len() / 2);
            pipe.write_all(one.as_bytes()).unwrap();
            thread::sleep(LONG);
            pipe.write_all(other.as_bytes()).unwrap();
        }
    });
    let (_, shown) = on_terminal(&["table", "check", pipe.to_str().unwrap()]);
    writer.join().unwrap();
    let lines = lines(&shown);
    assert!(!lines.is_empty() && lines.iter().all(|line| line.contains(" KiB, ")), "{lines:?}");
}

/// A daemon that takes long for one reload, and tells meanwhile how far it is or does not.
fn reload(tells: bool) -> Vec<String> {
    let folder = TempDir::new().unwrap();
    let [file, socket] = ["table.json", "socket"].map(|name| folder.path().join(name));
    fs::write(&file, table(3)).unwrap();
    let listener = UnixListener::bind(&socket).unwrap();
    let answer = |stream: &mut BufReader<UnixStream>, result: Value| {
        writeln!(stream.get_mut(), "{}", json!({ "jsonrpc": "2.0", "result": result, "id": 1 })).unwrap();
    };
    let daemon = thread::spawn(move || {
        let mut reload = BufReader::new(listener.accept().unwrap().0);
        let mut line = String::new();
        reload.read_line(&mut line).unwrap();
        assert!(line.contains("\"reload\""), "{line}");
        if tells {
            let mut onlooker = BufReader::new(listener.accept().unwrap().0);
            for read in [1024, 2048, 3072] {
                onlooker.read_line(&mut line).unwrap();
                answer(&mut onlooker, json!({ "loading": { "read": read, "of": 4096 } }));
            }
        } else {
            thread::sleep(LONG);
        }
        let done = json!({ "generation": 2, "previous": 1, "changed": true, "dry_run": false, "forced": false,
            "discarded_patches": 0, "parse_ms": 1.0, "build_ms": 1.0, "swap_us": 1 });
        answer(&mut reload, done);
    });
    let (said, shown) = on_terminal(&["reload", file.to_str().unwrap(), "--socket", socket.to_str().unwrap()]);
    daemon.join().unwrap();
    assert!(said.starts_with("generation 2, after 1"), "{said}");
    lines(&shown).into_iter().map(str::to_owned).collect()
}

#[test]
fn a_reload_shows_how_far_the_daemon_is() {
    let lines = reload(true);
    for percent in [" 25 % of 4.0 KiB", " 50 % of 4.0 KiB"] {
        assert!(lines.iter().any(|line| line.contains(percent)), "{percent}: {lines:?}");
    }
}

#[test]
fn a_reload_shows_that_it_waits() {
    let lines = reload(false);
    assert!(!lines.is_empty() && lines.iter().all(|line| line.starts_with("0 s: sluiced loads ")), "{lines:?}");
}
