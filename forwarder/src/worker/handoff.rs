// SPDX-License-Identifier: MIT OR Apache-2.0
//! The ways between workers: a device spreads the fragments of one datagram over its queues, and one worker must decide them
//! all. Each ordered pair of workers has a ring with one writer and one reader.
//!
//! What is on a ring is held, for whoever reads the counters: the sender has counted, and published, that it handed a packet
//! over before the receiver can see it, and so before the receiver counts that it took it over.

#[cfg(test)]
mod tests;

use rtrb::{Consumer, Producer, RingBuffer};

use crate::counters::{Counters, DropReason};
use crate::io::DeviceIndex;
use crate::pipeline::fragments::{Handed, Member};

/// Packets on the way from one worker to another: several bursts, for when the other is busy with its own.
const RING: usize = 256;

/// A worker's ends of the rings.
pub struct Handoff<B> {
    member: Member,
    /// By the other worker's number; none to itself.
    outgoing: Vec<Option<Outgoing<B>>>,
    incoming: Vec<Consumer<(DeviceIndex, B)>>,
}

struct Outgoing<B> {
    ring: Producer<(DeviceIndex, B)>,
    /// Packets that have been counted as handed over. The ring has room for them.
    counted: Vec<(DeviceIndex, B)>,
}

/// The ends of a group of workers, in order.
pub fn group<B>(workers: usize) -> Vec<Handoff<B>> {
    let mut group: Vec<_> = Member::group(workers)
        .map(|member| Handoff { member, outgoing: Vec::with_capacity(workers), incoming: Vec::with_capacity(workers) })
        .collect();
    for from in 0..workers {
        for to in 0..workers {
            let (outgoing, incoming) = match from == to {
                true => (None, None),
                false => {
                    let (ring, incoming) = RingBuffer::new(RING);
                    (Some(Outgoing { ring, counted: Vec::with_capacity(RING) }), Some(incoming))
                }
            };
            if let Some(sender) = group.get_mut(from) {
                sender.outgoing.push(outgoing);
            }
            if let Some(receiver) = group.get_mut(to) {
                receiver.incoming.extend(incoming);
            }
        }
    }
    group
}

/// How many packets so many workers can keep for a while, if `waiting` of them wait at each for the rest of a datagram.
pub fn kept(workers: usize, waiting: u32) -> usize {
    workers * waiting as usize + on_their_way(workers)
}

/// How many packets can be on their way in a group of so many workers.
fn on_their_way(workers: usize) -> usize {
    workers * workers.saturating_sub(1) * RING
}

impl<B> Handoff<B> {
    /// Of a worker without others.
    pub fn alone() -> Self {
        Self { member: Member::alone(), outgoing: Vec::new(), incoming: Vec::new() }
    }

    /// The worker among the others.
    pub fn member(&self) -> Member {
        self.member
    }

    /// Counts `packets` as handed over. What finds no room on its ring is counted as a drop, and left in `refused`.
    pub(super) fn count(&mut self, packets: &mut Vec<Handed<B>>, refused: &mut Vec<B>, counters: &mut Counters) {
        for Handed { to, device, frame } in packets.drain(..) {
            match self.outgoing.get_mut(to).and_then(Option::as_mut) {
                Some(outgoing) if outgoing.counted.len() < outgoing.ring.slots() => {
                    counters.handed_over += 1;
                    outgoing.counted.push((device, frame));
                }
                _ => {
                    counters.drop(DropReason::FragmentStoreFull, 1);
                    refused.push(frame);
                }
            }
        }
    }

    /// Lets go what has been counted, and the counters published.
    pub(super) fn send(&mut self) {
        for Outgoing { ring, counted } in self.outgoing.iter_mut().flatten() {
            for packet in counted.drain(..) {
                let sent = ring.push(packet);
                debug_assert!(sent.is_ok(), "a ring has the room that it had");
            }
        }
    }

    /// How many others there are to take from.
    pub(super) fn others(&self) -> usize {
        self.incoming.len()
    }

    /// Takes over from one of the others, at most `max` packets that one device received; that device.
    pub(super) fn take(
        &mut self,
        other: usize,
        frames: &mut Vec<B>,
        max: usize,
        counters: &mut Counters,
    ) -> Option<DeviceIndex> {
        let ring = self.incoming.get_mut(other)?;
        let device = ring.peek().ok()?.0;
        let before = frames.len();
        while frames.len() - before < max && ring.peek().is_ok_and(|(from, _)| *from == device) {
            frames.extend(ring.pop().map(|(_, frame)| frame));
        }
        counters.taken_over += (frames.len() - before) as u64;
        Some(device)
    }

    /// Hands nothing over any more.
    pub(super) fn close(&mut self) {
        self.outgoing.clear();
    }

    /// Takes over all that is left into `frames`; whether nothing more will come, since all others have closed.
    pub(super) fn take_rest(&mut self, frames: &mut Vec<B>, counters: &mut Counters) -> bool {
        let before = frames.len();
        let mut is_end = true;
        for ring in &mut self.incoming {
            // First, so that what came before the end is not missed.
            is_end &= ring.is_abandoned();
            while let Ok((_, frame)) = ring.pop() {
                frames.push(frame);
            }
        }
        counters.taken_over += (frames.len() - before) as u64;
        is_end
    }
}
