// SPDX-License-Identifier: MIT OR Apache-2.0
//! What passed between a device and the kernel, by class: a part of `stats`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::control::config::Config;
use crate::io::DeviceIndex;
use crate::kernel::class::{Class, Kind};
use crate::kernel::tally::{Fate, KernelTallies};

/// The kernel's side of a device.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KernelReport {
    /// The device.
    pub device: String,
    /// The interface.
    pub interface: String,
    /// Whether it is there.
    pub open: bool,
    /// Frames towards the kernel, by class. Those that passed are `exception`, the others drops.
    pub to: BTreeMap<String, ClassReport>,
    /// Frames towards the kernel that the interface did not take, since it was down or gone.
    pub unwritten: u64,
    /// Frames that the kernel sent, by class. Those that passed came to a worker, the others are among `kernel_drops`.
    pub from: BTreeMap<String, ClassReport>,
}

/// Frames of one class, one way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClassReport {
    /// Went on.
    pub passed: u64,
    /// Were over the budget.
    pub policed: u64,
    /// Found no room on the path.
    pub full: u64,
}

impl KernelReport {
    /// Those of all devices that have an interface.
    pub(in crate::control) fn all(config: &Config, tallies: &KernelTallies) -> Vec<Self> {
        let devices = (0..=u8::MAX).map(DeviceIndex).zip(&config.devices);
        let report = |(index, device): (DeviceIndex, &crate::control::config::Device)| {
            let classes = |read: &dyn Fn(Kind, Fate) -> u64| {
                let class = |class: Class| {
                    let [passed, policed, full] =
                        [Fate::Passed, Fate::Policed, Fate::Full].map(|fate| read(Kind { device: index, class }, fate));
                    (class.name().to_owned(), ClassReport { passed, policed, full })
                };
                Class::ALL.into_iter().map(class).collect()
            };
            Some(Self {
                device: device.name.clone(),
                interface: device.kernel.clone()?,
                open: tallies.is_open(index),
                to: classes(&|kind, fate| tallies.to(kind, fate)),
                unwritten: tallies.unwritten(index),
                from: classes(&|kind, fate| tallies.from(kind, fate)),
            })
        };
        devices.filter_map(report).collect()
    }

    /// Frames that the kernel sent and that came to no worker.
    pub fn lost(&self) -> u64 {
        self.from.values().map(|class| class.policed + class.full).sum()
    }
}
