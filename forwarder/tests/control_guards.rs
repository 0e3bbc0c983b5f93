// SPDX-License-Identifier: MIT OR Apache-2.0
//! Guards: what they refuse through the socket, how they are overridden, and what a dry run tells.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test may stop at the first surprise"
)]

mod control_support;

use control_support::{Client, Place, Running};
use forwarder::io::memory::MemoryIo;
use serde_json::{Value, json};

const GUARDED: i64 = -32002;

/// A thousand addresses of 203.0.112.0/22 in LHR, in quarters of `owners`, but the last `less`; and one in CDG.
fn document(generation: u64, owners: &[&str], less: usize) -> Value {
    let server = |at: &str, address: &str| json!({"datacenter": at, "address": address});
    let address = |n: usize| format!("203.0.{}.{}/32", 112 + n / 256, n % 256);
    let mut egress: Vec<Value> = (0..1000 - less)
        .map(|n| json!({"prefix": address(n), "datacenter": "LHR", "slices": {"ports": 16384, "owners": owners}}))
        .collect();
    if generation != 99 {
        egress.push(json!({"prefix": "198.51.100.3/32", "datacenter": "CDG", "server": "cdg-1"}));
    }
    json!({
        "version": 1, "generation": generation,
        "datacenters": {"LHR": {"forwarders": ["10.0.0.1", "2001:db8:a::1"]}, "CDG": {"forwarders": ["10.1.0.1"]}},
        "servers": {"a": server("LHR", "10.0.1.1"), "b": server("LHR", "10.0.1.2"), "cdg-1": server("CDG", "10.1.1.1")},
        "egress": egress
    })
}

const ALL: [&str; 4] = ["a", "a", "a", "b"];

fn running() -> Running {
    let place = Place::new();
    place.write("table.json", &document(42, &ALL, 0).to_string());
    Running::with(place, MemoryIo::new(1))
}

fn refused(client: &mut Client, method: &str, params: Value) -> Value {
    let (code, data) = client.error(method, params);
    assert_eq!(code, GUARDED, "{data}");
    data
}

fn names(data: &Value) -> Vec<&str> {
    data["guards"].as_array().unwrap().iter().map(|guard| guard["guard"].as_str().unwrap()).collect()
}

#[test]
fn a_reload_that_takes_away_too_much_is_refused_with_its_figures() {
    let running = running();
    let mut client = running.client();
    let data = refused(&mut client, "reload", json!({"table": document(43, &ALL, 101)}));
    assert_eq!(names(&data), ["max_removed_percent"]);
    let (all, gone) = (1001 * 65_536, 101 * 65_536);
    let figures = json!({"addresses": 1001, "allocated_ports": all, "removed_ports": gone, "moved_ports": 0, "emptied_datacenters": []});
    assert_eq!((&data["impact"], &data["generation"]), (&figures, &json!(42)));
    assert_eq!((&data["guards"][0]["limit"], data["guards"][0]["value"].as_f64().unwrap() > 10.0), (&json!(10), true));
    assert_eq!(running.generation(), 42);
    // A tenth may go.
    let done = client.result("reload", json!({"table": document(43, &ALL, 100)}));
    assert_eq!((&done["generation"], &done["forced"], &done["guards"]), (&json!(43), &json!(false), &json!([])));
}

#[test]
fn every_guard_objects_and_force_overrides_all() {
    let running = running();
    let mut client = running.client();
    let table = document(99, &["b", "b", "b"], 0);
    let data = refused(&mut client, "reload", json!({"table": table}));
    assert_eq!(names(&data), ["max_removed_percent", "max_moved_percent", "allow_empty_datacenter"]);
    assert_eq!(data["impact"]["emptied_datacenters"], json!(["CDG"]));
    assert_eq!(running.generation(), 42);
    let done = client.result("reload", json!({"table": table, "force": true}));
    assert_eq!((&done["generation"], &done["forced"]), (&json!(99), &json!(true)));
    assert_eq!(done["guards"].as_array().unwrap().len(), 3);
}

#[test]
fn patches_rollbacks_and_signals_are_guarded_as_well() {
    let running = running();
    let mut client = running.client();
    let gone = json!({"remove": {"egress": ["198.51.100.3/32"]}});
    let data = refused(&mut client, "patch", gone.clone());
    assert_eq!((names(&data), &data["revision"]), (vec!["allow_empty_datacenter"], &json!(0)));
    // The refused patch has left nothing behind.
    let ports = json!({"ports": [{"prefix": "203.0.112.0/32", "ports": "0-16383", "server": "b"}]});
    assert_eq!(client.result("patch", ports)["impact"]["moved_ports"], 16_384);
    let mut forced = gone;
    forced["force"] = json!(true);
    let done = client.result("patch", forced);
    assert_eq!((&done["revision"], names(&done)), (&json!(2), vec!["allow_empty_datacenter"]));

    let table = document(43, &["b", "b", "b", "b"], 0);
    refused(&mut client, "reload", json!({"table": table}));
    client.result("reload", json!({"table": table, "force": true}));
    let names_of_rollback = names(&refused(&mut client, "rollback", json!({}))).join(" ");
    assert_eq!(names_of_rollback, "max_moved_percent allow_empty_datacenter");
    running.place.write("table.json", &document(44, &ALL, 0).to_string());
    assert!(running.forwarder.reload_configured().unwrap_err().to_string().starts_with("a guard refuses the table"));
    assert_eq!(running.generation(), 43);
    let done = client.result("rollback", json!({"force": true}));
    assert_eq!((&done["generation"], &done["revision"]), (&json!(42), &json!(2)));
}

#[test]
fn a_dry_run_tells_what_would_move() {
    let running = running();
    let mut client = running.client();
    let table = document(43, &["b", "a", "a"], 0);
    let told = refused(&mut client, "reload", json!({"table": table, "dry_run": true}));
    let would = client.result("reload", json!({"table": table, "dry_run": true, "force": true}));
    assert_eq!(told["preview"], would["preview"]);
    let preview = &would["preview"];
    let quarter = 1000 * 16_384;
    assert_eq!((&preview["addresses"], &preview["ports"]), (&json!(1000), &json!(2 * quarter)));
    assert_eq!((&preview["moved"], &preview["newly_dropped"]), (&json!(quarter), &json!(quarter)));
    let moves = json!([
        {"from": "a", "to": "b", "addresses": 1000, "ports": quarter},
        {"from": "b", "to": null, "addresses": 1000, "ports": quarter},
    ]);
    assert_eq!(preview["moves"], moves);
    assert_eq!(running.generation(), 42);
    let patch = json!({"dry_run": true, "ports": [{"prefix": "203.0.112.0/32", "ports": "0-99", "server": "b"}]});
    assert_eq!(client.result("patch", patch)["preview"]["moved"], 100);
}

#[test]
fn small_tables_and_configured_limits() {
    let place = Place::new();
    place.configure("[guards]\nmin_addresses = 1001\nmax_removed_percent = 50");
    place.write("table.json", &document(42, &ALL, 0).to_string());
    let running = Running::with(place, MemoryIo::new(1));
    let mut client = running.client();
    assert_eq!(client.result("reload", json!({"table": document(43, &ALL, 499)}))["generation"], 43);
    // Of fewer addresses now.
    assert_eq!(client.result("reload", json!({"table": document(44, &["b"], 999)}))["generation"], 44);
}
