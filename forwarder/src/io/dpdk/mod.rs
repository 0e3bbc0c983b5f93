// SPDX-License-Identifier: MIT OR Apache-2.0
//! The DPDK backend: the only place of this crate that touches `dpdk-sys`.
//!
//! [`Dpdk::start`] starts EAL with the configured devices, makes the buffer pools and brings every device up with a queue
//! pair for each worker; [`Dpdk::queues`] hands those out, one [`DpdkIo`] a worker. Everything that can fail fails there, with
//! an [`Error`] that says what to do; what is left for the datapath can't.
//!
//! Ownership: a [`Mbuf`] is one buffer and gives it back when dropped; transmitting gives it away. Devices are closed, then
//! pools freed, then EAL ended, when [`Dpdk`] and all [`DpdkIo`] are gone; if somebody still owns a buffer then, its memory
//! stays mapped.
//!
//! DPDK is one a process, for its whole life. Enumerate cores before it starts (see `eal`), and start it before other
//! threads write to standard error (see `capture`).
#![allow(unsafe_code, reason = "the wrapper around the foreign interface is what is safe")]

mod address;
mod arguments;
mod capture;
mod device;
mod eal;
mod error;
mod log;
mod mbuf;
mod nodes;
mod offload;
mod pool;
mod queues;
mod spread;

use std::io::PipeReader;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

pub use address::{DeviceAddress, DeviceSpec};
pub use error::Error;
pub use mbuf::Mbuf;
pub use queues::DpdkIo;

use crate::io::DeviceIndex;
use crate::io::buffers::Demand;
use crate::io::hardware::{Hardware, Probe};
use crate::io::offload::Offloads;
use crate::wire::MacAddr;

/// What DPDK takes for the program's name, and puts before messages of getopt.
const PROGRAM: &str = "sluiced";

/// As many queues as DPDK gives a device at most.
const MAX_WORKERS: u16 = 1024;

/// Between two looks whether there is a link by now.
const LINK_INTERVAL: Duration = Duration::from_millis(20);

/// The devices and what they stand on. The order of the fields is that of dropping.
struct Running {
    devices: Vec<device::Device>,
    /// One for each memory node that devices are attached to; at least one.
    frames: Vec<pool::Pool>,
    large: pool::Pool,
    _eal: eal::Eal,
}

impl Running {
    fn hardware(&self) -> Hardware {
        Hardware {
            devices: self.devices.iter().map(device::Device::health).collect(),
            pools: self.pools().map(pool::Pool::report).collect(),
        }
    }

    fn pools(&self) -> impl Iterator<Item = &pool::Pool> {
        self.frames.iter().chain([&self.large])
    }
}

/// DPDK with all devices running.
pub struct Dpdk {
    running: Arc<Running>,
    /// What [`Self::queues`] has yet to hand out.
    queues: Vec<DpdkIo>,
    /// What [`Self::log`] has yet to hand out.
    log: Option<PipeReader>,
}

impl Dpdk {
    /// Starts EAL and `devices`, each with `workers` queue pairs, for bursts of `burst` frames, with buffers to spare for `kept`
    /// frames that the workers keep for a while.
    ///
    /// `eal_args` are the user's; arguments for the devices, and for what the user leaves open, are added. The files that
    /// a vdev names are relative to the working directory.
    pub fn start(
        eal_args: &[String],
        devices: &[DeviceSpec],
        workers: usize,
        burst: usize,
        kept: usize,
    ) -> Result<Self, Error> {
        let count = u16::try_from(workers).ok().filter(|count| (1..=MAX_WORKERS).contains(count));
        let workers = count.ok_or(Error::Workers(workers))?;
        let [burst, kept] = [burst, kept].map(|frames| u32::try_from(frames).unwrap_or(u32::MAX));
        let demand = Demand { workers: workers.into(), burst, kept };
        let (eal, said) = eal::Eal::start(eal_args, devices)?;
        let found =
            devices.iter().map(|device| device::Device::find(device, workers, &said)).collect::<Result<Vec<_>, _>>()?;
        let large = pool::Pool::large(demand)?;
        let nodes = nodes::Nodes::new(found.iter().map(device::Device::node), eal.has_several_nodes());
        let frames = nodes.pools(devices, demand)?;
        // Together before anything starts: if that fails, they are dropped in the right order.
        let mut running = Running { devices: found, frames, large, _eal: eal };
        for ((device, spec), pool) in running.devices.iter_mut().zip(devices).zip(nodes.of_devices) {
            if let Some(pool) = running.frames.get(pool) {
                device.start(spec, workers, pool)?;
            }
        }
        for line in said {
            tracing::warn!("DPDK: {line}");
        }
        let log = log::divert().inspect_err(|error| tracing::warn!("DPDK's log stays on standard error: {error}"));
        let running = Arc::new(running);
        let queues = (0..workers).map(|queue| DpdkIo::new(Arc::clone(&running), queue)).collect();
        Ok(Self { running, queues, log: log.ok() })
    }

    /// Waits for the links of `devices`, those that were started, each as long as it says, for all at the same time, and while
    /// `is_wanted`: without an error if not any more.
    pub fn wait_for_links(&self, devices: &[DeviceSpec], is_wanted: impl Fn() -> bool) -> Result<(), Error> {
        let start = Instant::now();
        for (device, spec) in self.running.devices.iter().zip(devices).filter(|(_, spec)| !spec.link_wait.is_zero()) {
            while !device.link_up() && is_wanted() {
                if start.elapsed() >= spec.link_wait {
                    let (device, address) = (spec.name.clone(), spec.text().to_owned());
                    return Err(Error::NoLink { device, address, seconds: spec.link_wait.as_secs() });
                }
                thread::sleep(LINK_INTERVAL);
            }
        }
        Ok(())
    }

    /// The device's own address; all zero if there is no such device.
    pub fn mac(&self, device: DeviceIndex) -> MacAddr {
        self.device(device).map(device::Device::mac).unwrap_or_default()
    }

    /// Whether the device has a link now. A memif device has none until its peer connects.
    pub fn link_up(&self, device: DeviceIndex) -> bool {
        self.device(device).is_some_and(device::Device::link_up)
    }

    /// The memory node that the device is attached to, if it says so.
    pub fn node(&self, device: DeviceIndex) -> Option<u32> {
        self.device(device).and_then(device::Device::node)
    }

    /// What the device does by itself to what it sends; nothing if there is no such device.
    pub fn offloads(&self, device: DeviceIndex) -> Offloads {
        self.device(device).map(device::Device::offloads).unwrap_or_default()
    }

    /// The queue for each hash, from the device's own table; empty if it has none.
    pub fn spread(&self, device: DeviceIndex) -> Vec<u16> {
        self.device(device).map(device::Device::spread).unwrap_or_default()
    }

    /// The queues, one [`DpdkIo`] for each worker; none when called again.
    pub fn queues(&mut self) -> Vec<DpdkIo> {
        std::mem::take(&mut self.queues)
    }

    /// What DPDK says from now on, to be read and bounded by whoever logs it; none when called again.
    pub fn log(&mut self) -> Option<PipeReader> {
        self.log.take()
    }

    /// Asks the devices and pools from any thread. Does not keep them running: when they are gone it says nothing.
    pub fn probe(&self) -> Probe {
        let running = Arc::downgrade(&self.running);
        Box::new(move || running.upgrade().as_deref().map(Running::hardware).unwrap_or_default())
    }

    /// Buffers that somebody owns: a worker, a device's queue, a looped capture. Exact only while no worker runs.
    pub fn buffers_in_use(&self) -> usize {
        self.running.pools().map(|pool| pool.in_use() as usize).sum()
    }

    fn device(&self, device: DeviceIndex) -> Option<&device::Device> {
        self.running.devices.get(usize::from(device.0))
    }
}
