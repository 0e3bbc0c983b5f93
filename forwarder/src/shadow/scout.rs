// SPDX-License-Identifier: MIT OR Apache-2.0
//! The worker's end: takes a sample of what comes, and asks both tables.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use rtrb::{Consumer, Producer, RingBuffer};
use tables::table::Found;

use super::fate::{self, Fate, Kind};
use crate::counters::{DropReason, Tally, Traffic};
use crate::io::{DeviceIndex, PacketBuf};
use crate::pipeline::classify::{self, Receiver};
use crate::pipeline::packet::{Addresses, NotForwarded, Origin, Packet};
use crate::pipeline::route::route_packet;
use crate::pipeline::upper::Selector;
use crate::sampler::Sampler;
use crate::settings::{Echo, Settings};
use crate::state::{Destination, ForwardingState};

/// Packets that the tables are asked for at once: enough that one cache miss hides behind the others.
const BATCH: usize = 32;

/// Changes that wait for control, which looks many times a second.
const RING: usize = 4_096;

/// What the scout of one worker has counted, and when it is to end.
#[derive(Debug, Default)]
pub struct Tallies {
    kinds: [Tally; Kind::ALL.len()],
    /// Changes that found no room in the ring: they are counted all the same.
    lost: AtomicU64,
    /// Set to end it.
    over: AtomicBool,
}

impl Tallies {
    /// Packets of the sample that differ so, and their bytes.
    pub fn read(&self, kind: Kind) -> Traffic {
        self.kinds.get(kind as usize).map(Tally::read).unwrap_or_default()
    }

    /// Packets of the sample that are in the counts and did not come by the ring.
    pub fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }

    /// Tells the worker to give up its scout.
    pub fn end(&self) {
        self.over.store(true, Ordering::Relaxed);
    }
}

/// What becomes of a packet, in terms that outlive a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum End {
    /// The server with that address gets it.
    Server(IpAddr),
    /// The data centre whose first forwarder has that address gets it.
    Datacenter(IpAddr),
    /// The kernel gets it.
    Kernel,
    /// The forwarder answers it.
    Answer,
    /// It is dropped.
    Drop(DropReason),
}

/// A packet whose fate would be another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Change {
    /// How.
    pub kind: Kind,
    /// What becomes of it.
    pub before: End,
    /// What would.
    pub after: End,
    /// Who sent it, and whom to; of GUE from a peer, what is inside; none if it can't be read.
    pub addresses: Option<(IpAddr, IpAddr)>,
    /// IP protocol number.
    pub protocol: u8,
    /// Destination port, if it has one.
    pub port: Option<u16>,
    /// Bytes of the frame.
    pub bytes: u32,
}

/// A packet of the sample, and the bytes of its frame.
#[derive(Debug, Clone, Copy)]
struct Sample {
    packet: Packet,
    bytes: u32,
}

/// A scout. The worker owns it while there is a shadow.
pub struct Scout {
    shadow: Arc<ForwardingState>,
    settings: Arc<Settings>,
    sampler: Sampler,
    /// Gathered, by IP version.
    v4: Vec<Sample>,
    v6: Vec<Sample>,
    /// Dropped last: its end tells control that this worker does not look at the shadow any more.
    ledger: Ledger,
}

/// Where a scout writes down what it has seen.
#[derive(Debug)]
struct Ledger {
    tallies: Arc<Tallies>,
    changes: Producer<Change>,
}

impl Scout {
    /// A scout for `shadow`, which looks at one packet of `every`; and control's ends.
    pub fn new(
        shadow: Arc<ForwardingState>,
        settings: Arc<Settings>,
        every: u64,
    ) -> (Box<Self>, Arc<Tallies>, Consumer<Change>) {
        let (changes, reader) = RingBuffer::new(RING);
        let tallies = Arc::new(Tallies::default());
        let scout = Self {
            shadow,
            settings,
            sampler: Sampler::new(every),
            v4: Vec::with_capacity(BATCH),
            v6: Vec::with_capacity(BATCH),
            ledger: Ledger { tallies: Arc::clone(&tallies), changes },
        };
        (Box::new(scout), tallies, reader)
    }

    /// Whether it is to be given up.
    pub(crate) fn is_over(&self) -> bool {
        self.ledger.tallies.over.load(Ordering::Relaxed)
    }

    /// Looks at a burst that `device` has received, and that `running` will decide.
    #[inline]
    pub(crate) fn look<B: PacketBuf>(&mut self, running: &ForwardingState, device: DeviceIndex, frames: &[B]) {
        let mut from = 0;
        while let Some(index) = self.sampler.next_of(from, frames.len()) {
            if let Some(frame) = frames.get(index) {
                self.take(running, device, frame.data());
            }
            from = index + 1;
        }
    }

    /// Takes in one frame: gathered with others if a table's answer is all that its fate depends on.
    #[inline(never)]
    fn take(&mut self, running: &ForwardingState, device: DeviceIndex, frame: &[u8]) {
        let Self { shadow, settings, v4, v6, ledger, .. } = self;
        let takes_gue = settings.device(device).is_some_and(|device| device.gue);
        let own = &settings.underlay;
        let before = Receiver { own, peers: takes_gue.then_some(&running.table) };
        let after = Receiver { own, peers: takes_gue.then_some(&shadow.table) };
        let packet = classify::frame(frame, before);
        match packet {
            Ok(packet) if packet.origin == Origin::Wire && is_picked_by_headers(&packet) => {
                let family = if let Addresses::V4(..) = packet.addresses { v4 } else { v6 };
                family.push(Sample { packet, bytes: frame.len() as u32 });
                if family.len() == BATCH {
                    self.flush(running);
                }
            }
            _ => {
                let answers = settings.icmp.echo == Echo::Answer;
                let before = (running, fate::of_frame(running, frame, before, answers));
                let after = (&**shadow, fate::of_frame(shadow, frame, after, answers));
                ledger.count(before, after, packet.ok().as_ref(), frame.len() as u32);
            }
        }
    }

    /// Asks both tables for what was gathered.
    #[inline(never)]
    pub(crate) fn flush(&mut self, running: &ForwardingState) {
        let Self { shadow, v4, v6, ledger, .. } = self;
        for (samples, is_v6) in [(v4, false), (v6, true)] {
            if samples.is_empty() {
                continue;
            }
            let [before, after] = [running, shadow].map(|state| ask(state, samples, is_v6));
            for (sample, (before, after)) in samples.iter().zip(before.iter().zip(&after)) {
                let fate =
                    |state: &ForwardingState, entry| Fate::Routed(route_packet(&state.table, entry, &sample.packet));
                let before = (running, fate(running, before.address()));
                let after = (&**shadow, fate(shadow, after.address()));
                ledger.count(before, after, Some(&sample.packet), sample.bytes);
            }
            samples.clear();
        }
    }
}

impl Ledger {
    #[inline]
    fn count(
        &mut self,
        before: (&ForwardingState, Fate),
        after: (&ForwardingState, Fate),
        packet: Option<&Packet>,
        bytes: u32,
    ) {
        let kind = Kind::of(before, after);
        if let Some(tally) = self.tallies.kinds.get(kind as usize) {
            tally.add(1, bytes.into());
        }
        if !matches!(kind, Kind::Same | Kind::Unknown) {
            let change = Change {
                kind,
                before: end(before),
                after: end(after),
                addresses: packet.map(|packet| (packet.addresses.source(), packet.addresses.destination())),
                protocol: packet.map_or(0, |packet| packet.upper.protocol),
                port: packet.and_then(|packet| port(&packet.upper.selector)),
                bytes,
            };
            if self.changes.push(change).is_err() {
                self.tallies.lost.store(self.tallies.lost() + 1, Ordering::Relaxed);
            }
        }
    }
}

/// What the table of `state` says of the destinations of some packets, all of one version.
fn ask(state: &ForwardingState, samples: &[Sample], is_v6: bool) -> [Found; BATCH] {
    let mut found = [Found::ABSENT; BATCH];
    let port = |sample: &Sample| port(&sample.packet.upper.selector).unwrap_or_default();
    if is_v6 {
        let address = |sample: &Sample| match sample.packet.addresses {
            Addresses::V6(_, destination) => destination.to_bits(),
            Addresses::V4(..) => 0,
        };
        state.table.address_burst6(samples, address, port, &mut found);
    } else {
        let address = |sample: &Sample| match sample.packet.addresses {
            Addresses::V4(_, destination) => destination.octets(),
            Addresses::V6(..) => [0; 4],
        };
        state.table.address_burst(samples, address, port, &mut found);
    }
    found
}

fn port(selector: &Selector) -> Option<u16> {
    if let Selector::Port(port) = selector { Some(*port) } else { None }
}

/// Whether nothing but headers picks its owner.
fn is_picked_by_headers(packet: &Packet) -> bool {
    matches!(packet.upper.selector, Selector::Port(_) | Selector::Portless | Selector::Cut)
}

fn end((state, fate): (&ForwardingState, Fate)) -> End {
    let (targets, remotes) = (state.table.targets(), state.table.remotes());
    let found = match fate {
        Fate::Answered => Some(End::Answer),
        Fate::Routed(Ok(Destination::Server(id))) => {
            targets.get(usize::from(id.0)).map(|target| End::Server(target.address))
        }
        Fate::Routed(Ok(Destination::Datacenter(id))) => {
            remotes.get(usize::from(id.0)).and_then(|remote| remote.forwarders.first()).map(|&to| End::Datacenter(to))
        }
        Fate::Routed(Err(NotForwarded::Kernel)) => Some(End::Kernel),
        Fate::Routed(Err(NotForwarded::Drop(reason))) => Some(End::Drop(reason)),
    };
    found.unwrap_or(End::Drop(DropReason::NextHopUnresolved))
}
