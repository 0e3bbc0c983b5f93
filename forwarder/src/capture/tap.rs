// SPDX-License-Identifier: MIT OR Apache-2.0
//! The worker's end of a capture: copies into a ring, and never waits.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::SystemTime;

use rtrb::{Producer, RingBuffer};

use super::drain::Drain;
use super::record::{Kind, LEN, Record, Seen};
use super::witness::{Moment, Witness};
use super::{Fate, Options, Wanted};
use crate::counters::DropReason;
use crate::io::{DeviceIndex, Nanos, PacketBuf};
use crate::sampler::Sampler;
use crate::wire::{ethernet, ipv4};

/// Bytes of a worker's ring: some ten thousand packets.
const RING: usize = 4 << 20;

/// Bytes that a frame can grow by on its way: more than any outer headers.
const GROWTH: usize = 128;

/// Bytes within which a frame is unfinished, if it is: link header, IPv4 header.
const UNFINISHED: usize = ethernet::HEADER_LEN + ethernet::TAG_LEN + ipv4::HEADER_LEN;

/// What both ends look at.
#[derive(Debug, Default)]
pub(super) struct Shared {
    /// Set to end it.
    pub(super) over: AtomicBool,
    /// Packets that found no room. Only the worker writes it.
    pub(super) lost: AtomicU64,
}

/// A tap. The worker owns it while it captures.
#[derive(Debug)]
pub struct Tap {
    ring: Producer<u8>,
    shared: Arc<Shared>,
    options: Options,
    sampler: Sampler,
    /// Packets of the burst at hand whose fate is to be told.
    tracked: Vec<Tracked>,
    /// Where in [`Self::tracked`] the next is looked for first: most leave in the order in which they came.
    next: usize,
    /// Whether [`Self::tracked`] has every packet of the burst, so that others are those that the forwarder adds.
    is_whole: bool,
    moment: Moment,
    /// A frame that its device finishes, as it leaves.
    finished: Vec<u8>,
    /// Bytes of the ring that are free and promised to nobody.
    room: usize,
    numbered: u64,
    lost: u64,
    /// From the worker's clock to nanoseconds since 1970.
    epoch: u64,
    /// For the reasons of drops, while the worker has this tap.
    pub(crate) reasons: Vec<DropReason>,
}

#[derive(Debug, Clone, Copy)]
struct Tracked {
    identity: usize,
    number: u64,
    fate: Fate,
}

impl Tap {
    /// A tap for a worker with bursts of at most `burst` frames, of which, with those that have waited, at most `drops` are
    /// dropped; and the other end. All memory is taken here, and touched, so that the worker has no page to wait for.
    pub fn new(options: Options, burst: usize, drops: usize) -> (Box<Self>, Drain) {
        Self::with_ring(options, burst, drops, RING)
    }

    pub(super) fn with_ring(options: Options, burst: usize, drops: usize, bytes: usize) -> (Box<Self>, Drain) {
        let (mut ring, mut reader) = RingBuffer::new(bytes);
        let touched = ring.push_entire_slice(&vec![0; bytes]).is_ok();
        if let Ok(chunk) = reader.read_chunk(if touched { bytes } else { 0 }) {
            chunk.commit_all();
        }
        let shared = Arc::new(Shared::default());
        let tap = Self {
            ring,
            shared: Arc::clone(&shared),
            options,
            sampler: Sampler::new(options.every),
            tracked: Vec::with_capacity(burst + drops),
            next: 0,
            is_whole: false,
            moment: Moment { device: DeviceIndex(0), now: Nanos(0), by: (0, 0) },
            finished: Vec::with_capacity(UNFINISHED.max(options.snap_length.into()) + ethernet::TAG_LEN),
            room: 0,
            numbered: 0,
            lost: 0,
            epoch: 0,
            reasons: Vec::with_capacity(drops),
        };
        (Box::new(tap), Drain::new(reader, shared))
    }

    /// Whether it is to be given up.
    #[inline]
    pub(crate) fn is_over(&self) -> bool {
        self.shared.over.load(Ordering::Relaxed)
    }

    /// Learns what time it is when the worker's clock says `now`.
    pub(crate) fn set_clock(&mut self, now: Nanos) {
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        self.epoch = u64::try_from(since.as_nanos()).unwrap_or(u64::MAX).wrapping_sub(now.0);
    }

    /// Takes in a packet if there is room for all that will be said of it: a frame of `length` bytes now, and perhaps another.
    #[inline]
    fn admit(&mut self, length: usize, frames: usize) -> Option<u64> {
        let snap = usize::from(self.options.snap_length);
        let need = LEN + frames * (LEN + snap.min(length + GROWTH));
        match self.room.checked_sub(need) {
            Some(room) => {
                self.room = room;
                self.numbered += 1;
                Some(self.numbered)
            }
            None => {
                self.lost += 1;
                self.is_whole = false;
                None
            }
        }
    }

    /// Takes in a packet whose fate is to be told at the end of the burst: `fate`, unless another becomes known.
    fn track<B: PacketBuf>(&mut self, frame: &B, frames: usize, fate: Fate) -> Option<u64> {
        if self.tracked.len() == self.tracked.capacity() {
            self.lost += 1;
            return None;
        }
        let number = self.admit(frame.data().len(), frames)?;
        self.tracked.push(Tracked { identity: frame.identity(), number, fate });
        Some(number)
    }

    fn write(&mut self, number: u64, kind: Kind, payload: &[u8]) {
        let record = Record { number, kind }.encode();
        let written = self.ring.push_entire_slice(record.as_flattened());
        let written = written.and_then(|()| self.ring.push_entire_slice(payload));
        debug_assert!(written.is_ok(), "a packet is admitted only if there is room");
    }

    /// The beginning of a frame that is kept.
    fn kept<'f>(&self, frame: &'f [u8]) -> &'f [u8] {
        frame.get(..self.options.snap_length.into()).unwrap_or(frame)
    }

    /// The description of a frame of `length` bytes of which `kept` is kept.
    fn seen(&self, device: DeviceIndex, length: usize, kept: &[u8]) -> Seen {
        let time = self.moment.now.0.wrapping_add(self.epoch);
        Seen { time, device, length: length as u32, captured: kept.len() as u32 }
    }

    fn write_came(&mut self, number: u64, frame: &[u8]) {
        let kept = self.kept(frame);
        self.write(number, Kind::Came(self.seen(self.moment.device, frame.len(), kept)), kept);
    }

    /// As the device sends it, which may do something of it by itself.
    fn write_left<B: PacketBuf>(&mut self, number: u64, device: DeviceIndex, frame: &B) {
        let (bytes, rest) = (frame.data(), frame.unfinished());
        if rest.is_nothing() {
            let kept = self.kept(bytes);
            return self.write(number, Kind::Left(self.seen(device, bytes.len(), kept)), kept);
        }
        let mut finished = std::mem::take(&mut self.finished);
        finished.clear();
        finished.extend(bytes.iter().take(UNFINISHED.max(self.options.snap_length.into())));
        rest.finish(&mut finished);
        let kept = self.kept(&finished);
        self.write(number, Kind::Left(self.seen(device, frame.sent_len(), kept)), kept);
        self.finished = finished;
    }

    fn write_fate(&mut self, number: u64, fate: Fate) {
        let (generation, revision) = self.moment.by;
        self.write(number, Kind::Fate { fate, generation, revision }, &[]);
    }

    /// The packet of the burst that is in this buffer.
    fn find(&mut self, identity: usize) -> Option<&mut Tracked> {
        let is_it = |tracked: &Tracked| tracked.identity == identity;
        let (before, behind) = self.tracked.split_at(self.next.min(self.tracked.len()));
        let found = behind.iter().position(is_it).map(|index| index + before.len());
        let found = found.or_else(|| before.iter().position(is_it))?;
        self.next = found + 1;
        self.tracked.get_mut(found)
    }

    /// Notes what becomes of the packet in this buffer, if it is tracked.
    fn note<B: PacketBuf>(&mut self, frame: &B, fate: Fate) -> Option<u64> {
        let tracked = self.find(frame.identity())?;
        tracked.fate = fate;
        Some(tracked.number)
    }

    /// Whether what is dropped for `reason` is looked at for that alone, and this one is taken.
    fn takes_drop(&mut self, reason: DropReason) -> bool {
        matches!(self.options.wanted, Wanted::Drops(reasons) if reasons.has(reason)) && self.sampler.takes()
    }
}

impl Witness for Tap {
    fn came<B: PacketBuf>(&mut self, moment: Moment, frames: &[B]) {
        self.moment = moment;
        self.room = self.ring.slots();
        self.tracked.clear();
        self.next = 0;
        self.is_whole = self.options.wanted == Wanted::All && self.options.every <= 1;
        if self.options.wanted != Wanted::All {
            return;
        }
        let mut from = 0;
        while let Some(index) = self.sampler.next_of(from, frames.len()) {
            if let Some(frame) = frames.get(index)
                && let Some(number) = self.track(frame, 2, Fate::Held)
            {
                self.write_came(number, frame.data());
            }
            from = index + 1;
        }
    }

    fn leave<B: PacketBuf>(&mut self, device: DeviceIndex, frames: &[B]) {
        if self.tracked.is_empty() && !self.is_whole {
            return;
        }
        for frame in frames {
            let tracked = self.note(frame, Fate::Sent);
            let number = if self.is_whole { tracked.or_else(|| self.track(frame, 1, Fate::Sent)) } else { tracked };
            if let Some(number) = number {
                self.write_left(number, device, frame);
            }
        }
    }

    fn to_kernel<B: PacketBuf>(&mut self, frames: &[B]) {
        for frame in frames {
            self.note(frame, Fate::Kernel);
        }
    }

    fn untaken<B: PacketBuf>(&mut self, device: Option<DeviceIndex>, reason: DropReason, frames: &[B]) {
        for frame in frames {
            let is_tracked = self.note(frame, Fate::Dropped(reason)).is_some();
            if ((self.is_whole && !is_tracked) || self.takes_drop(reason))
                && let Some(number) = self.admit(frame.data().len(), 1)
            {
                match device {
                    Some(device) => self.write_left(number, device, frame),
                    None => self.write_came(number, frame.data()),
                }
                self.write_fate(number, Fate::Dropped(reason));
            }
        }
    }

    fn dropped<B: PacketBuf>(&mut self, frames: &[B], reasons: &[DropReason]) {
        for (frame, &reason) in frames.iter().zip(reasons) {
            let is_tracked = self.note(frame, Fate::Dropped(reason)).is_some();
            // One that is not tracked had waited, and its time is over.
            if ((self.is_whole && !is_tracked) || self.takes_drop(reason))
                && let Some(number) = self.admit(frame.data().len(), 1)
            {
                self.write_came(number, frame.data());
                self.write_fate(number, Fate::Dropped(reason));
            }
        }
    }

    fn handed<'a, B: PacketBuf + 'a>(&mut self, frames: impl Iterator<Item = &'a B>) {
        for frame in frames {
            self.note(frame, Fate::Handed);
        }
    }

    fn end(&mut self) {
        for index in 0..self.tracked.len() {
            if let Some(&Tracked { number, fate, .. }) = self.tracked.get(index) {
                self.write_fate(number, fate);
            }
        }
        self.tracked.clear();
        self.shared.lost.store(self.lost, Ordering::Relaxed);
    }
}
