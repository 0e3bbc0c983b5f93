// SPDX-License-Identifier: MIT OR Apache-2.0
//! A service manager waits as long as the configuration makes a start and a stop take.

use forwarder::io::memory::MemoryIo;

use super::control_support::{Place, Running};
use super::manager::Service;

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
    if Service::is_this() {
        return daemon();
    }
    let service = Service::start(TEST, &[]);
    let told: Vec<_> = (0..3).map(|_| service.hear()).collect();
    service.ends_well();
    // Beside what is configured, the minute and a half that the unit has for the rest.
    let starting = "EXTEND_TIMEOUT_USEC=3690000000";
    let stopping = "STOPPING=1\nSTATUS=stopping\nEXTEND_TIMEOUT_USEC=91000000";
    assert_eq!(told, [starting, "READY=1\nSTATUS=forwarding", stopping]);
}
