// SPDX-License-Identifier: MIT OR Apache-2.0
//! Safe changes from the command line: dry runs, refusals of guards, kept generations.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test may stop at the first surprise"
)]

mod cli_support;
mod control_support;

use cli_support::{Run, sluice};
use control_support::{Place, Running, table};
use forwarder::io::memory::MemoryIo;
use serde_json::json;

fn ask(running: &Running, arguments: &[&str]) -> Run {
    let socket = running.place.socket();
    sluice(&[arguments, &["--socket", socket.to_str().unwrap()]].concat())
}

/// A daemon whose guards watch small tables, too.
fn guarded() -> Running {
    let place = Place::new();
    place.configure("[guards]\nmin_addresses = 1");
    Running::with(place, MemoryIo::new(1))
}

#[test]
fn generations_are_listed_and_rolled_back_to() {
    let running = Running::new();
    let path = running.place.write("next.json", &table(Some(43), true));
    ask(&running, &["reload", path.to_str().unwrap()]).good();
    let listed = ask(&running, &["generations"]);
    let lines: Vec<_> = listed.good().lines().collect();
    assert!(lines[0].trim_start().starts_with("generation  revision  accepted"), "{}", listed.stdout);
    let words = |line: &str| line.split_whitespace().take(3).map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(
        (words(lines[1]), words(lines[2])),
        (vec!["*".into(), "43".into(), "0".into()], vec!["42".into(), "0".into(), "0".into()])
    );
    assert!(lines[1].ends_with("next.json") && lines[2].ends_with("table.json"), "{}", listed.stdout);

    let would = ask(&running, &["rollback", "--dry-run"]);
    assert!(would.good().starts_with("2048 ports on 1 addresses change hands\n"), "{}", would.stdout);
    assert!(would.stdout.contains("\n  lhr-2  →  lhr-1  2048 ports  1 addresses\n"), "{}", would.stdout);
    assert!(ask(&running, &["rollback"]).good().starts_with("generation 42, after 43; "));
    let forward = ask(&running, &["rollback", "43", "--json"]).good_json();
    assert_eq!((&forward["generation"], &forward["previous"]), (&json!(43), &json!(42)));
    let none = ask(&running, &["rollback", "41"]);
    assert!(none.failed(1).contains("no other generation 41 is kept; sluice generations lists what is"), "{none:?}");
    let status = ask(&running, &["status"]);
    assert!(status.good().contains("\nkept  "), "{}", status.stdout);
}

#[test]
fn a_guard_tells_what_it_has_against_a_change() {
    let running = guarded();
    let without = table(Some(43), false)
        .replace(r#"{ "prefix": "198.51.100.3/32", "datacenter": "CDG", "server": "cdg-1" },"#, "");
    let path = running.place.write("next.json", &without);
    let file = path.to_str().unwrap();
    let refused = ask(&running, &["reload", file]);
    let line = refused.failed(1);
    assert!(line.contains("a guard refuses the table") && line.contains("leave no port to CDG"), "{line}");
    assert!(line.contains("generation 42 keeps forwarding; use --force"), "{line}");
    let error = ask(&running, &["reload", file, "--json", "--dry-run"]).json();
    assert_eq!(error["error"]["code"], -32002);
    assert_eq!(error["error"]["data"]["preview"]["newly_dropped"], 65_536);
    let dry = ask(&running, &["reload", file, "--dry-run"]);
    dry.failed(1);
    assert!(dry.stdout.contains("65536 ports newly dropped"), "{}", dry.stdout);
    let patch = running.place.write("gone.json", r#"{"remove":{"egress":["198.51.100.3/32"]}}"#);
    let patch = patch.to_str().unwrap();
    assert!(ask(&running, &["patch", patch]).failed(1).contains("a guard refuses the patch"));
    assert!(ask(&running, &["patch", patch, "--force"]).good().starts_with("revision 1 of generation 42"));
}
