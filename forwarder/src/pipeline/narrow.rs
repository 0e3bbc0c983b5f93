// SPDX-License-Identifier: MIT OR Apache-2.0
//! Word from the underlay that a packet of ours was too big for its path: an ICMP error about our own GUE, to our own address. It
//! is the kernel's like any other frame; control gets to know of it beside that, and decides.

use std::net::IpAddr;

use super::bucket::Bucket;
use super::excerpt::Excerpt;
use super::icmp::pseudo_header;
use super::packet::Addresses;
use crate::io::Nanos;
use crate::settings::Underlay;
use crate::wire::icmp::{Header, is_checksum_right, v4, v6};
use crate::wire::outer::LEAST_SOURCE_PORT;
use crate::wire::{ethernet, ipv4, ipv6, protocol, udp};

/// Reports a second and worker: a router sends few, and whoever forges many gains nothing.
const RATE: u32 = 100;

/// Reports that can wait for control.
pub const REPORTS: usize = 64;

/// A path takes less than was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TooNarrow {
    /// Where the packet was sent to.
    pub to: IpAddr,
    /// Largest IP packet that the path takes, in bytes, by the router that says so.
    pub mtu: u16,
}

/// Takes reports to control, and never waits: what finds no room is lost, and comes again with the next packet that is too big.
pub(super) struct Reports {
    ring: rtrb::Producer<TooNarrow>,
    bucket: Bucket,
}

impl Reports {
    pub(super) fn new(ring: rtrb::Producer<TooNarrow>) -> Self {
        Self { ring, bucket: Bucket::new(RATE) }
    }

    /// Reports what a frame for the kernel says, if it is about our own GUE. What costs no more than a look comes first: the
    /// checksum over the whole message is for those alone that are let through.
    #[cold]
    #[inline(never)]
    pub(super) fn look_at(&mut self, frame: &[u8], own: &Underlay, now: Nanos) {
        let Some((report, error)) = TooNarrow::read(frame, own) else { return };
        let is_right = |Excerpt { addresses, payload, .. }: Excerpt<'_>| {
            is_checksum_right(payload, pseudo_header(addresses, payload.len()))
        };
        if self.bucket.take(now) && is_right(error) {
            // A full ring is no reason to wait.
            let _ = self.ring.push(report);
        }
    }
}

impl TooNarrow {
    /// Reads a frame; `None` if it is anything but an ICMP error to an address of `own` that says that GUE from there was too
    /// big. With it comes the error, whose checksum nobody has looked at.
    fn read<'a>(frame: &'a [u8], own: &Underlay) -> Option<(Self, Excerpt<'a>)> {
        let error = Excerpt::read(ip_packet(frame)?)?;
        if !own.has(error.addresses.destination()) || !error.is_icmp() || error.is_later_fragment {
            return None;
        }
        let &[kind, code, _, _, a, b, c, d] = error.payload.first_chunk()?;
        let mtu = match (error.addresses, kind, code) {
            // The upper half is unused, or tells of extensions (RFC 4884).
            (Addresses::V4(..), v4::UNREACHABLE, v4::FRAGMENTATION_NEEDED) => u16::from_be_bytes([c, d]),
            (Addresses::V6(..), v6::TOO_BIG, _) => u16::try_from(u32::from_be_bytes([a, b, c, d])).unwrap_or(u16::MAX),
            _ => return None,
        };
        let (_, quote) = Header::split(error.payload)?;
        let to = receiver_of_ours(quote, error.addresses.destination(), own.gue_port)?;
        Some((Self { to, mtu }, error))
    }
}

/// Whom a quoted packet was sent to, if it looks like GUE from here: what we send, nobody cuts or changes on its way.
fn receiver_of_ours(quote: &[u8], source: IpAddr, gue_port: u16) -> Option<IpAddr> {
    let packet = Excerpt::read(quote)?;
    let is_whole = match packet.addresses {
        Addresses::V4(..) => {
            let (header, _) = ipv4::Header::split(quote)?;
            header.dont_fragment() && !header.is_fragment() && header.identification() == 0
        }
        Addresses::V6(..) => !packet.is_later_fragment,
    };
    let is_ours = packet.addresses.source() == source
        && packet.protocol == protocol::UDP
        && is_whole
        && udp::source_port(packet.payload)? >= LEAST_SOURCE_PORT
        && udp::destination_port(packet.payload)? == gue_port;
    is_ours.then(|| packet.addresses.destination())
}

/// The IP packet in a frame, without what the link padded.
fn ip_packet(frame: &[u8]) -> Option<&[u8]> {
    let (header, mut bytes) = ethernet::Header::split(frame)?;
    let mut ethertype = header.ethertype();
    while ethernet::is_tag(ethertype) {
        let (tag, rest) = ethernet::Tag::split(bytes)?;
        (ethertype, bytes) = (tag.ethertype(), rest);
    }
    match ethertype {
        ethernet::IPV4 => bytes.get(..ipv4::Header::split(bytes)?.0.total_len()),
        ethernet::IPV6 => bytes.get(..ipv6::HEADER_LEN + ipv6::Header::split(bytes)?.0.payload_len()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::counters::Counters;
    use crate::io::DeviceIndex;
    use crate::io::memory::{MemoryIo, VecBuf};
    use crate::pipeline::fragments::Member;
    use crate::pipeline::{Arrival, Output, Pipeline};
    use crate::testing;
    use crate::wire::icmp::seal;

    fn own() -> Underlay {
        Underlay { ipv4: Some([10, 0, 0, 1].into()), ipv6: "2001:db8:a::1".parse().ok(), gue_port: 6080 }
    }

    /// The IP header of a packet with `payload` behind it.
    fn ip(from: &str, to: &str, protocol: u8, payload: &[u8]) -> Vec<u8> {
        match (from.parse().unwrap(), to.parse().unwrap()) {
            (IpAddr::V4(from), IpAddr::V4(to)) => {
                let mut header = ipv4::template(from, to, protocol, 64);
                ipv4::complete(&mut header, (20 + payload.len()) as u16, 0);
                [&header, payload].concat()
            }
            (IpAddr::V6(from), IpAddr::V6(to)) => {
                let mut header = ipv6::template(from, to, protocol, 64);
                ipv6::complete(&mut header, payload.len() as u16, 0, 0);
                [&header, payload].concat()
            }
            _ => panic!("one family"),
        }
    }

    fn read(frame: &[u8]) -> Option<TooNarrow> {
        TooNarrow::read(frame, &own()).map(|(report, _)| report)
    }

    /// A padded frame with an error of `kind` and `code` from a router to `to`, about a packet with these ports between those
    /// addresses.
    fn frame(kind: u8, code: u8, mtu: u32, to: &str, (from, quoted): (&str, &str), port: u16) -> Vec<u8> {
        let udp = [&[0xd2, 0x34][..], &port.to_be_bytes(), &[5, 220, 0, 0]].concat();
        let mut message = [&[kind, code, 0, 0][..], &mtu.to_be_bytes(), &ip(from, quoted, 17, &udp)].concat();
        let router = if to.contains(':') { "2001:db8:ffff::1" } else { "10.9.9.9" };
        let addresses = match (router.parse().unwrap(), to.parse().unwrap()) {
            (IpAddr::V4(from), IpAddr::V4(to)) => Addresses::V4(from, to),
            (IpAddr::V6(from), IpAddr::V6(to)) => Addresses::V6(from, to),
            _ => panic!("one family"),
        };
        let pseudo = pseudo_header(addresses, message.len());
        seal(&mut message, kind, code, pseudo).unwrap();
        let (protocol, ethertype) = if to.contains(':') { (58, [0x86, 0xdd]) } else { (1, [8, 0]) };
        let packet = ip(router, to, protocol, &message);
        [&[2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 9][..], &ethertype, &packet, &[0; 7]].concat()
    }

    const OURS: (&str, &str) = ("10.0.0.1", "10.0.1.1");
    const OURS_V6: (&str, &str) = ("2001:db8:a::1", "2001:db8:a:1::2");

    #[test]
    fn both_families_tell_the_mtu() {
        let read = |frame: &[u8]| read(frame).map(|report| (report.to.to_string(), report.mtu));
        let v4 = frame(3, 4, 1400, "10.0.0.1", OURS, 6080);
        assert_eq!(read(&v4), Some(("10.0.1.1".to_owned(), 1400)));
        let tagged = [&v4[..12], &[0x81, 0, 0, 100], &v4[12..]].concat();
        assert_eq!(read(&tagged), read(&v4));
        let v6 = frame(2, 0, 1380, "2001:db8:a::1", OURS_V6, 6080);
        assert_eq!(read(&v6), Some(("2001:db8:a:1::2".to_owned(), 1380)));
        let huge = frame(2, 0, 100_000, "2001:db8:a::1", OURS_V6, 6080);
        assert_eq!(read(&huge), Some(("2001:db8:a:1::2".to_owned(), u16::MAX)));
    }

    #[test]
    fn what_is_not_about_our_gue_is_not_read() {
        let others = [
            ("another port", frame(3, 4, 1400, "10.0.0.1", OURS, 53)),
            ("another sender", frame(3, 4, 1400, "10.0.0.1", ("10.0.0.2", "10.0.1.1"), 6080)),
            ("to somebody else", frame(3, 4, 1400, "10.0.0.2", ("10.0.0.2", "10.0.1.1"), 6080)),
            ("another reason", frame(3, 3, 1400, "10.0.0.1", OURS, 6080)),
            ("another error", frame(11, 0, 1400, "10.0.0.1", OURS, 6080)),
            ("of another family", frame(3, 4, 1400, "10.0.0.1", OURS_V6, 6080)),
        ];
        for (what, frame) in others {
            assert_eq!(read(&frame), None, "{what}");
        }
        // The quote begins behind 14 bytes of Ethernet, 20 of IP and 8 of ICMP.
        for (what, at, byte) in [("an ID", 42 + 5, 1), ("no DF", 42 + 6, 0), ("a low port", 42 + 20, 0xbf)] {
            let mut frame = frame(3, 4, 1400, "10.0.0.1", OURS, 6080);
            frame[at] = byte;
            assert_eq!(read(&frame), None, "{what}");
        }
    }

    #[test]
    fn a_cut_frame_is_no_report() {
        let whole = frame(3, 4, 1400, "10.0.0.1", OURS, 6080);
        for len in 0..whole.len() - 7 {
            assert_eq!(read(&whole[..len]), None, "{len} bytes");
        }
    }

    #[test]
    fn reports_are_bounded_and_never_wait() {
        let (ring, mut control) = rtrb::RingBuffer::new(REPORTS);
        let mut reports = Reports::new(ring);
        let frame = frame(3, 4, 1400, "10.0.0.1", OURS, 6080);
        for now in 0..1000 {
            reports.look_at(&frame, &own(), Nanos(now));
        }
        assert_eq!(control.slots(), REPORTS, "the ring is full, and nobody waited");
        while control.pop().is_ok() {}
        for now in 0..1000 {
            reports.look_at(&frame, &own(), Nanos(now));
        }
        assert_eq!(control.slots(), 0, "the second's worth is used up");
        let mut damaged = frame.clone();
        damaged[14 + 20 + 7] ^= 1;
        for _ in 0..RATE - 1 {
            reports.look_at(&damaged, &own(), Nanos(2_000_000_000));
        }
        assert_eq!(control.slots(), 0, "a wrong checksum");
        reports.look_at(&frame, &own(), Nanos(2_000_000_000));
        assert_eq!(control.pop(), Ok(TooNarrow { to: [10, 0, 1, 1].into(), mtu: 1400 }));
        reports.look_at(&frame, &own(), Nanos(2_000_000_000));
        assert_eq!(control.slots(), 0, "no more checksums are taken than that, right or wrong");
    }

    #[test]
    fn nobody_on_the_internet_is_believed() {
        let frame = frame(3, 4, 1400, "10.0.0.1", OURS, 6080);
        let reported = |gue| {
            let mut settings = testing::settings();
            settings.devices[0].gue = gue;
            let settings = Arc::new(settings);
            let mut pipeline = Pipeline::new(Arc::clone(&settings), 1, Member::alone());
            let (ring, control) = rtrb::RingBuffer::new(REPORTS);
            pipeline.report_by(ring);
            let state = testing::state(1, "lhr-1", &settings);
            let arrival = Arrival { device: DeviceIndex(0), now: Nanos(0) };
            let (mut output, mut counters) = (Output::new(&settings, 1), Counters::default());
            let mut frames = vec![VecBuf::new(&frame)];
            pipeline.process(&state, arrival, &mut frames, &mut output, &mut counters, &mut MemoryIo::new(1));
            control.slots()
        };
        assert_eq!([true, false].map(reported), [1, 0]);
    }
}
