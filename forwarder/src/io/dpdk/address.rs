// SPDX-License-Identifier: MIT OR Apache-2.0
//! Which device an entry of the configuration means, and what DPDK calls it.

use std::time::Duration;

use super::Error;
use crate::io::offload::Offloads;

/// Where a device is found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DeviceAddress {
    /// A virtual device: a driver's name with a number and its arguments, as `--vdev` takes them. Files are relative to the
    /// working directory.
    Vdev(String),
    /// A PCI address (`0000:3b:00.0`, or without the domain), with the driver's arguments after a comma if there are any.
    Pci(String),
}

/// One device of the configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeviceSpec {
    /// Its name, for messages.
    pub name: String,
    /// Where it is found.
    pub address: DeviceAddress,
    /// The largest IP packet that it carries.
    pub mtu: u16,
    /// How long it may take to have a link; zero if it may start without one.
    pub link_wait: Duration,
    /// What it is to do by itself, if it can.
    pub offloads: Offloads,
}

impl DeviceSpec {
    /// What DPDK calls the device once it is there: the vdev's name, or the PCI address in full.
    pub(super) fn dpdk_name(&self) -> Result<String, Error> {
        let (name, _) = split(self.text());
        match &self.address {
            DeviceAddress::Vdev(vdev) if name.is_empty() || vdev.contains('\0') => {
                Err(Error::VdevString { device: self.name.clone(), vdev: vdev.clone() })
            }
            DeviceAddress::Vdev(_) => Ok(name.to_owned()),
            DeviceAddress::Pci(address) => pci_name(name)
                .filter(|_| !address.contains('\0'))
                .ok_or_else(|| Error::PciAddress { device: self.name.clone(), address: address.clone() }),
        }
    }

    /// The EAL argument that makes DPDK look for the device.
    pub(super) fn argument(&self) -> Result<String, Error> {
        let name = self.dpdk_name()?;
        let (_, arguments) = split(self.text());
        Ok(match self.address {
            DeviceAddress::Vdev(_) => format!("--vdev={name}{arguments}"),
            DeviceAddress::Pci(_) => format!("--allow={name}{arguments}"),
        })
    }

    /// The error for a device that EAL did not bring up.
    pub(super) fn not_probed(&self, reason: String) -> Error {
        let hint = match self.address {
            DeviceAddress::Vdev(_) => "check the driver's name, its arguments, and that the files it reads exist",
            DeviceAddress::Pci(_) => "check the address with `lspci -D`, and that the device is bound to vfio-pci",
        };
        Error::NotProbed { device: self.name.clone(), address: self.text().to_owned(), reason, hint }
    }

    /// The address as the user wrote it.
    pub(super) fn text(&self) -> &str {
        match &self.address {
            DeviceAddress::Vdev(text) | DeviceAddress::Pci(text) => text,
        }
    }

    pub(super) fn is_pci(&self) -> bool {
        matches!(self.address, DeviceAddress::Pci(_))
    }

    /// Whether this is a capture that net_pcap loads whole and repeats.
    pub(super) fn is_looped_capture(&self) -> bool {
        self.vdev_values("infinite_rx").any(|value| value.parse::<i32>().is_ok_and(|on| on > 0))
    }

    /// The values of a vdev's argument, which may come several times.
    pub(super) fn vdev_values<'a>(&'a self, key: &'a str) -> impl Iterator<Item = &'a str> {
        let vdev = if self.is_pci() { "" } else { self.text() };
        vdev.split(',').filter_map(move |pair| pair.split_once('=')).filter(move |(k, _)| *k == key).map(|(_, v)| v)
    }
}

/// The name, and the rest with its comma.
fn split(text: &str) -> (&str, &str) {
    text.split_at(text.find(',').unwrap_or(text.len()))
}

/// `domain:bus:device.function` in DPDK's spelling: lower case, all digits.
fn pci_name(text: &str) -> Option<String> {
    let (bus, function) = text.rsplit_once('.')?;
    let mut parts = bus.rsplit(':');
    let device = hex(parts.next()?, 0x1f)?;
    let bus = hex(parts.next()?, 0xff)?;
    let domain = parts.next().map_or(Some(0), |domain| hex(domain, u32::MAX))?;
    let function = hex(function, 7)?;
    parts.next().is_none().then(|| format!("{domain:04x}:{bus:02x}:{device:02x}.{function}"))
}

fn hex(text: &str, max: u32) -> Option<u32> {
    let digits = text.bytes().all(|byte| byte.is_ascii_hexdigit());
    u32::from_str_radix(text, 16).ok().filter(|number| digits && *number <= max)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn device(address: DeviceAddress) -> DeviceSpec {
        DeviceSpec { name: "wan0".into(), address, mtu: 1500, link_wait: Duration::ZERO, offloads: Offloads::default() }
    }

    #[test]
    fn a_pci_address_is_spelt_as_dpdk_does() {
        for (text, name) in [
            ("0000:3b:00.0", "0000:3b:00.0"),
            ("3B:1f.7", "0000:3b:1f.7"),
            ("10000:01:00.1", "10000:01:00.1"),
            ("0:0:0.0,option=1", "0000:00:00.0"),
        ] {
            assert_eq!(device(DeviceAddress::Pci(text.into())).dpdk_name().unwrap(), name);
        }
        let with_arguments = device(DeviceAddress::Pci("3b:00.0,a=1,b=2".into()));
        assert_eq!(with_arguments.argument().unwrap(), "--allow=0000:3b:00.0,a=1,b=2");
    }

    #[test]
    fn other_texts_are_no_pci_address() {
        for text in
            ["", "0", "3b", "3b:00", "3b:00.8", "3b:20.0", "100:00.0", "0:0:0:0.0", "+3b:00.0", "eth0", "3b:0\0.0"]
        {
            let error = device(DeviceAddress::Pci(text.into())).dpdk_name().unwrap_err();
            assert_eq!(error, Error::PciAddress { device: "wan0".into(), address: text.into() });
        }
    }

    #[test]
    fn a_vdev_goes_through_as_it_is() {
        let vdev = device(DeviceAddress::Vdev("net_pcap0,rx_pcap=a,rx_pcap=b,infinite_rx=1".into()));
        assert_eq!(vdev.dpdk_name().unwrap(), "net_pcap0");
        assert_eq!(vdev.argument().unwrap(), "--vdev=net_pcap0,rx_pcap=a,rx_pcap=b,infinite_rx=1");
        assert_eq!(vdev.vdev_values("rx_pcap").collect::<Vec<_>>(), ["a", "b"]);
        assert!(vdev.is_looped_capture());
        assert!(!device(DeviceAddress::Vdev("net_pcap0,rx_pcap=a,infinite_rx=0".into())).is_looped_capture());
        for text in ["", ",rx_pcap=a", "net_null0\0"] {
            let error = device(DeviceAddress::Vdev(text.into())).argument().unwrap_err();
            assert_eq!(error, Error::VdevString { device: "wan0".into(), vdev: text.into() });
        }
    }
}
