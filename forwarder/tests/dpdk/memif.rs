// SPDX-License-Identifier: MIT OR Apache-2.0
//! Shared memory between two processes: a link that comes late and goes away.

use std::env;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use forwarder::io::dpdk::{Dpdk, DpdkIo, Mbuf};
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

/// A memif device, and the frames of the capture, not yet sent.
fn start(role: &str, folder: &Path) -> (Dpdk, DpdkIo, Vec<Mbuf>) {
    let pcap = format!("net_pcap0,rx_pcap={}/in.pcap", folder.display());
    let devices = [device("memif", &memif(role, folder)), device("source", &pcap)];
    let mut dpdk = Dpdk::start(&strings(&EAL), &devices, 1, 64, 0).unwrap();
    let mut io = dpdk.queues().remove(0);
    let mut frames = Vec::new();
    io.receive(PCAP, &mut frames, 200);
    assert_eq!(frames.len(), 200);
    (dpdk, io, frames)
}

/// Sends a capture as soon as there is a link, then waits until there is none: the server of 22.11 does not survive a
/// client that leaves first.
fn peer(folder: &Path) {
    let (dpdk, mut io, mut frames) = start("client", folder);
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
        // The server comes first, or the client does not start; so it alone is sure to have no link yet.
        let (dpdk, mut io, mut frames) = start("server", folder.path());
        assert!(!dpdk.link_up(MEMIF));
        io.transmit(MEMIF, &mut frames);
        assert_eq!(frames.len(), 200, "without a link everything stays");
        io.free(&mut frames);

        let at = folder.path().to_owned();
        let test = path(module_path!(), "frames_cross_to_another_process");
        let peer = thread::spawn(move || run_beside(&test, &[(PEER, &at)]));
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
