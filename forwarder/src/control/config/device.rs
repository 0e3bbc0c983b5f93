// SPDX-License-Identifier: MIT OR Apache-2.0
//! The tables `device`.

use std::time::Duration;

use super::read::MAX_CORE;
use super::section::Section;
use super::{Address, Device, Purpose, values};

/// IP MTU of plain Ethernet.
const DEFAULT_MTU: u16 = 1500;
/// An IPv4 link carries at least this (RFC 791).
const MIN_MTU: i64 = 68;
/// Seconds: negotiating a link takes a NIC some of them. A virtual device may well have to wait for its peer.
const DEFAULT_LINK_WAIT: u64 = 10;
/// As many as DPDK is built for (`RTE_MAX_ETHPORTS`).
const MAX_DEVICES: usize = 32;

/// All of them.
pub(super) fn devices(top: &Section<'_>, sections: Vec<Section<'_>>, workers: usize, purpose: Purpose) -> Vec<Device> {
    if sections.is_empty() && !top.has("device") {
        top.missing("device", "give at least one [[device]]");
    }
    if sections.len() > MAX_DEVICES {
        top.complain("device", format!("{} devices; at most {MAX_DEVICES} are possible", sections.len()));
    }
    let mut devices: Vec<Device> = Vec::new();
    for section in sections {
        devices.extend(device(section, &devices, workers, purpose));
    }
    devices
}

fn device(mut section: Section<'_>, before: &[Device], workers: usize, purpose: Purpose) -> Option<Device> {
    let name = section.parse("name", "a string", values::name);
    if !section.has("name") {
        section.missing("name", "give the device a name");
    }
    if before.iter().any(|other| Some(&other.name) == name.as_ref()) {
        section.complain("name", "another device has this name");
    }
    let vdev = section.parse("vdev", "a string", values::vdev).map(Address::Vdev);
    let pci = section.parse("pci", "a PCI address", values::pci).map(Address::Pci);
    match (section.has("vdev"), section.has("pci")) {
        (true, true) => section.complain("pci", "give either vdev or pci, not both"),
        (false, false) if purpose == Purpose::Daemon => section.missing("vdev", "give the device's vdev or pci"),
        _ => {}
    }
    let address = vdev.or(pci);
    if address.is_some() && before.iter().any(|other| same_device(other.address.as_ref(), address.as_ref())) {
        let key = if section.has("vdev") { "vdev" } else { "pci" };
        section.complain(key, "another [[device]] is this one already");
    }
    let mac = section.parse("mac", "a MAC address", values::mac);
    if mac.is_some_and(|mac| mac.0 == [0; 6]) {
        section.complain("mac", "the zero address can't be a device's own");
    }
    let kernel = section.parse("kernel", "an interface name", values::interface);
    if kernel.is_some() && before.iter().any(|other| other.kernel == kernel) {
        section.complain("kernel", "another device has this interface");
    }
    let next_hop = section.parse("next_hop_mac", "a MAC address", values::mac);
    let queues: Option<usize> = section.integer("queues", 1..=MAX_CORE + 1);
    if let (Some(queues), Purpose::Daemon, 1..) = (queues, purpose, workers)
        && queues != workers
    {
        section.complain("queues", format!("{queues} is not the number of workers, {workers}; leave it out"));
    }
    let patience = if section.has("pci") { DEFAULT_LINK_WAIT } else { 0 };
    let link_wait = Duration::from_secs(section.integer("link_wait", 0..=3600).unwrap_or(patience));
    let device = Device {
        name: name.unwrap_or_default(),
        address,
        mtu: section.integer("mtu", MIN_MTU..=65_535).unwrap_or(DEFAULT_MTU),
        next_hop,
        mac,
        kernel,
        vlan: section.integer("vlan", 1..=4094),
        gue: section.boolean("gue").unwrap_or(true),
        link_wait,
        offload: section.parse("offload", "\"auto\" or \"off\"", values::offload).unwrap_or(true),
    };
    section.finish();
    Some(device)
}

/// Whether two addresses name one device: for a virtual one the arguments don't count.
fn same_device(one: Option<&Address>, other: Option<&Address>) -> bool {
    let first = |text: &str| text.split(',').next().unwrap_or_default().to_owned();
    let name = |address: &Address| match address {
        Address::Vdev(text) => first(text),
        Address::Pci(text) => first(text.strip_prefix("0000:").unwrap_or(text)).to_ascii_lowercase(),
    };
    one.map(name) == other.map(name)
}
