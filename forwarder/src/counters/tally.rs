// SPDX-License-Identifier: MIT OR Apache-2.0
//! Packets and bytes of one way, counted where there are too many ways to copy them all once a burst.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use tables::table::{RemoteId, TargetId};

use crate::state::Destination;

/// Counted by one thread, read by any. Both numbers grow for themselves: a reader may see a packet without its bytes.
#[derive(Debug, Default)]
pub struct Tally {
    packets: AtomicU64,
    bytes: AtomicU64,
}

/// What a [`Tally`] counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Traffic {
    /// Frames.
    pub packets: u64,
    /// Their bytes, Ethernet header included, FCS not.
    pub bytes: u64,
}

impl Traffic {
    /// The difference of both.
    pub fn less(self, other: Self) -> Self {
        let packets = self.packets.saturating_sub(other.packets);
        Self { packets, bytes: self.bytes.saturating_sub(other.bytes) }
    }

    /// The sum of both.
    pub fn plus(self, other: Self) -> Self {
        Self { packets: self.packets + other.packets, bytes: self.bytes + other.bytes }
    }
}

impl Tally {
    /// Counts on. Only the thread that owns the tally calls it: plain loads and stores, no read-modify-write.
    #[inline(always)]
    pub fn add(&self, packets: u64, bytes: u64) {
        self.packets.store(self.packets.load(Relaxed).wrapping_add(packets), Relaxed);
        self.bytes.store(self.bytes.load(Relaxed).wrapping_add(bytes), Relaxed);
    }

    /// What was counted so far.
    pub fn read(&self) -> Traffic {
        Traffic { packets: self.packets.load(Relaxed), bytes: self.bytes.load(Relaxed) }
    }
}

/// What each worker has sent to each destination of one lineage of tables, whose ids they share.
///
/// Each worker has memory of its own. It belongs to the tables and not to the worker: ids mean something in their lineage
/// alone, and so nobody has to tell a worker that they mean something else now.
#[derive(Debug, Default)]
pub struct DestinationTallies {
    servers: usize,
    workers: Box<[OwnTallies]>,
}

#[derive(Debug)]
struct OwnTallies {
    servers: Box<[Tally]>,
    datacenters: Box<[Tally]>,
}

/// One worker's part.
#[derive(Debug, Clone, Copy, Default)]
pub struct WorkerTallies<'a> {
    servers: &'a [Tally],
    datacenters: &'a [Tally],
}

impl DestinationTallies {
    /// For `workers` workers, so many servers and so many other data centres.
    pub fn new(workers: usize, servers: usize, datacenters: usize) -> Self {
        let tallies = |count: usize| (0..count).map(|_| Tally::default()).collect();
        let own = |_| OwnTallies { servers: tallies(servers), datacenters: tallies(datacenters) };
        Self { servers, workers: (0..workers).map(own).collect() }
    }

    /// For how many servers there is room.
    pub fn servers(&self) -> usize {
        self.servers
    }

    /// The part of the worker of that number; without one nothing is counted.
    #[inline]
    pub fn of_worker(&self, worker: usize) -> WorkerTallies<'_> {
        let own = self.workers.get(worker);
        own.map(|OwnTallies { servers, datacenters }| WorkerTallies { servers, datacenters }).unwrap_or_default()
    }

    /// What all workers have sent to `destination`.
    pub fn read(&self, destination: Destination) -> Traffic {
        let tallies = (0..self.workers.len()).filter_map(|worker| self.of_worker(worker).get(destination));
        tallies.fold(Traffic::default(), |sum, tally| sum.plus(tally.read()))
    }
}

impl<'a> WorkerTallies<'a> {
    #[inline(always)]
    fn get(self, destination: Destination) -> Option<&'a Tally> {
        match destination {
            Destination::Server(TargetId(id)) => self.servers.get(usize::from(id)),
            Destination::Datacenter(RemoteId(id)) => self.datacenters.get(usize::from(id)),
        }
    }

    /// Counts a frame of so many bytes to `destination`.
    #[inline(always)]
    pub fn count(self, destination: Destination, bytes: usize) {
        if let Some(tally) = self.get(destination) {
            tally.add(1, bytes as u64);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_worker_counts_for_itself_and_all_are_summed() {
        let tallies = DestinationTallies::new(2, 3, 1);
        let (server, datacenter) = (Destination::Server(TargetId(2)), Destination::Datacenter(RemoteId(0)));
        tallies.of_worker(0).count(server, 100);
        tallies.of_worker(1).count(server, 50);
        tallies.of_worker(1).count(datacenter, 7);
        assert_eq!(tallies.read(server), Traffic { packets: 2, bytes: 150 });
        assert_eq!(tallies.read(datacenter), Traffic { packets: 1, bytes: 7 });
        assert_eq!(tallies.read(Destination::Server(TargetId(0))), Traffic::default());
        // No such worker, no such server: nobody counts, nothing breaks.
        tallies.of_worker(2).count(server, 1);
        tallies.of_worker(0).count(Destination::Server(TargetId(3)), 1);
        assert_eq!(tallies.read(server).packets, 2);
    }
}
