// SPDX-License-Identifier: MIT OR Apache-2.0
//! Tables that are none, or never end, given to a daemon under traffic: a clear error, bounded memory, traffic untouched.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::fs::{CWD, Mode, mkfifoat};
use serde_json::json;

use super::control_support::{Place, Running};
use super::hostile::{busy, unharmed};

/// What one of them may take beside what was there, in KiB: the longest patch, and what an allocator keeps.
const ROOM: u64 = 128 << 10;

fn resident() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

fn sparse(place: &Place, name: &str, start: &str) -> PathBuf {
    let path = place.write(name, start);
    File::options().write(true).open(&path).unwrap().set_len(2 << 30).unwrap();
    path
}

fn refused(running: &Running, path: &Path, words: &str) {
    let began = Instant::now();
    for (method, more) in [("reload", json!({})), ("reload", json!({"dry_run": true})), ("shadow_begin", json!({}))] {
        let mut params = more;
        params["path"] = json!(path);
        let answer = running.client().ask(method, params);
        assert_eq!(answer["error"]["code"], -32000, "{answer}");
        let message = answer["error"]["data"]["faults"].to_string();
        assert!(message.contains(words) && message.len() < 10_000, "{message:.400}");
    }
    let patched = running.client().ask("patch", json!({"path": path}));
    assert_eq!(patched["error"]["code"], -32000, "{patched}");
    assert!(began.elapsed() < Duration::from_secs(20), "{:?} for {}", began.elapsed(), path.display());
}

#[test]
fn what_is_no_table_costs_neither_memory_nor_packets() {
    let (running, seen) = busy();
    let place = running.place.clone();
    unharmed(&running, &seen);
    let before = resident();
    mkfifoat(CWD, place.path("fifo"), Mode::from_raw_mode(0o600)).unwrap();
    refused(&running, &place.path("fifo"), "not a regular file");
    refused(&running, Path::new("/dev/zero"), "not a regular file");
    refused(&running, &place.path(""), "not a regular file");
    refused(&running, &place.path("nothing"), "cannot be read");
    refused(&running, &sparse(&place, "zeros.json", ""), "not valid JSON");
    refused(&running, &sparse(&place, "text.json", r#"{"version": 1, "servers": {""#), "not valid JSON");
    refused(&running, &place.write("deep.json", &"[".repeat(8 << 20)), "nested more than 128 deep");
    refused(&running, &place.write("half.json", r#"{"version": 1, "egress": ["#), "ends too early");
    unharmed(&running, &seen);
    assert!(resident() < before + ROOM, "{} KiB after {before} KiB", resident());
    // Of what is wrong without end a hundred thousand faults are told.
    for (name, start, more) in
        [("ones.json", "", "1,"), ("empty.json", "", "{},"), ("ranges.json", r#"{"ranges": ["#, "1,")]
    {
        let document = format!("{{\"egress\": [{start}{}", more.repeat((8 << 20) / more.len()));
        let answer = running.client().ask("reload", json!({"path": place.write(name, &document), "dry_run": true}));
        let faults = answer["error"]["data"]["faults"].as_array().unwrap();
        assert!(faults.len() <= 100_001 && answer.to_string().contains("and at least"), "{name}: {}", faults.len());
    }
    unharmed(&running, &seen);
}

/// A start is no different: the configured table is one of them, and what was kept is taken.
#[test]
fn a_start_with_what_is_no_table_goes_on_with_what_ran() {
    let place = Running::new().place.clone();
    for bytes in ["[".repeat(8 << 20), format!("{{\"{}", "a".repeat(8 << 20))] {
        place.write("table.json", &bytes);
        let before = resident();
        let again = Running::with(place.clone(), forwarder::io::memory::MemoryIo::new(1));
        assert_eq!(again.generation(), 42);
        let status = again.client().result("status", json!({}));
        assert!(status["instead"].as_str().unwrap().contains("can't be used"), "{status}");
        assert!(resident() < before + ROOM, "{} KiB after {before} KiB", resident());
    }
}
