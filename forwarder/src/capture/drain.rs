// SPDX-License-Identifier: MIT OR Apache-2.0
//! The reader's end of a capture: whole packets, once their fate is known.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use rtrb::Consumer;

use super::Fate;
use super::record::{Kind, LEN, Record, Seen};
use super::tap::Shared;
use crate::io::DeviceIndex;

/// A packet, and what became of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Packet {
    /// Its number at its worker.
    pub number: u64,
    /// As it came; none if the forwarder made it.
    pub came: Option<Frame>,
    /// As it left, or was to leave.
    pub left: Option<Frame>,
    /// What became of it.
    pub fate: Fate,
    /// The generation that decided.
    pub generation: u64,
    /// The patches since that.
    pub revision: u64,
}

/// A frame, or the beginning of one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// Nanoseconds since 1970.
    pub time: u64,
    /// Where it came or left.
    pub device: DeviceIndex,
    /// Bytes that it has.
    pub length: u32,
    /// Those that were kept.
    pub bytes: Vec<u8>,
}

/// The reader's end.
#[derive(Debug)]
pub struct Drain {
    ring: Consumer<u8>,
    shared: Arc<Shared>,
    /// Packets whose fate has not been told: those of one burst at most.
    pending: Vec<Pending>,
}

#[derive(Debug, Default)]
struct Pending {
    number: u64,
    came: Option<Frame>,
    left: Option<Frame>,
}

impl Drain {
    pub(super) fn new(ring: Consumer<u8>, shared: Arc<Shared>) -> Self {
        Self { ring, shared, pending: Vec::new() }
    }

    /// The next packet, if there is one.
    pub fn packet(&mut self) -> Option<Packet> {
        loop {
            let (record, bytes) = self.record()?;
            let frame = |Seen { time, device, length, .. }: Seen| Frame { time, device, length, bytes };
            match record.kind {
                Kind::Came(seen) => self.pending(record.number).came = Some(frame(seen)),
                Kind::Left(seen) => self.pending(record.number).left = Some(frame(seen)),
                Kind::Fate { fate, generation, revision } => {
                    let index = self.pending.iter().position(|pending| pending.number == record.number);
                    let Some(Pending { number, came, left }) = index.map(|index| self.pending.remove(index)) else {
                        continue;
                    };
                    return Some(Packet { number, came, left, fate, generation, revision });
                }
            }
        }
    }

    /// Packets that found no room so far.
    pub fn lost(&self) -> u64 {
        self.shared.lost.load(Ordering::Relaxed)
    }

    /// Tells the worker to give up its end.
    pub fn end(&self) {
        self.shared.over.store(true, Ordering::Relaxed);
    }

    /// Whether the worker has done so, and nothing more will come than there is.
    pub fn is_ended(&self) -> bool {
        self.ring.is_abandoned()
    }

    fn pending(&mut self, number: u64) -> &mut Pending {
        let index = self.pending.iter().position(|pending| pending.number == number);
        let index = index.unwrap_or_else(|| {
            self.pending.push(Pending { number, ..Pending::default() });
            self.pending.len() - 1
        });
        #[expect(clippy::indexing_slicing, reason = "found or made just now")]
        &mut self.pending[index]
    }

    /// The next record with what follows it, if all of it is there.
    fn record(&mut self) -> Option<(Record, Vec<u8>)> {
        let chunk = self.ring.read_chunk(LEN).ok()?;
        let (first, second) = chunk.as_slices();
        let mut bytes = [0; LEN];
        bytes.iter_mut().zip(first.iter().chain(second)).for_each(|(to, from)| *to = *from);
        let record = Record::decode(&bytes);
        debug_assert!(record.is_some(), "the other end writes records");
        let record = record?;
        let chunk = self.ring.read_chunk(LEN + record.payload()).ok()?;
        let (first, second) = chunk.as_slices();
        let payload = first.iter().chain(second).skip(LEN).copied().collect();
        chunk.commit_all();
        Some((record, payload))
    }
}
