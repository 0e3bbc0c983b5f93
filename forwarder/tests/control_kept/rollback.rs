// SPDX-License-Identifier: MIT OR Apache-2.0
//! Rollbacks.

use serde_json::{Value, json};

use crate::control_support::{Client, Place, Running, fault_paths};
use crate::{ports, reload, start, what_runs};

fn listed(client: &mut Client) -> Vec<(u64, u64, bool)> {
    let listed = client.result("generations", json!({}));
    let row = |it: &Value| {
        (it["generation"].as_u64().unwrap(), it["revision"].as_u64().unwrap(), it["running"].as_bool().unwrap())
    };
    listed["generations"].as_array().unwrap().iter().map(row).collect()
}

/// 42 and a patch, then 43 and 44.
fn history() -> Running {
    let running = Running::new();
    let mut client = running.client();
    client.result("patch", ports(2));
    reload(&mut client, 43, false);
    reload(&mut client, 44, false);
    running
}

#[test]
fn a_rollback_brings_back_table_and_patches() {
    let running = history();
    let mut client = running.client();
    assert_eq!(listed(&mut client), [(44, 0, true), (43, 0, false), (42, 1, false)]);
    let done = client.result("rollback", json!({"generation": 42}));
    let expected = (&json!(42), &json!(1), &json!(44), &json!(true));
    assert_eq!((&done["generation"], &done["revision"], &done["previous"], &done["kept"]), expected);
    assert_eq!(what_runs(&running), (42, 1, json!("lhr-2")));
    assert_eq!(listed(&mut client), [(42, 1, true), (44, 0, false), (43, 0, false), (42, 1, false)]);
    // It can be patched, and lasts.
    assert_eq!(client.result("patch", ports(1))["revision"], 2);
    let place = running.place.clone();
    drop((client, running));
    // The configured 42 is lower, the kept 44 was rolled back from.
    assert_eq!(what_runs(&start(&place)), (42, 2, json!("lhr-1")));
}

#[test]
fn rollbacks_go_further_back_each_time() {
    let running = history();
    let mut client = running.client();
    let mut back = || client.ask("rollback", json!({}));
    assert_eq!(back()["result"]["generation"], 43);
    assert_eq!(back()["result"]["generation"], 42);
    let answer = back();
    assert_eq!(
        (answer["error"]["code"].as_i64(), fault_paths(&answer["error"]["data"])),
        (Some(-32000), vec!["generation"])
    );
    assert_eq!(client.result("rollback", json!({"generation": 44}))["generation"], 44);
    // What comes after a rollback has the rollback before it.
    client.result("rollback", json!({"generation": 42}));
    reload(&mut client, 45, false);
    assert_eq!(client.result("rollback", json!({}))["generation"], 42);
    client.result("rollback", json!({"generation": 44}));
    assert_eq!(client.error("rollback", json!({"generation": 46})).0, -32000);
    assert_eq!(running.generation(), 44);
}

#[test]
fn a_restart_does_not_undo_a_rollback_but_a_newer_table_does() {
    let place = Place::new();
    place.write("table.json", &crate::control_support::table(Some(43), true));
    let running = start(&place);
    reload(&mut running.client(), 44, false);
    running.client().result("rollback", json!({}));
    drop(running);
    for (configured, runs) in [(44, 43), (45, 45)] {
        place.write("table.json", &crate::control_support::table(Some(configured), false));
        assert_eq!(what_runs(&start(&place)).0, runs);
    }
}

#[test]
fn a_dry_run_of_a_rollback_changes_nothing() {
    let running = history();
    let mut client = running.client();
    let would = client.result("rollback", json!({"generation": 42, "dry_run": true}));
    assert_eq!((&would["generation"], &would["preview"]["moved"]), (&json!(42), &json!(2048)));
    assert_eq!((running.generation(), listed(&mut client).len()), (44, 3));
}

#[test]
fn nothing_is_kept_if_nobody_wants_it() {
    let place = Place::new();
    place.configure("[state]\ngenerations = 0");
    let running = start(&place);
    let mut client = running.client();
    assert_eq!(client.result("patch", ports(2))["kept"], false);
    assert_eq!(client.result("generations", json!({})), json!({"kept": null, "generations": []}));
    assert_eq!(client.error("rollback", json!({})).0, -32000);
    assert!(!place.path("sluice.state").exists());
}
