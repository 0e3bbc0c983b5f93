// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the devices do by themselves, by device.

use crate::io::offload::Offloads;
use crate::io::{DeviceIndex, PacketBuf};
use crate::settings::Settings;

/// What each device does; empty if none does anything.
pub(super) struct DeviceOffloads(Box<[Offloads]>);

impl DeviceOffloads {
    pub(super) fn new(settings: &Settings) -> Self {
        let all: Box<[_]> = settings.devices.iter().map(|device| device.offloads).collect();
        Self(if all.iter().any(|offloads| offloads.any()) { all } else { Box::default() })
    }

    /// Whether any device does something to frames in such buffers: asked once a burst, and the answer is `ANY` from then on, so
    /// that devices that do nothing cost nothing.
    #[inline(always)]
    pub(super) fn any<B: PacketBuf>(&self) -> bool {
        B::CAN_BE_UNFINISHED && !self.0.is_empty()
    }

    /// What `device` does, if `ANY` does.
    #[inline(always)]
    pub(super) fn of<const ANY: bool>(&self, device: DeviceIndex) -> Offloads {
        let offloads = if ANY { self.0.get(usize::from(device.0)) } else { None };
        offloads.copied().unwrap_or_default()
    }
}
