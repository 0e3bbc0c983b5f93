// SPDX-License-Identifier: MIT OR Apache-2.0
//! What comes with the agent, follows the table, and goes with the agent.

use std::fs;

use rustix::process::Signal;
use serde_json::json;

use crate::network::CABLE;
use crate::rig::{INTERNET, Rig, sliced, table, whole};

const OURS: Option<&str> = Some("lhr-1");
const OTHERS: Option<&str> = Some("lhr-2");

#[test]
fn addresses_and_ports_come_follow_the_table_and_go() {
    let Some(mut rig) = Rig::new() else { return };
    let found = rig.choice();
    // An administrator's own.
    rig.server().ip(&["address", "add", "198.51.100.9/32", "dev", "lo"]);
    let first = json!([
        sliced("198.51.100.1/32", &[None, OURS, OTHERS, OURS], &[]),
        whole("198.51.100.9/32", "lhr-1"),
        whole("198.51.100.16/28", "lhr-1"),
        whole("2001:db8:e::/64", "lhr-1"),
        whole("2001:db8:f::7/128", "lhr-1"),
        whole("198.51.100.3/32", "lhr-2"),
    ]);
    rig.write(&table(1, &first));
    rig.start();
    let held =
        ["198.51.100.1", "198.51.100.16/28", "198.51.100.9", "2001:db8:e::/64", "2001:db8:e::1", "2001:db8:f::7"];
    assert_eq!(rig.held(), held);
    assert_eq!(rig.choice(), ("2048-8191".into(), "4096-6143".into()));
    let route = rig.server().ip(&["route", "get", INTERNET]);
    assert!(route.contains("src 10.9.0.1"), "a shared address is chosen by default: {route}");
    let status = rig.status();
    let row = |index: usize| {
        let address = &status["addresses"][index];
        (address["prefix"].clone(), address["role"].clone(), address["foreign"].clone())
    };
    assert_eq!(row(0), (json!("198.51.100.1/32"), json!("owned"), json!(false)));
    assert_eq!(row(1), (json!("198.51.100.9/32"), json!("owned"), json!(true)));
    assert_eq!(
        (&status["state"], &status["ports"]["range"], &status["generation"]),
        (&json!("ok"), &json!("2048-8191"), &json!(1))
    );

    // By rename, and by writing into the file.
    let second = json!([sliced("198.51.100.1/32", &[None, OTHERS, OURS], &[]), whole("198.51.100.4/32", "lhr-1")]);
    rig.write(&table(2, &second));
    rig.wait_for_generation(2);
    rig.wait_for("end of the unused", |rig| rig.held() == ["198.51.100.1", "198.51.100.4", "198.51.100.9"]);
    assert_eq!(rig.choice(), ("4096-6143".into(), String::new()));
    fs::write(rig.path("table.json"), table(3, &json!([whole("198.51.100.4/32", "lhr-1")]))).unwrap();
    rig.wait_for_generation(3);
    rig.wait_for("end of the unused", |rig| rig.held() == ["198.51.100.4", "198.51.100.9"]);

    // Whatever somebody takes away comes back.
    rig.server().ip(&["address", "del", "198.51.100.4/32", "dev", "lo"]);
    rig.wait_for("address again", |rig| rig.held() == ["198.51.100.4", "198.51.100.9"]);

    assert_eq!(rig.end(Signal::TERM).code(), Some(0));
    assert_eq!(rig.held(), ["198.51.100.9"], "what was there before is still there");
    assert_eq!(rig.choice(), found);
    assert!(!rig.path("agent.sock").exists() && !rig.path("agent.ports").exists());
}

#[test]
fn an_address_stays_while_many_come_and_go() {
    let Some(mut rig) = Rig::new() else { return };
    let few = vec![whole("198.51.100.1/32", "lhr-1")];
    rig.write(&table(1, &json!(few)));
    rig.start();
    let addresses = |rig: &Rig| rig.server().ip(&["-4", "-o", "address", "show", "dev", "lo"]).lines().count();
    assert_eq!(addresses(&rig), 2);
    let (sender, stop) = std::sync::mpsc::channel();
    let binding = rig.server().spawn(move || {
        while stop.try_recv() == Err(std::sync::mpsc::TryRecvError::Empty) {
            std::net::UdpSocket::bind("198.51.100.1:0").unwrap();
        }
    });
    let more = (0..1000).map(|number| whole(&format!("192.0.{}.{}/32", number / 250, number % 250), "lhr-1"));
    rig.write(&table(2, &json!(few.iter().cloned().chain(more).collect::<Vec<_>>())));
    rig.wait_for_generation(2);
    assert_eq!((addresses(&rig), rig.held().len()), (1, 1001), "routes, each of them");
    rig.write(&table(3, &json!(few)));
    rig.wait_for_generation(3);
    rig.wait_for("end of the unused", |rig| rig.held() == ["198.51.100.1"]);
    assert_eq!(addresses(&rig), 2);
    sender.send(()).unwrap();
    binding.join().unwrap();
}

#[test]
fn a_refused_table_changes_nothing() {
    let Some(mut rig) = Rig::new() else { return };
    rig.write(&table(1, &json!([whole("198.51.100.1/32", "lhr-1")])));
    rig.start();
    let state = |rig: &Rig| rig.status()["state"].clone();
    rig.write("{");
    rig.wait_for("refusal", |rig| state(rig) == "degraded");
    let health = rig.call(&["health"]);
    assert_eq!(health.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&health.stdout).contains("was refused"), "{health:?}");
    assert_eq!((rig.held(), rig.status()["generation"].clone()), (vec!["198.51.100.1".to_owned()], json!(1)));

    // Not our table at all; told by the command that brings it, with its exit status.
    let foreign = table(2, &json!([])).replace("lhr-1", "lhr-7");
    fs::write(rig.path("foreign.json"), foreign).unwrap();
    let refused = rig.call(&["reload", rig.path("foreign.json").to_str().unwrap()]);
    assert_eq!(refused.status.code(), Some(1));
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    let name = "servers: has no \"lhr-1\", which this agent is; the nearest name is \"lhr-7\"";
    assert!(said.starts_with("sluice-agent: the table ") && said.contains(name), "{said}");
    assert!(said.contains("generation 1 stays"), "{said}");
    let answer = rig.json(&["reload", rig.path("foreign.json").to_str().unwrap()]);
    assert_eq!(answer["error"]["data"]["faults"][0]["path"], "servers");
    assert_eq!(rig.held(), ["198.51.100.1"]);

    // The next good one heals.
    rig.write(&table(3, &json!([whole("198.51.100.2/32", "lhr-1")])));
    rig.wait_for_generation(3);
    rig.wait_for("end of the unused", |rig| rig.held() == ["198.51.100.2"]);
    assert_eq!(state(&rig), json!("ok"));

    // Another one by the socket, until SIGHUP brings the configured one back.
    fs::write(rig.path("other.json"), table(4, &json!([whole("198.51.100.5/32", "lhr-1")]))).unwrap();
    let reloaded = rig.json(&["reload", rig.path("other.json").to_str().unwrap()]);
    assert_eq!(reloaded, json!({ "previous": 3, "generation": 4, "changed": true }));
    rig.wait_for("end of the unused", |rig| rig.held() == ["198.51.100.5"]);
    rig.signal(Signal::HUP);
    rig.wait_for_generation(3);
    assert_eq!(rig.json(&["reload"]), json!({ "previous": 3, "generation": 3, "changed": false }));
    assert_eq!(rig.end(Signal::INT).code(), Some(0));
}

#[test]
fn an_agent_after_a_kill_takes_over_what_the_one_before_has_left() {
    let Some(mut rig) = Rig::new() else { return };
    let found = rig.choice();
    let both = json!([
        sliced("198.51.100.1/32", &[None, OURS], &[]),
        sliced("198.51.100.2/32", &[None, OURS], &[]),
        whole("198.51.100.16/28", "lhr-1"),
    ]);
    rig.write(&table(1, &both));
    rig.start();
    rig.end(Signal::KILL);
    assert_eq!(rig.held(), ["198.51.100.1", "198.51.100.16/28", "198.51.100.2"]);
    assert_eq!(rig.choice(), ("2048-4095".into(), String::new()));

    rig.write(&table(2, &json!([sliced("198.51.100.2/32", &[None, None, OURS], &[])])));
    rig.start();
    rig.wait_for("end of what is unused", |rig| rig.held() == ["198.51.100.2"]);
    assert_eq!(rig.choice(), ("4096-6143".into(), String::new()));
    assert_eq!(rig.end(Signal::TERM).code(), Some(0));
    assert_eq!((rig.held(), rig.choice()), (vec![], found));
}

#[test]
fn ports_that_are_only_checked_stay_and_are_warned_of() {
    let Some(mut rig) = Rig::new() else { return };
    let found = rig.choice();
    rig.configure("[ports]\nrange = \"check\"\n");
    rig.write(&table(1, &json!([sliced("198.51.100.1/32", &[None, OURS], &[])])));
    rig.start();
    let warnings = rig.status()["warnings"].clone();
    let [more, outside] = warnings.as_array().unwrap().as_slice() else { panic!("{warnings}") };
    assert!(more.as_str().unwrap().contains("which is more than what is owned (2048-4095)"), "{warnings}");
    assert!(outside.as_str().unwrap().contains("IP_LOCAL_PORT_RANGE has no effect outside"), "{warnings}");
    assert_eq!(rig.choice(), found);
}

#[test]
fn a_device_that_is_made_again_is_received_on_again() {
    let Some(mut rig) = Rig::new() else { return };
    rig.write(&table(1, &json!([whole("198.51.100.1/32", "lhr-1")])));
    rig.start();
    let programs = |rig: &Rig| rig.server().ip(&["-d", "link", "show", "dev", CABLE]).matches("prog/xdp").count();
    assert_eq!(programs(&rig), 1);
    for words in [["link", "set", CABLE, "down"].as_slice(), &["link", "set", CABLE, "name", "gone"]] {
        rig.server().ip(words);
    }
    rig.wait_for("complaint", |rig| rig.status()["state"] == "degraded");
    let health = rig.json(&["health"]);
    let reason = format!("underlay.devices: there is no device {CABLE}; `ip link` shows those that there are");
    assert_eq!(health["reasons"], json!([reason]));
    rig.server().ip(&["link", "add", CABLE, "type", "veth", "peer", "name", "other"]);
    rig.wait_for("device", |rig| rig.status()["state"] == "ok");
    assert_eq!(programs(&rig), 1);
    assert_eq!(rig.held(), ["198.51.100.1"], "addresses stayed meanwhile");
    assert_eq!(rig.end(Signal::TERM).code(), Some(0));
}
