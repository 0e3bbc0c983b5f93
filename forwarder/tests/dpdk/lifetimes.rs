// SPDX-License-Identifier: MIT OR Apache-2.0
//! Whatever is dropped first, nothing is used after it is gone.

use forwarder::io::dpdk::{Dpdk, DpdkIo, Error, Mbuf};
use forwarder::io::{DeviceIndex, PacketBuf, PacketIo};
use static_assertions::{assert_impl_all, assert_not_impl_any};

use crate::isolated::isolated;
use crate::start;

const FIRST: DeviceIndex = DeviceIndex(0);

// Queues and frames may change threads, but two threads must not poll one queue, nor own one frame.
assert_impl_all!(DpdkIo: Send);
assert_impl_all!(Mbuf: Send);
assert_impl_all!(Dpdk: Send);
assert_not_impl_any!(DpdkIo: Clone);
assert_not_impl_any!(Mbuf: Clone, Copy);
assert_not_impl_any!(Dpdk: Clone);

fn receive(io: &mut DpdkIo) -> Vec<Mbuf> {
    let mut frames = Vec::new();
    io.receive(FIRST, &mut frames, 32);
    assert_eq!(frames.len(), 32);
    frames
}

isolated! {
    fn queues_keep_the_devices() {
        let mut dpdk = start("net_null0").unwrap();
        let mut io = dpdk.queues().remove(0);
        drop(dpdk);
        let mut frames = receive(&mut io);
        io.transmit(FIRST, &mut frames);
        assert!(frames.is_empty());
    }

    fn a_frame_outlives_everything() {
        let mut dpdk = start("net_null0").unwrap();
        let mut io = dpdk.queues().remove(0);
        let mut frames = receive(&mut io);
        drop((io, dpdk));
        for frame in &mut frames {
            frame.data_mut().fill(0x5a);
            assert!(frame.data().iter().all(|byte| *byte == 0x5a));
        }
        drop(frames);
    }

    /// A worker's thread ends, its queues come back and go on elsewhere.
    fn queues_outlive_their_thread() {
        let mut dpdk = start("net_null0").unwrap();
        let mut io = dpdk.queues().remove(0);
        for _ in 0..3 {
            let worker = std::thread::spawn(move || {
                io.attach_thread();
                let mut frames = receive(&mut io);
                io.free(&mut frames);
                io
            });
            io = worker.join().unwrap();
        }
        drop(receive(&mut io));
        assert_eq!(dpdk.buffers_in_use(), 0);
    }

    fn frames_are_freed_on_another_thread() {
        let mut dpdk = start("net_null0").unwrap();
        let mut io = dpdk.queues().remove(0);
        let frames = receive(&mut io);
        std::thread::spawn(move || drop(frames)).join().unwrap();
        assert_eq!(dpdk.buffers_in_use(), 0);
    }

    fn dpdk_starts_once() {
        let first = start("net_null0").unwrap();
        assert!(matches!(start("net_null1"), Err(Error::AlreadyStarted)));
        drop(first);
        assert!(matches!(start("net_null0"), Err(Error::AlreadyStarted)));
    }
}
