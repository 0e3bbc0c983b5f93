// SPDX-License-Identifier: MIT OR Apache-2.0
//! What becomes of one frame: its steps by the functions that decide them, its fate by the whole pipeline.

use std::sync::Arc;

use tables::table::Address;

use super::{Explanation, NextHop, Outer, Sent, Subject, Verdict};
use crate::counters::{Counters, DropReason};
use crate::io::memory::{MemoryIo, VecBuf};
use crate::io::{DeviceIndex, Nanos, PacketBuf};
use crate::leaving::{Leaving, Tunnel};
use crate::pipeline::classify::{self, Receiver};
use crate::pipeline::fragments::Member;
use crate::pipeline::packet::{NotForwarded, Origin, Packet};
use crate::pipeline::route::route_packet;
use crate::pipeline::upper::{Selector, Upper};
use crate::pipeline::{Arrival, Output, Pipeline, trace};
use crate::settings::{FragmentLimits, Settings};
use crate::state::ForwardingState;
use crate::wire::outer::Private;
use crate::wire::{MacAddr, ethernet};

/// Bytes of the longest frame that can be asked about: more than any device takes.
pub const FRAME_MAX: usize = 16_384;

/// A frame in hexadecimal, two digits a byte; white space and colons between bytes are read over.
pub fn read_hex(text: &str) -> Result<Vec<u8>, String> {
    let digits: Option<Vec<u8>> = text
        .chars()
        .filter(|c| !c.is_whitespace() && *c != ':')
        .take(2 * FRAME_MAX + 1)
        .map(|c| c.to_digit(16).map(|digit| digit as u8))
        .collect();
    match digits {
        Some(digits) if digits.len() > 2 * FRAME_MAX => Err(format!("a frame has at most {FRAME_MAX} bytes")),
        Some(digits) if !digits.is_empty() && digits.len().is_multiple_of(2) => {
            Ok(digits.chunks_exact(2).map(|pair| pair.iter().fold(0, |byte, digit| byte << 4 | digit)).collect())
        }
        _ => Err("a frame is hexadecimal, two digits a byte, from its Ethernet header on".to_owned()),
    }
}

/// Asks what `subject` would do with a frame that arrives at `device` by itself: nothing else is under way, no limit is reached,
/// and no fragment has been seen.
pub fn explain_frame(subject: Subject<'_>, frame: &[u8], device: DeviceIndex) -> Explanation {
    let Subject { state, settings, .. } = subject;
    let mut explanation = Explanation::new(state);
    let receiving = settings.device(device);
    let peers = receiving.filter(|device| device.gue).map(|_| &state.table);
    let name = receiving.map_or("no device", |device| &device.name);
    explanation.step("frame", format!("{} bytes, received by {name}", frame.len()));
    let receiver = Receiver { own: &settings.underlay, peers };
    let packet = classify::frame(frame, receiver);
    let why = match &packet {
        Ok(packet) => explanation.tell_packet(subject, packet, frame),
        Err(fate) => not_forwarded(*fate),
    };
    let dont_fragment = packet.is_ok_and(|packet| packet.dont_fragment);
    let outcome = Outcome::of(state, settings, frame, device);
    let why = explanation.tell_outcome(settings, outcome, dont_fragment, why);
    explanation.conclude(why);
    explanation
}

/// Why a frame that holds no packet to look up is not forwarded.
fn not_forwarded(fate: NotForwarded) -> String {
    match fate {
        NotForwarded::Kernel => {
            "not for the dataplane (no IP, a group's, or the forwarder's own): for the kernel".to_owned()
        }
        NotForwarded::Drop(reason) => reason.name().replace('_', " "),
    }
}

impl Explanation {
    /// Tells of the packet in the frame and of its owner; the decision in a sentence.
    fn tell_packet(&mut self, subject: Subject<'_>, packet: &Packet, frame: &[u8]) -> String {
        let Subject { state, settings, .. } = subject;
        let entry = state.table.address(packet.addresses.destination());
        let selected = trace::selector(entry, packet, frame);
        let selector = selected.unwrap_or(packet.upper.selector);
        self.address = Some(packet.addresses.destination());
        self.protocol = Some(packet.upper.protocol);
        self.port = if let Selector::Port(port) = selector { Some(port) } else { None };
        self.step("packet", describe(packet, selector));
        self.tell_entry(subject, entry, selector);

        let selected = selected.map(|selector| Packet { upper: Upper { selector, ..packet.upper }, ..*packet });
        match selected.and_then(|packet| route_packet(&state.table, entry, &packet)) {
            Ok(destination) => {
                self.tell_way(state, settings, destination, &packet.upper, 0);
                if let Some(mtu) = &mut self.mtu {
                    mtu.judge(packet.len, packet.dont_fragment);
                }
                self.tell_previous_hop(state, destination);
                self.owned(entry, selector, destination)
            }
            Err(NotForwarded::Kernel) => "not in the table: for the kernel".to_owned(),
            Err(NotForwarded::Drop(DropReason::FragmentUnmatched)) => "a later fragment follows its first".to_owned(),
            Err(NotForwarded::Drop(DropReason::IcmpUnwanted)) if is_echo_answered(settings, entry) => {
                "ICMP that names no owner; an echo request is answered here".to_owned()
            }
            Err(NotForwarded::Drop(reason)) => self.nobodys(reason),
        }
    }

    /// Tells what the pipeline made of the frame, which has the last word.
    fn tell_outcome(&mut self, settings: &Settings, outcome: Outcome, dont_fragment: bool, why: String) -> String {
        let gue_port = settings.underlay.gue_port;
        let leaving = outcome.sent.first().and_then(|(_, frame)| Leaving::read(frame, gue_port));
        match (&outcome, leaving) {
            (_, Some(Leaving::Gue(tunnel))) => {
                let next_hop = outcome.sent.first().and_then(|(device, frame)| left_by(settings, *device, frame));
                self.tell_tunnel(gue_port, tunnel, next_hop, dont_fragment);
            }
            (_, Some(Leaving::EchoReply)) => self.verdict = Verdict::Answer,
            (Outcome { kernel: true, .. }, _) => self.verdict = Verdict::Kernel,
            (Outcome { held: true, .. }, _) => self.verdict = Verdict::Hold,
            _ => {}
        }
        self.tell_outer();
        let name = |device: DeviceIndex| settings.device(device).map_or_else(String::new, |device| device.name.clone());
        self.sent =
            outcome.sent.iter().map(|(device, frame)| Sent { device: name(*device), frame: hex(frame) }).collect();
        let what = match (self.verdict, self.sent.len()) {
            (Verdict::Answer, _) => "an echo request to a shared address: answered here".to_owned(),
            (Verdict::Hold, _) => {
                "a later fragment whose first has not been seen: held until it comes, for a second".to_owned()
            }
            (_, 2..) if outcome.dropped.is_none() => format!("{why}; cut into {} pieces", self.sent.len()),
            _ => why,
        };
        let Some(reason) = outcome.dropped else { return what + &self.draining() };
        let told = if self.sent.is_empty() { "" } else { ", and its sender is told" };
        self.dropped(reason);
        match self.target {
            // It had an owner, and something else went wrong.
            Some(_) => format!("{what}; dropped as {}{told}", reason.name()),
            None => format!("{}{told}", self.nobodys(reason)),
        }
    }

    /// Tells of the headers that the packet really left with.
    fn tell_tunnel(&mut self, gue_port: u16, tunnel: Tunnel<'_>, next_hop: Option<NextHop>, dont_fragment: bool) {
        if let Some(mtu) = &mut self.mtu {
            mtu.refit(tunnel.overhead, dont_fragment);
        }
        if tunnel.private != Private::PreviousOwner {
            self.previous_hop = None;
        }
        self.outer_destination = Some(tunnel.destination);
        self.outer = Some(Outer {
            source: Some(tunnel.source),
            destination: tunnel.destination,
            source_port: Some(tunnel.source_port),
            gue_port,
            overhead: tunnel.overhead,
            private: tunnel.private.into(),
            next_hop,
        });
    }
}

/// Where a frame went that left; nowhere in particular if the MAC address of the next hop is not known.
fn left_by(settings: &Settings, device: DeviceIndex, frame: &[u8]) -> Option<NextHop> {
    let (header, _) = ethernet::Header::split(frame)?;
    let mac = header.destination();
    (mac != MacAddr::default()).then(|| NextHop::of(settings, device, mac))
}

/// Whether echo requests are answered at an address that `entry` says is shared.
fn is_echo_answered(settings: &Settings, entry: Address) -> bool {
    settings.icmp.echo == crate::settings::Echo::Answer && matches!(entry, Address::Sliced(_))
}

/// What a packet is, in a line.
fn describe(packet: &Packet, selector: Selector) -> String {
    let (from, to) = (packet.addresses.source(), packet.addresses.destination());
    let by = match (packet.upper.selector, selector) {
        (Selector::Port(port), _) => format!("to port {port}"),
        (Selector::Icmp, Selector::Port(port)) => format!("ICMP that names port or identifier {port}"),
        (Selector::Icmp, _) => "ICMP".to_owned(),
        (Selector::Fragment, Selector::Port(port)) => format!("the first fragment, to port {port}"),
        (Selector::Fragment, _) => "a fragment".to_owned(),
        (Selector::Portless, _) => "without ports".to_owned(),
        (Selector::Cut, _) => "cut before its ports".to_owned(),
    };
    let origin = match packet.origin {
        Origin::Wire => String::new(),
        Origin::Peer { hops } => format!(", in GUE from a forwarder, after {hops} hops between data centres"),
    };
    let whole = if packet.dont_fragment { "not to be cut" } else { "may be cut" };
    format!("{from} to {to}, protocol {}, {by}; {} bytes, {whole}{origin}", packet.upper.protocol, packet.len)
}

/// What the pipeline did.
struct Outcome {
    sent: Vec<(DeviceIndex, Vec<u8>)>,
    kernel: bool,
    held: bool,
    dropped: Option<DropReason>,
}

impl Outcome {
    /// Runs the pipeline over a burst of one frame.
    fn of(state: &ForwardingState, settings: &Settings, frame: &[u8], device: DeviceIndex) -> Self {
        // One datagram is all that there will be.
        let fragments = FragmentLimits { contexts: 1, packets: 1, bytes: FRAME_MAX as u64 };
        let settings = Arc::new(Settings { fragments, ..settings.clone() });
        let mut output = Output::new(&settings, 1);
        let mut counters = Counters::default();
        let mut pipeline = Pipeline::new(Arc::clone(&settings), 1, Member::alone());
        let mut frames = vec![VecBuf::new(frame)];
        let arrival = Arrival { device, now: Nanos(0) };
        pipeline.process(state, arrival, &mut frames, &mut output, &mut counters, &mut MemoryIo::new(0));
        let sent = (0..=u8::MAX).zip(&output.transmit).flat_map(|(device, frames)| {
            frames.iter().map(move |frame: &VecBuf| (DeviceIndex(device), frame.data().to_owned()))
        });
        Self {
            sent: sent.collect(),
            kernel: !output.kernel.is_empty(),
            held: counters.held > 0,
            dropped: DropReason::ALL.into_iter().find(|reason| counters.dropped(*reason) > 0),
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
        // A string takes everything.
        let _ = write!(text, "{byte:02x}");
        text
    })
}
