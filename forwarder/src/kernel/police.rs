// SPDX-License-Identifier: MIT OR Apache-2.0
//! How many frames a second may pass between a device and the kernel.

use super::class::{Class, Kind};
use crate::io::Nanos;
use crate::pipeline::bucket::Bucket;

/// Frames a second of each class, and as many at once; 0 for none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Budget {
    /// Of [`Class::Routing`].
    pub routing: u32,
    /// Of [`Class::Neighbours`].
    pub neighbours: u32,
    /// Of [`Class::Unicast`].
    pub unicast: u32,
    /// Of [`Class::Other`].
    pub other: u32,
}

/// Both ways.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Budgets {
    /// Towards the kernel, from each device by each worker.
    pub to: Budget,
    /// From the kernel, to each device.
    pub from: Budget,
}

impl Default for Budget {
    /// Full BGP tables and a thousand neighbours come up in seconds, a hundred megabits a second pass for whoever logs in;
    /// and all together costs a core two per cent or so.
    fn default() -> Self {
        Self { routing: 5_000, neighbours: 1_000, unicast: 10_000, other: 1_000 }
    }
}

impl Budget {
    const fn rate(&self, class: Class) -> u32 {
        match class {
            Class::Routing => self.routing,
            Class::Neighbours => self.neighbours,
            Class::Unicast => self.unicast,
            Class::Other => self.other,
        }
    }
}

/// One thread's buckets: one for each device and class.
#[derive(Debug)]
pub struct Policer(Box<[[Bucket; Class::ALL.len()]]>);

impl Policer {
    /// Full buckets for so many devices.
    pub fn new(devices: usize, budget: &Budget) -> Self {
        let buckets = Class::ALL.map(|class| Bucket::new(budget.rate(class)));
        Self((0..devices).map(|_| buckets).collect())
    }

    /// Whether a frame of this kind may pass now.
    pub fn admits(&mut self, kind: Kind, now: Nanos) -> bool {
        let device = self.0.get_mut(usize::from(kind.device.0));
        device.and_then(|buckets| buckets.get_mut(kind.class as usize)).is_some_and(|bucket| bucket.take(now))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::io::DeviceIndex;

    #[test]
    fn a_flood_of_one_kind_leaves_the_others_alone() {
        let budget = Budget { routing: 4, neighbours: 3, unicast: 2, other: 0 };
        let mut policer = Policer::new(2, &budget);
        let mut pass = |device, class, frames: usize| {
            let kind = Kind { device: DeviceIndex(device), class };
            (0..frames).filter(|_| policer.admits(kind, Nanos(1))).count()
        };
        assert_eq!(pass(0, Class::Neighbours, 1000), 3);
        assert_eq!(pass(1, Class::Neighbours, 1000), 3);
        assert_eq!(pass(0, Class::Routing, 1000), 4);
        assert_eq!(pass(0, Class::Unicast, 1000), 2);
        assert_eq!(pass(0, Class::Other, 1000), 0);
        assert_eq!(pass(2, Class::Routing, 1000), 0, "no such device");
    }
}
