// SPDX-License-Identifier: MIT OR Apache-2.0
//! Patches through the socket: what they change, what is refused, and that the rest stays.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test may stop at the first surprise"
)]

mod control_support;

use control_support::{Client, Place, Running, TABLE, fault_paths, table};
use forwarder::control::methods;
use forwarder::control::peer::{Peer, Right};
use forwarder::control::rpc;
use forwarder::io::memory::MemoryIo;
use serde_json::{Value, json};

/// Whose a port of 198.51.100.1 is.
fn owner(client: &mut Client, port: u16) -> Value {
    client.result("explain", json!({"address": "198.51.100.1", "port": port}))["target"].clone()
}

/// One slice of 198.51.100.1 goes to `server`.
fn ports(server: &str) -> Value {
    json!({"ports": [{"prefix": "198.51.100.1/32", "ports": "2048-4095", "server": server}]})
}

/// `patch` with `more` members.
fn with(patch: Value, more: Value) -> Value {
    let mut patch = patch;
    patch.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    patch
}

#[test]
fn a_patch_changes_what_it_says_and_raises_the_revision() {
    let running = Running::new();
    let mut client = running.client();
    let done = client.result("patch", ports("lhr-2"));
    assert_eq!((&done["generation"], &done["revision"], &done["prefixes"]), (&json!(42), &json!(1), &json!(1)));
    assert_eq!((&done["changed"], &done["dry_run"]), (&json!(true), &json!(false)));
    assert!(done["parse_ms"].is_number() && done["build_ms"].is_number() && done["swap_us"].is_u64());
    assert_eq!(owner(&mut client, 3000), "lhr-2");
    let status = client.result("status", json!({}));
    assert_eq!((&status["generation"], &status["revision"]), (&json!(42), &json!(1)));
    let patches = &status["patches"];
    assert_eq!((&patches["applied"], &patches["refused"]), (&json!(1), &json!(0)));
    assert_eq!((&patches["last"]["ok"], &patches["last"]["revision"]), (&json!(true), &json!(1)));
    assert_eq!((&status["last_reload"], &status["swap_us"]["count"]), (&Value::Null, &json!(1)));

    let path = running.place.write("patch.json", &ports("lhr-1").to_string());
    assert_eq!(client.result("patch", json!({"path": path}))["revision"], 2);
    assert_eq!(owner(&mut client, 3000), "lhr-1");
}

#[test]
fn all_parts_at_once() {
    let running = Running::new();
    let mut client = running.client();
    let done = client.result(
        "patch",
        json!({
            "base": [42, 0],
            "set": {
                "servers": {"lhr-3": {"datacenter": "LHR", "address": "10.0.1.3"}},
                "datacenters": {"MAN": {"forwarders": ["10.2.0.1"]}},
                "egress": [{"prefix": "198.51.100.9/32", "datacenter": "LHR", "server": "lhr-3"}]
            },
            "remove": {"egress": ["198.51.100.3/32"], "servers": ["cdg-1"]},
            "ports": [{"prefix": "198.51.100.1/32", "ports": "2048-4095", "server": "lhr-3", "previous": "lhr-1"}]
        }),
    );
    assert_eq!((&done["revision"], &done["prefixes"]), (&json!(1), &json!(3)));
    let explained = client.result("explain", json!({"address": "198.51.100.1", "port": 3000}));
    assert_eq!((&explained["target"], &explained["previous"]), (&json!("lhr-3"), &json!("lhr-1")));
    assert_eq!(explained["outer_destination"], "10.0.1.3");
    assert_eq!(client.result("explain", json!({"address": "198.51.100.9", "port": 1}))["target"], "lhr-3");
    let explained = client.result("explain", json!({"address": "198.51.100.3", "port": 1}));
    assert_eq!((&explained["reason"], &explained["prefix"]), (&json!("unassigned_address"), &json!("198.51.100.0/24")));
    let table = client.result("status", json!({}))["table"].clone();
    assert_eq!((&table["servers"], &table["datacenters"], &table["prefixes"]), (&json!(3), &json!(3), &json!(5)));
}

#[test]
fn another_base_is_its_own_error() {
    let running = Running::new();
    let mut client = running.client();
    assert_eq!(client.result("patch", with(ports("lhr-2"), json!({"base": [42, 0]})))["revision"], 1);
    for base in [json!([42, 0]), json!([42, 2]), json!([41, 1]), json!([43, 0])] {
        let answer = client.ask("patch", with(ports("lhr-1"), json!({"base": base})));
        assert_eq!(answer["error"]["code"], -32001, "{answer}");
        assert_eq!(answer["error"]["data"], json!({"generation": 42, "revision": 1}));
        assert!(answer["error"]["message"].as_str().unwrap().contains("[42, 1]"), "{answer}");
    }
    assert_eq!(owner(&mut client, 3000), "lhr-2");
    assert_eq!(client.result("status", json!({}))["patches"]["refused"], 4);
    assert_eq!(client.result("patch", with(ports("lhr-1"), json!({"base": [42, 1]})))["revision"], 2);
}

#[test]
fn what_changes_nothing_is_not_published() {
    let running = Running::new();
    let mut client = running.client();
    let server = json!({"set": {"servers": {"lhr-1": {"datacenter": "LHR", "address": "10.0.1.1"}}}});
    for patch in [json!({}), json!({"ports": []}), ports("lhr-1"), server] {
        for dry_run in [false, true] {
            let done = client.result("patch", with(patch.clone(), json!({"dry_run": dry_run})));
            assert_eq!((&done["revision"], &done["changed"], &done["prefixes"]), (&json!(0), &json!(false), &json!(0)));
        }
    }
    let status = client.result("status", json!({}));
    assert_eq!((&status["swap_us"]["count"], &status["patches"]["applied"]), (&json!(0), &json!(0)));
}

#[test]
fn a_dry_run_changes_nothing() {
    let running = Running::new();
    let mut client = running.client();
    let done = client.result("patch", with(ports("lhr-2"), json!({"dry_run": true})));
    assert_eq!((&done["revision"], &done["changed"], &done["dry_run"]), (&json!(1), &json!(true), &json!(true)));
    assert_eq!((&done["prefixes"], &done["swap_us"]), (&json!(1), &json!(0)));
    let status = client.result("status", json!({}));
    assert_eq!((owner(&mut client, 3000), &status["revision"]), (json!("lhr-1"), &json!(0)));
    assert_eq!(status["patches"]["last"], Value::Null);
    assert_eq!(client.error("patch", json!({"dry_run": true, "remove": {"servers": ["x"]}})).0, -32000);
}

#[test]
fn a_refused_patch_shows_every_fault_and_changes_nothing() {
    let running = Running::new();
    let mut client = running.client();
    let patch = json!({
        "set": {"egress": [{"prefix": "198.51.100.9/32", "datacenter": "LHR", "server": "nobody"}]},
        "remove": {"servers": ["lhr-1"], "egress": ["198.51.100.77/32"]},
        "ports": [{"prefix": "198.51.100.1/32", "ports": "2048-4095", "server": "lhr-2"},
                  {"prefix": "198.51.100.3/32", "ports": "1-2", "server": null}]
    });
    let (code, data) = client.error("patch", patch);
    let mut paths = fault_paths(&data);
    paths.sort_unstable();
    let expected = ["ports[1].prefix", "remove.egress[0]", "remove.servers[0]", "set.egress[0].server"];
    assert_eq!((code, paths.as_slice()), (-32000, expected.as_slice()));
    assert_eq!((&data["generation"], &data["revision"]), (&json!(42), &json!(0)));
    assert_eq!(owner(&mut client, 3000), "lhr-1");
    // A key that comes twice is seen, since the text is kept as it came.
    client.send(
        b"{\"jsonrpc\":\"2.0\",\"method\":\"patch\",\"params\":{\"set\":{\"egress\":[],\"egress\":[]}},\"id\":1}\n",
    );
    assert_eq!(client.receive().unwrap()["error"]["code"], -32000);
    let files = [("cut.json", "{"), ("list.json", "[]"), ("key.json", "{\"port\": []}")];
    let mut paths: Vec<_> = files.iter().map(|(name, text)| running.place.write(name, text)).collect();
    paths.extend([running.place.path(""), "/dev/zero".into(), "/nonexistent".into()]);
    for path in paths {
        let (code, data) = client.error("patch", json!({"path": path}));
        assert_eq!((code, fault_paths(&data).len()), (-32000, 1), "{}", path.display());
    }
    let patches = client.result("status", json!({}))["patches"].clone();
    assert_eq!((&patches["refused"], &patches["last"]["ok"]), (&json!(8), &json!(false)));
}

/// A forwarder that can send over IPv4 only.
fn ipv4_only() -> Running {
    let place = Place::new();
    let config = std::fs::read_to_string(place.path("sluice.toml")).unwrap();
    place.write("sluice.toml", &config.replace("ipv6 = \"2001:db8:a::1\"", ""));
    let text = TABLE.replace("\"address\": \"2001:db8:a:1::2\"", "\"address\": \"10.0.1.2\"");
    let text = text.replace("\"CDG\": {", "\"V6\": { \"forwarders\": [\"2001:db8:c::1\"] }, \"CDG\": {");
    let text =
        text.replace("\"cdg-1\": {", "\"v6-1\": { \"datacenter\": \"V6\", \"address\": \"10.2.0.1\" }, \"cdg-1\": {");
    place.write("table.json", &text);
    Running::with(place, MemoryIo::new(1))
}

#[test]
fn what_this_forwarder_alone_refuses_leaves_everything_as_it_was() {
    let running = ipv4_only();
    let mut client = running.client();
    let entry = json!([{"prefix": "198.51.100.9/32", "datacenter": "V6", "server": "v6-1"},
                       {"prefix": "198.51.100.2/32", "datacenter": "LHR", "server": "lhr-1"}]);
    let ports_too = json!([{"prefix": "198.51.100.1/32", "ports": "2048-4095", "server": "lhr-2"}]);
    let of_entries = json!({"set": {"egress": entry}, "remove": {"egress": ["2001:db8:e::/64"]}, "ports": ports_too});
    let of_servers = json!({"set": {"servers": {"new": {"datacenter": "LHR", "address": "2001:db8::5"}}}});
    for (patch, place) in [(of_entries, "datacenters.V6.forwarders"), (of_servers, "servers.new.address")] {
        for dry_run in [true, false] {
            let (code, data) = client.error("patch", with(patch.clone(), json!({"dry_run": dry_run})));
            assert_eq!((code, fault_paths(&data)), (-32000, vec![place]));
        }
        let status = client.result("status", json!({}));
        assert_eq!((&status["revision"], &status["table"]["prefixes"]), (&json!(0), &json!(5)));
        assert_eq!(owner(&mut client, 3000), "lhr-1");
        let explained = client.result("explain", json!({"address": "198.51.100.9", "port": 1}));
        assert_eq!((&explained["prefix"], &explained["verdict"]), (&json!("198.51.100.0/24"), &json!("drop")));
        // What runs is still the document.
        let path = running.place.path("table.json");
        assert_eq!(client.result("reload", json!({"path": path}))["changed"], false);
    }
    // And patches go on.
    assert_eq!(client.result("patch", ports("lhr-2"))["revision"], 1);
    assert_eq!(owner(&mut client, 3000), "lhr-2");
    assert_eq!(client.result("explain", json!({"address": "2001:db8:e::1", "port": 1}))["target"], "lhr-1");
}

#[test]
fn a_server_may_move_to_where_this_forwarder_has_no_way() {
    let running = ipv4_only();
    let mut client = running.client();
    let moved = json!({"set": {
        "servers": {"lhr-2": {"datacenter": "CDG", "address": "2001:db8:b:1::2"}},
        "egress": [{"prefix": "198.51.100.2/32", "datacenter": "LHR", "server": "lhr-1", "previous": "lhr-2"}]
    }, "ports": [{"prefix": "198.51.100.1/32", "ports": "4096-6143", "server": "lhr-1"}]});
    for dry_run in [true, false] {
        assert_eq!(client.result("patch", with(moved.clone(), json!({"dry_run": dry_run})))["revision"], 1);
    }
    assert_eq!(owner(&mut client, 5000), "lhr-1");
    let back = json!({"set": {"servers": {"lhr-2": {"datacenter": "LHR", "address": "10.0.1.9"}}}});
    assert_eq!(client.result("patch", with(back, ports("lhr-2")))["revision"], 2);
    let explained = client.result("explain", json!({"address": "198.51.100.1", "port": 3000}));
    assert_eq!((&explained["target"], &explained["outer_destination"]), (&json!("lhr-2"), &json!("10.0.1.9")));
}

#[test]
fn a_reload_discards_patches_and_says_how_many() {
    let running = Running::new();
    let mut client = running.client();
    for server in ["lhr-2", "lhr-1", "lhr-2"] {
        client.result("patch", ports(server));
    }
    // The document of the same number has other content than what runs.
    let path = running.place.path("table.json");
    let answer = client.ask("reload", json!({"path": path}));
    assert_eq!(fault_paths(&answer["error"]["data"]), ["generation"]);
    assert!(answer["error"]["message"].as_str().unwrap().contains("patched 3 times"), "{answer}");
    // One that says what the patches have led to is nothing new.
    let patched: Value = serde_json::from_str(&table(Some(42), true)).unwrap();
    let done = client.result("reload", json!({"table": patched}));
    assert_eq!((&done["changed"], &done["discarded_patches"]), (&json!(false), &json!(0)));
    let dry = client.result("reload", json!({"path": path, "force": true, "dry_run": true}));
    assert_eq!(
        (&dry["discarded_patches"], client.result("status", json!({}))["revision"].clone()),
        (&json!(3), json!(3))
    );
    let done = client.result("reload", json!({"path": path, "force": true}));
    assert_eq!(
        (&done["changed"], &done["discarded_patches"], &done["forced"]),
        (&json!(true), &json!(3), &json!(true))
    );
    assert_eq!(
        (owner(&mut client, 3000), client.result("status", json!({}))["revision"].clone()),
        (json!("lhr-1"), json!(0))
    );
    let next: Value = serde_json::from_str(&table(Some(43), true)).unwrap();
    assert_eq!(client.result("reload", json!({"table": next}))["discarded_patches"], 0);
    assert_eq!(client.result("patch", with(ports("lhr-1"), json!({"base": [43, 0]})))["revision"], 1);
}

#[test]
fn wrong_parameters_are_told() {
    let running = Running::new();
    let mut client = running.client();
    let wrong = [
        json!({"path": "patch.json"}),
        json!({"path": 1}),
        json!({"path": "/p", "ports": []}),
        json!({"dry_run": "yes"}),
        json!({"force": 1}),
        json!([]),
    ];
    for params in wrong {
        assert_eq!(client.error("patch", params.clone()).0, -32602, "{params}");
    }
    let long = "x".repeat(64 << 20);
    let answer = client.ask("patch", json!({"remove": {"servers": [long]}}));
    assert_eq!(answer["error"]["code"], -32602);
    assert!(answer["error"]["message"].as_str().unwrap().contains("reload"), "{answer}");
}

#[test]
fn looking_is_no_right_to_patch() {
    let running = Running::new();
    let peer = Peer::Process { uid: 4242, gid: 4242, pid: 1 };
    let request = rpc::request("patch", &ports("lhr-2"));
    let call =
        |method: &str, params: rpc::Params<'_>| methods::call(&running.forwarder, peer, Right::Look, method, params);
    let answer: Value = serde_json::from_slice(&rpc::answer(request.as_bytes(), call).unwrap()).unwrap();
    assert_eq!((&answer["error"]["code"], owner(&mut running.client(), 3000)), (&json!(-32003), json!("lhr-1")));
}

#[test]
fn patches_and_reloads_at_the_same_time_follow_each_other() {
    let running = Running::new();
    let text = table(None, false);
    let path = running.place.write("next.json", &text);
    std::thread::scope(|scope| {
        for server in ["lhr-1", "lhr-2"] {
            let (running, path) = (&running, &path);
            scope.spawn(move || {
                let mut client = running.client();
                for turn in 0..100 {
                    client.result("patch", ports(server));
                    assert!(["lhr-1", "lhr-2"].map(Value::from).contains(&owner(&mut client, 3000)));
                    if turn % 25 == 0 {
                        client.result("reload", json!({"path": path}));
                    }
                }
            });
        }
    });
    assert_eq!(running.generation(), 42 + 8);
}
