// SPDX-License-Identifier: MIT OR Apache-2.0
//! Tables that are refused, and signals. What a reload does to traffic is the demo's to show.

use serde_json::{Value, json};

use crate::rig::Rig;

fn table(generation: u64, owner: &str) -> Value {
    json!({
        "version": 1, "generation": generation,
        "datacenters": {"LHR": {"forwarders": ["10.0.0.1"]}},
        "servers": {
            "old": {"datacenter": "LHR", "address": "10.0.1.1"},
            "new": {"datacenter": "LHR", "address": "10.0.1.2"}
        },
        "egress": [{"prefix": "198.51.100.1/32", "datacenter": "LHR", "slices": {"ports": 65536, "owners": [owner]}}]
    })
}

#[test]
fn a_refused_table_changes_nothing_and_names_every_fault() {
    let rig = Rig::new(&table(5, "old"), "net_ring0");
    let daemon = rig.start();
    let good = table(6, "new").to_string();
    let mut overlap = table(6, "new");
    overlap["egress"][0] = json!({"prefix": "198.51.100.1/32", "datacenter": "LHR", "ranges": [
        {"ports": "100-200", "server": "old"}, {"ports": "150-250", "server": "nobody"}, {"ports": "9-1", "server": "new"}]});
    let cases: [(&str, String, &[&str]); 4] = [
        ("truncated", good[..good.len() - 20].to_owned(), &[""]),
        ("unknown server", good.replace("[\"new\"]", "[\"nobody\"]"), &["egress[0].slices.owners[0]"]),
        (
            "overlap and more",
            overlap.to_string(),
            &["egress[0].ranges[1]", "egress[0].ranges[1].server", "egress[0].ranges[2]"],
        ),
        ("no JSON", "not a table".to_owned(), &[""]),
    ];
    for (what, text, paths) in cases {
        let file = rig.path("bad.json");
        std::fs::write(&file, text).unwrap();
        let output = daemon.sluice(&["reload", file.to_str().unwrap()]);
        assert_eq!(output.status.code(), Some(1), "{what}: {output:?}");
        let said = [output.stdout, output.stderr].concat();
        let said = String::from_utf8(said).unwrap();
        for path in paths {
            assert!(said.contains(path), "{what}: {path} is not named in {said}");
        }
        assert_eq!(daemon.ask(&["status"])["generation"], 5, "{what}");
    }
    let lower = rig.path("lower.json");
    std::fs::write(&lower, table(4, "new").to_string()).unwrap();
    assert_eq!(daemon.sluice(&["reload", lower.to_str().unwrap()]).status.code(), Some(1));
    assert_eq!(daemon.ask(&["status"])["generation"], 5);
    daemon.stop();
}

#[test]
fn sighup_loads_the_configured_table_again() {
    let rig = Rig::new(&table(1, "old"), "net_ring0");
    let daemon = rig.start();
    std::fs::write(rig.path("table.json"), table(2, "new").to_string()).unwrap();
    daemon.hang_up();
    let mut generation = Value::Null;
    for _ in 0..500 {
        generation = daemon.ask(&["status"])["generation"].clone();
        if generation == 2 {
            break;
        }
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    assert_eq!(generation, 2);
    assert_eq!(daemon.ask(&["explain", "198.51.100.1:4242"])["target"], "new");
    daemon.stop();
}
