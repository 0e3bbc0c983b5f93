// SPDX-License-Identifier: MIT OR Apache-2.0
//! Messages that the forwarder sends by itself (contract section 8): echo replies, and errors about packets too big. They
//! leave in the packet's buffer, by the device that it came from unless a peer passed it on and the kernel has another way.

use std::sync::Arc;

use super::bucket::Bucket;
use super::excerpt::Excerpt;
use super::icmp;
use super::packet::{Addresses, Origin, Packet};
use super::work::Work;
use crate::counters::DropReason;
use crate::io::{DeviceIndex, PacketBuf};
use crate::settings::{Echo, Settings};
use crate::wire::icmp::{HEADER_LEN, seal, v4, v6};
use crate::wire::{ethernet, ipv4, ipv6, protocol};

const TTL: u8 = 64;
/// The longest errors: what every host takes (RFC 1812, section 4.3.2.3; RFC 4443, section 2.4).
const MAX_ERROR_V4: usize = 576;
const MAX_ERROR_V6: usize = 1280;
/// The bits of a traffic class that tell of congestion.
const ECN: u8 = 0b11;

/// What sends messages of its own, and how many it may.
pub(super) struct Originator {
    settings: Arc<Settings>,
    replies: Bucket,
    errors: Bucket,
}

/// How a message leaves.
struct WayBack {
    device: DeviceIndex,
    link: ethernet::Owned,
    /// The device's.
    mtu: usize,
}

/// What an ICMP message says beside its body.
struct Envelope {
    link: ethernet::Owned,
    addresses: Addresses,
    traffic_class: u8,
    kind: u8,
    code: u8,
}

impl Originator {
    pub(super) fn new(settings: Arc<Settings>) -> Self {
        let rate = settings.icmp.rate;
        Self { settings, replies: Bucket::new(rate), errors: Bucket::new(rate) }
    }

    /// Whether echo requests to shared addresses are answered at all.
    pub(super) fn answers(&self) -> bool {
        self.settings.icmp.echo == Echo::Answer
    }

    /// Turns `frame`, which holds the echo request `packet`, into the reply, and sends it.
    pub(super) fn answer<B: PacketBuf, A>(&mut self, work: &mut Work<'_, B, A>, packet: &Packet, mut frame: B) {
        match self.reply(work, packet, &mut frame) {
            Ok(device) => work.transmit(device, frame),
            Err(reason) => work.drop(reason, frame),
        }
    }

    fn reply<B: PacketBuf, A>(
        &mut self,
        work: &Work<'_, B, A>,
        packet: &Packet,
        frame: &mut B,
    ) -> Result<DeviceIndex, DropReason> {
        let back = self.way_back(work, packet, frame.data()).ok_or(DropReason::NextHopUnresolved)?;
        let request = packet.bytes(frame.data()).and_then(Excerpt::read).ok_or(DropReason::Malformed)?;
        let len = request.payload.len();
        let (addresses, traffic_class) = (packet.addresses.turned_round(), packet.traffic_class & !ECN);
        if header_len(addresses) + len > back.mtu {
            return Err(DropReason::TooBig);
        }
        if !self.replies.take(work.arrival.now) {
            return Err(DropReason::IcmpRateLimited);
        }
        let kind = match addresses {
            Addresses::V4(..) => v4::ECHO_REPLY,
            Addresses::V6(..) => v6::ECHO_REPLY,
        };
        let end = usize::from(packet.offset) + packet.len;
        frame.truncate(end);
        frame.trim_front(end - len);
        let envelope = Envelope { link: back.link, addresses, traffic_class, kind, code: 0 };
        envelope.close(frame).ok_or(DropReason::NoHeadroom).map(|()| back.device)
    }

    /// Gives up `packet`, for which the way is too narrow, and makes `frame`, which holds it, the error that says so if one
    /// is due. `mtu` is what would have fitted.
    pub(super) fn too_big<B: PacketBuf, A>(
        &mut self,
        work: &mut Work<'_, B, A>,
        packet: &Packet,
        mtu: usize,
        mut frame: B,
    ) {
        if !packet.bytes(frame.data()).is_some_and(icmp::may_be_told_of) {
            return work.drop(DropReason::TooBig, frame);
        }
        let Some(device) = self.error(work, packet, mtu, &mut frame) else {
            work.counters.icmp_errors_suppressed += 1;
            return work.drop(DropReason::TooBig, frame);
        };
        // The packet dies; its buffer lives on with what the forwarder adds.
        work.counters.drop(DropReason::TooBig, 1);
        work.counters.originated += 1;
        work.transmit(device, frame);
    }

    /// The error in the packet's place, in front of as much of it as may be quoted, and the device that it leaves by; `None` if it
    /// can't be sent.
    fn error<B: PacketBuf, A>(
        &mut self,
        work: &Work<'_, B, A>,
        packet: &Packet,
        mtu: usize,
        frame: &mut B,
    ) -> Option<DeviceIndex> {
        let back = self.way_back(work, packet, frame.data())?;
        if !self.errors.take(work.arrival.now) {
            return None;
        }
        let icmp = &self.settings.icmp;
        let (addresses, kind, code, longest) = match packet.addresses {
            Addresses::V4(source, destination) => {
                let addresses = Addresses::V4(icmp.source4.unwrap_or(destination), source);
                (addresses, v4::UNREACHABLE, v4::FRAGMENTATION_NEEDED, MAX_ERROR_V4)
            }
            Addresses::V6(source, destination) => {
                let addresses = Addresses::V6(icmp.source6.unwrap_or(destination), source);
                (addresses, v6::TOO_BIG, 0, MAX_ERROR_V6)
            }
        };
        let longest = longest.min(back.mtu);
        let quote = packet.len.min(longest.saturating_sub(header_len(addresses) + HEADER_LEN));
        let offset = usize::from(packet.offset);
        frame.truncate(offset + quote);
        frame.trim_front(offset);
        // Four bytes for the envelope, then of IPv4 two unused bytes and two of the MTU, of IPv6 four of it.
        let mtu = u32::try_from(mtu).ok()?;
        *frame.prepend(HEADER_LEN)?.first_chunk_mut::<HEADER_LEN>()? = u64::from(mtu).to_be_bytes();
        Envelope { link: back.link, addresses, traffic_class: 0, kind, code }.close(frame)?;
        Some(back.device)
    }

    /// How what goes back to the sender of `packet` leaves, which `frame` brought: to the frame's sender, in the frame's tags. What a
    /// peer passed on came from elsewhere: the answer goes to the next hop, the device's own or that of the kernel's default route.
    fn way_back<B, A>(&self, work: &Work<'_, B, A>, packet: &Packet, frame: &[u8]) -> Option<WayBack> {
        let (index, ethertype) = (work.arrival.device, packet.addresses.ethertype());
        let device = self.settings.device(index)?;
        let (index, link) = match (packet.origin, work.state.hops()) {
            (Origin::Wire, _) => {
                (index, ethernet::Owned::answer(frame.get(..usize::from(packet.offset))?, device.mac)?)
            }
            (Origin::Peer { .. }, None) => {
                let template = ethernet::Template::new(self.settings.next_hop(device)?, device.mac, device.vlan);
                (index, ethernet::Owned::new(&template, ethertype)?)
            }
            (Origin::Peer { .. }, Some(hops)) => {
                let link = hops.internet_link(ethertype == ethernet::IPV6)?;
                (link.device, ethernet::Owned::new(&link.header, ethertype)?)
            }
        };
        Some(WayBack { device: index, link, mtu: self.settings.device(index)?.mtu.into() })
    }
}

impl Envelope {
    /// Puts the message in `frame`, whose first four bytes are this function's to write, behind its headers; `None` if there
    /// is no room for them.
    fn close<B: PacketBuf>(&self, frame: &mut B) -> Option<()> {
        let len = frame.data().len();
        seal(frame.data_mut(), self.kind, self.code, icmp::pseudo_header(self.addresses, len))?;
        let bytes = frame.prepend(self.link.len() + header_len(self.addresses))?;
        let bytes = self.link.write(bytes)?;
        match self.addresses {
            Addresses::V4(source, destination) => {
                let total_len = u16::try_from(ipv4::HEADER_LEN + len).ok()?;
                let header = bytes.first_chunk_mut()?;
                *header = ipv4::template(source, destination, protocol::ICMP, TTL);
                ipv4::complete(header, total_len, self.traffic_class);
            }
            Addresses::V6(source, destination) => {
                let len = u16::try_from(len).ok()?;
                let header = bytes.first_chunk_mut()?;
                *header = ipv6::template(source, destination, protocol::ICMPV6, TTL);
                ipv6::complete(header, len, self.traffic_class, 0);
            }
        }
        Some(())
    }
}

/// Bytes of an IP header without options.
fn header_len(addresses: Addresses) -> usize {
    match addresses {
        Addresses::V4(..) => ipv4::HEADER_LEN,
        Addresses::V6(..) => ipv6::HEADER_LEN,
    }
}
