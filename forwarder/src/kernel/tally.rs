// SPDX-License-Identifier: MIT OR Apache-2.0
//! What passed between the devices and the kernel, and what did not. Every number has one writer, and any thread reads them.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};

use super::class::{Class, Kind};
use crate::io::DeviceIndex;

/// What became of a frame on the path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Fate {
    /// It went on.
    Passed,
    /// It was over the budget of its class.
    Policed,
    /// The next one on the path had no room.
    Full,
}

const FATES: usize = 3;

/// Frames by class and fate, of one device, one way, counted by one thread.
#[derive(Debug, Default)]
struct Way([[AtomicU64; FATES]; Class::ALL.len()]);

impl Way {
    fn number(&self, class: Class, fate: Fate) -> Option<&AtomicU64> {
        self.0.get(class as usize)?.get(fate as usize)
    }

    fn read(&self, class: Class, fate: Fate) -> u64 {
        self.number(class, fate).map_or(0, |number| number.load(Relaxed))
    }
}

/// Frames of one device that the thread handles.
#[derive(Debug, Default)]
struct Served {
    from: Way,
    unwritten: AtomicU64,
    is_open: AtomicBool,
}

/// All counts of the path.
#[derive(Debug, Default)]
pub struct KernelTallies {
    /// By worker, then by device.
    to: Box<[Box<[Way]>]>,
    /// By device.
    served: Box<[Served]>,
}

/// Adds one. Only the thread that owns the number calls it: plain load and store, no read-modify-write.
fn count(number: Option<&AtomicU64>) {
    if let Some(number) = number {
        number.store(number.load(Relaxed).wrapping_add(1), Relaxed);
    }
}

impl KernelTallies {
    /// Nothing yet, for so many workers and devices.
    pub fn new(workers: usize, devices: usize) -> Self {
        let ways = |_| (0..devices).map(|_| Way::default()).collect();
        Self { to: (0..workers).map(ways).collect(), served: (0..devices).map(|_| Served::default()).collect() }
    }

    /// A frame on its way to the kernel. The worker of that number calls it.
    pub fn count_to(&self, worker: usize, kind: Kind, fate: Fate) {
        let way = self.to.get(worker).and_then(|devices| devices.get(usize::from(kind.device.0)));
        count(way.and_then(|way| way.number(kind.class, fate)));
    }

    /// A frame that the kernel sent. The thread that reads them calls it.
    pub fn count_from(&self, kind: Kind, fate: Fate) {
        count(self.served(kind.device).and_then(|served| served.from.number(kind.class, fate)));
    }

    /// A frame that passed to the thread, and that the interface did not take. The thread calls it.
    pub fn count_unwritten(&self, device: DeviceIndex) {
        count(self.served(device).map(|served| &served.unwritten));
    }

    /// Whether the device's interface is open. The thread says it.
    pub fn set_open(&self, device: DeviceIndex, is_open: bool) {
        if let Some(served) = self.served(device) {
            served.is_open.store(is_open, Relaxed);
        }
    }

    fn served(&self, device: DeviceIndex) -> Option<&Served> {
        self.served.get(usize::from(device.0))
    }

    /// Frames towards the kernel, by all workers.
    pub fn to(&self, kind: Kind, fate: Fate) -> u64 {
        let ways = self.to.iter().filter_map(|devices| devices.get(usize::from(kind.device.0)));
        ways.map(|way| way.read(kind.class, fate)).sum()
    }

    /// Frames from the kernel; those that passed are with a worker, which counts what becomes of them.
    pub fn from(&self, kind: Kind, fate: Fate) -> u64 {
        self.served(kind.device).map_or(0, |served| served.from.read(kind.class, fate))
    }

    /// Whether the device's interface is open now.
    pub fn is_open(&self, device: DeviceIndex) -> bool {
        self.served(device).is_some_and(|served| served.is_open.load(Relaxed))
    }

    /// Frames that the device's interface did not take: it is down, or gone.
    pub fn unwritten(&self, device: DeviceIndex) -> u64 {
        self.served(device).map_or(0, |served| served.unwritten.load(Relaxed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_number_counts_its_own() {
        let tallies = KernelTallies::new(2, 2);
        let kind = Kind { device: DeviceIndex(1), class: Class::Unicast };
        tallies.count_to(0, kind, Fate::Passed);
        tallies.count_to(1, kind, Fate::Passed);
        tallies.count_to(1, kind, Fate::Policed);
        tallies.count_from(kind, Fate::Passed);
        tallies.count_from(kind, Fate::Policed);
        tallies.count_from(Kind { class: Class::Other, ..kind }, Fate::Full);
        tallies.count_unwritten(kind.device);
        let fates = [Fate::Passed, Fate::Policed, Fate::Full];
        assert_eq!(fates.map(|fate| tallies.to(kind, fate)), [2, 1, 0]);
        assert_eq!(fates.map(|fate| tallies.from(kind, fate)), [1, 1, 0]);
        assert_eq!(tallies.unwritten(kind.device), 1);
        let elsewhere = Kind { device: DeviceIndex(0), ..kind };
        assert_eq!(tallies.to(elsewhere, Fate::Passed), 0);
        // No such worker, no such device: nobody counts, nothing breaks.
        tallies.count_to(2, kind, Fate::Passed);
        tallies.count_from(Kind { device: DeviceIndex(2), ..kind }, Fate::Passed);
        assert_eq!(tallies.to(kind, Fate::Passed), 2);
    }
}
