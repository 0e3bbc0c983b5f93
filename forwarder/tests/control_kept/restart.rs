// SPDX-License-Identifier: MIT OR Apache-2.0
//! Restarts.

use std::fs;

use serde_json::{Value, json};

use crate::control_support::{Place, Running, table};
use crate::{ports, problem, reload, start, what_runs};

/// The files of the state folder that end so, in order.
fn files(place: &Place, ending: &str) -> Vec<std::path::PathBuf> {
    let entries = fs::read_dir(place.path("sluice.state")).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<_> = entries.filter(|path| path.extension().is_some_and(|it| it == ending)).collect();
    files.sort();
    files
}

/// A daemon that has reloaded 43 and patched it once, and has ended.
fn patched() -> Place {
    let running = Running::new();
    let mut client = running.client();
    reload(&mut client, 43, false);
    let done = client.result("patch", ports(2));
    assert_eq!((&done["revision"], &done["kept"]), (&json!(1), &json!(true)));
    running.place.clone()
}

#[test]
fn a_restart_goes_on_with_reloads_and_patches() {
    let place = patched();
    let running = start(&place);
    assert_eq!(what_runs(&running), (43, 1, json!("lhr-2")));
    // And its journal goes on.
    running.client().result("patch", ports(1));
    drop(running);
    let running = start(&place);
    assert_eq!((what_runs(&running), problem(&mut running.client())), ((43, 2, json!("lhr-1")), Value::Null));
    assert_eq!(files(&place, "table").len(), 2);
}

#[test]
fn the_higher_of_both_is_taken() {
    let place = patched();
    for (generation, expected) in [(Some(43), (43, 1)), (None, (43, 1)), (Some(44), (44, 0)), (Some(44), (44, 0))] {
        place.write("table.json", &table(generation, true));
        let running = start(&place);
        let (generation, revision, owner) = what_runs(&running);
        assert_eq!(((generation, revision), owner), (expected, json!("lhr-2")));
    }
    // The same table again is no other generation; one that is neither higher nor lower is.
    assert_eq!(files(&place, "table").len(), 3);
    place.write("table.json", &table(Some(44), false));
    assert_eq!(what_runs(&start(&place)), (44, 0, json!("lhr-1")));
    assert_eq!(files(&place, "table").len(), 4);
}

#[test]
fn a_configured_table_that_is_missing_or_broken_does_not_matter() {
    let place = patched();
    for content in ["", "{", &table(Some(50), true).replace("\"version\": 1", "\"version\": 2")] {
        place.write("table.json", content);
        let running = start(&place);
        assert_eq!(what_runs(&running), (43, 1, json!("lhr-2")));
        let status = running.client().result("status", json!({}));
        let why = status["instead"].as_str().unwrap();
        assert!(why.contains("can't be used") && why.contains("revision 1 of generation 43"), "{why}");
        reload(&mut running.client(), 44, false);
        assert_eq!(running.client().result("status", json!({}))["instead"], Value::Null);
        // Not of the next start.
        running.client().result("rollback", json!({}));
    }
    fs::remove_file(place.path("table.json")).unwrap();
    assert_eq!(what_runs(&start(&place)), (43, 1, json!("lhr-2")));
}

#[test]
fn a_torn_journal_is_cut_and_a_damaged_table_passed_over() {
    let place = patched();
    let journal = files(&place, "journal").pop().unwrap();
    let whole = fs::read(&journal).unwrap();
    fs::write(&journal, [whole.as_slice(), &whole[..whole.len() - 1]].concat()).unwrap();
    assert_eq!(what_runs(&start(&place)), (43, 1, json!("lhr-2")));
    assert_eq!(fs::read(&journal).unwrap(), whole);
    fs::write(&journal, &whole[..whole.len() - 1]).unwrap();
    assert_eq!(what_runs(&start(&place)), (43, 0, json!("lhr-1")));
    assert_eq!(fs::read(&journal).unwrap(), b"");

    let newest = files(&place, "table").pop().unwrap();
    let whole = fs::read(&newest).unwrap();
    fs::remove_file(place.path("table.json")).unwrap();
    for damaged in [0, 1500] {
        let mut content = whole.clone();
        content[damaged] ^= 1;
        fs::write(&newest, content).unwrap();
        assert_eq!(what_runs(&start(&place)).0, 42);
    }
}

#[test]
fn only_so_many_generations_are_kept() {
    let place = Place::new();
    place.configure("[state]\nfolder = \"kept\"\ngenerations = 2");
    let running = start(&place);
    let mut client = running.client();
    (43..50).for_each(|generation| reload(&mut client, generation, generation % 2 == 0));
    let listed = client.result("generations", json!({}));
    let numbers: Vec<_> = listed["generations"].as_array().unwrap().iter().map(|it| it["generation"].clone()).collect();
    assert_eq!(numbers, [49, 48]);
    assert_eq!(fs::read_dir(place.path("kept")).unwrap().count(), 2 * 2 + 1);
}

#[test]
fn a_second_daemon_keeps_out_of_the_folder() {
    let running = Running::new();
    let other = Place::new();
    other.configure(&format!("[state]\nfolder = {:?}", running.place.path("sluice.state")));
    let second = start(&other);
    assert!(problem(&mut second.client()).as_str().unwrap().contains("another daemon"));
    assert_eq!(problem(&mut running.client()), Value::Null);
    drop(running);
    // The next change finds it free.
    reload(&mut second.client(), 43, true);
    assert_eq!(problem(&mut second.client()), Value::Null);
}
