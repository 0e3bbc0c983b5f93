// SPDX-License-Identifier: MIT OR Apache-2.0
//! `packaging/upgrade`: the new daemon is in service, and the old one was out of it before it ended.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;
use tempfile::TempDir;

use crate::announce::{READINESS, make_interface, table};
use crate::lab::netns::Netns;
use crate::lab::sluiced::{Place, USER};
use crate::lab::{self, wait_for};

/// Runs the script, whose programs are those that are tested.
fn upgrade(place: &Place, restart: &str) -> Output {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../packaging/upgrade");
    let programs = Path::new(env!("CARGO_BIN_EXE_sluice")).parent().unwrap().display().to_string();
    let path = format!("{programs}:{}", std::env::var("PATH").unwrap());
    let mut command = Command::new(script);
    command.args(["--leave", "0", "--restart", restart, "--config"]).arg(place.path("sluice.toml"));
    command.env("PATH", path).env("SLUICE_SOCKET", place.path("run/control.sock")).output().unwrap()
}

#[test]
fn an_upgrade_drains_restarts_and_comes_back() {
    if !lab::possible(&["ip"]) {
        return;
    }
    let (netns, place) = (Netns::new(), Place::new(&table()));
    make_interface(&netns, &format!("user {USER}"));
    place.configure(&READINESS.replace("linger = 2", ""));
    let old = place.start(&netns);
    wait_for("it is in service", || old.is_in_service());

    // The restart looks how the old one is, ends it, and has this test start the new one.
    let (socket, sluice) = (place.path("run/control.sock"), env!("CARGO_BIN_EXE_sluice"));
    let (seen, ended) = (place.path("seen"), place.path("ended"));
    let restart = format!(
        "{sluice} --socket {} health > {}; kill -TERM {}; touch {}",
        socket.display(),
        seen.display(),
        old.pid(),
        ended.display()
    );
    let (output, new) = std::thread::scope(|scope| {
        let upgrading = scope.spawn(|| upgrade(&place, &restart));
        wait_for("the restart", || ended.exists() || upgrading.is_finished());
        assert!(old.wait().success(), "{}", place.log());
        let new = place.start(&netns);
        (upgrading.join().unwrap(), new)
    });
    assert!(output.status.success(), "{output:?}");
    assert!(std::fs::read_to_string(&seen).unwrap().starts_with("draining, out of service, not announced"));
    assert!(new.is_in_service());
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(said.lines().last().unwrap().contains("in service again: ready, in service"), "{said}");

    // A configuration that the new version does not take stops it before anything is done.
    std::fs::write(place.path("table.json"), "{").unwrap();
    let output = upgrade(&place, "false");
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(String::from_utf8(output.stderr).unwrap().contains("nothing was done"));
    assert_eq!(new.ask(&["health"])["in_service"], json!(true));
    // So does one that is out of service already: it would not be noticed if the new one were, too.
    std::fs::write(place.path("table.json"), table().to_string()).unwrap();
    assert!(new.sluice(&["drain"]).status.success());
    let output = upgrade(&place, "false");
    assert!(String::from_utf8(output.stderr).unwrap().contains("not in service"), "{:?}", output.stdout);
}

/// Programs that only write down how they are called; draining fails where it should.
struct Pretence(TempDir);

impl Pretence {
    fn new(drain: bool) -> Self {
        let pretence = Self(TempDir::new().unwrap());
        let drained = if drain { "" } else { "[ $1 != drain ]" };
        for (program, does) in [("sluiced", ""), ("sluice", drained), ("birdc", ""), ("restart", "exit 1")] {
            let path = pretence.0.path().join(program);
            fs::write(&path, format!("#!/bin/sh\necho {program} \"$@\" >> \"${{0%/*}}/calls\"\n{does}\n")).unwrap();
            fs::set_permissions(path, Permissions::from_mode(0o755)).unwrap();
        }
        pretence
    }

    fn upgrade(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(Path::new(env!("CARGO_MANIFEST_DIR")).join("../packaging/upgrade"));
        let path = format!("{}:{}", self.0.path().display(), std::env::var("PATH").unwrap());
        command.args(arguments).args(["--restart", "restart"]).env("PATH", path);
        command
    }

    /// All calls, without those that only look.
    fn calls(&self) -> Vec<String> {
        let calls = fs::read_to_string(self.0.path().join("calls")).unwrap_or_default();
        calls.lines().filter(|call| !call.contains("health") && !call.contains("--check")).map(str::to_owned).collect()
    }
}

const LEAVE: &str = "birdc disable \"sluice?\"";
const UNDO: [&str; 2] = ["sluice undrain", "birdc enable \"sluice?\""];

#[test]
fn an_upgrade_that_fails_before_the_restart_is_undone() {
    let pretence = Pretence::new(false);
    let output = pretence.upgrade(&["--bird", "--leave", "0"]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(pretence.calls(), [LEAVE, "sluice drain", UNDO[0], UNDO[1]]);
    assert!(String::from_utf8(output.stderr).unwrap().contains("all was undone"));

    let pretence = Pretence::new(true);
    let mut child = pretence.upgrade(&["--bird", "--leave", "1"]).spawn().unwrap();
    wait_for("it tells neighbours", || !pretence.calls().is_empty());
    kill_process(Pid::from_child(&child), Signal::TERM).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(1));
    assert_eq!(pretence.calls(), [LEAVE, UNDO[0], UNDO[1]]);
}

#[test]
fn an_upgrade_whose_restart_fails_attracts_nothing() {
    let pretence = Pretence::new(true);
    let output = pretence.upgrade(&["--bird", "--leave", "0"]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(pretence.calls(), [LEAVE, "sluice drain", "restart"]);
    assert!(String::from_utf8(output.stderr).unwrap().contains("not undone"));
}

#[test]
fn an_upgrade_with_a_wrong_argument_does_nothing() {
    for arguments in [["--leave", "soon"], ["--leave", ""], ["--frr", "AS65001"]] {
        let pretence = Pretence::new(true);
        let output = pretence.upgrade(&arguments).output().unwrap();
        assert_eq!((output.status.code(), pretence.calls().len()), (Some(2), 0));
        assert!(String::from_utf8(output.stderr).unwrap().contains("a number is needed"));
    }
}
