// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a user gets wrong is named in one line that says what to do.

use forwarder::io::dpdk::{DeviceAddress, DeviceSpec, Dpdk, Error};
use tempfile::tempdir;

use crate::isolated::isolated;
use crate::{EAL, capture, device, strings};

/// Starts with what can't work; the error, which must be one line and contain each of `parts`.
fn refused(eal: &[&str], devices: &[DeviceSpec], workers: usize, parts: &[&str]) -> Error {
    let Err(error) = Dpdk::start(&strings(eal), devices, workers, 64, 0) else { panic!("DPDK started") };
    let text = error.to_string();
    for part in parts {
        assert!(text.contains(part), "no {part:?} in: {text}");
    }
    assert_eq!(text.lines().count(), 1, "{text}");
    error
}

fn pci(address: &str) -> DeviceSpec {
    DeviceSpec { address: DeviceAddress::Pci(address.into()), ..device("wan0", "") }
}

isolated! {
    fn a_missing_capture() {
        let vdev = "net_pcap0,rx_pcap=/nowhere/in.pcap";
        let parts = ["\"wan0\"", vdev, "Couldn't open /nowhere/in.pcap", "No such file or directory", "check"];
        let error = refused(&EAL, &[device("null", "net_null0"), device("wan0", vdev)], 1, &parts);
        assert!(matches!(error, Error::NotProbed { .. }));
    }

    fn a_capture_that_is_none() {
        let folder = tempdir().unwrap();
        let file = folder.path().join("in.pcap");
        std::fs::write(&file, "not a capture, but long enough for its header").unwrap();
        let vdev = format!("net_pcap0,rx_pcap={}", file.display());
        refused(&EAL, &[device("wan0", &vdev)], 1, &["\"wan0\"", &vdev, "unknown file format"]);
    }

    fn a_folder_that_is_not_there_to_write_to() {
        let vdev = "net_pcap0,tx_pcap=/nowhere/out.pcap";
        refused(&EAL, &[device("wan0", vdev)], 1, &["\"wan0\"", "/nowhere/out.pcap for writing"]);
    }

    fn an_unknown_driver() {
        let error = refused(&EAL, &[device("wan0", "net_bogus0,a=1")], 1, &["\"wan0\"", "net_bogus0", "driver's name"]);
        assert!(matches!(error, Error::NotProbed { .. }));
    }

    fn an_unknown_argument_of_a_driver() {
        refused(&EAL, &[device("wan0", "net_pcap0,rx_pcaps=in.pcap")], 1, &["\"wan0\"", "net_pcap0,rx_pcaps=in.pcap"]);
    }

    fn a_misspelt_option() {
        let parts = ["unrecognized option '--no-hugh'", "eal.args"];
        let error = refused(&["--no-hugh", "-m", "64"], &[device("wan0", "net_null0")], 1, &parts);
        assert!(matches!(error, Error::Eal { .. }));
    }

    fn an_option_without_sense() {
        refused(&["-l", "first"], &[device("wan0", "net_null0")], 1, &["invalid core list", "eal.args"]);
    }

    fn no_huge_pages() {
        refused(&["--huge-dir", "/nowhere"], &[device("wan0", "net_null0")], 1, &["hugepage", "--no-huge and -m"]);
    }

    fn a_word_that_is_no_option() {
        let devices = [device("wan0", "net_null0")];
        let error = refused(&["stray", "--no-huge", "-m", "64"], &devices, 1, &["eal.args", "\"stray\""]);
        assert_eq!(error, Error::Unread("stray".into()));
    }

    fn a_bad_pci_address() {
        let error = refused(&["--no-huge"], &[pci("0000:3b:00")], 1, &["\"wan0\"", "\"0000:3b:00\"", "0000:3b:00.0"]);
        assert!(matches!(error, Error::PciAddress { .. }));
        // DPDK was not even started.
        assert!(Dpdk::start(&strings(&EAL), &[device("wan0", "net_null0")], 1, 64, 0).is_ok());
    }

    fn a_pci_address_where_nothing_is() {
        let error = refused(&["--no-huge", "-m", "64"], &[pci("00ff:ff:1f.7")], 1, &["\"wan0\"", "00ff:ff:1f.7", "lspci"]);
        assert!(matches!(error, Error::NotProbed { .. }));
    }

    fn fewer_queues_than_workers() {
        let folder = tempdir().unwrap();
        capture::write(&folder.path().join("in.pcap"), &[]);
        let vdev = format!("net_pcap0,rx_pcap={}/in.pcap", folder.path().display());
        let parts = ["\"wan0\"", &vdev, "1 receive queue(s) for 2 worker(s)", "workers.cores"];
        refused(&EAL, &[device("wan0", &vdev)], 2, &parts);
    }

    fn no_worker_or_too_many() {
        for workers in [0, 1025] {
            refused(&EAL, &[device("wan0", "net_null0")], workers, &["workers.cores"]);
        }
    }

    fn too_little_memory_for_the_buffers() {
        let error = refused(&["--no-huge", "-m", "4"], &[device("wan0", "net_null0")], 1, &["-m MEGABYTES"]);
        assert!(matches!(error, Error::Pool { .. }));
    }

    fn a_looped_capture_larger_than_memory() {
        let folder = tempdir().unwrap();
        let frames: Vec<_> = (0..40_000).map(|number| capture::frame(number, 60)).collect();
        capture::write(&folder.path().join("in.pcap"), &frames);
        let vdev = format!("net_pcap0,rx_pcap={}/in.pcap,infinite_rx=1", folder.path().display());
        let parts = ["\"wan0\"", "receive queue", "40000 mbufs", "infinite_rx", "-m in eal.args"];
        refused(&["--no-huge", "-m", "64"], &[device("wan0", &vdev)], 1, &parts);
    }
}
