// SPDX-License-Identifier: MIT OR Apache-2.0
//! Drops that come from the forwarder's own state rather than from the packet.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test may stop at the first surprise"
)]

mod world;

use forwarder::counters::DropReason;
use forwarder::io::PacketBuf;
use forwarder::io::memory::{HEADROOM, VecBuf};
use world::{Fate, World};

/// UDP from 203.0.113.9 port 53 to 198.51.100.1 port 2048, which is lhr-1's; `payload` bytes of payload.
fn frame(payload: u16) -> Vec<u8> {
    let mut frame = vec![2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0xff, 1, 8, 0];
    frame.extend([0x45, 0]);
    frame.extend((28 + payload).to_be_bytes());
    frame.extend([0, 7, 0, 0, 57, 17, 0, 0, 203, 0, 113, 9, 198, 51, 100, 1]);
    let sum = frame[14..].chunks(2).map(|word| u32::from(word[0]) << 8 | u32::from(word[1])).sum::<u32>();
    let checksum = !((sum >> 16) + (sum & 0xffff)) as u16;
    frame[24..26].copy_from_slice(&checksum.to_be_bytes());
    frame.extend([0, 53, 8, 0]);
    frame.extend((8 + payload).to_be_bytes());
    frame.extend([0, 0]);
    frame.resize(frame.len() + usize::from(payload), 0xaa);
    frame
}

/// `frame` in a buffer that has only so much room in front.
fn with_headroom(frame: &[u8], headroom: usize) -> VecBuf {
    let (front, rest) = frame.split_at(HEADROOM - headroom);
    let mut buffer = VecBuf::new(rest);
    buffer.prepend(front.len()).unwrap()[..front.len()].copy_from_slice(front);
    assert_eq!(buffer.data(), frame);
    buffer
}

#[test]
fn headroom_may_be_just_enough() {
    let mut world = World::load("plain");
    let frame = frame(200);
    // 20 of IPv4, 8 of UDP, 4 of GUE; the Ethernet header takes the place of the old one
    let fate = world.process_buffers(vec![with_headroom(&frame, 32)]).remove(0);
    let Fate::Transmit(sent) = fate else { panic!("{fate:?}") };
    assert_eq!(sent[0].1[46..], frame[14..]);

    let fate = world.process_buffers(vec![with_headroom(&frame, 31)]).remove(0);
    assert_eq!(fate, Fate::Drop);
    assert_eq!(world.counters.dropped(DropReason::NoHeadroom), 1);
}

#[test]
fn without_a_next_hop_nothing_is_sent() {
    let mut world = World::load_with("plain", |settings| settings.devices[0].next_hop = None);
    assert_eq!(world.process(&[frame(0), vec![0; 13]]), [Fate::Drop, Fate::Drop]);
    assert_eq!(world.counters.dropped(DropReason::NextHopUnresolved), 1);
    assert_eq!(world.counters.dropped(DropReason::Malformed), 1, "the packet's own faults come first");
}

#[test]
fn without_a_kernel_path_what_is_the_kernels_is_dropped() {
    let mut world = World::load_with("plain", |settings| settings.devices[0].kernel_path = false);
    let mut arp = vec![0xff; 6];
    arp.extend([2, 0, 0, 0, 0xff, 1, 8, 6]);
    assert_eq!(world.process(&[arp]), [Fate::Drop]);
    assert_eq!(world.counters.dropped(DropReason::NoKernelPath), 1);
}
