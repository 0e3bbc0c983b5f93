// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the datapath is told at start and never changes while it runs (contract section 2, resolved).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::io::DeviceIndex;
use crate::io::offload::Offloads;
use crate::wire::MacAddr;

/// Everything that the pipeline and the outer headers need from the configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Own addresses and the GUE port.
    pub underlay: Underlay,
    /// The 128-bit key of the flow hash, its bytes in the order written.
    pub flow_key: [u8; 16],
    /// Where the outer DSCP comes from.
    pub dscp: Dscp,
    /// Messages that the forwarder sends by itself.
    pub icmp: Icmp,
    /// The devices, in the order of the configuration.
    pub devices: Vec<Device>,
    /// How much is remembered of fragments.
    pub fragments: FragmentLimits,
    /// Workers that count by themselves what goes to each destination.
    pub workers: usize,
    /// Where frames go from a device whose next hop is not known: nowhere, or in a replay to the zero MAC.
    pub unknown_next_hop: Option<MacAddr>,
}

impl Settings {
    /// The device of that index.
    pub fn device(&self, index: DeviceIndex) -> Option<&Device> {
        self.devices.get(usize::from(index.0))
    }

    /// The device of that name, the first one without a name; what is wrong if there is none.
    pub fn find_device(&self, name: Option<&str>) -> Result<DeviceIndex, String> {
        let named = |device: &Device| name.is_none_or(|name| device.name == name);
        let found = (0..=u8::MAX).zip(&self.devices).find(|(_, device)| named(device));
        found.map(|(index, _)| DeviceIndex(index)).ok_or_else(|| {
            let names: Vec<_> = self.devices.iter().map(|device| device.name.as_str()).collect();
            format!("there is no device {:?}; there are: {}", name.unwrap_or_default(), names.join(", "))
        })
    }

    /// The device that forwarded packets leave by, the first one with a next hop of its own, and that next hop.
    pub fn egress(&self) -> Option<(DeviceIndex, &Device, MacAddr)> {
        let known = (0..=u8::MAX)
            .zip(&self.devices)
            .find_map(|(index, device)| device.next_hop.map(|next_hop| (DeviceIndex(index), device, next_hop)));
        known.or_else(|| Some((DeviceIndex(0), self.devices.first()?, self.unknown_next_hop?)))
    }

    /// The next hop of what leaves by `device` but for the answer to who sent a frame.
    pub fn next_hop(&self, device: &Device) -> Option<MacAddr> {
        device.next_hop.or(self.unknown_next_hop)
    }
}

/// The forwarder's own place in the underlay.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Underlay {
    /// Outer IPv4 source.
    pub ipv4: Option<Ipv4Addr>,
    /// Outer IPv6 source.
    pub ipv6: Option<Ipv6Addr>,
    /// UDP destination port of GUE, sent and accepted.
    pub gue_port: u16,
}

impl Underlay {
    /// Whether this is an own address.
    #[inline(always)]
    pub fn has(&self, address: IpAddr) -> bool {
        match address {
            IpAddr::V4(address) => self.ipv4 == Some(address),
            IpAddr::V6(address) => self.ipv6 == Some(address),
        }
    }
}

/// Where the outer DSCP comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dscp {
    /// From the inner header.
    Copy,
    /// This value, 0–63.
    Fixed(u8),
}

/// [`Dscp`] as the datapath applies it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Marking {
    keep: u8,
    set: u8,
}

impl Marking {
    /// The outer traffic class over an inner one: ECN (the low two bits) always travels.
    #[inline(always)]
    pub fn outer(self, inner: u8) -> u8 {
        inner & self.keep | self.set
    }
}

impl From<Dscp> for Marking {
    fn from(dscp: Dscp) -> Self {
        match dscp {
            Dscp::Copy => Self { keep: 0xff, set: 0 },
            Dscp::Fixed(dscp) => Self { keep: 3, set: dscp << 2 },
        }
    }
}

/// How much each worker remembers of fragments; the memory for it is taken at the start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FragmentLimits {
    /// Datagrams whose first fragment is remembered or waited for; at least one.
    pub contexts: u32,
    /// Packets that wait for their first fragment.
    pub packets: u32,
    /// Bytes of those, together.
    pub bytes: u64,
}

impl Default for FragmentLimits {
    /// Ten seconds of first fragments at several thousand a second, and a second of as many that come early. About 20 MB.
    fn default() -> Self {
        Self { contexts: 65_536, packets: 4_096, bytes: 8 << 20 }
    }
}

/// What becomes of an echo request to a shared address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Echo {
    /// The forwarder answers it.
    Answer,
    /// It is dropped.
    Drop,
}

/// Messages that the forwarder sends by itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Icmp {
    /// Whether echo requests are answered.
    pub echo: Echo,
    /// Echo replies, and apart from them errors, per second and worker.
    pub rate: u32,
    /// Source of ICMP errors; otherwise the address that the packet was sent to.
    pub source4: Option<Ipv4Addr>,
    /// Source of ICMPv6 errors; otherwise likewise.
    pub source6: Option<Ipv6Addr>,
}

/// One device as the datapath sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Device {
    /// Its name in the configuration.
    pub name: String,
    /// Largest outer IP packet that may leave.
    pub mtu: u16,
    /// Source MAC of what leaves.
    pub mac: MacAddr,
    /// Destination MAC of what leaves; forwarded packets leave by the first device that has one.
    pub next_hop: Option<MacAddr>,
    /// 802.1Q tag of what leaves, 1–4094.
    pub vlan: Option<u16>,
    /// Whether frames for the kernel have somewhere to go.
    pub kernel_path: bool,
    /// Whether GUE from peers may arrive here.
    pub gue: bool,
    /// What the device does to what it sends, as it was chosen when it started.
    pub offloads: Offloads,
}

#[cfg(test)]
mod tests {
    use crate::io::DeviceIndex;
    use crate::testing;
    use crate::wire::MacAddr;

    #[test]
    fn a_replay_sends_to_the_zero_mac_where_no_next_hop_is_known() {
        let (hop, zero) = (MacAddr([2, 0, 0, 0, 0, 2]), MacAddr::default());
        let mut settings = testing::settings();
        let device = settings.devices.remove(0);
        settings.devices = vec![device.clone(), device];
        for device in &mut settings.devices {
            device.next_hop = None;
        }
        let egress = |settings: &super::Settings| settings.egress().map(|(index, _, hop)| (index, hop));
        assert_eq!(egress(&settings), None, "a daemon");
        settings.unknown_next_hop = Some(zero);
        assert_eq!(egress(&settings), Some((DeviceIndex(0), zero)), "by the first device if none knows");
        settings.devices[1].next_hop = Some(hop);
        assert_eq!(egress(&settings), Some((DeviceIndex(1), hop)), "by the first that knows one");
        assert_eq!(settings.next_hop(&settings.devices[0]), Some(zero));
        assert_eq!(settings.next_hop(&settings.devices[1]), Some(hop));
    }
}
