// SPDX-License-Identifier: MIT OR Apache-2.0
//! A burst of frames in, their fates out: classify all, look up all, act on all.
//!
//! ```text
//!  frame ── classify ── lookup ── route ── encap ──► transmit
//!              │                    │        │
//!              └──► kernel or drop ◄┴────────┘
//! ```
//!
//! A packet that turns out too big for its way is cut, or its sender told; an echo request to a shared address is answered.

pub mod address;
mod bucket;
pub mod classify;
mod cut;
mod encap;
mod excerpt;
mod flow;
pub mod fragments;
mod icmp;
mod lookup;
mod options;
mod originate;
pub mod packet;
mod peer;
mod plain;
mod quote;
pub mod route;
pub mod trace;
pub mod upper;
mod work;

use std::iter;
use std::sync::Arc;

use tables::table::Address;

use crate::counters::{Counters, DropReason};
use crate::io::{Allocator, DeviceIndex, Nanos, PacketBuf};
use crate::settings::{Marking, Settings};
use crate::state::{Destination, ForwardingState};
use crate::wire::ethernet;
use crate::wire::outer::OuterHeaders;
use classify::Receiver;
use flow::FlowHash;
use fragments::{Fragments, Handed, Member};
use lookup::{Answer, Answers, Lookup};
use originate::Originator;
use packet::{Addresses, NotForwarded, Packet};
use plain::Plain;

use upper::Selector;
use work::Work;

/// Where the frames of a burst go. The worker empties it after every burst.
pub struct Output<B> {
    /// Frames to transmit, by device.
    pub transmit: Vec<Vec<B>>,
    /// Frames for the kernel path of the device they came from.
    pub kernel: Vec<B>,
    /// Frames to free; already counted.
    pub dropped: Vec<B>,
    /// Why, in their order, if somebody wants to know: as far as there is room, and by default there is none.
    pub reasons: Vec<DropReason>,
    /// Fragments that other workers decide.
    pub handed: Vec<Handed<B>>,
}

impl<B> Output<B> {
    /// The frames to transmit by `device`.
    #[inline(always)]
    fn queue(&mut self, device: DeviceIndex) -> Option<&mut Vec<B>> {
        self.transmit.get_mut(usize::from(device.0))
    }

    /// Room for what a burst of at most `burst` frames can cause by `settings`: every fragment that waits can go with it, and
    /// the pieces of any one packet.
    pub fn new(settings: &Settings, burst: usize) -> Self {
        let devices = settings.devices.len();
        let most = burst + settings.fragments.packets as usize;
        Self {
            transmit: (0..devices).map(|_| Vec::with_capacity(most + cut::MAX_PIECES)).collect(),
            kernel: Vec::with_capacity(most),
            dropped: Vec::with_capacity(most.max(devices * burst)),
            reasons: Vec::new(),
            handed: Vec::with_capacity(devices * burst),
        }
    }
}

impl<B> Output<B> {
    /// Gives up a frame that has been counted as dropped for `reason`.
    fn give_up(&mut self, reason: DropReason, frame: B) {
        self.dropped.push(frame);
        if self.reasons.len() < self.reasons.capacity() {
            self.reasons.push(reason);
        }
    }
}

/// Where and when a burst came in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Arrival {
    /// The device that received it.
    pub device: DeviceIndex,
    /// When.
    pub now: Nanos,
}

/// Frames between the one that is read and the one that the cache is asked for: some hundred cycles.
const AHEAD: usize = 16;

/// One worker's packet processing.
pub struct Pipeline<B> {
    settings: Arc<Settings>,
    /// The worker's number.
    worker: usize,
    sender: Sender,
    lookup: Lookup,
    burst: Burst,
    fragments: Fragments<B>,
}

/// The packets of the burst at hand, as read.
struct Burst {
    /// One a frame.
    plain: Vec<Plain>,
    /// One for each frame that holds no plain packet.
    others: Vec<Result<Packet, NotForwarded>>,
}

impl<B: PacketBuf> Pipeline<B> {
    /// A pipeline for bursts of at most `burst` frames, whose worker shares the fragments as `member`.
    pub fn new(settings: Arc<Settings>, burst: usize, member: Member) -> Self {
        Self {
            worker: member.index(),
            fragments: Fragments::new(settings.fragments, member),
            sender: Sender::new(Arc::clone(&settings)),
            lookup: Lookup::new(burst),
            burst: Burst { plain: Vec::with_capacity(burst), others: Vec::with_capacity(burst) },
            settings,
        }
    }

    /// Decides every frame of `frames` by `state`, and moves it to `output`, encapsulated where it goes on. Frames that the
    /// forwarder adds come from `buffers`. Fragments may stay here for a while, and others come out instead. Counts drops and
    /// what is held; `rx`, `tx` and `exception` are the worker's to count, since it sees them happen.
    pub fn process(
        &mut self,
        state: &ForwardingState,
        arrival: Arrival,
        frames: &mut Vec<B>,
        output: &mut Output<B>,
        counters: &mut Counters,
        buffers: &mut impl Allocator<B>,
    ) {
        let device = self.settings.device(arrival.device);
        let kernel_path = device.is_some_and(|device| device.kernel_path);
        let peers = device.filter(|device| device.gue).map(|_| &state.table);
        let receiver = Receiver { own: &self.settings.underlay, peers };

        self.burst.read(frames, receiver, &mut self.lookup);
        self.lookup.find(state, &self.sender.flow_hash);

        if self.fragments.held() > 0 {
            self.fragments.sweep(arrival.now, output, counters);
        }
        let tallies = state.tallies().of_worker(self.worker);
        let mut work = Work { state, arrival, receiver, kernel_path, output, counters, tallies, buffers };
        self.sender.act(&mut work, &mut self.fragments, frames, &self.burst, self.lookup.answers());
        counters.held = self.fragments.held() as u64;
    }

    /// Gives up fragments that have waited too long; whether there were any. For when no burst comes to do it.
    pub fn tick(&mut self, now: Nanos, output: &mut Output<B>, counters: &mut Counters) -> bool {
        if self.fragments.held() == 0 {
            return false;
        }
        self.fragments.sweep(now, output, counters);
        let before = std::mem::replace(&mut counters.held, self.fragments.held() as u64);
        before != counters.held
    }

    /// How many datagrams are remembered or waited for, and how many bytes wait.
    pub fn remembered(&self) -> (usize, u64) {
        self.fragments.remembered()
    }

    /// Gives up all fragments that wait: nothing more will come.
    pub fn finish(&mut self, output: &mut Output<B>, counters: &mut Counters) {
        self.fragments.give_up_all(output, counters);
        counters.held = 0;
    }
}

impl Burst {
    /// Reads all packets, and gives them to `lookup`.
    #[inline(never)]
    fn read<B: PacketBuf>(&mut self, frames: &[B], receiver: Receiver<'_>, lookup: &mut Lookup) {
        self.plain.clear();
        self.others.clear();
        lookup.clear();
        self.plain.resize(frames.len(), Plain::NONE);
        frames.iter().take(AHEAD).for_each(PacketBuf::prefetch);
        for (index, (frame, plain)) in frames.iter().zip(&mut self.plain).enumerate() {
            if let Some(later) = frames.get(index + AHEAD) {
                later.prefetch();
            }
            match Plain::read(frame.data(), receiver.own, lookup) {
                Some(read) => *plain = read,
                None => self.others.push(other(frame.data(), receiver, lookup)),
            }
        }
    }
}

/// Reads a packet that is not plain, and gives it to `lookup`.
#[inline(never)]
fn other(frame: &[u8], receiver: Receiver<'_>, lookup: &mut Lookup) -> Result<Packet, NotForwarded> {
    let packet = classify::frame(frame, receiver);
    if let Ok(packet) = &packet {
        lookup.push(packet);
    }
    packet
}

/// What turns a packet whose destination is known into a frame that leaves.
struct Sender {
    flow_hash: FlowHash,
    marking: Marking,
    /// The device that forwarded packets leave by, and its link header; none if no next hop is known.
    egress: Option<(DeviceIndex, ethernet::Template)>,
    originator: Originator,
}

impl Sender {
    fn new(settings: Arc<Settings>) -> Self {
        let egress = settings
            .egress()
            .map(|(index, device, next_hop)| (index, ethernet::Template::new(next_hop, device.mac, device.vlan)));
        Self {
            flow_hash: FlowHash::new(settings.flow_key),
            marking: settings.dscp.into(),
            egress,
            originator: Originator::new(settings),
        }
    }

    /// Does to every frame of a burst what is due to it. `answers` are those for IPv4 packets and for IPv6 packets.
    #[inline(never)]
    fn act<B: PacketBuf, A: Allocator<B>>(
        &mut self,
        work: &mut Work<'_, B, A>,
        fragments: &mut Fragments<B>,
        frames: &mut Vec<B>,
        burst: &Burst,
        [mut v4, mut v6]: [Answers<'_>; 2],
    ) {
        let is_alike = v4.len() == frames.len() || v6.len() == frames.len();
        if is_alike && burst.others.is_empty() {
            // Most bursts: all alike, so that nothing is to be asked of each.
            let answers = if v4.len() == frames.len() { v4 } else { v6 };
            let packets = frames.drain(..).zip(burst.plain.iter().zip(answers));
            return self.send_all(work, packets.map(|(frame, (&plain, answer))| (frame, plain, answer)));
        }
        let mut others = burst.others.iter();
        for (frame, &plain) in frames.drain(..).zip(&burst.plain) {
            if plain.is_some() {
                match if plain.is_v6() { v6.next() } else { v4.next() } {
                    Some(answer) => self.send_all(work, iter::once((frame, plain, answer))),
                    None => work.drop(DropReason::Malformed, frame),
                }
            } else {
                let answers = [&mut v4, &mut v6];
                self.act_on_other(work, fragments, others.next(), answers, frame);
            }
        }
    }

    /// Sends frames that hold plain packets.
    #[inline(always)]
    fn send_all<'a, B: PacketBuf, A: Allocator<B>>(
        &mut self,
        work: &mut Work<'_, B, A>,
        mut packets: impl Iterator<Item = (B, Plain, &'a Answer)>,
    ) {
        while let Some((frame, answer)) = self.send_until_misfit(work, &mut packets) {
            self.send_misfit(work, answer, frame);
        }
    }

    /// Sends frames as long as they go without more ado; then the one that does not.
    #[inline(always)]
    fn send_until_misfit<'a, B: PacketBuf, A: Allocator<B>>(
        &self,
        work: &mut Work<'_, B, A>,
        packets: &mut impl Iterator<Item = (B, Plain, &'a Answer)>,
    ) -> Option<(B, &'a Answer)> {
        let egress = self.egress.as_ref().and_then(|(device, link)| Some((work.output.queue(*device)?, link)));
        let Some((queue, link)) = egress else {
            return packets.next().map(|(frame, _, answer)| (frame, answer));
        };
        let tallies = work.tallies;
        for (mut frame, plain, answer) in packets {
            // A queue never grows: that could take as long as it likes.
            let has_room = queue.len() < queue.capacity();
            let left = has_room.then(|| self.encapsulate_plain(work.state, link, plain, answer, &mut frame));
            let Some((destination, len)) = left.flatten() else {
                return Some((frame, answer));
            };
            tallies.count(destination, len);
            queue.push(frame);
        }
        None
    }

    /// Makes `frame`, which holds the packet `plain`, what leaves: where to, and how long it is. `None`, and nothing is done, if
    /// it does not go as it is.
    #[inline(always)]
    fn encapsulate_plain<B: PacketBuf>(
        &self,
        state: &ForwardingState,
        link: &ethernet::Template,
        plain: Plain,
        answer: &Answer,
        frame: &mut B,
    ) -> Option<(Destination, usize)> {
        let destination = answer.route.ok()?;
        let headers = state.headers(destination, answer.flow).filter(|headers| headers.fit(plain.len()))?;
        let traffic_class = self.marking.outer(plain.traffic_class());
        let len = encap::encapsulate_plain(frame, plain, link, headers, traffic_class, answer.flow)?;
        Some((destination, len))
    }

    /// Does to a frame what is due to it that holds no plain packet but `other`.
    #[inline(never)]
    fn act_on_other<B: PacketBuf, A: Allocator<B>>(
        &mut self,
        work: &mut Work<'_, B, A>,
        fragments: &mut Fragments<B>,
        other: Option<&Result<Packet, NotForwarded>>,
        [v4, v6]: [&mut Answers<'_>; 2],
        frame: B,
    ) {
        let packet = match other {
            Some(Ok(packet)) => packet,
            Some(Err(fate)) => return work.refuse(*fate, frame),
            None => return work.drop(DropReason::Malformed, frame),
        };
        let answer = match packet.addresses {
            Addresses::V4(..) => v4.next(),
            Addresses::V6(..) => v6.next(),
        };
        match answer {
            Some(answer) => self.send(work, fragments, answer.found.address(), packet, answer.flow, frame),
            None => work.drop(DropReason::Malformed, frame),
        }
    }

    /// What becomes of a plain packet that can't go as it is.
    #[cold]
    #[inline(never)]
    fn send_misfit<B: PacketBuf, A: Allocator<B>>(
        &mut self,
        work: &mut Work<'_, B, A>,
        &Answer { flow, route, .. }: &Answer,
        frame: B,
    ) {
        match route.and_then(|destination| Ok((destination, classify::frame(frame.data(), work.receiver)?))) {
            Ok((destination, packet)) => {
                // What it met is counted there.
                let _ = self.deliver(work, destination, &packet, flow, frame);
            }
            Err(fate) => work.refuse(fate, frame),
        }
    }

    /// Sends `frame`, which holds `packet`, on its way. The table calls its destination `address`; `flow` is its flow hash.
    #[inline(never)]
    fn send<B: PacketBuf, A: Allocator<B>>(
        &mut self,
        work: &mut Work<'_, B, A>,
        fragments: &mut Fragments<B>,
        address: Address,
        packet: &Packet,
        flow: u64,
        frame: B,
    ) {
        match (packet.upper.selector, address) {
            (Selector::Fragment, Address::Sliced(_)) => fragments.receive(self, work, address, packet, frame),
            (Selector::Icmp, _) => self.send_icmp(work, address, packet, frame),
            _ => match route::route_packet(&work.state.table, address, packet) {
                Ok(destination) => {
                    // What it met is counted there.
                    let _ = self.deliver(work, destination, packet, flow, frame);
                }
                Err(fate) => work.refuse(fate, frame),
            },
        }
    }

    /// Sends `frame`, which holds `packet`, to `destination`; what it met instead of leaving. `flow` is its flow hash.
    #[inline(never)]
    fn deliver<B: PacketBuf, A: Allocator<B>>(
        &mut self,
        work: &mut Work<'_, B, A>,
        destination: Destination,
        packet: &Packet,
        flow: u64,
        mut frame: B,
    ) -> Result<(), DropReason> {
        let state = work.state;
        let Some(headers) = state.headers(destination, flow) else {
            work.drop(DropReason::NextHopUnresolved, frame);
            return Err(DropReason::NextHopUnresolved);
        };
        match self.encapsulate(headers, packet, flow, &mut frame) {
            Ok(device) => {
                work.send(destination, device, frame);
                Ok(())
            }
            Err(DropReason::TooBig) => self.too_big(work, (destination, headers), packet, frame),
            Err(reason) => {
                work.drop(reason, frame);
                Err(reason)
            }
        }
    }

    /// Makes `frame`, which holds `packet`, what leaves by the device returned.
    fn encapsulate<B: PacketBuf>(
        &self,
        headers: &OuterHeaders,
        packet: &Packet,
        flow: u64,
        frame: &mut B,
    ) -> Result<DeviceIndex, DropReason> {
        let (device, link) = self.egress.as_ref().ok_or(DropReason::NextHopUnresolved)?;
        let traffic_class = self.marking.outer(packet.traffic_class);
        encap::encapsulate(frame, packet, link, headers, traffic_class, flow)?;
        Ok(*device)
    }

    /// What becomes of `packet`, for which the way to its destination is too narrow: pieces, or word to its sender.
    #[cold]
    #[inline(never)]
    fn too_big<B: PacketBuf, A: Allocator<B>>(
        &mut self,
        work: &mut Work<'_, B, A>,
        to: (Destination, &OuterHeaders),
        packet: &Packet,
        frame: B,
    ) -> Result<(), DropReason> {
        let (_, headers) = to;
        if packet.dont_fragment {
            let mtu = headers.mtu().saturating_sub(headers.len(encap::private(packet, headers)));
            self.originator.too_big(work, packet, mtu, frame);
            Err(DropReason::TooBig)
        } else {
            self.cut(work, to, packet, frame)
        }
    }
}
