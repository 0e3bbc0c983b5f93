// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a user can get wrong ends in one clear line and exit status 1.

use std::os::unix::net::UnixListener;
use std::process::Output;

use serde_json::{Value, json};

use crate::rig::{Rig, sluice};

fn table() -> Value {
    json!({
        "version": 1, "generation": 1,
        "datacenters": {"LHR": {"forwarders": ["10.0.0.1"]}},
        "servers": {"one": {"datacenter": "LHR", "address": "10.0.1.1"}},
        "egress": [{"prefix": "198.51.100.1/32", "datacenter": "LHR", "server": "one"}]
    })
}

/// The error says `words`, all in its last line, and is no panic.
fn refused(output: &Output, words: &[&str]) {
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let said = String::from_utf8(output.stderr.clone()).unwrap();
    assert!(!said.contains("panicked") && !said.contains("backtrace"), "{said}");
    let line = said.lines().last().unwrap();
    for word in words {
        assert!(line.contains(word), "{word:?} is not in the last line of:\n{said}");
    }
}

#[test]
fn a_device_that_does_not_probe_is_named() {
    let rig = Rig::new(&table(), "net_pcap0,rx_pcap={}/missing.pcap,tx_pcap={}/out.pcap");
    refused(&rig.fail_to_start(), &["wan0", "net_pcap0", "missing.pcap"]);
    let rig = Rig::new(&table(), "net_nonsense0");
    refused(&rig.fail_to_start(), &["wan0", "net_nonsense0"]);
}

#[test]
fn a_missing_table_is_named() {
    let rig = Rig::new(&table(), "net_ring0");
    std::fs::remove_file(rig.path("table.json")).unwrap();
    refused(&rig.fail_to_start(), &["table.json"]);
}

#[test]
fn a_misspelt_key_is_named_with_the_nearest_known_one() {
    let rig = Rig::new(&table(), "net_ring0");
    rig.edit_config("next_hop_mac", "next_hop_mca");
    refused(&rig.fail_to_start(), &["next_hop_mca", "next_hop_mac"]);
}

#[test]
fn a_socket_that_somebody_answers_on_is_left_alone() {
    let rig = Rig::new(&table(), "net_ring0");
    let _other = UnixListener::bind(rig.path("control.sock")).unwrap();
    refused(&rig.fail_to_start(), &["control.sock"]);
    assert!(rig.path("control.sock").exists());
}

#[test]
fn a_file_that_is_no_socket_is_left_alone() {
    let rig = Rig::new(&table(), "net_ring0");
    std::fs::write(rig.path("control.sock"), "precious").unwrap();
    refused(&rig.fail_to_start(), &["control.sock"]);
    assert_eq!(std::fs::read_to_string(rig.path("control.sock")).unwrap(), "precious");
}

#[test]
fn a_stale_socket_is_replaced() {
    let rig = Rig::new(&table(), "net_ring0");
    drop(UnixListener::bind(rig.path("control.sock")).unwrap());
    rig.start().stop();
    assert!(!rig.path("control.sock").exists(), "the socket stays behind");
}

#[test]
fn a_place_where_no_socket_can_be_is_named() {
    let rig = Rig::new(&table(), "net_ring0");
    rig.edit_config("\"control.sock\"", "\"/proc/control.sock\"");
    refused(&rig.fail_to_start(), &["/proc/control.sock"]);
}

#[test]
fn a_core_that_does_not_exist_is_named() {
    let rig = Rig::new(&table(), "net_ring0");
    let text = std::fs::read_to_string(rig.path("config.toml")).unwrap();
    let line = text.lines().find(|line| line.contains("cores")).unwrap().trim().to_owned();
    rig.edit_config(&line, "cores = [4095]");
    refused(&rig.fail_to_start(), &["4095"]);
}

#[test]
fn nobody_on_the_socket_is_a_clear_error() {
    let rig = Rig::new(&table(), "net_ring0");
    let output = sluice(&["status"]).arg("--socket").arg(rig.path("control.sock")).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
    assert!(said.contains("control.sock") && said.contains("sluiced"), "{said}");
}
