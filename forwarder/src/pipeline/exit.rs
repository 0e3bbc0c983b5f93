// SPDX-License-Identifier: MIT OR Apache-2.0
//! How a packet leaves: by the one next hop of the configuration, or by that which the kernel's routes have for it.

use super::Sender;
use super::encap::{self, Leave};
use super::lookup::Answer;
use super::plain::Plain;
use super::work::Work;
use crate::hops::NextHops;
use crate::io::offload::Offloads;
use crate::io::{Allocator, DeviceIndex, PacketBuf};
use crate::state::{Destination, ForwardingState};
use crate::wire::ethernet;
use crate::wire::outer::{Checksum, OuterHeaders};

/// What a packet leaves with, and where. A copy: only what is not plain needs it.
pub(super) struct Exit {
    /// The device.
    pub(super) device: DeviceIndex,
    /// What the device does by itself.
    pub(super) offloads: Offloads,
    /// Its link header.
    pub(super) link: ethernet::Template,
    /// The outer headers, with the MTU of this very way.
    pub(super) headers: OuterHeaders,
}

impl Sender {
    /// The way to `destination` of a packet with the flow hash `flow`; `None` if no next hop is known.
    pub(super) fn exit(&self, state: &ForwardingState, destination: Destination, flow: u64) -> Option<Exit> {
        if let Some(hops) = state.hops() {
            let hop = state.hop(hops, destination, flow)?;
            return Some(Exit {
                device: hop.link.device,
                offloads: self.offloads.of::<true>(hop.link.device),
                link: hop.link.header,
                headers: hop.headers.narrowed(hop.mtu),
            });
        }
        let headers = *state.headers(destination, flow)?;
        self.egress.map(|(device, link)| Exit { device, offloads: self.offloads.of::<true>(device), link, headers })
    }

    /// Sends frames that hold plain packets by the kernel's next hops. Apart from the one next hop of the configuration, whose
    /// packets pass through registers as long as nobody else has to see them.
    #[inline(never)]
    pub(super) fn send_all_by_hops<'a, B: PacketBuf, A: Allocator<B>, const ANY: bool>(
        &mut self,
        work: &mut Work<'_, B, A>,
        hops: &NextHops,
        packets: impl Iterator<Item = (B, Plain, &'a Answer)>,
    ) {
        for (mut frame, plain, answer) in packets {
            match self.encapsulate_by::<B, A, ANY>(work, hops, plain, answer, &mut frame) {
                Some((destination, device, len)) => {
                    work.tallies.count(destination, len);
                    // It has room: that was asked before the frame was touched.
                    work.transmit(device, frame);
                }
                None => self.send_misfit(work, answer, frame),
            }
        }
    }

    /// Makes `frame`, which holds the packet `plain`, what leaves: where to, by which device, and how long it is. `None`, and nothing
    /// is done, if it does not go as it is.
    #[inline(always)]
    fn encapsulate_by<B: PacketBuf, A, const ANY: bool>(
        &self,
        work: &mut Work<'_, B, A>,
        hops: &NextHops,
        plain: Plain,
        answer: &Answer,
        frame: &mut B,
    ) -> Option<(Destination, DeviceIndex, usize)> {
        let destination = answer.route.ok()?;
        let hop = work.state.hop(hops, destination, answer.flow)?;
        let (headers, link) = (hop.headers, hop.link);
        let queue = work.output.queue(link.device)?;
        let fits = headers.fit(plain.len()) && headers.whole_len() + usize::from(plain.len()) <= usize::from(hop.mtu);
        if !fits || queue.len() == queue.capacity() {
            return None;
        }
        let traffic_class = self.marking.outer(plain.traffic_class());
        let flow = answer.flow;
        let len = if ANY {
            let leave = Leave::new(&link.header, self.offloads.of::<ANY>(link.device));
            encap::leave_plain(frame, plain, &leave, headers, traffic_class, flow)?
        } else {
            encap::encapsulate_plain(frame, plain, &link.header, headers, traffic_class, flow, Checksum::Written)?
        };
        Some((destination, link.device, len))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::counters::{Counters, DropReason};
    use crate::hops::{Link, NextHops, Way};
    use crate::io::Nanos;
    use crate::io::memory::{MemoryIo, VecBuf};
    use crate::pipeline::fragments::Member;
    use crate::pipeline::{Arrival, Output, Pipeline};
    use crate::testing::{FIRST_OWNER, OUTER_LEN, OWNED_PORT, SLICED, settings, state, udp};
    use crate::wire::{MacAddr, ipv4, protocol};

    const ROUTERS: [MacAddr; 2] = [MacAddr([2, 0, 0, 0, 9, 1]), MacAddr([2, 0, 0, 0, 9, 2])];

    /// What leaves, and what is counted, of a burst that meets a table whose one server is reached by both devices.
    fn run(frames: &[Vec<u8>], way: Way) -> (Output<VecBuf>, Counters) {
        let settings = Arc::new(settings());
        let link = |(index, router): (u8, &MacAddr)| Link {
            device: DeviceIndex(index),
            header: ethernet::Template::new(*router, MacAddr([2, 0, 0, 0, 0, 1]), None),
        };
        let hops = NextHops {
            links: (0..).zip(&ROUTERS).map(link).collect(),
            servers: Box::new([way]),
            internet: [Way { first: 1, count: 1, mtu: 1600 }, Way::default()],
            ..NextHops::default()
        };
        let state = state(1, "lhr-1", &settings).with_hops(Some(Arc::new(hops)));
        let mut pipeline = Pipeline::new(Arc::clone(&settings), 64, Member::alone());
        let (mut output, mut counters) = (Output::new(&settings, 64), Counters::default());
        let mut frames: Vec<_> = frames.iter().map(|frame| VecBuf::new(frame)).collect();
        let arrival = Arrival { device: DeviceIndex(0), now: Nanos(0) };
        pipeline.process(&state, arrival, &mut frames, &mut output, &mut counters, &mut MemoryIo::new(2));
        (output, counters)
    }

    /// Which device and which router a frame went to, by the id in it.
    fn ways(output: &Output<VecBuf>) -> Vec<(u64, usize, MacAddr)> {
        let sent = output.transmit.iter().enumerate().flat_map(|(device, frames)| {
            frames.iter().map(move |frame| {
                let id = u64::from_be_bytes(*frame.data().last_chunk().unwrap());
                (id, device, MacAddr(*frame.data().first_chunk().unwrap()))
            })
        });
        let mut ways: Vec<_> = sent.collect();
        ways.sort_by_key(|(id, ..)| *id);
        ways
    }

    /// A packet of one of many flows, behind a VLAN tag if it is not to be plain.
    fn packet(flow: u16, is_plain: bool) -> Vec<u8> {
        let mut frame = udp(SLICED, OWNED_PORT, flow.into());
        frame[34..36].copy_from_slice(&flow.to_be_bytes());
        if !is_plain {
            frame.splice(12..12, [0x81, 0, 0, 100]);
        }
        frame
    }

    #[test]
    fn a_flow_has_one_way_whatever_its_packets_look_like() {
        let both = Way { first: 0, count: 2, mtu: 1600 };
        let all = |kinds: &dyn Fn(u16) -> bool| -> Vec<_> { (0..64).map(|flow| packet(flow, kinds(flow))).collect() };
        let (output, counters) = run(&all(&|_| true), both);
        let plain = ways(&output);
        assert_eq!((plain.len(), counters.dropped_total()), (64, 0));
        assert!(plain.iter().all(|(_, device, mac)| *mac == ROUTERS[*device]), "each by its own device");
        assert!((16..48).contains(&plain.iter().filter(|(_, device, _)| *device == 0).count()), "both share");
        assert_eq!(ways(&run(&all(&|_| false), both).0), plain, "packets that are not plain");
        assert_eq!(ways(&run(&all(&|flow| flow % 3 > 0), both).0), plain, "a burst of both");
        let frame = output.transmit[1][0].data();
        assert_eq!(frame.len(), OUTER_LEN + 36);
        assert_eq!(frame[30..34], FIRST_OWNER.octets());
    }

    #[test]
    fn without_a_way_packets_are_dropped_for_that() {
        let (output, counters) = run(&[packet(1, true), packet(2, false)], Way::default());
        assert_eq!(counters.dropped(DropReason::NextHopUnresolved), 2);
        assert_eq!((counters.dropped_total(), output.dropped.len()), (2, 2));
    }

    #[test]
    fn a_narrow_way_counts_for_what_takes_it() {
        let narrow = Way { first: 1, count: 1, mtu: 64 };
        let (output, counters) = run(&[packet(1, true)], narrow);
        // 36 bytes and 32 of outer headers: its sender is told what fits.
        assert_eq!((counters.dropped(DropReason::TooBig), counters.originated), (1, 1));
        let told = output.transmit[0][0].data();
        assert_eq!((told[23], &told[34..36], &told[40..42]), (1, &[3, 4][..], &[0, 32][..]));

        let mut may_be_cut = packet(1, true);
        may_be_cut[20] = 0;
        let sum = !crate::wire::checksum::sum(&[&may_be_cut[14..24], &[0, 0], &may_be_cut[26..34]].concat());
        may_be_cut[24..26].copy_from_slice(&sum.to_be_bytes());
        let (output, counters) = run(&[may_be_cut], narrow);
        assert_eq!((counters.dropped_total(), counters.originated), (0, 1));
        let pieces: Vec<_> = output.transmit[1].iter().map(|piece| piece.data().len() - 14).collect();
        assert_eq!(pieces, [60, 60], "both by the way's device");
        assert!(output.transmit[1].iter().all(|piece| piece.data()[..6] == ROUTERS[1].0));
    }

    #[test]
    fn word_about_a_peers_packet_goes_to_the_internet_by_the_default_route() {
        let inner = packet(1, true).split_off(14);
        let mut outer = ipv4::template([10, 0, 0, 1].into(), [10, 0, 0, 1].into(), protocol::UDP, 64);
        ipv4::complete(&mut outer, 32 + 36, 0);
        let udp = [0xc0, 0, 0x17, 0xc0, 0, 12 + 36, 0, 0];
        let frame = [&packet(1, true)[..14], &outer, &udp, &[0, 4, 0, 0], &inner].concat();
        let (output, counters) = run(&[frame], Way { first: 0, count: 1, mtu: 64 });
        assert_eq!((counters.dropped(DropReason::TooBig), counters.originated), (1, 1));
        let told = output.transmit[1][0].data();
        assert_eq!((&told[..6], told[23], &told[34..36]), (&ROUTERS[1].0[..], 1, &[3, 4][..]));
    }
}
