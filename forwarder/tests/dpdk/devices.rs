// SPDX-License-Identifier: MIT OR Apache-2.0
//! Devices as they are set up: how they spread flows, and whether they are waited for.

use std::time::{Duration, Instant};

use forwarder::io::DeviceIndex;
use forwarder::io::dpdk::{DeviceSpec, Dpdk, Error};
use tempfile::tempdir;

use crate::isolated::isolated;
use crate::{EAL, capture, device, strings};

const FIRST: DeviceIndex = DeviceIndex(0);

fn waiting(spec: DeviceSpec, seconds: u64) -> DeviceSpec {
    DeviceSpec { link_wait: Duration::from_secs(seconds), ..spec }
}

isolated! {
    /// The null device hashes nothing, but keeps the table that it is given: the queues take turns in it.
    fn every_worker_has_its_share_of_the_hashes() {
        let dpdk = Dpdk::start(&strings(&EAL), &[device("wan0", "net_null0")], 3, 64, 0).unwrap();
        let table = dpdk.spread(FIRST);
        assert_eq!(table.len(), 128);
        for (index, queue) in table.iter().enumerate() {
            assert_eq!(usize::from(*queue), index % 3);
        }
        assert!(dpdk.spread(DeviceIndex(1)).is_empty());
    }

    fn a_device_that_cannot_spread_flows_starts_all_the_same() {
        let dpdk = Dpdk::start(&strings(&EAL), &[device("wan0", "net_ring0")], 2, 64, 0).unwrap();
        assert!(dpdk.spread(FIRST).is_empty());
    }

    /// The TAP driver says that it hashes, and has no table: nothing is to be filled, and two queues are two queues.
    fn a_device_without_a_table_starts_all_the_same() {
        if !rustix::process::geteuid().is_root() {
            return eprintln!("skipped: only root may make a TAP interface");
        }
        let vdev = format!("net_tap0,iface=sluice{}", std::process::id() % 1_000_000);
        let mut dpdk = Dpdk::start(&strings(&EAL), &[DeviceSpec { mtu: 1500, ..device("wan0", &vdev) }], 2, 64, 0).unwrap();
        assert!(dpdk.spread(FIRST).is_empty());
        assert_eq!(dpdk.queues().len(), 2);
    }

    fn no_link_in_time_is_an_error() {
        let folder = tempdir().unwrap();
        let vdev = format!("net_memif0,role=server,socket={}/memif.sock,socket-abstract=no", folder.path().display());
        let devices = [device("null", "net_null0"), waiting(device("wan0", &vdev), 1)];
        let dpdk = Dpdk::start(&strings(&EAL), &devices, 1, 64, 0).unwrap();
        dpdk.wait_for_links(&devices, || false).unwrap();
        let start = Instant::now();
        let error = dpdk.wait_for_links(&devices, || true).unwrap_err();
        assert!(start.elapsed() >= Duration::from_secs(1));
        assert!(matches!(error, Error::NoLink { .. }));
        let expected = format!(
            "device \"wan0\" ({vdev}) has no link after 1 s: check its cable and its peer, or set link_wait = 0 to start without one"
        );
        assert_eq!(error.to_string(), expected);
    }

    fn a_link_that_is_there_is_not_waited_for() {
        let folder = tempdir().unwrap();
        capture::write(&folder.path().join("in.pcap"), &[]);
        let vdev = format!("net_pcap0,rx_pcap={}/in.pcap", folder.path().display());
        let (start, devices) = (Instant::now(), [waiting(device("wan0", &vdev), 3600)]);
        let dpdk = Dpdk::start(&strings(&EAL), &devices, 1, 64, 0).unwrap();
        dpdk.wait_for_links(&devices, || true).unwrap();
        assert!(start.elapsed() < Duration::from_secs(60));
    }
}
