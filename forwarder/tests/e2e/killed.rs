// SPDX-License-Identifier: MIT OR Apache-2.0
//! kill −9 while the table changes, and the start after it.

use std::time::Duration;

use serde_json::{Value, json};

use crate::rig::{Rig, sluice};

/// Daemons that are killed, each somewhat later than the one before.
const KILLED: u64 = 5;
/// Ports of a slice.
const SLICE: u64 = 2048;

fn table(generation: u64) -> Value {
    json!({
        "version": 1, "generation": generation,
        "datacenters": {"LHR": {"forwarders": ["10.0.0.1"]}},
        "servers": {
            "even": {"datacenter": "LHR", "address": "10.0.1.1"},
            "odd": {"datacenter": "LHR", "address": "10.0.1.2"}
        },
        "egress": [{"prefix": "198.51.100.1/32", "datacenter": "LHR", "slices": {"ports": SLICE, "owners": ["even"]}}]
    })
}

/// The server that the first slice belongs to after so many patches.
fn owner(revision: u64) -> &'static str {
    if revision.is_multiple_of(2) { "even" } else { "odd" }
}

#[test]
fn what_was_accepted_last_forwards_after_a_kill() {
    let rig = Rig::new(&table(1), "net_ring0");
    let mut last = (1, 0);
    for round in 0..KILLED {
        let daemon = rig.start();
        let status = daemon.ask(&["status"]);
        let now = (status["generation"].as_u64().unwrap(), status["revision"].as_u64().unwrap());
        // One more than was answered may have reached the disk.
        assert!(now == last || now == (last.0, last.1 + 1), "{now:?} after {last:?} in round {round}");
        let explained = daemon.ask(&["explain", "198.51.100.1:80"]);
        assert_eq!(explained["target"], owner(now.1), "revision {} in round {round}", now.1);

        let next = rig.path("next.json");
        std::fs::write(&next, table(now.0 + 1).to_string()).unwrap();
        daemon.ask(&["reload", next.to_str().unwrap()]);
        last = std::thread::scope(|scope| {
            let patches = scope.spawn(|| patch(&rig, (now.0 + 1, 0)));
            std::thread::sleep(Duration::from_millis(100 + 37 * round));
            drop(daemon);
            patches.join().unwrap()
        });
    }
    assert!(last.1 > 0, "no patch was made");
}

/// Patches until nobody answers; generation and revision of the last answer.
fn patch(rig: &Rig, (generation, mut revision): (u64, u64)) -> (u64, u64) {
    let file = rig.path("patch.json");
    loop {
        let ports = json!([{"prefix": "198.51.100.1/32", "ports": "0-2047", "server": owner(revision + 1)}]);
        std::fs::write(&file, json!({ "ports": ports }).to_string()).unwrap();
        let mut patch = sluice(&["patch", file.to_str().unwrap()]);
        if !patch.arg("--socket").arg(rig.path("control.sock")).output().unwrap().status.success() {
            return (generation, revision);
        }
        revision += 1;
    }
}
