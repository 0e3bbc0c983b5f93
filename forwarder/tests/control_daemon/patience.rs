// SPDX-License-Identifier: MIT OR Apache-2.0
//! A service manager waits as long as the configuration makes a start and a stop take.

use std::env;
use std::os::unix::net::UnixDatagram;
use std::process::{Command, Stdio};
use std::time::Duration;

use forwarder::io::memory::MemoryIo;
use tempfile::tempdir;

use super::control_support::{Place, Running};

/// Only a process of its own can have another environment.
const CHILD: &str = "SLUICE_PATIENCE_TEST";
const TEST: &str = "patience::systemd_waits_for_links_and_for_what_lingers";

/// A daemon that may wait for its link, and lingers when it is told to stop.
fn daemon() {
    let place = Place::new();
    place.configure("[readiness]\nlinger = 1");
    let config = std::fs::read_to_string(place.path("sluice.toml")).unwrap();
    place.write("sluice.toml", &config.replacen("[[device]]", "[[device]]\nlink_wait = 3600", 1));
    Running::with(place, MemoryIo::new(1)).stop().unwrap();
}

#[test]
fn systemd_waits_for_links_and_for_what_lingers() {
    if env::var_os(CHILD).is_some() {
        return daemon();
    }
    let folder = tempdir().unwrap();
    let path = folder.path().join("notify");
    let socket = UnixDatagram::bind(&path).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    let mut child = Command::new(env::current_exe().unwrap());
    child.args([TEST, "--exact"]).env(CHILD, "1").env("NOTIFY_SOCKET", &path);
    let mut child = child.stdin(Stdio::null()).stdout(Stdio::null()).spawn().unwrap();
    let told: Vec<_> = (0..3)
        .map(|_| {
            let mut message = [0; 256];
            let length = socket.recv(&mut message).unwrap();
            String::from_utf8(message[..length].to_vec()).unwrap().trim_end().to_owned()
        })
        .collect();
    assert!(child.wait().unwrap().success());
    // Beside what is configured, the minute and a half that the unit has for the rest.
    let starting = "EXTEND_TIMEOUT_USEC=3690000000";
    let stopping = "STOPPING=1\nSTATUS=stopping\nEXTEND_TIMEOUT_USEC=91000000";
    assert_eq!(told, [starting, "READY=1\nSTATUS=forwarding", stopping]);
}
