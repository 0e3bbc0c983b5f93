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
pub(crate) mod bucket;
pub mod classify;
mod cut;
mod encap;
mod excerpt;
mod exit;
mod flow;
pub mod fragments;
mod icmp;
mod lookup;
pub mod narrow;
mod offloads;
mod options;
mod originate;
pub mod packet;
mod peer;
mod plain;
mod quote;
pub mod route;
mod sender;
pub mod trace;
pub mod upper;
mod work;

use std::sync::Arc;

use crate::counters::{Counters, DropReason};
use crate::io::{Allocator, DeviceIndex, Nanos, PacketBuf};
use crate::settings::Settings;
use crate::state::ForwardingState;
use classify::Receiver;
use fragments::{Fragments, Handed, Member};
use lookup::Lookup;
use narrow::{Reports, TooNarrow};
use packet::{NotForwarded, Packet};
use plain::Plain;
use sender::Sender;
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

    /// Takes reports of the underlay to control by `ring`.
    pub fn report_by(&mut self, ring: rtrb::Producer<TooNarrow>) {
        self.sender.reports = Some(Reports::new(ring));
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
