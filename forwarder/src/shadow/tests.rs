// SPDX-License-Identifier: MIT OR Apache-2.0
//! Real workers with a scout, over frames in memory.

use std::net::Ipv4Addr;
use std::sync::Arc;

use rtrb::Consumer;
use tables::{Publisher, Source};

use super::{Change, End, Kind, Scout, Tallies};
use crate::counters::{DropReason, Traffic};
use crate::io::DeviceIndex;
use crate::io::memory::MemoryIo;
use crate::state::ForwardingState;
use crate::testing::{self, ELSEWHERE, FREE_PORT, OWNED_PORT, SLICED, UNASSIGNED};
use crate::worker::handoff::Handoff;
use crate::worker::{Shared, Worker};

const WAN: DeviceIndex = DeviceIndex(0);
const BURST: usize = 8;

/// Whole addresses, each in a state of its own; before and after.
const WHOLE: [(&str, &str, &str); 8] = [
    ("203.0.113.10", r#""datacenter": "LHR", "server": "lhr-1""#, r#""datacenter": "LHR", "server": "lhr-1""#),
    ("203.0.113.11", r#""datacenter": "LHR", "server": "lhr-1""#, r#""datacenter": "LHR", "server": "lhr-2""#),
    ("203.0.113.12", r#""datacenter": "LHR", "server": "lhr-1""#, r#""datacenter": "CDG", "server": "cdg-1""#),
    ("203.0.113.13", r#""datacenter": "CDG", "server": "cdg-1""#, r#""datacenter": "LHR", "server": "lhr-1""#),
    ("203.0.113.14", r#""datacenter": "CDG", "server": "cdg-1""#, r#""datacenter": "MAN", "server": "man-1""#),
    ("203.0.113.15", r#""datacenter": "CDG", "server": "cdg-1""#, r#""datacenter": "CDG", "server": "cdg-2""#),
    ("203.0.113.16", r#""datacenter": "LHR", "server": "lhr-1""#, r#""unassigned": true"#),
    ("203.0.113.17", r#""unassigned": true"#, r#""datacenter": "LHR", "server": "lhr-2""#),
];

/// Servers in another order, so that ids mean something else.
fn document(is_after: bool) -> Source {
    let mut servers = [
        r#""lhr-1": {"datacenter": "LHR", "address": "10.0.1.1"}"#,
        r#""lhr-2": {"datacenter": "LHR", "address": "10.0.1.2"}"#,
        r#""cdg-1": {"datacenter": "CDG", "address": "10.1.1.1"}"#,
        r#""cdg-2": {"datacenter": "CDG", "address": "10.1.1.2"}"#,
        r#""man-1": {"datacenter": "MAN", "address": "10.2.1.1"}"#,
    ];
    if is_after {
        servers.reverse();
    }
    let mut entries: Vec<_> = WHOLE
        .iter()
        .map(|(address, before, after)| {
            format!(r#"{{"prefix": "{address}/32", {}}}"#, if is_after { after } else { before })
        })
        .collect();
    let owners = if is_after { r#"["lhr-2", null, "lhr-1"]"# } else { r#"[null, "lhr-1", "lhr-1"]"# };
    entries.push(format!(
        r#"{{"prefix": "{SLICED}/32", "datacenter": "LHR", "slices": {{"ports": 2048, "owners": {owners}}}}}"#
    ));
    if !is_after {
        entries.push(r#"{"prefix": "198.51.100.0/24", "unassigned": true}"#.to_owned());
    }
    let json = format!(
        r#"{{"version": 1, "datacenters": {{"LHR": {{"forwarders": ["10.0.0.1"]}}, "CDG": {{"forwarders": ["10.1.0.1"]}},
            "MAN": {{"forwarders": ["10.2.0.1"]}}}}, "servers": {{{}}}, "egress": [{}]}}"#,
        servers.join(","),
        entries.join(",")
    );
    Source::from_slice(json.as_bytes()).unwrap()
}

struct Rig {
    worker: Worker<MemoryIo>,
    tallies: Arc<Tallies>,
    changes: Consumer<Change>,
    shadow: Arc<ForwardingState>,
    _publisher: Publisher<ForwardingState>,
}

impl Rig {
    fn new(every: u64) -> Self {
        let settings = Arc::new(testing::settings());
        let state = |generation, is_after| {
            ForwardingState::build(&document(is_after), generation, &testing::viewpoint(), &settings).unwrap()
        };
        let (publisher, mut readers) = Publisher::new(Box::new(state(7, false)), 1);
        let shadow = Arc::new(state(8, true));
        let (scout, tallies, changes) = Scout::new(Arc::clone(&shadow), Arc::clone(&settings), every);
        let shared = Arc::new(Shared::default());
        shared.scout.post(scout);
        let reader = readers.pop().unwrap();
        let mut worker = Worker::new(MemoryIo::new(2), settings, BURST, reader, shared, Handoff::alone());
        worker.tick();
        Self { worker, tallies, changes, shadow, _publisher: publisher }
    }

    /// Lets the worker handle a frame; what was seen of it.
    fn one(&mut self, frame: &[u8]) -> (Option<Kind>, Option<Change>) {
        let before = Kind::ALL.map(|kind| self.tallies.read(kind));
        self.run(std::slice::from_ref(&frame.to_vec()));
        let counted = Kind::ALL.into_iter().zip(before).filter(|(kind, before)| self.tallies.read(*kind) != *before);
        let counted: Vec<_> = counted.collect();
        assert!(counted.len() <= 1, "{counted:?}");
        for (kind, before) in &counted {
            let one = Traffic { packets: 1, bytes: frame.len() as u64 };
            assert_eq!(self.tallies.read(*kind), before.plus(one));
        }
        (counted.first().map(|(kind, _)| *kind), self.changes.pop().ok())
    }

    fn run(&mut self, frames: &[Vec<u8>]) {
        frames.iter().for_each(|frame| self.worker.io_mut().push(WAN, frame));
        while self.worker.poll() > 0 {}
        self.worker.tick();
    }
}

fn server(last: u8) -> End {
    End::Server(Ipv4Addr::new(10, 0, 1, last).into())
}

fn datacenter(number: u8) -> End {
    End::Datacenter(Ipv4Addr::new(10, number, 0, 1).into())
}

#[test]
fn every_pair_of_fates_is_told_apart_whatever_ids_mean() {
    let mut rig = Rig::new(1);
    let dropped = End::Drop(DropReason::UnassignedAddress);
    let free = End::Drop(DropReason::UnallocatedPort);
    let whole = |n: usize| WHOLE[n].0.parse().unwrap();
    let cases = [
        (whole(0), 80, Kind::Same, None),
        (whole(1), 80, Kind::Moved, Some((server(1), server(2)))),
        (whole(2), 80, Kind::NewlyRemote, Some((server(1), datacenter(1)))),
        (whole(3), 80, Kind::NewlyLocal, Some((datacenter(1), server(1)))),
        (whole(4), 80, Kind::Moved, Some((datacenter(1), datacenter(2)))),
        (whole(5), 80, Kind::Same, None),
        (whole(6), 80, Kind::NewlyDropped, Some((server(1), dropped))),
        (whole(7), 80, Kind::NewlyForwarded, Some((dropped, server(2)))),
        (SLICED, FREE_PORT, Kind::NewlyForwarded, Some((free, server(2)))),
        (SLICED, OWNED_PORT, Kind::NewlyDropped, Some((server(1), free))),
        (SLICED, 4_100, Kind::Same, None),
        (SLICED, 40_000, Kind::Same, None),
        (UNASSIGNED, 80, Kind::NewlyKernel, Some((dropped, End::Kernel))),
        (ELSEWHERE, 80, Kind::Same, None),
    ];
    for (address, port, kind, ends) in cases {
        let (counted, change) = rig.one(&testing::udp(address, port, 1));
        assert_eq!(counted, Some(kind), "{address}:{port}");
        let seen = change.map(|change| (change.before, change.after));
        assert_eq!(seen, ends, "{address}:{port}");
        if let Some(change) = change {
            let from = Ipv4Addr::new(192, 0, 2, 1).into();
            assert_eq!((change.addresses, change.port), (Some((from, address.into())), Some(port)));
            assert_eq!((change.protocol, change.bytes, change.kind), (17, 50, kind));
        }
    }
    assert_eq!(rig.one(&testing::arp()), (Some(Kind::Same), None));
    assert_eq!(rig.one(&[0; 13]), (Some(Kind::Same), None), "too short for a frame");
}

#[test]
fn icmp_and_fragments_are_looked_at_as_they_are_decided() {
    let mut rig = Rig::new(1);
    let frame = |protocol: u8, fragment: u16, payload: &[u8]| {
        let mut frame = testing::udp(SLICED, OWNED_PORT, 1)[..34].to_vec();
        frame[16..18].copy_from_slice(&(20 + payload.len() as u16).to_be_bytes());
        frame[20..22].copy_from_slice(&fragment.to_be_bytes());
        (frame[23], frame[24], frame[25]) = (protocol, 0, 0);
        let sum: u32 = frame[14..34].chunks(2).map(|pair| u32::from(u16::from_be_bytes([pair[0], pair[1]]))).sum();
        frame[24..26].copy_from_slice(&(!((sum & 0xffff) + (sum >> 16)) as u16).to_be_bytes());
        frame.extend(payload);
        frame
    };
    let [high, low] = OWNED_PORT.to_be_bytes();
    let reply = [0, 0, 0, 0, high, low, 0, 1];
    assert_eq!(rig.one(&frame(1, 0, &reply)).0, Some(Kind::NewlyDropped), "an echo reply goes by its identifier");
    let request = [8, 0, 0x26, 0xfd, 0xd1, 0x01, 0, 1];
    assert_eq!(
        rig.one(&frame(1, 0, &request)).0,
        Some(Kind::Same),
        "an echo request is answered as long as ports are shared"
    );
    let first = [0, 53, high, low, 0, 64, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8];
    assert_eq!(rig.one(&frame(17, 0x2000, &first)).0, Some(Kind::NewlyDropped), "a first fragment by its port");
    assert_eq!(rig.one(&frame(17, 0x2002, &first)).0, Some(Kind::Unknown), "a later one by its first");
    assert_eq!(rig.one(&frame(47, 0, &first)).0, Some(Kind::Same), "neither has an owner for GRE");
}

#[test]
fn a_sample_is_counted_to_the_packet_and_what_finds_no_room_as_well() {
    let mut rig = Rig::new(4);
    let frames: Vec<_> = (0..40_000).map(|id| testing::udp(WHOLE[1].0.parse().unwrap(), 80, id)).collect();
    rig.run(&frames);
    assert_eq!(rig.tallies.read(Kind::Moved), Traffic { packets: 10_000, bytes: 500_000 });
    let changes = std::iter::from_fn(|| rig.changes.pop().ok()).count() as u64;
    assert!(changes > 1_000 && rig.tallies.lost() > 0, "{changes} came, {} were lost", rig.tallies.lost());
    assert_eq!(changes + rig.tallies.lost(), 10_000);
}

#[test]
fn the_worker_lets_go_before_the_ring_says_so() {
    let mut rig = Rig::new(1);
    rig.run(&[testing::udp(SLICED, OWNED_PORT, 1)]);
    assert!(!rig.changes.is_abandoned() && Arc::strong_count(&rig.shadow) == 2);
    rig.tallies.end();
    rig.worker.tick();
    assert!(rig.changes.is_abandoned() && Arc::strong_count(&rig.shadow) == 1);
    rig.run(&[testing::udp(SLICED, OWNED_PORT, 2)]);
    assert_eq!(rig.tallies.read(Kind::NewlyDropped).packets, 1, "it looks no more");
}
