// SPDX-License-Identifier: MIT OR Apache-2.0
//! Reloads through the socket and by signal: what is taken, what is refused, and that the rest stays.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test may stop at the first surprise"
)]

mod control_support;

use control_support::{Client, Running, TABLE, fault_paths, table};
use forwarder::control::load::Document;
use forwarder::control::methods;
use forwarder::control::peer::{Peer, Right};
use forwarder::control::rpc;
use serde_json::{Value, json};

/// Whose port 3000 of 198.51.100.1 is.
fn owner(client: &mut Client) -> Value {
    client.result("explain", json!({"address": "198.51.100.1", "port": 3000}))["target"].clone()
}

#[test]
fn a_greater_generation_takes_over() {
    let running = Running::new();
    let mut client = running.client();
    assert_eq!(owner(&mut client), "lhr-1");
    let path = running.place.write("next.json", &table(Some(43), true));
    let done = client.result("reload", json!({"path": path}));
    assert_eq!((&done["generation"], &done["previous"]), (&json!(43), &json!(42)));
    assert_eq!((&done["changed"], &done["dry_run"], &done["forced"]), (&json!(true), &json!(false), &json!(false)));
    assert!(done["parse_ms"].is_number() && done["build_ms"].is_number() && done["swap_us"].is_u64());
    assert_eq!(owner(&mut client), "lhr-2");
    let status = client.result("status", json!({}));
    assert_eq!((&status["generation"], &status["state"]), (&json!(43), &json!("forwarding")));
    assert_eq!(status["last_reload"]["ok"], true);
    let swaps = &status["swap_us"];
    assert_eq!((&swaps["count"], &swaps["p99"]), (&json!(1), &swaps["max"]));
    assert_eq!(client.result("stats", json!({}))["generation"], 43);
}

#[test]
fn a_table_may_come_in_the_message() {
    let running = Running::new();
    let mut client = running.client();
    let table: Value = serde_json::from_str(&table(Some(50), true)).unwrap();
    assert_eq!(client.result("reload", json!({"table": table}))["generation"], 50);
    assert_eq!(owner(&mut client), "lhr-2");
    // Text is kept as it came: a key that comes twice is still seen.
    let twice = r#"{"version": 1, "version": 1, "generation": 51}"#;
    client.send(format!(r#"{{"jsonrpc":"2.0","method":"reload","params":{{"table":{twice}}},"id":1}}"#).as_bytes());
    client.send(b"\n");
    let answer = client.receive().unwrap();
    assert_eq!(answer["error"]["code"], -32000);
    assert!(fault_paths(&answer["error"]["data"]).contains(&"version"), "{answer}");
}

#[test]
fn the_same_again_does_nothing() {
    let running = Running::new();
    let mut client = running.client();
    let compact: Value = serde_json::from_str(TABLE).unwrap();
    let done = client.result("reload", json!({"table": compact}));
    assert_eq!((&done["generation"], &done["changed"]), (&json!(42), &json!(false)));
}

#[test]
fn other_numbers_need_force() {
    let running = Running::new();
    let mut client = running.client();
    for (number, moved) in [(42, true), (41, false), (0, true)] {
        let path = running.place.write("next.json", &table(Some(number), moved));
        let (code, data) = client.error("reload", json!({"path": path}));
        assert_eq!((code, fault_paths(&data)), (-32000, vec!["generation"]), "{number}");
        assert_eq!((running.generation(), owner(&mut client)), (42, json!("lhr-1")));
    }
    let path = running.place.write("next.json", &table(Some(7), true));
    let done = client.result("reload", json!({"path": path, "force": true}));
    assert_eq!((&done["generation"], &done["forced"]), (&json!(7), &json!(true)));
    assert_eq!((running.generation(), owner(&mut client)), (7, json!("lhr-2")));
}

#[test]
fn tables_without_number_are_numbered() {
    let running = Running::new();
    let mut client = running.client();
    let path = running.place.write("next.json", &table(None, true));
    assert_eq!(client.result("reload", json!({"path": path}))["generation"], 43);
    assert_eq!(client.result("reload", json!({"path": path}))["generation"], 44);
}

#[test]
fn a_dry_run_changes_nothing() {
    let running = Running::new();
    let mut client = running.client();
    let path = running.place.write("next.json", &table(Some(43), true));
    let done = client.result("reload", json!({"path": path, "dry_run": true}));
    assert_eq!((&done["generation"], &done["dry_run"], &done["changed"]), (&json!(43), &json!(true), &json!(true)));
    assert_eq!((running.generation(), owner(&mut client)), (42, json!("lhr-1")));
    assert_eq!(client.result("status", json!({}))["last_reload"], Value::Null);
}

#[test]
fn a_refused_table_shows_every_fault_and_changes_nothing() {
    let running = Running::new();
    let mut client = running.client();
    let faulty = table(Some(43), true)
        .replace("\"server\": \"cdg-1\"", "\"server\": \"cdg-9\"")
        .replace("4096-6143", "4000-6143")
        .replace("198.51.100.0/24", "198.51.100.9/24");
    let path = running.place.write("next.json", &faulty);
    let (code, data) = client.error("reload", json!({"path": path}));
    let paths = fault_paths(&data);
    assert_eq!(code, -32000);
    for expected in ["egress[1].ranges[1]", "egress[2].server", "egress[3].prefix"] {
        assert!(paths.iter().any(|path| path.starts_with(expected)), "{expected}: {data}");
    }
    assert_eq!((running.generation(), owner(&mut client)), (42, json!("lhr-1")));
    let last = client.result("status", json!({}))["last_reload"].clone();
    assert_eq!((&last["ok"], &last["generation"]), (&json!(false), &json!(42)));
}

#[test]
fn faults_of_this_forwarder_and_of_the_number_come_together() {
    let running = Running::new();
    let text = table(Some(41), false).replace("\"10.0.0.1\", ", "");
    let path = running.place.write("next.json", &text);
    let (code, data) = running.client().error("reload", json!({"path": path}));
    assert_eq!((code, fault_paths(&data)), (-32000, vec!["generation", "datacenters.LHR.forwarders"]));
}

#[test]
fn files_that_are_no_tables_are_refused() {
    let running = Running::new();
    let mut client = running.client();
    let cut = running.place.write("cut.json", &TABLE[..TABLE.len() / 2]);
    let empty = running.place.write("empty.json", "");
    let directory = running.place.path("");
    for path in [cut, empty, directory, running.place.path("missing.json"), "/dev/zero".into()] {
        let (code, data) = client.error("reload", json!({"path": path}));
        assert_eq!((code, data["faults"].as_array().unwrap().len()), (-32000, 1), "{}", path.display());
        assert_eq!(running.generation(), 42);
    }
}

#[test]
fn wrong_parameters_are_told() {
    let mut client = Running::new().client_of();
    let invalid = [
        ("reload", json!({})),
        ("reload", json!({"path": "table.json"})),
        ("reload", json!({"path": "/t", "table": {}})),
        ("reload", json!({"path": "/t", "dryrun": true})),
        ("reload", json!({"path": 1})),
        ("reload", json!(["/t"])),
        ("rollback", json!({"generation": "41"})),
        ("rollback", json!({"path": "/t"})),
        ("generations", json!({"all": true})),
        ("status", json!({"verbose": true})),
        ("explain", json!({})),
        ("explain", json!({"address": "198.51.100.1"})),
        ("explain", json!({"address": "198.51.100.1", "port": 65536})),
        ("explain", json!({"address": "localhost", "port": 1})),
        ("explain", json!({"address": "198.51.100.1", "port": 1, "protocol": "gre"})),
        ("explain", json!({"address": "198.51.100.1", "port": 1, "protocol": 256})),
    ];
    for (method, params) in invalid {
        assert_eq!(client.0.error(method, params.clone()).0, -32602, "{method} {params}");
    }
    assert_eq!(client.0.error("roll_back", json!({})).0, -32601);
}

#[test]
fn wrong_parameters_are_told_in_the_words_of_the_protocol() {
    let mut client = Running::new().client_of();
    let a = "198.51.100.1";
    let told = [
        ("status", json!({"x": 1}), "status has no parameter \"x\"; it takes none"),
        ("reload", json!({"dryrun": true}), "reload has no parameter \"dryrun\"; it takes path, table, dry_run, force"),
        ("reload", json!({"path": 1}), "path has to be a string, and is 1"),
        ("reload", json!({"path": "/t", "force": "yes"}), "force has to be true or false, and is \"yes\""),
        ("reload", json!({}), "give either path or table"),
        ("reload", json!({"path": null}), "give either path or table"),
        ("explain", json!({}), "explain needs an address, or a frame"),
        ("explain", json!({"frame": "0"}), "a frame is hexadecimal, two digits a byte, from its Ethernet header on"),
        ("explain", json!({"frame": "00", "port": 1}), "give either a frame or an address"),
        ("explain", json!({"frame": "00", "device": "x"}), "there is no device \"x\"; there are: wan0"),
        ("explain", json!({"address": a, "device": "wan0"}), "device goes with frame"),
        ("explain", json!({"address": "here"}), "address has to be an IP address, and is \"here\""),
        ("explain", json!({"address": {"a": "x".repeat(100)}}), "address has to be an IP address"),
        ("explain", json!({"address": a, "port": 65536}), "port has to be a number from 0 to 65535, and is 65536"),
        ("explain", json!({"address": a, "port": "80"}), "port has to be a number from 0 to 65535, and is \"80\""),
        (
            "explain",
            json!({"address": a, "port": 1, "protocol": [6]}),
            "protocol has to be \"tcp\", \"udp\", \"icmp\" or a number from 0 to 255, and is [6]",
        ),
        ("explain", json!([a]), "parameters go by name: give an object"),
    ];
    for (method, params, message) in told {
        let answer = client.0.ask(method, params);
        assert_eq!((&answer["error"]["code"], &answer["error"]["message"]), (&json!(-32602), &json!(message)));
    }
    client
        .0
        .send(b"{\"jsonrpc\":\"2.0\",\"method\":\"reload\",\"params\":{\"path\":\"/a\",\"path\":\"/b\"},\"id\":1}\n");
    assert_eq!(client.0.receive().unwrap()["error"]["message"], "path is given twice");
}

#[test]
fn a_document_may_have_64_mib() {
    let running = Running::new();
    let mut client = running.client();
    let document = |bytes: usize| {
        let text = table(Some(43), true).replace('\n', " ");
        // No text of it is long: that has a bound of its own.
        text.replacen('{', &format!("{{{}", " ".repeat(bytes - text.len())), 1)
    };
    let mut reload = |bytes| {
        let document = document(bytes);
        assert_eq!(document.len(), bytes);
        client.send(
            format!(r#"{{"jsonrpc":"2.0","method":"reload","params":{{"table":{document}}},"id":1}}"#).as_bytes(),
        );
        client.send(b"\n");
        client.receive().unwrap()
    };
    let longest = 64 << 20;
    let refused = reload(longest + 1);
    assert_eq!(refused["error"]["code"], -32602, "{refused}");
    assert!(refused["error"]["message"].as_str().unwrap().contains("give it by path"), "{refused}");
    assert_eq!(running.generation(), 42);
    assert_eq!(reload(longest)["result"]["generation"], 43);
}

#[test]
fn hundreds_of_reloads_in_a_row() {
    let running = Running::new();
    let mut client = running.client();
    for number in 43..343 {
        let text = table(Some(number), number % 2 == 1);
        let table: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(client.result("reload", json!({"table": table}))["generation"], number);
    }
    assert_eq!((running.generation(), owner(&mut client)), (342, json!("lhr-1")));
}

#[test]
fn a_hangup_reloads_the_configured_table() {
    let running = Running::new();
    assert!(!running.forwarder.reload_configured().unwrap().changed);
    running.place.write("table.json", &table(Some(44), true));
    assert_eq!(running.forwarder.reload_configured().unwrap().generation, 44);
    running.place.write("table.json", "{");
    let error = running.forwarder.reload_configured().unwrap_err().to_string();
    assert!(error.contains("refused") && error.contains("generation 44 keeps forwarding"), "{error}");
    assert_eq!(running.generation(), 44);
}

#[test]
fn reloads_at_the_same_time_follow_each_other() {
    let running = Running::new();
    let path = running.place.write("next.json", &table(None, false));
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                let mut client = running.client();
                for _ in 0..20 {
                    client.result("reload", json!({"path": path}));
                    assert_eq!(owner(&mut client), "lhr-1");
                }
            });
        }
    });
    assert_eq!(running.generation(), 42 + 8 * 20);
}

#[test]
fn looking_is_no_right_to_change() {
    let running = Running::new();
    let peer = Peer::Process { uid: 4242, gid: 4242, pid: 1 };
    let path = running.place.write("next.json", &table(Some(43), true));
    let call = |method: &str, params: Value| {
        let request = rpc::request(method, &params);
        let call = |method: &str, params: rpc::Params<'_>| {
            methods::call(&running.forwarder, peer, Right::Look, method, params)
        };
        serde_json::from_slice::<Value>(&rpc::answer(request.as_bytes(), call).unwrap()).unwrap()
    };
    assert_eq!(call("reload", json!({"path": path}))["error"]["code"], -32003);
    assert_eq!(call("reload", json!({"path": path, "dry_run": true}))["error"]["code"], -32003);
    assert_eq!(running.generation(), 42);
    assert_eq!(call("status", json!({}))["result"]["generation"], 42);
    let document = Document::File(&path);
    assert_eq!(running.forwarder.reload(Peer::Signal, document, Default::default()).unwrap().generation, 43);
}

/// A client that keeps its daemon alive.
struct Kept(Client, #[allow(dead_code, reason = "dropped last")] Running);

impl Running {
    fn client_of(self) -> Kept {
        Kept(self.client(), self)
    }
}
