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
mod quote;
pub mod route;
pub mod upper;
mod work;

use std::sync::Arc;

use tables::table::Address;

use crate::counters::{Counters, DropReason};
use crate::io::{Allocator, DeviceIndex, Nanos, PacketBuf};
use crate::settings::{Dscp, Settings};
use crate::state::ForwardingState;
use crate::wire::ethernet;
use crate::wire::outer::OuterHeaders;
use flow::FlowHash;
use fragments::{Fragments, Handed, Member};
use lookup::Lookup;
use originate::Originator;
use packet::{NotForwarded, Packet};
use route::Destination;
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
    /// Fragments that other workers decide.
    pub handed: Vec<Handed<B>>,
}

impl<B> Output<B> {
    /// Room for what a burst of at most `burst` frames can cause by `settings`: every fragment that waits can go with it, and
    /// the pieces of any one packet.
    pub fn new(settings: &Settings, burst: usize) -> Self {
        let devices = settings.devices.len();
        let most = burst + settings.fragments.packets as usize;
        Self {
            transmit: (0..devices).map(|_| Vec::with_capacity(most + cut::MAX_PIECES)).collect(),
            kernel: Vec::with_capacity(most),
            dropped: Vec::with_capacity(most.max(devices * burst)),
            handed: Vec::with_capacity(devices * burst),
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

/// One worker's packet processing.
pub struct Pipeline<B> {
    settings: Arc<Settings>,
    sender: Sender,
    lookup: Lookup,
    /// The burst at hand, as classified.
    packets: Vec<Result<Packet, NotForwarded>>,
    fragments: Fragments<B>,
}

impl<B: PacketBuf> Pipeline<B> {
    /// A pipeline for bursts of at most `burst` frames, whose worker shares the fragments as `member`.
    pub fn new(settings: Arc<Settings>, burst: usize, member: Member) -> Self {
        Self {
            fragments: Fragments::new(settings.fragments, member),
            sender: Sender::new(Arc::clone(&settings)),
            lookup: Lookup::new(burst),
            packets: Vec::with_capacity(burst),
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
        let receiver = classify::Receiver { own: &self.settings.underlay, peers };

        self.packets.clear();
        self.packets.extend(frames.iter().map(|frame| classify::frame(frame.data(), receiver)));
        let addresses = self.lookup.burst(&state.table, &self.packets);

        if self.fragments.held() > 0 {
            self.fragments.sweep(arrival.now, output, counters);
        }
        let mut work = Work { state, arrival, kernel_path, output, counters, buffers };
        for ((frame, packet), &address) in frames.drain(..).zip(&self.packets).zip(addresses) {
            match packet {
                Ok(packet) if packet.upper.selector == Selector::Fragment && matches!(address, Address::Sliced(_)) => {
                    self.fragments.receive(&mut self.sender, &mut work, address, packet, frame);
                }
                Ok(packet) => self.sender.send(&mut work, address, packet, frame),
                Err(fate) => work.refuse(*fate, frame),
            }
        }
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

    /// Gives up all fragments that wait: nothing more will come.
    pub fn finish(&mut self, output: &mut Output<B>, counters: &mut Counters) {
        self.fragments.give_up_all(output, counters);
        counters.held = 0;
    }
}

/// What turns a packet whose destination is known into a frame that leaves.
///
/// The way of a whole TCP or UDP packet is inlined always: rarer ones share it, and would make calls of it.
struct Sender {
    flow_hash: FlowHash,
    dscp: Dscp,
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
            dscp: settings.dscp,
            egress,
            originator: Originator::new(settings),
        }
    }

    /// Sends `frame`, which holds `packet`, on its way. The table calls its destination `address`.
    #[inline]
    fn send<B: PacketBuf, A: Allocator<B>>(
        &mut self,
        work: &mut Work<'_, B, A>,
        address: Address,
        packet: &Packet,
        frame: B,
    ) {
        if packet.upper.selector == Selector::Icmp {
            return self.send_icmp(work, address, packet, frame);
        }
        match route::route_packet(&work.state.table, address, packet) {
            Ok(destination) => {
                let flow = self.flow_hash.of_packet(packet);
                // What it met is counted there.
                let _ = self.deliver(work, destination, packet, flow, frame);
            }
            Err(fate) => work.refuse(fate, frame),
        }
    }

    /// Sends `frame`, which holds `packet`, to `destination`; what it met instead of leaving. `flow` is its flow hash.
    #[inline(always)]
    fn deliver<B: PacketBuf, A: Allocator<B>>(
        &mut self,
        work: &mut Work<'_, B, A>,
        destination: Destination,
        packet: &Packet,
        flow: u64,
        mut frame: B,
    ) -> Result<(), DropReason> {
        let state = work.state;
        let headers = match destination {
            Destination::Server(target) => state.server(target),
            Destination::Datacenter(remote) => state.datacenter(remote, flow),
        };
        let Some(headers) = headers else {
            work.drop(DropReason::NextHopUnresolved, frame);
            return Err(DropReason::NextHopUnresolved);
        };
        match self.encapsulate(headers, packet, flow, &mut frame) {
            Ok(device) => {
                work.transmit(device, frame);
                Ok(())
            }
            Err(DropReason::TooBig) => self.too_big(work, headers, packet, frame),
            Err(reason) => {
                work.drop(reason, frame);
                Err(reason)
            }
        }
    }

    /// Makes `frame`, which holds `packet`, what leaves by the device returned.
    #[inline(always)]
    fn encapsulate<B: PacketBuf>(
        &self,
        headers: &OuterHeaders,
        packet: &Packet,
        flow: u64,
        frame: &mut B,
    ) -> Result<DeviceIndex, DropReason> {
        let (device, link) = self.egress.as_ref().ok_or(DropReason::NextHopUnresolved)?;
        let traffic_class = self.dscp.outer(packet.traffic_class);
        encap::encapsulate(frame, packet, link, headers, traffic_class, flow)?;
        Ok(*device)
    }

    /// What becomes of `packet`, for which the way of `headers` is too narrow: pieces, or word to its sender.
    #[cold]
    #[inline(never)]
    fn too_big<B: PacketBuf, A: Allocator<B>>(
        &mut self,
        work: &mut Work<'_, B, A>,
        headers: &OuterHeaders,
        packet: &Packet,
        frame: B,
    ) -> Result<(), DropReason> {
        if packet.dont_fragment {
            let mtu = headers.mtu().saturating_sub(headers.len(encap::private(packet, headers)));
            self.originator.too_big(work, packet, mtu, frame);
            Err(DropReason::TooBig)
        } else {
            self.cut(work, headers, packet, frame)
        }
    }
}
