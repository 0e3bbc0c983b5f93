// SPDX-License-Identifier: MIT OR Apache-2.0
//! The whole story of the lab; the same story with forwarders that are broken on purpose, which it has to notice; and that
//! nothing of it stays, whatever ends it. Needs root, and Debian's packages of `.ci/deps lab`.
#![cfg(feature = "dpdk")]
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stderr,
    reason = "a test stops at the first surprise"
)]

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, geteuid, kill_process};
use serde_json::Value;

/// The steps that have to be told, as the lab's help names them.
const STEPS: [&str; 6] = ["downloads", "errors", "reloads", "moves", "failure", "guard"];

/// Starts the lab, which writes what it leaves to a folder.
fn lab(folder: &Path, arguments: &[&str]) -> Child {
    let mut command = Command::new(env!("CARGO_BIN_EXE_lab"));
    command.args(arguments).arg("--logs").arg(folder.join("logs")).current_dir(folder);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

/// Whether it can run. Where everything is to run, it must.
fn possible() -> bool {
    let root = geteuid().is_root();
    let sluiced = Path::new(env!("CARGO_BIN_EXE_lab")).with_file_name("sluiced").exists();
    let why = if root { "there is no sluiced beside the lab: build it with the feature dpdk" } else { "needs root" };
    if !(root && sluiced) {
        assert!(std::env::var_os("CI").is_none(), "the lab can't run: {why}");
        eprintln!("skipped: {why}");
    }
    root && sluiced
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

/// Processes of a lab, by the environment that all of them have.
fn processes(keeper: u32) -> Vec<String> {
    let mark = format!("SLUICE_LAB_KEEPER={keeper}\0");
    let mut left = vec![];
    for process in fs::read_dir("/proc").unwrap().flatten() {
        let read = |file| fs::read(process.path().join(file)).unwrap_or_default();
        if String::from_utf8_lossy(&read("environ")).contains(&mark) {
            left.push(String::from_utf8_lossy(&read("cmdline")).replace('\0', " "));
        }
    }
    left
}

#[test]
fn all_that_the_lab_tells_is_so() {
    if !possible() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let child = lab(folder.path(), &["--json"]);
    let keeper = child.id();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", said(&output));
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    let checks = report["checks"].as_array().unwrap();
    for step in STEPS {
        // Success alone would be cheap: the checks must have been made.
        assert!(
            checks.iter().filter(|check| check["step"] == step && check["passed"] == true).count() >= 2,
            "{report}"
        );
    }
    let picture = fs::read_to_string(folder.path().join("lab.svg")).unwrap();
    assert!(picture.matches("stroke-dasharray").count() >= 4 && picture.ends_with("</svg>\n"), "{picture}");
    assert!(processes(keeper).is_empty(), "{:?}", processes(keeper));
}

/// What has to be so of all packets.
const OWNERS: &str = "the answers found their sockets at the first server they came to";

/// Tells the steps that have to notice a breakage; what failed.
fn broken(how: &str) -> Vec<String> {
    let folder = tempfile::tempdir().unwrap();
    let output = lab(folder.path(), &["--break", how, "--json"]).wait_with_output().unwrap();
    assert!(output.status.success(), "{}", said(&output));
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    let failed = report["checks"].as_array().unwrap().iter().filter(|check| check["passed"] == false);
    failed.map(|check| check["what"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn a_forwarder_that_drops_icmp_errors_is_caught() {
    if possible() {
        let failed = broken("icmp");
        for words in ["the origin learns what the way to lhr-1 takes", "a host that is not there", "traces its way"] {
            assert!(failed.iter().any(|what| what.contains(words)), "{words}: {failed:?}");
        }
    }
}

#[test]
fn a_forwarder_that_mixes_up_slices_is_caught() {
    if possible() {
        // Its servers pass on to the owners what they should not have got.
        let failed = broken("slices");
        assert!(failed.iter().any(|what| what == OWNERS), "{failed:?}");
    }
}

#[test]
fn a_forwarder_that_mixes_up_data_centres_is_caught() {
    if possible() {
        let failed = broken("datacenter");
        for words in ["every download has the checksum", "no forwarder met a packet that"] {
            assert!(failed.iter().any(|what| what.contains(words)), "{words}: {failed:?}");
        }
    }
}

#[test]
fn tables_that_mix_up_slices_now_and_then_are_caught() {
    if possible() {
        let failed = broken("reload");
        assert!(failed.iter().any(|what| what == OWNERS), "{failed:?}");
    }
}

#[test]
fn an_old_owner_that_the_table_forgets_at_once_is_missed() {
    if possible() {
        let failed = broken("drain");
        assert!(failed.iter().any(|what| what.contains("the old connections of lhr-1 go on")), "{failed:?}");
    }
}

#[test]
fn a_router_that_sends_to_a_dead_forwarder_is_caught() {
    if possible() {
        assert_eq!(broken("router"), ["the step comes to its end"]);
    }
}

#[test]
fn a_guard_that_only_counts_is_caught() {
    if possible() {
        let failed = broken("guard");
        assert_eq!(failed.len(), 2, "{failed:?}");
        assert!(failed.iter().all(|what| what.contains("does not leave")), "{failed:?}");
    }
}

#[test]
fn nothing_stays_whatever_ends_it() {
    if !possible() {
        return;
    }
    for signal in [Signal::INT, Signal::TERM, Signal::KILL] {
        let folder = tempfile::tempdir().unwrap();
        let child = lab(folder.path(), &["--only", "downloads"]);
        let keeper = child.id();
        // In the middle of it: daemons run.
        wait_for(|| processes(keeper).iter().filter(|line| line.contains("sluiced --config")).count() == 4);
        kill_process(Pid::from_child(&child), signal).unwrap();
        let output = child.wait_with_output().unwrap();
        if signal != Signal::KILL {
            assert_eq!(output.status.code(), Some(130), "{}", said(&output));
            assert!(said(&output).ends_with("lab: interrupted; everything is removed\n"), "{}", said(&output));
            assert!(processes(keeper).is_empty(), "{:?}", processes(keeper));
        }
        // The kernel kills them when their parent is gone, and that takes a moment.
        wait_for(|| processes(keeper).is_empty());
        let files: Vec<_> = fs::read_dir(folder.path()).unwrap().collect();
        assert!(files.is_empty(), "{files:?}");
    }
}

fn wait_for(mut is_so: impl FnMut() -> bool) {
    let start = Instant::now();
    while !is_so() {
        assert!(start.elapsed() < Duration::from_secs(60), "waited in vain");
        std::thread::sleep(Duration::from_millis(50));
    }
}
