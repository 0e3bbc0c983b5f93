// SPDX-License-Identifier: MIT OR Apache-2.0
//! The forwarder's configuration file (contract section 2): TOML, read and checked as a whole.

pub mod common;
mod device;
mod problem;
mod read;
pub mod section;
mod service;
#[cfg(test)]
mod tests;
pub mod values;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tables::table::Viewpoint;

pub use self::problem::{ConfigError, Problem};
pub use self::service::{Process, Readiness};
use crate::control::guards::Guards;
use crate::control::log::Log;
use crate::io::offload::Offloads;
use crate::kernel::police::Budgets;
use crate::settings::{self, Dscp, FragmentLimits, Icmp, Settings, Underlay};
use crate::wire::MacAddr;

/// The control socket's path unless the configuration says otherwise.
pub const DEFAULT_SOCKET: &str = "/run/sluice/control.sock";

/// The key of the flow hash unless the configuration says otherwise. Everybody knows it: see [`Config::warnings`].
pub const DEFAULT_FLOW_KEY: [u8; 16] =
    [0x00, 0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77, 0x88, 0x99, 0xaa, 0xbb, 0xcc, 0xdd, 0xee, 0xff];

/// What a configuration is read for: it decides which keys must be there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// For `sluiced`: devices with an address, and workers.
    Daemon,
    /// For `sluice replay`: devices need no address, and there need be no workers.
    Replay,
}

/// A whole configuration; paths are resolved, every value is valid.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// The file it was read from.
    pub file: PathBuf,
    /// The data centre from whose point of view the table is compiled.
    pub datacenter: String,
    /// The table to load at start.
    pub table: PathBuf,
    /// Own addresses and the GUE port.
    pub underlay: Underlay,
    /// The 128-bit key of the flow hash, its bytes in the order written.
    pub flow_key: [u8; 16],
    /// Whose process it is.
    pub process: Process,
    /// How routing daemons see that it is in service.
    pub readiness: Readiness,
    /// Where the outer DSCP comes from.
    pub dscp: Dscp,
    /// The devices, in the order of the file; at least one.
    pub devices: Vec<Device>,
    /// Who polls them.
    pub workers: Workers,
    /// Arguments for DPDK's environment.
    pub eal_args: Vec<String>,
    /// Messages that the forwarder sends by itself.
    pub icmp: Icmp,
    /// How much is remembered of fragments.
    pub fragments: FragmentLimits,
    /// How much passes between the devices and the kernel.
    pub kernel: Budgets,
    /// The control socket.
    pub control: Control,
    /// How much one change may do.
    pub guards: Guards,
    /// What is kept for a restart.
    pub state: State,
    /// What Prometheus gets.
    pub metrics: Metrics,
    /// The log.
    pub log: Log,
}

/// Where a device is found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Address {
    /// A virtual device: driver, a number, and its arguments.
    Vdev(String),
    /// A NIC's PCI address.
    Pci(String),
}

/// One element of `device` in the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Device {
    /// Its name here.
    pub name: String,
    /// Where it is; only a replay may do without.
    pub address: Option<Address>,
    /// Largest outer IP packet that may leave.
    pub mtu: u16,
    /// Destination MAC of what leaves.
    pub next_hop: Option<MacAddr>,
    /// Source MAC of what leaves, instead of the device's own.
    pub mac: Option<MacAddr>,
    /// TAP interface towards the kernel.
    pub kernel: Option<String>,
    /// 802.1Q tag of what leaves.
    pub vlan: Option<u16>,
    /// Whether GUE from peers may arrive here.
    pub gue: bool,
    /// How long it may take at the start to have a link; zero if it may start without one.
    pub link_wait: Duration,
    /// Whether it is asked to do by itself what it can of what it sends.
    pub offload: bool,
}

impl Device {
    /// What is wanted of it by a forwarder with the addresses of `underlay`.
    pub fn wanted_offloads(&self, underlay: &Underlay) -> Offloads {
        Offloads { checksum: self.offload && underlay.ipv4.is_some(), tag: self.offload && self.vlan.is_some() }
    }
}

/// The table `workers` of the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Workers {
    /// One worker on each of these cores.
    pub cores: Vec<usize>,
    /// Frames that a worker takes at once, 1–256.
    pub burst: usize,
    /// What a worker does while nothing comes.
    pub idle: Idle,
}

/// What a worker does while nothing comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Idle {
    /// It polls on.
    #[default]
    Poll,
    /// It sleeps between polls, for some microseconds.
    Sleep,
}

/// The table `control` of the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Control {
    /// Path of the control socket.
    pub socket: PathBuf,
    /// Users that may change what runs, beside root and the daemon's own.
    pub change_uids: Vec<u32>,
    /// Groups whose members (by effective group) may change what runs.
    pub change_gids: Vec<u32>,
    /// Users that may look. With neither this nor [`Self::look_gids`], whoever can open the socket may.
    pub look_uids: Option<Vec<u32>>,
    /// Groups whose members (by effective group) may look.
    pub look_gids: Option<Vec<u32>>,
}

/// The table `state` of the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct State {
    /// Where it is kept.
    pub folder: PathBuf,
    /// How many generations; 0 keeps nothing.
    pub generations: usize,
}

/// The table `metrics` of the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Metrics {
    /// Where Prometheus may ask.
    pub listen: Option<SocketAddr>,
    /// How many servers and data centres have metrics of their own.
    pub targets: usize,
}

impl Config {
    /// Reads a configuration file.
    pub fn load(file: &Path, purpose: Purpose) -> Result<Self, ConfigError> {
        match std::fs::read(file) {
            Ok(bytes) => Self::parse(&bytes, file, purpose),
            Err(error) => Err(ConfigError::Read { file: file.to_owned(), error }),
        }
    }

    /// Reads the content of the configuration file `file`, to whose directory relative paths refer.
    pub fn parse(content: &[u8], file: &Path, purpose: Purpose) -> Result<Self, ConfigError> {
        read::config(content, file, purpose)
            .map_err(|problems| ConfigError::Content { file: file.to_owned(), problems })
    }

    /// Whether next hops are the kernel's to find: no device has one configured, and some device has an interface there.
    pub fn follows_kernel(&self) -> bool {
        let mut devices = self.devices.iter();
        devices.clone().all(|device| device.next_hop.is_none()) && devices.any(|device| device.kernel.is_some())
    }

    /// From where this forwarder looks at the table.
    pub fn viewpoint(&self) -> Viewpoint {
        Viewpoint { datacenter: self.datacenter.clone(), ipv4: self.underlay.ipv4, ipv6: self.underlay.ipv6 }
    }

    /// What the datapath is told. `macs` are the devices' own addresses, in order; a device beyond them that has none
    /// configured gets the zero address.
    pub fn settings(&self, macs: &[MacAddr]) -> Settings {
        let device = |(index, device): (usize, &Device)| settings::Device {
            name: device.name.clone(),
            mtu: device.mtu,
            mac: device.mac.or_else(|| macs.get(index).copied()).unwrap_or_default(),
            next_hop: device.next_hop,
            vlan: device.vlan,
            kernel_path: device.kernel.is_some(),
            gue: device.gue,
            offloads: Offloads::default(),
        };
        Settings {
            underlay: self.underlay.clone(),
            flow_key: self.flow_key,
            dscp: self.dscp,
            icmp: self.icmp.clone(),
            devices: self.devices.iter().enumerate().map(device).collect(),
            fragments: self.fragments,
            workers: self.workers.cores.len(),
            unknown_next_hop: None,
        }
    }

    /// What an operator should know before relying on this configuration, one line each.
    pub fn warnings(&self) -> Vec<String> {
        let mut warnings = Vec::new();
        if self.flow_key == DEFAULT_FLOW_KEY {
            let text = "underlay.flow_key is the published default: anybody can aim flows at one queue; \
                        set the same secret key of 32 hex digits on all forwarders";
            warnings.push(text.to_owned());
        }
        if self.devices.iter().all(|device| device.next_hop.is_none() && device.kernel.is_none()) {
            let text = "no device has a next_hop_mac, nor an interface (kernel) for the kernel to find next hops by: \
                        every forwarded packet is dropped as next_hop_unresolved";
            warnings.push(text.to_owned());
        }
        warnings
    }
}
