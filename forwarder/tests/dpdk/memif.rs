// SPDX-License-Identifier: MIT OR Apache-2.0
//! Shared memory between two processes: a link that comes late and goes away.

use std::env;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use forwarder::io::dpdk::Dpdk;
use forwarder::io::{DeviceIndex, PacketIo};
use tempfile::tempdir;

use crate::isolated::{isolated, path, run_beside};
use crate::{EAL, capture, device, strings};

/// Tells the peer's process that it is one, and where the socket and the capture are.
const PEER: &str = "SLUICE_MEMIF_PEER";

const MEMIF: DeviceIndex = DeviceIndex(0);
const PCAP: DeviceIndex = DeviceIndex(1);

fn memif(role: &str, folder: &Path) -> String {
    format!("net_memif0,role={role},socket={}/memif.sock,socket-abstract=no", folder.display())
}

/// Polls until `done`. The limit only ends a test that would hang.
fn until(mut done: impl FnMut() -> bool) {
    let start = Instant::now();
    while !done() {
        assert!(start.elapsed() < Duration::from_secs(30), "nothing happened");
        thread::yield_now();
    }
}

/// Sends a capture as soon as there is a link, then waits until there is none: the server of 22.11 does not survive a
/// client that leaves first.
fn peer(folder: &Path) {
    let pcap = format!("net_pcap0,rx_pcap={}/in.pcap", folder.display());
    let devices = [device("memif", &memif("client", folder)), device("source", &pcap)];
    let mut dpdk = Dpdk::start(&strings(&EAL), &devices, 1, 64, 0).unwrap();
    let mut io = dpdk.queues().remove(0);
    let mut frames = Vec::new();
    io.receive(PCAP, &mut frames, 200);
    assert_eq!(frames.len(), 200);
    io.transmit(MEMIF, &mut frames);
    assert_eq!(frames.len(), 200, "without a link everything stays");
    until(|| {
        io.transmit(MEMIF, &mut frames);
        frames.is_empty()
    });
    until(|| !dpdk.link_up(MEMIF));
}

isolated! {
    fn frames_cross_to_another_process() {
        if let Some(folder) = env::var_os(PEER) {
            return peer(Path::new(&folder));
        }
        let folder = tempdir().unwrap();
        let sent = capture::frames(200);
        capture::write(&folder.path().join("in.pcap"), &sent);
        let server = [device("memif", &memif("server", folder.path()))];
        let mut dpdk = Dpdk::start(&strings(&EAL), &server, 1, 64, 0).unwrap();
        let mut io = dpdk.queues().remove(0);
        assert!(!dpdk.link_up(MEMIF));

        let at = folder.path().to_owned();
        let test = path(module_path!(), "frames_cross_to_another_process");
        let peer = thread::spawn(move || run_beside(&test, &[(PEER, &at)]));
        let mut frames = Vec::new();
        until(|| {
            io.receive(MEMIF, &mut frames, 64);
            frames.len() >= sent.len() || peer.is_finished()
        });
        let received: Vec<_> = frames.iter().map(|frame| forwarder::io::PacketBuf::data(frame).to_vec()).collect();
        assert!(received == sent, "frames differ");
        io.free(&mut frames);
        assert_eq!(dpdk.buffers_in_use(), 0);
        drop((io, dpdk));
        peer.join().unwrap();
    }
}
