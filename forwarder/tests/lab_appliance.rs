// SPDX-License-Identifier: MIT OR Apache-2.0
//! The appliance as a whole: the lab, which fails unless all that it shows is so; and that nothing of it stays.
#![cfg(feature = "dpdk")]
#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "a test stops at the first surprise")]

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, geteuid, kill_process};

/// The lab, all of whose files are in a folder of its own.
fn lab(folder: &Path) -> Command {
    let lab: PathBuf = Path::new(env!("CARGO_BIN_EXE_sluiced")).with_file_name("examples").join("lab");
    let mut command = Command::new(lab);
    command.env("TMPDIR", folder).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// Whether it can run. Where everything is to run, it must.
fn possible() -> bool {
    let root = geteuid().is_root();
    if !root {
        assert!(std::env::var_os("CI").is_none(), "network namespaces need root");
        eprintln!("skipped: needs root (network namespaces)");
    }
    root
}

fn namespaces(pid: u32) -> Vec<PathBuf> {
    let prefix = format!("/run/netns/sluice-lab-{pid}-");
    let entries = std::fs::read_dir("/run/netns").into_iter().flatten().flatten().map(|entry| entry.path());
    entries.filter(|path| path.to_string_lossy().starts_with(&prefix)).collect()
}

/// Nothing is left: no namespace, no process that works with the folder's files, and nothing in the folder.
fn is_clean(pid: u32, folder: &Path) {
    assert!(namespaces(pid).is_empty(), "{:?}", namespaces(pid));
    let left: Vec<_> = std::fs::read_dir(folder).unwrap().collect();
    assert!(left.is_empty(), "{left:?}");
    let words = folder.to_string_lossy().into_owned();
    for process in std::fs::read_dir("/proc").unwrap().flatten() {
        let line = std::fs::read(process.path().join("cmdline")).unwrap_or_default();
        assert!(!String::from_utf8_lossy(&line).contains(&words), "{}", String::from_utf8_lossy(&line));
    }
}

fn end(child: Child) -> (Output, String) {
    let output = child.wait_with_output().unwrap();
    let report = String::from_utf8_lossy(&output.stdout).into_owned();
    (output, report)
}

#[test]
fn all_that_the_lab_shows_is_so_and_nothing_of_it_stays() {
    if !possible() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let child = lab(folder.path()).spawn().unwrap();
    let pid = child.id();
    let (output, report) = end(child);
    assert!(output.status.success(), "{report}\n{}", String::from_utf8_lossy(&output.stderr));
    // Success alone would be cheap: the checks must have been made.
    assert_eq!(report.lines().filter(|line| line.starts_with("  ok   ")).count(), CHECKS, "{report}");
    is_clean(pid, folder.path());
}

/// How many marks the lab sets.
const CHECKS: usize = 26;

#[test]
fn nothing_of_an_interrupted_lab_stays() {
    if !possible() {
        return;
    }
    for signal in [Signal::INT, Signal::TERM] {
        let folder = tempfile::tempdir().unwrap();
        let child = lab(folder.path()).spawn().unwrap();
        let (pid, start) = (child.id(), Instant::now());
        // In the middle of it: daemons run.
        let has_begun = || std::fs::read_dir(folder.path()).unwrap().count() >= 3;
        while !has_begun() && start.elapsed() < Duration::from_secs(60) {
            std::thread::sleep(Duration::from_millis(20));
        }
        assert!(has_begun() && namespaces(pid).len() == 5);
        kill_process(Pid::from_child(&child), signal).unwrap();
        let (output, report) = end(child);
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(130), "{report}\n{said}");
        assert_eq!(said.trim_end(), "lab: interrupted; everything is removed", "{report}");
        is_clean(pid, folder.path());
    }
}
