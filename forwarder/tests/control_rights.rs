// SPDX-License-Identifier: MIT OR Apache-2.0
//! Who may do what, by the credentials that the kernel tells of a peer. As root only: nobody else can be somebody else.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stderr,
    reason = "a test may stop at the first surprise"
)]

mod control_support;

use std::fs::{Permissions, set_permissions};
use std::os::unix::fs::PermissionsExt;
use std::thread;

use control_support::{Client, Place, Running, table};
use forwarder::io::memory::MemoryIo;
use rustix::process::{Gid, Uid, geteuid};
use rustix::thread::{set_thread_res_gid, set_thread_res_uid};
use serde_json::{Value, json};

/// A daemon whose configuration has these lines in `[control]`, and whose socket anybody can open.
fn daemon(control: &str) -> Running {
    let place = Place::new();
    let config = std::fs::read_to_string(place.path("sluice.toml")).unwrap();
    place.write("sluice.toml", &format!("{config}\n{control}\n"));
    let running = Running::with(place, MemoryIo::new(1));
    for (path, mode) in [(running.place.path(""), 0o755), (running.place.socket(), 0o666)] {
        set_permissions(path, Permissions::from_mode(mode)).unwrap();
    }
    running
}

/// What a peer of that user and group is told.
fn told(running: &Running, uid: u32, gid: u32, method: &str, params: Value) -> Value {
    let socket = running.place.socket();
    let connect = move || {
        // Of this thread alone, and with it of the connections it makes.
        let (user, group) = (Uid::from_raw(uid), Gid::from_raw(gid));
        set_thread_res_gid(group, group, group).unwrap();
        set_thread_res_uid(user, user, user).unwrap();
        Client::new(&socket)
    };
    let mut client = thread::spawn(connect).join().unwrap();
    client.send(format!("{}\n", json!({ "jsonrpc": "2.0", "method": method, "params": params, "id": 1 })).as_bytes());
    client.receive().unwrap()
}

#[test]
fn the_kernel_tells_who_asks() {
    if !geteuid().is_root() {
        return eprintln!("skipped: only root can be another user");
    }
    let running = daemon("change_uids = [4001]\nchange_gids = [5001]");
    let path = running.place.write("next.json", &table(Some(43), true));
    let status = |uid, gid| told(&running, uid, gid, "status", json!({}));
    let reload = |uid, gid| told(&running, uid, gid, "reload", json!({ "path": path, "dry_run": true }));
    assert_eq!(status(4000, 5000)["result"]["generation"], 42);
    let refused = reload(4000, 5000);
    assert_eq!(refused["error"]["code"], -32003);
    assert!(refused["error"]["message"].as_str().unwrap().starts_with("uid 4000 gid 5000 pid "), "{refused}");
    for (uid, gid) in [(4001, 5000), (4000, 5001), (0, 0)] {
        assert_eq!(reload(uid, gid)["result"]["changed"], true, "{uid} {gid}");
    }

    let running = daemon("change_uids = [4001]\nlook_uids = [4002]\nlook_gids = [5002]");
    let status = |uid, gid| told(&running, uid, gid, "status", json!({}));
    for (uid, gid) in [(4001, 5000), (4002, 5000), (4000, 5002), (0, 0)] {
        assert_eq!(status(uid, gid)["result"]["generation"], 42, "{uid} {gid}");
    }
    let refused = status(4000, 5000);
    assert_eq!((&refused["error"]["code"], &refused["id"]), (&json!(-32003), &Value::Null), "before it asked anything");
    assert_eq!(told(&running, 4002, 5000, "patch", json!({}))["error"]["code"], -32003);
}
