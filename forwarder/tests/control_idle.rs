// SPDX-License-Identifier: MIT OR Apache-2.0
//! Workers that may sleep while nothing comes. One test to a process: it looks at a thread by its name.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test may stop at the first surprise"
)]

mod control_support;

use std::fs;
use std::thread;
use std::time::{Duration, Instant};

use control_support::{Place, Running, table};
use forwarder::io::memory::MemoryIo;
use serde_json::json;

/// Processor time that the worker's thread has taken, in hundredths of a second.
fn ticks() -> u64 {
    let tasks = fs::read_dir("/proc/self/task").unwrap();
    let stats = tasks.filter_map(|task| fs::read_to_string(task.unwrap().path().join("stat")).ok());
    let stat = stats.into_iter().find(|stat| stat.contains("(worker-0)")).unwrap();
    let fields: Vec<&str> = stat.split_once(") ").unwrap().1.split(' ').collect();
    fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()
}

/// Of a core, a worker that polls takes all that it can have. One that sleeps leaves most of it, and still takes up a new table
/// and a stop at once.
#[test]
fn a_worker_that_may_sleep_leaves_the_core_to_others() {
    let place = Place::new();
    let config = fs::read_to_string(place.path("sluice.toml")).unwrap();
    place.write("sluice.toml", &config.replace("[workers]", "[workers]\nidle = \"sleep\""));
    let mut running = Running::with(place, MemoryIo::new(1));
    thread::sleep(Duration::from_millis(100));
    let (start, before) = (Instant::now(), ticks());
    thread::sleep(Duration::from_secs(1));
    let (busy, all) = (ticks() - before, start.elapsed().as_millis() as u64 / 10);
    assert!(busy < all / 2, "busy for {busy} of {all} hundredths");

    for generation in 43..63 {
        let path = running.place.write("next.json", &table(Some(generation), generation % 2 == 0));
        assert_eq!(running.client().result("reload", json!({"path": path}))["generation"], generation);
    }
    running.stop().unwrap();
}
