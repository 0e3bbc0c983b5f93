// SPDX-License-Identifier: MIT OR Apache-2.0
//! Endless traffic to addresses that change hands, and to one that never does.
#![allow(dead_code, reason = "each test uses its part")]

use std::collections::VecDeque;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use forwarder::counters::CountersReport;
use forwarder::io::memory::VecBuf;
use forwarder::io::{Allocator, DeviceIndex, Nanos, PacketBuf, PacketIo, Received};

use crate::control_support::frame_to;

/// Every port of it belongs to [`FIXED_SERVER`], whatever is patched.
pub(crate) const FIXED_ADDRESS: Ipv4Addr = Ipv4Addr::new(198, 51, 101, 1);
pub(crate) const FIXED_SERVER: Ipv4Addr = Ipv4Addr::new(10, 0, 3, 3);

/// Where outer and inner destination are in a frame: Ethernet, IPv4, UDP, GUE without options, IPv4.
const OUTER: usize = 14 + 16;
const INNER: usize = 14 + 20 + 8 + 4 + 16;

/// Frames by what became of them.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    received: AtomicU64,
    /// To [`FIXED_ADDRESS`].
    fixed: AtomicU64,
    fixed_sent: AtomicU64,
    moving_sent: AtomicU64,
    astray: AtomicU64,
}

impl Seen {
    /// Nothing went where no table had it go, and what nobody could change was never dropped.
    pub(crate) fn check(&self, counters: &CountersReport) {
        let [received, fixed, fixed_sent, moving_sent, astray] =
            [&self.received, &self.fixed, &self.fixed_sent, &self.moving_sent, &self.astray]
                .map(|counter| counter.load(Relaxed));
        assert_eq!((astray, fixed_sent), (0, fixed));
        assert!(fixed > 10_000 && moving_sent > 10_000, "{self:?}");
        assert_eq!((counters.rx, counters.tx), (received, fixed_sent + moving_sent));
        let expected = ["unallocated_port", "unassigned_address", "no_kernel_path"];
        let others =
            counters.drops.iter().filter(|(reason, count)| **count > 0 && !expected.contains(&reason.as_ref()));
        assert_eq!(others.count(), 0, "{:?}", counters.drops);
    }
}

/// The queues of one worker.
pub(crate) struct Traffic {
    seen: Arc<Seen>,
    /// An address that may change hands, of any number.
    address: fn(u32) -> Ipv4Addr,
    spare: VecDeque<VecBuf>,
    turn: u32,
}

impl Traffic {
    pub(crate) fn new(seen: Arc<Seen>, address: fn(u32) -> Ipv4Addr) -> Self {
        Self { seen, address, spare: VecDeque::new(), turn: 0 }
    }

    /// Every fourth goes to the fixed address; the others go round the rest, and round the slices.
    fn next(&mut self) -> VecBuf {
        self.turn = self.turn.wrapping_add(1);
        let scattered = self.turn.wrapping_mul(0x9e37_79b1);
        let fixed = self.turn.is_multiple_of(4);
        let to = if fixed { FIXED_ADDRESS } else { (self.address)(scattered) };
        self.seen.fixed.fetch_add(u64::from(fixed), Relaxed);
        let mut buf = self.spare.pop_front().unwrap_or_default();
        buf.refill(&frame_to(to.octets(), (scattered >> 8) as u16 | 1));
        buf
    }
}

impl Allocator<VecBuf> for Traffic {
    fn allocate(&mut self, _: usize) -> Option<VecBuf> {
        None
    }
}

impl PacketIo for Traffic {
    type Buf = VecBuf;

    fn receive(&mut self, _: DeviceIndex, frames: &mut Vec<VecBuf>, max: usize) -> Received {
        frames.extend((0..max).map(|_| self.next()));
        self.seen.received.fetch_add(max as u64, Relaxed);
        Received::default()
    }

    fn transmit(&mut self, _: DeviceIndex, frames: &mut Vec<VecBuf>) {
        for buf in frames.drain(..) {
            let data = buf.data();
            let (outer, inner) = (&data[OUTER..OUTER + 4], &data[INNER..INNER + 4]);
            let seen = if inner == FIXED_ADDRESS.octets() {
                if outer == FIXED_SERVER.octets() { &self.seen.fixed_sent } else { &self.seen.astray }
            } else if outer[..3] == [10, 0, 2] {
                &self.seen.moving_sent
            } else {
                &self.seen.astray
            };
            seen.fetch_add(1, Relaxed);
            self.spare.push_back(buf);
        }
    }

    fn to_kernel(&mut self, _: DeviceIndex, _: &mut Vec<VecBuf>) {}

    fn free(&mut self, frames: &mut Vec<VecBuf>) {
        self.spare.extend(frames.drain(..));
    }

    fn now(&self) -> Nanos {
        Nanos(0)
    }
}
