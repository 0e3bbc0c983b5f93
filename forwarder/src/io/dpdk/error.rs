// SPDX-License-Identifier: MIT OR Apache-2.0
//! What can go wrong between a configuration and running devices, each with what the user can do about it.
//!
//! C's return codes end here: nothing above this module sees one.

use std::ffi::{CStr, c_int};

/// DPDK did not start, or a device did not.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// DPDK can be started once in the life of a process.
    #[error("DPDK was started before in this process, and it starts only once: run another process")]
    AlreadyStarted,
    /// An argument that can't be handed on.
    #[error("eal.args: {argument:?} {problem}")]
    Argument {
        /// As the user wrote it.
        argument: String,
        /// What is wrong, and what to do.
        problem: &'static str,
    },
    /// No worker, or more than there can be queues.
    #[error("{0} workers: give workers.cores at least 1 core and at most {max}", max = super::MAX_WORKERS)]
    Workers(usize),
    /// Not an address on a PCI bus.
    #[error("device {device:?}: {address:?} is not a PCI address such as 0000:3b:00.0 (`lspci -D` lists them)")]
    PciAddress {
        /// The device's name in the configuration.
        device: String,
        /// As the user wrote it.
        address: String,
    },
    /// A vdev string without a driver's name, or with a NUL byte.
    #[error("device {device:?}: {vdev:?} is not a vdev such as \"net_pcap0,rx_pcap=in.pcap,tx_pcap=out.pcap\"")]
    VdevString {
        /// The device's name in the configuration.
        device: String,
        /// As the user wrote it.
        vdev: String,
    },
    /// Two entries for one device.
    #[error("devices {first:?} and {second:?} are both {address:?}: give each its own vdev name or PCI address")]
    SameAddress {
        /// The earlier entry's name.
        first: String,
        /// The later entry's name.
        second: String,
        /// What both say.
        address: String,
    },
    /// A PCI device, and an argument that forbids them.
    #[error("device {device:?} is on the PCI bus, but eal.args has --no-pci: take it out")]
    NoPci {
        /// The device's name in the configuration.
        device: String,
    },
    /// `rte_eal_init` failed.
    #[error("DPDK did not start: {reason}; {hint}")]
    Eal {
        /// What EAL said.
        reason: String,
        /// What to look at.
        hint: &'static str,
    },
    /// EAL took fewer arguments than there are.
    #[error("eal.args: DPDK made nothing of {0:?}: options begin with a dash, and their values follow them")]
    Unread(String),
    /// No driver took the device.
    #[error("device {device:?} ({address}) did not come up: {reason}; {hint}")]
    NotProbed {
        /// The device's name in the configuration.
        device: String,
        /// Its vdev string or PCI address.
        address: String,
        /// What the driver said.
        reason: String,
        /// What to look at.
        hint: &'static str,
    },
    /// Fewer queues than workers.
    #[error(
        "device {device:?} ({address}) has {available} {side} queue(s) for {workers} worker(s), which need one each: \
         take fewer workers.cores, or give the device more queues"
    )]
    Queues {
        /// The device's name in the configuration.
        device: String,
        /// Its vdev string or PCI address.
        address: String,
        /// "receive" or "transmit".
        side: &'static str,
        /// How many it has.
        available: u16,
        /// How many are needed.
        workers: u16,
    },
    /// The device refuses the configured MTU.
    #[error("device {device:?} ({address}) does not take an MTU of {mtu}: {reason}; lower `mtu` of the device")]
    Mtu {
        /// The device's name in the configuration.
        device: String,
        /// Its vdev string or PCI address.
        address: String,
        /// The configured MTU.
        mtu: u16,
        /// What the driver said.
        reason: String,
    },
    /// No link in time.
    #[error(
        "device {device:?} ({address}) has no link after {seconds} s: check its cable and its peer, or set link_wait = 0 \
         to start without one"
    )]
    NoLink {
        /// The device's name in the configuration.
        device: String,
        /// Its vdev string or PCI address.
        address: String,
        /// How long it was waited for.
        seconds: u64,
    },
    /// No memory for the packet buffers.
    #[error(
        "no memory for {buffers} packet buffers of {size} bytes, {megabytes} MB in all: {reason}; \
         give DPDK more with -m MEGABYTES in eal.args, or huge pages"
    )]
    Pool {
        /// How many are needed at least.
        buffers: u32,
        /// Bytes of data in each.
        size: u16,
        /// What they come to.
        megabytes: u64,
        /// What DPDK said.
        reason: String,
    },
    /// A step between probing a device and running it failed.
    #[error("device {device:?} ({address}) can't {step}: {reason}; {hint}")]
    Setup {
        /// The device's name in the configuration.
        device: String,
        /// Its vdev string or PCI address.
        address: String,
        /// The step, as a verb.
        step: &'static str,
        /// What the driver said.
        reason: String,
        /// What to look at.
        hint: &'static str,
    },
}

/// What DPDK said about a failure: its log if there is any, else the meaning of `code` (an errno, of either sign).
pub(super) fn reason(log: &[String], code: c_int) -> String {
    if log.is_empty() { strerror(code) } else { log.join("; ") }
}

/// The calling thread's `rte_errno`.
pub(super) fn errno() -> c_int {
    // SAFETY: reads a thread-local integer.
    unsafe { dpdk_sys::shim_errno() }
}

fn strerror(code: c_int) -> String {
    // SAFETY: takes any number of either sign, and returns a string of the calling thread or a static one.
    let text = unsafe { dpdk_sys::rte_strerror(code.saturating_abs()) };
    // SAFETY: never null, NUL-terminated, and copied before this thread asks again.
    unsafe { CStr::from_ptr(text) }.to_string_lossy().into_owned()
}
