// SPDX-License-Identifier: MIT OR Apache-2.0
//! What devices can do by themselves, and do where a frame asks for it.

use std::env;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use forwarder::io::dpdk::{DeviceSpec, Dpdk};
use forwarder::io::offload::{Offloads, Unfinished};
use forwarder::io::{DeviceIndex, PacketBuf, PacketIo};
use tempfile::tempdir;

use crate::isolated::{isolated, path, run_beside};
use crate::{EAL, capture, device, strings};

/// Tells the guest's process that it is one, and where the socket is.
const GUEST: &str = "SLUICE_VHOST_GUEST";

const FIRST: DeviceIndex = DeviceIndex(0);
const SOURCE: DeviceIndex = DeviceIndex(1);
const COUNT: usize = 20;

const NONE: Offloads = Offloads { checksum: false, tag: false };
const TAG: Offloads = Offloads { checksum: false, tag: true };
const BOTH: Offloads = Offloads { checksum: true, tag: true };

fn asked(vdev: &str, offloads: Offloads) -> DeviceSpec {
    DeviceSpec { offloads, mtu: 1500, ..device("wan0", vdev) }
}

/// What a device is to put into the frame of that number.
fn rest(number: usize) -> Unfinished {
    Unfinished { checksum: None, tag: Some(100 + number as u16) }
}

/// Sends frames by one end of a virtual machine's device, half of them to be tagged, and takes those of the other end. Whoever has
/// all of them waits for `is_over`.
fn exchange(vdev: &str, folder: &Path, mut is_over: impl FnMut(bool) -> bool) {
    let mut expected = capture::frames(COUNT);
    let source = device("source", &format!("net_pcap0,rx_pcap={}/in.pcap", folder.display()));
    let mut dpdk = Dpdk::start(&strings(&EAL), &[asked(vdev, BOTH), source], 1, 64, 0).unwrap();
    assert_eq!([FIRST, SOURCE].map(|device| dpdk.offloads(device)), [TAG, NONE]);
    let mut io = dpdk.queues().remove(0);
    let (mut frames, mut came, start) = (Vec::new(), Vec::new(), Instant::now());
    io.receive(SOURCE, &mut frames, COUNT);
    for (number, (frame, expected)) in frames.iter_mut().zip(&mut expected).enumerate().step_by(2) {
        frame.leave_unfinished(rest(number));
        assert_eq!((frame.unfinished(), frame.sent_len()), (rest(number), expected.len() + 4));
        rest(number).finish(expected);
    }
    while !is_over(frames.is_empty() && came.len() == COUNT) {
        if dpdk.link_up(FIRST) {
            io.transmit(FIRST, &mut frames);
        }
        io.receive(FIRST, &mut came, 64);
        assert!(start.elapsed() < Duration::from_secs(30), "{} left, {} came", frames.len(), came.len());
        thread::yield_now();
    }
    let came: Vec<_> = came.iter().map(|frame| frame.data().to_vec()).collect();
    assert!(came == expected, "frames differ");
}

isolated! {
    /// The one end's driver puts tags in when a burst is prepared, the other one's when it is sent.
    fn devices_of_virtual_machines_put_tags_in() {
        if let Some(folder) = env::var_os(GUEST) {
            let folder = Path::new(&folder);
            return exchange(&format!("net_virtio_user0,path={}/vhost", folder.display()), folder, |is_done| is_done);
        }
        let folder = tempdir().unwrap();
        capture::write(&folder.path().join("in.pcap"), &capture::frames(COUNT));
        let test = path(module_path!(), "devices_of_virtual_machines_put_tags_in");
        let mut guest = None;
        exchange(&format!("net_vhost0,iface={}/vhost", folder.path().display()), folder.path(), |is_done| {
            // Now that there is a socket to come to.
            let (test, at) = (test.clone(), folder.path().to_owned());
            let guest = guest.get_or_insert_with(|| thread::spawn(move || run_beside(&test, &[(GUEST, &at)])));
            is_done && guest.is_finished()
        });
        guest.unwrap().join().unwrap();
    }

    /// One that is asked for what it can't do refuses to be configured: so it is not.
    fn a_device_is_asked_for_what_it_can_do_and_no_more() {
        let devices = ["net_null0", "net_ring0"].map(|vdev| DeviceSpec { name: vdev.into(), ..asked(vdev, BOTH) });
        let dpdk = Dpdk::start(&strings(&EAL), &devices, 1, 64, 0).unwrap();
        assert_eq!([FIRST, SOURCE].map(|device| dpdk.offloads(device)), [NONE, NONE]);
    }
}
