// SPDX-License-Identifier: MIT OR Apache-2.0
//! Signals rule the daemon. One test only: signals are the whole process's.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test may stop at the first surprise"
)]

mod control_support;

use std::os::unix::net::UnixStream;
use std::thread;
use std::time::Duration;

use control_support::{Client, Memory, Place, table};
use forwarder::control::config::Config;
use forwarder::control::daemon;
use forwarder::io::memory::MemoryIo;
use rustix::process::{Signal, getpid, kill_process};
use serde_json::{Value, json};

/// Asks for the status until it is as wanted.
fn wait_for(client: &mut Client, wanted: impl Fn(&Value) -> bool) {
    while !wanted(&client.result("status", json!({}))) {
        thread::sleep(Duration::from_millis(2));
    }
}

#[test]
fn a_hangup_reloads_and_a_termination_ends() {
    let place = Place::new();
    let (config, socket) = (place.config(), place.socket());
    let daemon =
        thread::spawn(move || daemon::run(config, |_: &Config| Ok::<_, String>(Memory(vec![MemoryIo::new(1)]))));
    // The file is there a moment before anybody listens.
    while UnixStream::connect(&socket).is_err() {
        assert!(!daemon.is_finished(), "it has ended");
        thread::sleep(Duration::from_millis(2));
    }
    let mut client = Client::new(&socket);
    wait_for(&mut client, |status| status["generation"] == 42);

    place.write("table.json", &table(Some(43), true));
    kill_process(getpid(), Signal::HUP).unwrap();
    wait_for(&mut client, |status| status["generation"] == 43);

    place.write("table.json", "{");
    kill_process(getpid(), Signal::HUP).unwrap();
    wait_for(&mut client, |status| status["last_reload"]["ok"] == false);
    assert_eq!(client.result("status", json!({}))["last_reload"]["by"], "SIGHUP");
    assert_eq!(client.result("status", json!({}))["generation"], 43);

    kill_process(getpid(), Signal::TERM).unwrap();
    daemon.join().unwrap().unwrap();
    assert!(!socket.exists());
}
