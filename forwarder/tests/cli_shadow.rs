// SPDX-License-Identifier: MIT OR Apache-2.0
//! A table held against live packets, from the command line: what is seen of it, and how it ends.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test may stop at the first surprise"
)]

mod cli_support;
mod control_support;
mod feed;

use std::time::{Duration, Instant};

use cli_support::{Run, sluice};
use control_support::{Place, Running, frame, frame_to, table};
use feed::{Feed, Feeder};
use serde_json::{Value, json};

fn ask(running: &Running, arguments: &[&str]) -> Run {
    let socket = running.place.socket();
    sluice(&[arguments, &["--socket", socket.to_str().unwrap()]].concat())
}

/// A daemon that is fed, with a shadow in which lhr-1's slice of 198.51.100.1 is lhr-2's, of every packet.
fn shadowed(lines: &str) -> (Running, Feeder, String) {
    let place = Place::new();
    place.configure(lines);
    let path = place.write("next.json", &table(Some(43), true)).display().to_string();
    let (io, feeder) = Feed::new();
    (Running::with(place, io), feeder, path)
}

fn shadow(running: &Running) -> Value {
    ask(running, &["shadow", "--json"]).good_json()["shadow"].clone()
}

/// Waits until so many packets were looked at.
fn seen(running: &Running, packets: u64) -> Value {
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        let seen = shadow(running);
        let paired: u64 = seen["pairs"].as_array().unwrap().iter().map(|pair| pair["packets"].as_u64().unwrap()).sum();
        let same = seen["kinds"]["same"]["packets"].as_u64().unwrap();
        if seen["packets"] == packets && paired + same == packets {
            return seen;
        }
        assert!(Instant::now() < deadline, "{seen}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn live_packets_are_held_against_a_table_and_it_is_published_or_not() {
    let (running, feeder, path) = shadowed("");
    let none = ask(&running, &["shadow"]);
    assert_eq!(none.good(), "there is no shadow; sluice shadow FILE begins one\n");
    assert!(ask(&running, &["shadow", "--commit"]).failed(1).contains("there is no shadow"));
    assert!(ask(&running, &["shadow", "--discard"]).failed(1).contains("there is no shadow"));

    let begun = ask(&running, &["shadow", &path, "--sample", "1/1"]);
    assert!(begun.good().contains("2048 ports on 1 addresses change hands"), "{}", begun.stdout);
    assert!(begun.stdout.starts_with("generation 43 beside what runs, from "), "{}", begun.stdout);
    let again = ask(&running, &["shadow", &path]);
    assert!(again.failed(1).contains("there is a shadow already, of generation 43 from "), "{again:?}");

    for _ in 0..30 {
        feeder.feed(frame(3_000));
    }
    (0..10).for_each(|_| feeder.feed(frame(5_000)));
    (0..5).for_each(|_| feeder.feed(frame_to([198, 51, 100, 3], 80)));
    feeder.drain();
    let report = seen(&running, 45);
    assert_eq!((&report["generation"], &report["sample"], &report["obstacle"]), (&json!(43), &json!(1), &json!(null)));
    assert_eq!((&report["kinds"]["moved"]["packets"], &report["kinds"]["same"]["packets"]), (&json!(30), &json!(15)));
    assert_eq!(report["kinds"]["moved"]["bytes"], 30 * 42);
    let pair = &report["pairs"][0];
    assert_eq!((&pair["from"]["target"], &pair["to"]["target"]), (&json!("lhr-1"), &json!("lhr-2")));
    assert_eq!((&pair["packets"], &pair["kind"]), (&json!(30), &json!("moved")));
    let example =
        json!({"source": "203.0.113.7", "destination": "198.51.100.1", "protocol": 17, "port": 3000, "bytes": 42});
    assert_eq!(pair["examples"], json!([example, example, example]));
    let told = ask(&running, &["shadow"]);
    assert!(told.good().contains("45 packets seen, one in 1"), "{}", told.stdout);
    assert!(told.stdout.contains("  from one owner to another  66.67 %  30 packets"), "{}", told.stdout);
    assert!(
        told.stdout.contains("lhr-1  →  lhr-2  203.0.113.7 to 198.51.100.1 port 3000, protocol 17"),
        "{}",
        told.stdout
    );

    let status = ask(&running, &["status"]);
    assert!(status.good().contains("\nshadow       generation 43, for "), "{}", status.stdout);
    let explained = ask(&running, &["explain", "198.51.100.1:3000"]);
    assert!(explained.good().starts_with("server      lhr-1\n"), "{}", explained.stdout);
    assert!(
        explained.stdout.contains("\nshadow      generation 43 would say: ports 2048-6143"),
        "{}",
        explained.stdout
    );
    let explained = ask(&running, &["explain", "198.51.100.1:3000", "--json"]).good_json();
    assert_eq!((&explained["target"], &explained["shadow"]["target"]), (&json!("lhr-1"), &json!("lhr-2")));

    // What can't be asked of one may be asked of the other.
    let patch = r#"{"set":{"egress":[{"prefix":"198.51.100.1/32","datacenter":"LHR","server":"lhr-1"}]}}"#;
    let patch = running.place.write("whole.json", patch);
    ask(&running, &["patch", patch.to_str().unwrap()]).good();
    let whole = ask(&running, &["explain", "198.51.100.1", "--json"]).good_json();
    assert_eq!((&whole["target"], &whole["shadow"]), (&json!("lhr-1"), &Value::Null));

    let committed = ask(&running, &["shadow", "--commit"]);
    assert!(
        committed.good().starts_with("generation 43, after 42, whose 1 patch is discarded; "),
        "{}",
        committed.stdout
    );
    assert_eq!((running.generation(), shadow(&running)), (43, Value::Null));
    let explained = ask(&running, &["explain", "198.51.100.1:3000", "--json"]).good_json();
    assert_eq!((&explained["target"], &explained["shadow"]), (&json!("lhr-2"), &Value::Null));
    let then = ask(&running, &["explain", "198.51.100.1:3000", "--at", "42", "--json"]).good_json();
    assert_eq!((&then["target"], &then["generation"]), (&json!("lhr-1"), &json!(42)));
    let never = ask(&running, &["explain", "198.51.100.1:3000", "--at", "41"]);
    assert!(never.failed(1).contains("generation 41 does not run and is not kept"), "{never:?}");
    // It is kept like any other, and patches go on from it.
    assert!(ask(&running, &["generations"]).good().contains("the shadow of "));
    let patch = r#"{"ports":[{"prefix":"198.51.100.1/32","ports":"2048-4095","server":"lhr-1"}]}"#;
    let patch = running.place.write("patch.json", patch);
    assert!(ask(&running, &["patch", patch.to_str().unwrap()]).good().starts_with("revision 1 of generation 43"));
}

#[test]
fn a_shadow_that_is_discarded_leaves_nothing_and_packets_go_on() {
    let (running, feeder, path) = shadowed("");
    ask(&running, &["shadow", &path, "--sample", "1/2"]).good();
    (0..20).for_each(|_| feeder.feed(frame(3_000)));
    assert_eq!(seen(&running, 10)["kinds"]["moved"]["packets"], 10);
    // What runs changes under it, and packets are held against what runs then.
    let patch = r#"{"ports":[{"prefix":"198.51.100.1/32","ports":"2048-4095","server":"lhr-2"}]}"#;
    let patch = running.place.write("patch.json", patch);
    ask(&running, &["patch", patch.to_str().unwrap()]).good();
    (0..20).for_each(|_| feeder.feed(frame(3_000)));
    assert_eq!(seen(&running, 20)["kinds"]["same"]["packets"], 10);
    let last = ask(&running, &["shadow", "--discard", "--json"]).good_json();
    assert_eq!(last["shadow"]["packets"], 20);
    assert_eq!((shadow(&running), running.generation()), (Value::Null, 42));
    // And there can be another, also one that is refused for its number or is no table at all.
    let old = running.place.write("old.json", &table(Some(41), true)).display().to_string();
    let told = ask(&running, &["shadow", &old]);
    assert!(
        told.good().contains("to publish it takes --force: 41 is lower than the running generation 42"),
        "{told:?}"
    );
    assert!(ask(&running, &["shadow", "--commit"]).failed(1).contains("41 is lower than the running generation 42"));
    assert_eq!(shadow(&running)["generation"], 41, "one that is refused stays");
    assert!(
        ask(&running, &["shadow", "--commit", "--force"]).good().starts_with("generation 41, after 42, whose 1 patch")
    );
    assert_eq!((running.generation(), shadow(&running)), (41, Value::Null));
    let broken = running.place.write("broken.json", r#"{"version": 2}"#).display().to_string();
    assert!(ask(&running, &["shadow", &broken]).failed(1).contains("version"));
    assert_eq!(shadow(&running), Value::Null);
}

/// A table without a number takes the next one: also if another table has taken the one it would have had.
#[test]
fn guards_and_numbers_are_those_of_the_moment_of_publication() {
    let (running, _feeder, _) = shadowed("[guards]\nmin_addresses = 1\nmax_moved_percent = 1");
    let next = running.place.write("none.json", &table(None, true)).display().to_string();
    let told = ask(&running, &["shadow", &next]);
    assert!(told.good().contains("to publish it takes --force: it would move 2048 of"), "{}", told.stdout);
    let refused = ask(&running, &["shadow", "--commit", "--json"]).json();
    assert_eq!(refused["error"]["code"], -32002);
    let reloaded = running.place.write("another.json", &table(Some(43), false)).display().to_string();
    ask(&running, &["reload", &reloaded]).good();
    let done = ask(&running, &["shadow", "--commit", "--force", "--json"]).good_json();
    assert_eq!((&done["generation"], &done["forced"], &done["kept"]), (&json!(44), &json!(true), &json!(true)));
    assert_eq!(running.generation(), 44);
    let explained = ask(&running, &["explain", "198.51.100.1:3000", "--json"]).good_json();
    assert_eq!((&explained["target"], &explained["generation"]), (&json!("lhr-2"), &json!(44)));
}
