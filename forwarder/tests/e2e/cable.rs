// SPDX-License-Identifier: MIT OR Apache-2.0
//! Two workers on two queues of a packet socket on a cable: who gets which flow is the kernel's choice.

use serde_json::Value;

use crate::devices::{FRAMES, rig, settle, two_cores, write_queues};
use crate::namespace::Namespace;

/// Sends the frames of captures, a few at a time.
const SEND: &str = r#"
import socket, struct, sys, time
out = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
out.bind((sys.argv[1], 0))
for name in sys.argv[2:]:
    data, at = open(name, "rb").read(), 24
    while at < len(data):
        size = struct.unpack_from("<I", data, at + 8)[0]
        out.send(data[at + 16:at + 16 + size])
        at += 16 + size
        if at % 64 == 0:
            time.sleep(0.0002)
"#;

/// Packets that the kernel has seen come to the test's end of the cable.
fn arrived(namespace: &Namespace) -> u64 {
    let output = namespace.run("ip", &["-s", "-j", "link", "show", "test0"]);
    let links: Value = serde_json::from_slice(&output.stdout).unwrap();
    links[0]["stats64"]["rx"]["packets"].as_u64().unwrap()
}

#[test]
fn both_queues_of_a_cable_are_served() {
    let Some(cores) = two_cores() else { return };
    let Some(namespace) = Namespace::with_cable(["wan0", "test0"]) else { return };
    let device = "[[device]]\nname = \"wan0\"\nvdev = \"net_af_packet0,iface=wan0,qpairs=2\"\nmtu = 1500\n\
                  next_hop_mac = \"02:00:00:00:00:02\"\n";
    let rig = rig("LHR", "10.0.0.1", device, &cores);
    write_queues(&rig, 1);
    let daemon = rig.start_by(namespace.command(env!("CARGO_BIN_EXE_sluiced")));
    let before = arrived(&namespace);
    let files = ["in0.pcap", "in1.pcap"].map(|file| rig.path(file).display().to_string());
    namespace.run("python3", &["-c", SEND, "test0", &files[0], &files[1]]);
    // A packet socket drops what finds its ring full, and the kernel alone knows; most must come.
    let counters = settle(&daemon, 3 * u64::from(FRAMES) / 2);
    let tx = counters["tx"].as_u64().unwrap();
    assert!(tx > u64::from(FRAMES), "{counters}");
    for worker in daemon.ask(&["stats"])["workers"].as_array().unwrap() {
        assert!(worker["counters"]["rx"].as_u64().unwrap() > u64::from(FRAMES) / 4, "{worker}");
    }
    assert!(arrived(&namespace) - before >= tx, "what the device took has left");
    daemon.stop();
}
