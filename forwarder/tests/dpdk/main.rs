// SPDX-License-Identifier: MIT OR Apache-2.0
//! The DPDK backend on virtual devices: no NIC, no huge pages, no root.
#![cfg(feature = "dpdk")]
#![allow(missing_docs, reason = "tests")]
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test stops at the first surprise")]

mod capture;
mod devices;
mod failures;
mod isolated;
mod lifetimes;
mod memif;
mod offloads;
mod traffic;

use std::time::Duration;

use forwarder::io::dpdk::{DeviceAddress, DeviceSpec, Dpdk, Error};
use forwarder::io::offload::Offloads;

/// The arguments of the contract's sample configuration, with less memory: many of these run at once.
const EAL: [&str; 4] = ["--no-huge", "-m", "128", "--no-pci"];

fn device(name: &str, vdev: &str) -> DeviceSpec {
    let address = DeviceAddress::Vdev(vdev.into());
    DeviceSpec { name: name.into(), address, mtu: 1600, link_wait: Duration::ZERO, offloads: Offloads::default() }
}

fn strings(arguments: &[&str]) -> Vec<String> {
    arguments.iter().map(|argument| (*argument).to_owned()).collect()
}

/// One worker, one device, bursts of 64.
fn start(vdev: &str) -> Result<Dpdk, Error> {
    Dpdk::start(&strings(&EAL), &[device("wan0", vdev)], 1, 64, 0)
}
