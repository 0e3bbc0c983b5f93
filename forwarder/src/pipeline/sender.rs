// SPDX-License-Identifier: MIT OR Apache-2.0
//! From packets whose destinations are known to frames that leave, or to what becomes of them instead.

use std::iter;
use std::sync::Arc;

use tables::table::Address;

use super::Burst;
use super::classify;
use super::encap::{self, Leave};
use super::exit::Exit;
use super::flow::FlowHash;
use super::fragments::Fragments;
use super::lookup::{Answer, Answers};
use super::narrow::Reports;
use super::offloads::DeviceOffloads;
use super::originate::Originator;
use super::packet::{Addresses, NotForwarded, Packet};
use super::plain::Plain;
use super::route;
use super::upper::Selector;
use super::work::Work;
use crate::counters::DropReason;
use crate::io::{Allocator, DeviceIndex, PacketBuf};
use crate::settings::{Marking, Settings};
use crate::state::{Destination, ForwardingState};
use crate::wire::ethernet;
use crate::wire::outer::Checksum;

/// What turns a packet whose destination is known into a frame that leaves.
pub(super) struct Sender {
    pub(super) flow_hash: FlowHash,
    pub(super) marking: Marking,
    /// The device that forwarded packets leave by, and its link header, unless the kernel's routes say it; none if no next hop is
    /// configured.
    pub(super) egress: Option<(DeviceIndex, ethernet::Template)>,
    pub(super) offloads: DeviceOffloads,
    pub(super) originator: Originator,
    /// Of the underlay, if control wants any.
    pub(super) reports: Option<Reports>,
}

impl Sender {
    pub(super) fn new(settings: Arc<Settings>) -> Self {
        let egress = settings
            .egress()
            .map(|(index, device, next_hop)| (index, ethernet::Template::new(next_hop, device.mac, device.vlan)));
        Self {
            offloads: DeviceOffloads::new(&settings),
            flow_hash: FlowHash::new(settings.flow_key),
            marking: settings.dscp.into(),
            egress,
            originator: Originator::new(settings),
            reports: None,
        }
    }

    /// Does to every frame of a burst what is due to it. `answers` are those for IPv4 packets and for IPv6 packets.
    pub(super) fn act<B: PacketBuf, A: Allocator<B>>(
        &mut self,
        work: &mut Work<'_, B, A>,
        fragments: &mut Fragments<B>,
        frames: &mut Vec<B>,
        burst: &Burst,
        answers: [Answers<'_>; 2],
    ) {
        if self.offloads.any::<B>() {
            self.act_with::<B, A, true>(work, fragments, frames, burst, answers);
        } else {
            self.act_with::<B, A, false>(work, fragments, frames, burst, answers);
        }
    }

    /// The same, if `ANY` device does something by itself, or none.
    #[inline(never)]
    fn act_with<B: PacketBuf, A: Allocator<B>, const ANY: bool>(
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
            return self.send_all::<B, A, ANY>(work, packets.map(|(frame, (&plain, answer))| (frame, plain, answer)));
        }
        let (mut packets, mut others) = (frames.drain(..).zip(&burst.plain), burst.others.iter());
        loop {
            // Those that are plain go one behind the other until one comes that is not.
            let mut next = None;
            let plain_ones = iter::from_fn(|| {
                let (frame, &plain) = packets.next()?;
                let answers = if plain.is_v6() { &mut v6 } else { &mut v4 };
                match if plain.is_some() { answers.next() } else { None } {
                    Some(answer) => Some((frame, plain, answer)),
                    None => {
                        next = Some((frame, plain));
                        None
                    }
                }
            });
            self.send_all::<B, A, ANY>(work, plain_ones);
            match next {
                Some((frame, plain)) if plain.is_some() => work.drop(DropReason::Malformed, frame),
                Some((frame, _)) => self.act_on_other(work, fragments, others.next(), [&mut v4, &mut v6], frame),
                None => return,
            }
        }
    }

    /// Sends frames that hold plain packets.
    #[inline(always)]
    fn send_all<'a, B: PacketBuf, A: Allocator<B>, const ANY: bool>(
        &mut self,
        work: &mut Work<'_, B, A>,
        mut packets: impl Iterator<Item = (B, Plain, &'a Answer)>,
    ) {
        if let Some(hops) = work.state.hops() {
            return self.send_all_by_hops::<B, A, ANY>(work, hops, packets);
        }
        while let Some((frame, answer)) = self.send_until_misfit::<B, A, ANY>(work, &mut packets) {
            self.send_misfit(work, answer, frame);
        }
    }

    /// Sends frames as long as they go without more ado; then the one that does not.
    #[inline(always)]
    fn send_until_misfit<'a, B: PacketBuf, A: Allocator<B>, const ANY: bool>(
        &self,
        work: &mut Work<'_, B, A>,
        packets: &mut impl Iterator<Item = (B, Plain, &'a Answer)>,
    ) -> Option<(B, &'a Answer)> {
        let egress = self.egress.as_ref().and_then(|(device, link)| Some((work.output.queue(*device)?, link)));
        let Some((queue, link)) = egress else {
            return packets.next().map(|(frame, _, answer)| (frame, answer));
        };
        let leave =
            Leave::new(link, self.egress.map(|(device, _)| self.offloads.of::<ANY>(device)).unwrap_or_default());
        let tallies = work.tallies;
        for (mut frame, plain, answer) in packets {
            // A queue never grows: that could take as long as it likes.
            let has_room = queue.len() < queue.capacity();
            let left = has_room.then(|| {
                let leave = if ANY { Some(&leave) } else { None };
                self.encapsulate_plain(work.state, (link, leave), plain, answer, &mut frame)
            });
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
        (link, leave): (&ethernet::Template, Option<&Leave>),
        plain: Plain,
        answer: &Answer,
        frame: &mut B,
    ) -> Option<(Destination, usize)> {
        let (destination, flow) = (answer.route.ok()?, answer.flow);
        let headers = state.headers(destination, flow).filter(|headers| headers.fit(plain.len()))?;
        let traffic_class = self.marking.outer(plain.traffic_class());
        let len = match leave {
            None => encap::encapsulate_plain(frame, plain, link, headers, traffic_class, flow, Checksum::Written)?,
            Some(leave) => encap::leave_plain(frame, plain, leave, headers, traffic_class, flow)?,
        };
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
            Some(Err(fate)) => {
                // A device that no peer is believed on has no routers of the underlay behind it either.
                let is_underlay = work.receiver.peers.is_some();
                if let (NotForwarded::Kernel, true, Some(reports)) = (fate, is_underlay, &mut self.reports) {
                    reports.look_at(frame.data(), work.receiver.own, work.arrival.now);
                }
                return work.refuse(*fate, frame);
            }
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
    pub(super) fn send_misfit<B: PacketBuf, A: Allocator<B>>(
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
    pub(super) fn deliver<B: PacketBuf, A: Allocator<B>>(
        &mut self,
        work: &mut Work<'_, B, A>,
        destination: Destination,
        packet: &Packet,
        flow: u64,
        mut frame: B,
    ) -> Result<(), DropReason> {
        let Some(exit) = self.exit(work.state, destination, flow) else {
            work.drop(DropReason::NextHopUnresolved, frame);
            return Err(DropReason::NextHopUnresolved);
        };
        match self.encapsulate(&exit, packet, flow, &mut frame) {
            Ok(()) => {
                work.send(destination, exit.device, frame);
                Ok(())
            }
            Err(DropReason::TooBig) => self.too_big(work, (destination, &exit), packet, frame),
            Err(reason) => {
                work.drop(reason, frame);
                Err(reason)
            }
        }
    }

    /// Makes `frame`, which holds `packet`, what leaves by `exit`.
    pub(super) fn encapsulate<B: PacketBuf>(
        &self,
        exit: &Exit,
        packet: &Packet,
        flow: u64,
        frame: &mut B,
    ) -> Result<(), DropReason> {
        let traffic_class = self.marking.outer(packet.traffic_class);
        encap::encapsulate(frame, packet, exit, traffic_class, flow)
    }

    /// What becomes of `packet`, for which the way to its destination is too narrow: pieces, or word to its sender.
    #[cold]
    #[inline(never)]
    fn too_big<B: PacketBuf, A: Allocator<B>>(
        &mut self,
        work: &mut Work<'_, B, A>,
        to: (Destination, &Exit),
        packet: &Packet,
        frame: B,
    ) -> Result<(), DropReason> {
        let (_, Exit { headers, .. }) = to;
        if packet.dont_fragment {
            let mtu = headers.mtu().saturating_sub(headers.len(encap::private(packet, headers)));
            self.originator.too_big(work, packet, mtu, frame);
            Err(DropReason::TooBig)
        } else {
            self.cut(work, to, packet, frame)
        }
    }
}
