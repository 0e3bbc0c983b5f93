// SPDX-License-Identifier: MIT OR Apache-2.0
//! `packaging/upgrade`: the new daemon is in service, and the old one was out of it before it ended.

use std::path::Path;
use std::process::{Command, Output};

use serde_json::json;

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
