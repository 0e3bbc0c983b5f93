// SPDX-License-Identifier: MIT OR Apache-2.0
//! A folder that can't be written: it forwards, says so, and takes changes by force alone.

use serde_json::{Value, json};

use crate::control_support::{Place, table};
use crate::{ports, problem, start, what_runs};

const NOT_KEPT: i64 = -32007;

#[test]
fn a_folder_that_can_not_be_made_is_told_and_does_not_stop_anything() {
    let place = Place::new();
    place.write("file", "");
    place.configure("[state]\nfolder = \"file/state\"");
    let running = start(&place);
    let mut client = running.client();
    assert_eq!(what_runs(&running), (42, 0, json!("lhr-1")));
    assert!(problem(&mut client).as_str().unwrap().contains("file/state"));

    let (code, data) = client.error("patch", ports(2));
    assert_eq!((code, &data), (NOT_KEPT, &json!({"generation": 42, "revision": 0, "published": false})));
    let next: Value = serde_json::from_str(&table(Some(43), true)).unwrap();
    assert_eq!(client.error("reload", json!({"table": next})).0, NOT_KEPT);
    assert_eq!(client.result("reload", json!({"table": next, "dry_run": true}))["generation"], 43);
    assert_eq!(what_runs(&running), (42, 0, json!("lhr-1")));

    let mut forced = ports(2);
    forced["force"] = json!(true);
    let done = client.result("patch", forced);
    assert_eq!((&done["revision"], &done["kept"]), (&json!(1), &json!(false)));
    let done = client.result("reload", json!({"table": next, "force": true}));
    assert_eq!((&done["generation"], &done["kept"]), (&json!(43), &json!(false)));

    // Once there is a folder, the next change finds it, and what runs is kept with it.
    std::fs::remove_file(place.path("file")).unwrap();
    assert_eq!(client.result("patch", ports(1))["kept"], true);
    assert_eq!(problem(&mut client), Value::Null);
    drop((client, running));
    assert_eq!(what_runs(&start(&place)), (43, 1, json!("lhr-1")));
}
