// SPDX-License-Identifier: MIT OR Apache-2.0
//! Packets that wait for the first fragment of their datagram: as many, and as many bytes, as there is room for.

use super::contexts::since;
use super::order::{Index, Order};
use crate::io::Nanos;

/// How long a packet waits.
const HELD: u64 = 1_000_000_000;

/// The packets of one datagram, in the order in which they came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Queue {
    first: Index,
    last: Index,
}

/// A packet that waits.
#[derive(Debug)]
pub(super) struct Held<P> {
    /// It.
    pub(super) packet: P,
    /// Its datagram's entry in the table of contexts.
    pub(super) context: Index,
    bytes: u32,
    since: Nanos,
    /// The next one of the same datagram.
    next: Option<Index>,
}

impl<P> Held<P> {
    /// Whether it has waited long enough.
    pub(super) fn is_due(&self, now: Nanos) -> bool {
        since(self.since, now) >= HELD
    }
}

/// The room where they wait.
#[derive(Debug)]
pub(super) struct WaitingRoom<P> {
    places: Box<[Option<Held<P>>]>,
    free: Vec<Index>,
    by_arrival: Order,
    room: u64,
    bytes_free: u64,
}

impl<P> WaitingRoom<P> {
    /// Room for so many packets of together so many bytes.
    pub(super) fn new(packets: u32, bytes: u64) -> Self {
        Self {
            places: (0..packets).map(|_| None).collect(),
            free: (0..packets).rev().collect(),
            by_arrival: Order::new(packets),
            room: bytes,
            bytes_free: bytes,
        }
    }

    /// How many wait.
    #[inline]
    pub(super) fn len(&self) -> usize {
        self.places.len() - self.free.len()
    }

    /// How many bytes wait.
    pub(super) fn bytes(&self) -> u64 {
        self.room - self.bytes_free
    }

    /// Whether a packet of `bytes` would find room.
    pub(super) fn has_room(&self, bytes: u32) -> bool {
        !self.free.is_empty() && u64::from(bytes) <= self.bytes_free
    }

    /// Lets a packet wait for the datagram at `context`, behind those of `queue`; the queue with it. For a packet that finds
    /// room: see [`Self::has_room`].
    pub(super) fn enter(
        &mut self,
        packet: P,
        bytes: u32,
        context: Index,
        queue: Option<Queue>,
        now: Nanos,
    ) -> Option<Queue> {
        let index = self.free.pop()?;
        *self.places.get_mut(index as usize)? = Some(Held { packet, context, bytes, since: now, next: None });
        self.bytes_free = self.bytes_free.saturating_sub(u64::from(bytes));
        self.by_arrival.push(index);
        let Some(queue) = queue else { return Some(Queue { first: index, last: index }) };
        self.places.get_mut(queue.last as usize)?.as_mut()?.next = Some(index);
        Some(Queue { last: index, ..queue })
    }

    /// Takes out the packet of `queue` that came first, and tells what is left of the queue.
    pub(super) fn leave(&mut self, queue: Queue) -> Option<(Held<P>, Option<Queue>)> {
        let held = self.places.get_mut(queue.first as usize)?.take()?;
        self.by_arrival.remove(queue.first);
        self.free.push(queue.first);
        self.bytes_free += u64::from(held.bytes);
        let rest = held.next.map(|first| Queue { first, ..queue });
        Some((held, rest))
    }

    /// Whose packet has waited longest, and whether that is long enough.
    pub(super) fn longest(&self, now: Nanos) -> Option<(Index, bool)> {
        let held = self.places.get(self.by_arrival.first()? as usize)?.as_ref()?;
        Some((held.context, held.is_due(now)))
    }
}
