// SPDX-License-Identifier: MIT OR Apache-2.0
//! What DPDK says of its devices and pools, in the metrics of a real daemon.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};

use serde_json::json;

use crate::rig::Rig;

fn scrape(address: SocketAddr) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.write_all(b"GET /metrics HTTP/1.0\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

fn value(page: &str, series: &str) -> f64 {
    let line = page.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
    line.unwrap_or_else(|| panic!("no {series} in {page}")).parse().unwrap()
}

#[test]
fn devices_and_pools_are_in_the_metrics() {
    let table = json!({
        "version": 1, "generation": 5, "datacenters": {"LHR": {"forwarders": ["10.0.0.1"]}},
        "servers": {"a": {"datacenter": "LHR", "address": "10.0.1.1"}},
        "egress": [{"prefix": "198.51.100.1/32", "datacenter": "LHR", "server": "a"}]
    });
    // Frames of zeros without an end: nothing that is forwarded.
    let rig = Rig::new(&table, "net_null0");
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    rig.edit_config("[control]", &format!("[metrics]\nlisten = \"{address}\"\n[control]"));
    let daemon = rig.start();
    daemon.wait_for(|counters| counters["rx"].as_u64().unwrap(), 10_000);
    let page = scrape(address);
    let (size, in_use) = (
        value(&page, "sluice_mbuf_pool_size{pool=\"frames\"}"),
        value(&page, "sluice_mbuf_pool_in_use{pool=\"frames\"}"),
    );
    assert!(in_use > 0.0 && in_use < size, "{in_use} of {size}");
    assert_eq!(value(&page, "sluice_device_link_up{device=\"wan0\"}"), 1.0);
    assert_eq!(value(&page, "sluice_device_rx_missed_packets_total{device=\"wan0\"}"), 0.0);
    let dropped = value(&page, "sluice_drops_total{worker=\"0\",reason=\"no_kernel_path\"}");
    assert_eq!(dropped, value(&page, "sluice_rx_packets_total{worker=\"0\"}"), "one consistent copy");
    assert!(value(&page, "sluice_burst_residency_seconds_sum{worker=\"0\"}") > 0.0);
    let top = daemon.ask(&["top"]);
    assert_eq!((&top["pools"][0]["name"], &top["devices"][0]["health"]["link_up"]), (&json!("frames"), &json!(true)));
    daemon.stop();
}
