// SPDX-License-Identifier: MIT OR Apache-2.0
//! Real workers with a tap, over frames in memory.

use std::sync::Arc;

use tables::Publisher;

use super::drain::{Drain, Frame, Packet};
use super::tap::Tap;
use super::{Fate, Moment, Options, Reasons, Wanted, Witness};
use crate::counters::DropReason;
use crate::io::memory::{MemoryIo, VecBuf};
use crate::io::offload::Unfinished;
use crate::io::{DeviceIndex, Nanos, PacketBuf};
use crate::state::ForwardingState;
use crate::testing::{self, ELSEWHERE, FREE_PORT, OWNED_PORT, SLICED, UNASSIGNED};
use crate::worker::handoff::Handoff;
use crate::worker::{Shared, Worker};

const WAN: DeviceIndex = DeviceIndex(0);
const BURST: usize = 8;
const ALL: Options = Options { wanted: Wanted::All, every: 1, snap_length: 256 };

struct Rig {
    worker: Worker<MemoryIo>,
    shared: Arc<Shared>,
    drain: Drain,
    _publisher: Publisher<ForwardingState>,
}

impl Rig {
    fn new(options: Options, ring: usize) -> Self {
        let settings = Arc::new(testing::settings());
        let (publisher, mut readers) = Publisher::new(testing::state(7, "lhr-1", &settings), 1);
        let shared = Arc::new(Shared::default());
        let reader = readers.pop().unwrap();
        let mut worker = Worker::new(MemoryIo::new(2), settings, BURST, reader, Arc::clone(&shared), Handoff::alone());
        let (tap, drain) = Tap::with_ring(options, BURST, 64, ring);
        shared.tap.post(tap);
        worker.tick();
        Self { worker, shared, drain, _publisher: publisher }
    }

    /// Lets the worker handle frames, burst by burst; what was captured.
    fn run(&mut self, frames: &[Vec<u8>]) -> Vec<Packet> {
        frames.iter().for_each(|frame| self.worker.io_mut().push(WAN, frame));
        while self.worker.poll() > 0 {}
        std::iter::from_fn(|| self.drain.packet()).collect()
    }
}

fn bytes(frame: Option<&Frame>) -> Option<&[u8]> {
    frame.map(|frame| &frame.bytes[..])
}

/// One of each fate.
fn mixed() -> Vec<Vec<u8>> {
    vec![
        testing::udp(SLICED, OWNED_PORT, 1),
        testing::udp(SLICED, FREE_PORT, 2),
        testing::udp(ELSEWHERE, OWNED_PORT, 3),
        testing::udp(UNASSIGNED, OWNED_PORT, 4),
        testing::arp(),
        testing::udp(SLICED, OWNED_PORT, 5),
    ]
}

#[test]
fn each_packet_is_seen_as_it_came_with_its_fate_and_as_it_left() {
    let mut rig = Rig::new(ALL, 1 << 16);
    let frames = mixed();
    let packets = rig.run(&frames);
    let drop = Fate::Dropped;
    let fates = [
        Fate::Sent,
        drop(DropReason::UnallocatedPort),
        Fate::Kernel,
        drop(DropReason::UnassignedAddress),
        Fate::Kernel,
        Fate::Sent,
    ];
    assert_eq!(packets.iter().map(|packet| packet.fate).collect::<Vec<_>>(), fates);
    let mut sent = rig.worker.io_mut().sent.iter();
    for (packet, frame) in packets.iter().zip(&frames) {
        assert_eq!(bytes(packet.came.as_ref()), Some(&frame[..]));
        let left = if packet.fate == Fate::Sent { sent.next() } else { None };
        assert_eq!(bytes(packet.left.as_ref()), left.map(|(_, frame)| frame.data()));
        assert_eq!((packet.generation, packet.revision), (7, 0));
    }
    assert!(packets.is_sorted_by_key(|packet| packet.number));
    assert_eq!(rig.drain.lost(), 0);
}

#[test]
fn frames_are_kept_up_to_the_snap_length() {
    let mut rig = Rig::new(Options { snap_length: 20, ..ALL }, 1 << 16);
    let frame = testing::udp(SLICED, OWNED_PORT, 1);
    let packets = rig.run(std::slice::from_ref(&frame));
    let came = packets[0].came.as_ref().unwrap();
    assert_eq!((&came.bytes[..], came.length as usize), (&frame[..20], frame.len()));
    assert_eq!(packets[0].left.as_ref().unwrap().length as usize, frame.len() - 14 + testing::OUTER_LEN);
}

#[test]
fn what_no_device_takes_is_dropped_after_all() {
    let mut rig = Rig::new(ALL, 1 << 16);
    rig.worker.io_mut().transmit_limit = Some(1);
    let frames: Vec<_> = (0..3).map(|id| testing::udp(SLICED, OWNED_PORT, id)).collect();
    let packets = rig.run(&frames);
    let full = Fate::Dropped(DropReason::TxFull);
    assert_eq!(packets.iter().map(|packet| packet.fate).collect::<Vec<_>>(), [Fate::Sent, full, full]);
    assert!(packets.iter().all(|packet| packet.came.is_some() && packet.left.is_some()));
}

/// A packet of 2,000 bytes that may be cut.
fn long() -> Vec<u8> {
    let mut frame = testing::udp(SLICED, OWNED_PORT, 1);
    frame.resize(14 + 2_000, 0);
    frame[16..18].copy_from_slice(&2_000_u16.to_be_bytes());
    (frame[20], frame[24], frame[25]) = (0, 0, 0);
    let sum: u32 = frame[14..34].chunks(2).map(|pair| u32::from(u16::from_be_bytes([pair[0], pair[1]]))).sum();
    frame[24..26].copy_from_slice(&(!((sum & 0xffff) + (sum >> 16)) as u16).to_be_bytes());
    frame
}

#[test]
fn what_the_forwarder_adds_is_seen_as_it_leaves() {
    for (limit, second) in [(2, Fate::Sent), (1, Fate::Dropped(DropReason::TxFull))] {
        let mut rig = Rig::new(ALL, 1 << 16);
        rig.worker.io_mut().transmit_limit = Some(limit);
        let packets = rig.run(&[long()]);
        let seen = |packet: &Packet| (packet.fate, packet.came.is_some(), packet.left.is_some());
        assert_eq!(packets.iter().map(seen).collect::<Vec<_>>(), [(Fate::Sent, true, true), (second, false, true)]);
    }
}

#[test]
fn drops_are_seen_alone_and_by_their_reason() {
    let reasons = Reasons::default().with(DropReason::UnallocatedPort).with(DropReason::TxFull);
    let mut rig = Rig::new(Options { wanted: Wanted::Drops(reasons), ..ALL }, 1 << 16);
    rig.worker.io_mut().transmit_limit = Some(1);
    let frames = mixed();
    let packets = rig.run(&frames);
    assert_eq!(packets.len(), 2, "{packets:?}");
    let full = packets.iter().find(|packet| packet.fate == Fate::Dropped(DropReason::TxFull)).unwrap();
    assert_eq!((bytes(full.came.as_ref()), full.left.as_ref().unwrap().device), (None, WAN));
    let free = packets.iter().find(|packet| packet.fate == Fate::Dropped(DropReason::UnallocatedPort)).unwrap();
    assert_eq!((bytes(free.came.as_ref()), bytes(free.left.as_ref())), (Some(&frames[1][..]), None));
}

#[test]
fn a_sample_is_one_in_so_many() {
    let mut rig = Rig::new(Options { every: 3, ..ALL }, 1 << 16);
    let frames: Vec<_> = (0..20).map(|id| testing::udp(SLICED, OWNED_PORT, id)).collect();
    let packets = rig.run(&frames);
    let came: Vec<_> = packets.iter().map(|packet| bytes(packet.came.as_ref()).unwrap().to_vec()).collect();
    assert_eq!(came, frames.iter().step_by(3).cloned().collect::<Vec<_>>());
    assert!(packets.iter().all(|packet| packet.fate == Fate::Sent && packet.left.is_some()));
}

#[test]
fn what_finds_no_room_is_counted_and_forwarded_all_the_same() {
    let mut rig = Rig::new(ALL, 4_096);
    let frames: Vec<_> = (0..1_000).map(|id| testing::udp(SLICED, OWNED_PORT, id)).collect();
    let mut packets = rig.run(&frames);
    assert!(!packets.is_empty() && packets.len() < 100, "{}", packets.len());
    assert_eq!(packets.len() as u64 + rig.drain.lost(), 1_000);
    assert_eq!(rig.worker.io_mut().sent.len(), 1_000);
    // What was read makes room, and the ring goes round.
    for frames in frames.chunks(BURST) {
        packets.extend(rig.run(frames));
    }
    assert_eq!(packets.len() as u64 + rig.drain.lost(), 2_000);
    assert!(packets.len() > 900, "{}", packets.len());
    assert!(packets.iter().all(|packet| packet.came.is_some() && packet.left.is_some()));
}

#[test]
fn a_tap_is_given_up_when_nobody_wants_it_or_never_taken() {
    let mut rig = Rig::new(ALL, 1 << 16);
    assert!(!rig.drain.is_ended());
    rig.drain.end();
    rig.worker.tick();
    assert!(rig.drain.is_ended());
    assert_eq!(rig.run(&mixed()), []);

    let (tap, drain) = Tap::with_ring(ALL, BURST, 64, 4_096);
    rig.shared.tap.post(tap);
    rig.shared.tap.withdraw();
    assert!(drain.is_ended());
    rig.worker.tick();
    assert_eq!(rig.run(&mixed()), []);
}

/// A frame in a device's buffer, of which something is left to the device.
struct Unsent(VecBuf, Unfinished);

impl PacketBuf for Unsent {
    fn data(&self) -> &[u8] {
        self.0.data()
    }
    fn data_mut(&mut self) -> &mut [u8] {
        self.0.data_mut()
    }
    fn prepend(&mut self, len: usize) -> Option<&mut [u8]> {
        self.0.prepend(len)
    }
    fn trim_front(&mut self, len: usize) {
        self.0.trim_front(len);
    }
    fn truncate(&mut self, len: usize) {
        self.0.truncate(len);
    }
    fn identity(&self) -> usize {
        self.0.identity()
    }
    fn unfinished(&self) -> Unfinished {
        self.1
    }
}

#[test]
fn what_is_left_to_the_device_is_seen_done() {
    let whole = testing::udp(SLICED, OWNED_PORT, 1);
    let mut sent = whole.clone();
    sent.splice(12..12, [0x81, 0, 0, 100]);
    let mut frame = VecBuf::new(&whole);
    frame.data_mut()[24..26].fill(0);
    let frames = [Unsent(frame, Unfinished { checksum: Some(14), tag: Some(100) })];
    // Also where the beginning that is kept ends inside the header that is summed up.
    for snap_length in [14, 30, 40, 256] {
        let settings = testing::settings();
        let moment = Moment::new(WAN, Nanos(0), &testing::state(7, "lhr-1", &settings));
        let (mut tap, mut drain) = Tap::with_ring(Options { snap_length, ..ALL }, BURST, 64, 1 << 16);
        tap.came::<Unsent>(moment, &[]);
        tap.leave(WAN, &frames);
        tap.untaken(Some(WAN), DropReason::TxFull, &frames);
        tap.end();
        let packet = drain.packet().unwrap();
        let kept = &sent[..sent.len().min(snap_length.into())];
        assert_eq!(bytes(packet.left.as_ref()), Some(kept), "{snap_length} bytes");
        assert_eq!(
            (packet.left.unwrap().length as usize, packet.fate),
            (sent.len(), Fate::Dropped(DropReason::TxFull))
        );
        assert_eq!(drain.packet(), None);
    }
}
