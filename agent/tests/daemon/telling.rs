// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the agent tells of sockets: by `slices`, and to Prometheus.

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};

use rustix::net::{AddressFamily, SocketFlags, SocketType, bind, connect, socket_with};
use serde_json::json;

use crate::rig::{Rig, table};

/// The page as Prometheus gets it.
fn scrape(rig: &Rig) -> String {
    rig.server().inside(|| {
        let mut stream = TcpStream::connect("127.0.0.1:9466").unwrap();
        stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: agent\r\n\r\n").unwrap();
        let mut page = String::new();
        stream.read_to_string(&mut page).unwrap();
        assert!(page.starts_with("HTTP/1.1 200 OK"), "{page}");
        page
    })
}

#[test]
fn sockets_are_told_by_slice() {
    let Some(mut rig) = Rig::new() else { return };
    rig.configure("[metrics]\nlisten = \"127.0.0.1:9466\"\n");
    let ranges = json!([
        { "ports": "2048-2057", "server": "lhr-1" },
        { "ports": "3000-3099", "server": "lhr-2" },
        { "ports": "4000-4999", "server": "lhr-1" },
    ]);
    let egress = json!([{ "prefix": "198.51.100.1/32", "datacenter": "LHR", "ranges": ranges }]);
    rig.write(&table(5, &egress));
    rig.start();
    let sockets = rig.server().inside(|| {
        let udp = |port| UdpSocket::bind(("198.51.100.1", port)).unwrap();
        let nearly_all: Vec<_> = (2048..2057).map(udp).collect();
        let listener = TcpListener::bind("198.51.100.1:4000").unwrap();
        // From a port of ours, not of the kernel's choice.
        let client = socket_with(AddressFamily::INET, SocketType::STREAM, SocketFlags::CLOEXEC, None).unwrap();
        let place = |port| SocketAddr::from(([198, 51, 100, 1], port));
        bind(&client, &place(4500)).unwrap();
        connect(&client, &place(4000)).unwrap();
        (nearly_all, listener, client, udp(3050))
    });
    let slices = rig.json(&["slices"]);
    let rows: Vec<_> = slices["slices"]
        .as_array()
        .unwrap()
        .iter()
        .map(|slice| {
            let number = |key: &str| slice[key].as_u64().unwrap();
            let counts = ["connections", "listening", "udp", "tcp_ports", "udp_ports", "count"].map(number);
            (
                slice["ports"].as_str().unwrap(),
                slice["own"].as_bool().unwrap(),
                counts,
                slice["nearly_exhausted"].as_bool().unwrap(),
            )
        })
        .collect();
    let expected = [
        ("2048-2057", true, [0, 0, 9, 0, 9, 10], true),
        ("3000-3099", false, [0, 0, 1, 0, 1, 100], false),
        // Both ends of the connection.
        ("4000-4999", true, [2, 1, 0, 2, 0, 1000], false),
    ];
    assert_eq!(rows, expected);
    assert_eq!((&slices["server"], &slices["generation"]), (&json!("lhr-1"), &json!(5)));

    let page = scrape(&rig);
    for line in [
        "sluice_agent_table_generation 5.0",
        "sluice_agent_healthy 1.0",
        "sluice_agent_held_prefixes{role=\"owned\"} 1.0",
        "sluice_agent_draining_sockets 1.0",
        "sluice_agent_slice_udp_sockets{prefix=\"198.51.100.1/32\",ports=\"2048-2057\",own=\"true\"} 9.0",
        "sluice_agent_slice_nearly_exhausted{prefix=\"198.51.100.1/32\",ports=\"2048-2057\",own=\"true\"} 1.0",
        "sluice_agent_slice_ports{prefix=\"198.51.100.1/32\",ports=\"4000-4999\",own=\"true\"} 1000.0",
    ] {
        assert!(page.lines().any(|told| told == line), "{line} is not in {page}");
    }
    // Every metric that the page lists, and no other.
    let section =
        include_str!("../../../docs/agent.md").split("## Metrics").nth(1).unwrap().split("| alert |").next().unwrap();
    let rows = section.lines().filter_map(|line| line.strip_prefix("| `")?.split(" | ").next());
    let listed: BTreeSet<_> = rows.flat_map(|row| row.split("`, `").map(|name| name.trim_matches('`'))).collect();
    let types = page.lines().filter_map(|line| line.strip_prefix("# TYPE sluice_agent_"));
    let told: BTreeSet<_> = types.map(|line| line.split(' ').next().unwrap()).collect();
    assert_eq!(told, listed);
    let printed = rig.json(&["metrics"]);
    assert!(printed["text"].as_str().unwrap().contains("sluice_agent_table_generation 5.0"));
    let text = String::from_utf8(rig.call(&["slices"]).stdout).unwrap();
    assert!(text.contains("nearly exhausted") && text.contains("not this server's"), "{text}");
    drop(sockets);
}
