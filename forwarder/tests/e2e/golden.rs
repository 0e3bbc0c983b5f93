// SPDX-License-Identifier: MIT OR Apache-2.0
//! The golden vectors through `sluiced` on DPDK: all cases of a world in one capture, and frame by frame what should leave.

use crate::capture;
use crate::rig::Rig;
use crate::world::Fate;
use crate::world::vectors::{cases_of, drops, sent_by};

/// Runs the world in `rig` whose `devices` have this name and this vdev in its configuration. Frames arrive at the first.
fn check(world: &str, rig: &Rig, devices: &[(&str, &str)]) {
    let cases = cases_of(world);
    let folder = rig.path("");
    let folder = folder.to_str().unwrap();
    for (n, (name, vdev)) in devices.iter().enumerate() {
        let input = if n == 0 { "in" } else { "nothing" };
        let pcap = format!("\"net_pcap{n},rx_pcap={folder}{input}.pcap,tx_pcap={folder}{name}.pcap\"");
        rig.edit_config(&format!("\"{vdev}\""), &pcap);
    }
    capture::write(&rig.path("in.pcap"), cases.iter().map(|case| case.frame.clone()));
    capture::write(&rig.path("nothing.pcap"), std::iter::empty());

    let daemon = rig.start();
    let counters = daemon.wait_for(|counters| counters["rx"].as_u64().unwrap(), cases.len() as u64);
    daemon.stop();

    for (name, _) in devices {
        let (sent, expected) = (capture::read(&rig.path(&format!("{name}.pcap"))), sent_by(&cases, Some(name)));
        for (n, (sent, expected)) in sent.iter().zip(&expected).enumerate() {
            assert!(sent == expected, "frame {n} of {name} is {sent:02x?}, not {expected:02x?}");
        }
        assert_eq!(sent.len(), expected.len(), "frames of {name}");
    }
    // This daemon has no kernel path.
    let mut drops = drops(&cases);
    let to_kernel = cases.iter().filter(|case| case.fate == Fate::Kernel).count() as u64;
    *drops.entry("no_kernel_path").or_default() += to_kernel;
    for (reason, count) in counters["drops"].as_object().unwrap() {
        assert_eq!(count.as_u64(), Some(drops.get(reason.as_str()).copied().unwrap_or(0)), "{reason}");
    }
    assert_eq!(counters["rx"], cases.len());
    assert_eq!(counters["originated"], cases.iter().map(|case| case.originated()).sum::<u64>());
}

#[test]
fn the_plain_world() {
    let rig = Rig::of_world("plain");
    // The kernel would send frames of its own.
    rig.edit_config("kernel = \"wan0-k\"\n", "");
    check("plain", &rig, &[("wan0", "net_null0")]);
}

#[test]
fn the_tagged_world() {
    check("tagged", &Rig::of_world("tagged"), &[("wan0", "net_null0"), ("core0", "net_null1")]);
}
