// SPDX-License-Identifier: MIT OR Apache-2.0
//! Every change leaves one line that says who, what and with which result. One test only: the log is the whole process's.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test may stop at the first surprise"
)]

mod control_support;

use std::io::Write;
use std::sync::{Arc, Mutex};

use control_support::{Running, table};
use forwarder::control::methods;
use forwarder::control::peer::{Peer, Right};
use forwarder::control::rpc;
use rustix::process::{getegid, geteuid};
use serde_json::{Value, json};

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Log {
    /// What the audit has said since the last time.
    fn lines(&self) -> Vec<Value> {
        let text = String::from_utf8(std::mem::take(&mut *self.0.lock().unwrap())).unwrap();
        let lines = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        lines.filter(|line| line["target"] == "audit").collect()
    }

    fn line(&self) -> Value {
        let mut lines = self.lines();
        assert_eq!(lines.len(), 1, "{lines:?}");
        lines.remove(0)
    }
}

#[test]
fn every_change_leaves_a_line_and_nothing_else_does() {
    let log = Log::default();
    let writer = log.clone();
    tracing_subscriber::fmt().json().flatten_event(true).with_writer(move || writer.clone()).init();
    let running = Running::new();
    let mut client = running.client();
    let (uid, gid, pid) = (geteuid().as_raw(), getegid().as_raw(), std::process::id());

    let path = running.place.write("next.json", &table(Some(43), true));
    client.result("reload", json!({"path": path, "force": false}));
    let line = log.line();
    assert_eq!((&line["uid"], &line["gid"], &line["pid"]), (&json!(uid), &json!(gid), &json!(pid)));
    assert_eq!((&line["level"], &line["method"], &line["message"]), (&json!("INFO"), &json!("reload"), &json!("done")));
    let inside = |key: &str| -> Value { serde_json::from_str(line[key].as_str().unwrap()).unwrap() };
    assert_eq!(inside("params"), json!({"path": path, "force": false}));
    assert_eq!((&inside("result")["generation"], &inside("result")["previous"]), (&json!(43), &json!(42)));

    let long: Vec<_> = (0..100).map(|n| json!({"prefix": format!("192.0.2.{n}/32"), "unassigned": true})).collect();
    client.result("patch", json!({"base": [43, 0], "set": {"egress": long}}));
    let line = log.line();
    let params = line["params"].as_str().unwrap();
    assert!(params.starts_with(r#"{"base":[43,0],"set":("#) && params.ends_with(" bytes)}"), "{params}");
    assert!(line["result"].as_str().unwrap().contains(r#""revision":1"#), "{line}");

    assert_eq!(client.error("patch", json!({"base": [43, 0], "ports": []})).0, -32001);
    let line = log.line();
    assert_eq!((&line["level"], &line["code"]), (&json!("INFO"), &json!(-32001)));

    running.place.write("next.json", "{");
    assert_eq!(client.error("reload", json!({"path": path})).0, -32000);
    let line = log.line();
    assert_eq!((&line["level"], &line["code"], &line["pid"]), (&json!("WARN"), &json!(-32000), &json!(pid)));
    assert!(line["message"].as_str().unwrap().contains("next.json"), "{line}");

    client.result("status", json!({}));
    client.error("reload", json!({"pat": 1}));
    assert_eq!(log.lines(), [Value::Null; 0], "neither questions nor requests that can't be read");

    // A stranger tries a thousand times.
    let stranger = Peer::Process { uid: 4242, gid: 4343, pid: 1 };
    for _ in 0..1000 {
        let call = |method: &str, params: rpc::Params<'_>| {
            methods::call(&running.forwarder, stranger, Right::Look, method, params)
        };
        rpc::answer(rpc::request("reload", &json!({"path": path})).as_bytes(), call).unwrap();
    }
    let lines = log.lines();
    assert!((20..30).contains(&lines.len()), "{} lines", lines.len());
    let line = &lines[0];
    assert_eq!((&line["message"], &line["uid"], &line["gid"]), (&json!("denied"), &json!(4242), &json!(4343)));
    assert_eq!(running.generation(), 43);
}
