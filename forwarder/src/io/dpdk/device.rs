// SPDX-License-Identifier: MIT OR Apache-2.0
//! One device from probed to running, and back.

use std::borrow::Cow;
use std::ffi::{CStr, c_int};
use std::ptr;

use dpdk_sys::{rte_eth_conf, rte_eth_dev_info};
use rustix::io::Errno;

use super::capture::captured;
use super::error::reason;
use super::pool::{Node, Pool};
use super::spread::{self, Spread};
use super::{DeviceSpec, Error, offload};
use crate::io::buffers::DESCRIPTORS;
use crate::io::hardware::DeviceHealth;
use crate::io::offload::Offloads;
use crate::wire::MacAddr;

/// What DPDK calls a port, since "port" is an L4 port here: the number of a device.
pub(super) type DeviceId = u16;

/// A device that EAL probed. Stopped and closed when dropped.
pub(super) struct Device {
    id: DeviceId,
    mac: MacAddr,
    info: rte_eth_dev_info,
    offloads: Offloads,
}

// SAFETY: DPDK's control functions may be called from any thread, and `&self` calls none that changes the device; the
// pointers in `info` are to a static name and to a bus's own list.
unsafe impl Send for Device {}
// SAFETY: likewise.
unsafe impl Sync for Device {}

impl Device {
    /// Finds the device that `spec` means among those that EAL probed, and checks that `workers` can share it. `log` is what
    /// EAL said while it probed.
    pub(super) fn find(spec: &DeviceSpec, workers: u16, log: &[String]) -> Result<Self, Error> {
        let Some((id, info)) = probed(&spec.dpdk_name()?) else {
            let reason = if log.is_empty() { "DPDK does not know it".to_owned() } else { log.join("; ") };
            return Err(spec.not_probed(reason));
        };
        for (side, available) in [("receive", info.max_rx_queues), ("transmit", info.max_tx_queues)] {
            if available < workers {
                let (device, address) = (spec.name.clone(), spec.text().to_owned());
                return Err(Error::Queues { device, address, side, available, workers });
            }
        }
        let offloads = spec.offloads.and(offload::of_capabilities(info.tx_offload_capa));
        Ok(Self { id, mac: MacAddr::default(), info, offloads })
    }

    /// Gives the device `workers` queues of either kind that receive into `pool`, and starts it.
    ///
    /// `pool` must be dropped after the device, even if this fails.
    pub(super) fn start(&mut self, spec: &DeviceSpec, workers: u16, pool: &Pool) -> Result<(), Error> {
        let setup = Setup { spec, id: self.id };
        let spread = Spread::of(&self.info, workers);
        let spreads = spread.is_some();
        setup.configure(spread, self.offloads, workers)?;
        setup.mtu()?;
        setup.queues(workers, pool)?;
        setup.start()?;
        if spreads {
            setup.spread(self.info.reta_size, workers);
        } else if workers > 1 {
            setup.warn_of_no_spread();
        }
        self.mac = setup.mac()?;
        let (driver, firmware) = (self.driver(), self.firmware());
        let offloads = self.offloads.names();
        tracing::info!(device = spec.name, %driver, firmware, mac = %self.mac, spreads, ?offloads, "started");
        Ok(())
    }

    /// The memory node that it is attached to.
    pub(super) fn node(&self) -> Node {
        // SAFETY: any number will do.
        u32::try_from(unsafe { dpdk_sys::rte_eth_dev_socket_id(self.id) }).ok()
    }

    /// The queue for each hash; empty if it has no such table.
    pub(super) fn spread(&self) -> Vec<u16> {
        spread::read(self.id, self.info.reta_size)
    }

    /// For DPDK's functions.
    pub(super) fn id(&self) -> DeviceId {
        self.id
    }

    /// The device's own address.
    pub(super) fn mac(&self) -> MacAddr {
        self.mac
    }

    /// What it does by itself to what it sends: what was wanted and it can.
    pub(super) fn offloads(&self) -> Offloads {
        self.offloads
    }

    /// Whether there is a link.
    pub(super) fn link_up(&self) -> bool {
        // SAFETY: any number will do.
        unsafe { dpdk_sys::shim_eth_link_up(self.id) }
    }

    /// What the device counts itself; zeros where its driver counts nothing.
    pub(super) fn health(&self) -> DeviceHealth {
        let mut stats = dpdk_sys::rte_eth_stats::default();
        // SAFETY: any number will do; `stats` is a structure to be filled in.
        let code = unsafe { dpdk_sys::rte_eth_stats_get(self.id, &mut stats) };
        if code != 0 {
            stats = dpdk_sys::rte_eth_stats::default();
        }
        DeviceHealth {
            link_up: self.link_up(),
            rx_missed: stats.imissed,
            rx_errors: stats.ierrors,
            rx_no_buffer: stats.rx_nombuf,
            tx_errors: stats.oerrors,
        }
    }

    /// The version of what runs in the device; empty where its driver does not say.
    fn firmware(&self) -> String {
        let mut text = [0_u8; 64];
        // SAFETY: `text` takes as many bytes as said, the NUL among them.
        let code = unsafe { dpdk_sys::rte_eth_dev_fw_version_get(self.id, text.as_mut_ptr().cast(), text.len()) };
        let version = CStr::from_bytes_until_nul(&text).ok().filter(|_| code == 0);
        version.map(|version| version.to_string_lossy().into_owned()).unwrap_or_default()
    }

    fn driver(&self) -> Cow<'static, str> {
        if self.info.driver_name.is_null() {
            return Cow::default();
        }
        // SAFETY: the driver's own name, which is static.
        unsafe { CStr::from_ptr(self.info.driver_name) }.to_string_lossy()
    }
}

impl Drop for Device {
    fn drop(&mut self) {
        // SAFETY: any number will do; no thread polls the device, since whoever polls keeps it alive.
        unsafe { dpdk_sys::rte_eth_dev_stop(self.id) };
        // SAFETY: likewise.
        unsafe { dpdk_sys::rte_eth_dev_close(self.id) };
    }
}

/// The device that came of `name`. Drivers may name their ports differently (net_ring does, and NICs with several ports),
/// so it goes by the device behind the port; the first port of several.
fn probed(name: &str) -> Option<(DeviceId, rte_eth_dev_info)> {
    let mut next: DeviceId = 0;
    loop {
        // SAFETY: any number will do.
        let id = unsafe { dpdk_sys::rte_eth_find_next(next) };
        if u32::from(id) >= dpdk_sys::RTE_MAX_ETHPORTS {
            return None;
        }
        let mut info = rte_eth_dev_info::default();
        // SAFETY: `info` is a structure to be filled in.
        let code = unsafe { dpdk_sys::rte_eth_dev_info_get(id, &mut info) };
        if code == 0 && !info.device.is_null() {
            // SAFETY: a device that DPDK just named.
            let device = unsafe { dpdk_sys::rte_dev_name(info.device) };
            // SAFETY: the device's name, NUL-terminated, which lives as long as the device.
            if unsafe { CStr::from_ptr(device) }.to_bytes() == name.as_bytes() {
                return Some((id, info));
            }
        }
        next = id + 1;
    }
}

/// The steps that bring up one device; each turns the driver's code and words into an error.
struct Setup<'a> {
    spec: &'a DeviceSpec,
    id: DeviceId,
}

impl Setup<'_> {
    /// What is asked for holds for all queues. Of what is received nothing is: tags are to stay. MBUF_FAST_FREE wants all buffers of
    /// a queue from one pool, which large frames don't come from.
    fn configure(&self, mut spread: Option<Spread>, offloads: Offloads, workers: u16) -> Result<(), Error> {
        let mut conf = rte_eth_conf::default();
        conf.txmode.offloads = offload::request(offloads);
        if let Some(spread) = &mut spread {
            spread.ask(&mut conf);
        }
        // SAFETY: `conf` is copied, and so is the key that it points to, which lives until then.
        self.step("be configured", || unsafe { dpdk_sys::rte_eth_dev_configure(self.id, workers, workers, &conf) })
    }

    fn mtu(&self) -> Result<(), Error> {
        let mtu = self.spec.mtu;
        // SAFETY: any numbers will do.
        let (code, log) = captured(|| unsafe { dpdk_sys::rte_eth_dev_set_mtu(self.id, mtu) });
        // Drivers without the operation (pcap, ring, memif, vhost) carry what a buffer holds.
        if code == 0 || code == -Errno::OPNOTSUPP.raw_os_error() {
            return Ok(());
        }
        let (device, address) = (self.spec.name.clone(), self.spec.text().to_owned());
        Err(Error::Mtu { device, address, mtu, reason: reason(&log, code) })
    }

    fn queues(&self, workers: u16, pool: &Pool) -> Result<(), Error> {
        let (mut receive, mut transmit) = (DESCRIPTORS, DESCRIPTORS);
        // SAFETY: two numbers to be changed.
        let adjust = || unsafe { dpdk_sys::rte_eth_dev_adjust_nb_rx_tx_desc(self.id, &mut receive, &mut transmit) };
        self.step("say how long its queues may be", adjust)?;
        // SAFETY: any number will do. What it returns for "no socket in particular" becomes u32::MAX, as queues want it.
        let socket = unsafe { dpdk_sys::rte_eth_dev_socket_id(self.id) }.cast_unsigned();
        for queue in 0..workers {
            // SAFETY: a null configuration stands for the driver's own, and the pool outlives the device.
            let setup = || unsafe {
                dpdk_sys::rte_eth_rx_queue_setup(self.id, queue, receive, socket, ptr::null(), pool.as_ptr())
            };
            self.step("set up a receive queue", setup)?;
            // SAFETY: a null configuration stands for the driver's own.
            let setup = || unsafe { dpdk_sys::rte_eth_tx_queue_setup(self.id, queue, transmit, socket, ptr::null()) };
            self.step("set up a transmit queue", setup)?;
        }
        Ok(())
    }

    fn start(&self) -> Result<(), Error> {
        // SAFETY: any number will do.
        self.step("start", || unsafe { dpdk_sys::rte_eth_dev_start(self.id) })?;
        // Neighbour discovery comes to multicast addresses, and the kernel is to see it. Unicast filtering stays on.
        // SAFETY: any number will do.
        let (code, log) = captured(|| unsafe { dpdk_sys::rte_eth_allmulticast_enable(self.id) });
        if code != 0 {
            tracing::debug!(device = self.spec.name, reason = reason(&log, code), "device can't take all multicast");
        }
        Ok(())
    }

    /// Gives every worker its share. A device that takes no table of ours has one that its driver made.
    fn spread(&self, size: u16, workers: u16) {
        if size == 0 {
            return;
        }
        let (code, log) = captured(|| spread::fill(self.id, size, workers));
        if code != 0 {
            let (device, reason) = (&self.spec.name, reason(&log, code));
            tracing::warn!(device, reason, "device keeps its own table of hashes: workers may get unequal shares");
        }
    }

    fn warn_of_no_spread(&self) {
        let device = &self.spec.name;
        if self.spec.is_pci() {
            tracing::warn!(device, "device does not spread flows (no RSS): all may come to one worker");
        } else {
            tracing::info!(device, "device does not spread flows: which worker gets what is its peer's choice");
        }
    }

    fn mac(&self) -> Result<MacAddr, Error> {
        let mut address = dpdk_sys::rte_ether_addr::default();
        // SAFETY: a structure to be filled in.
        self.step("tell its address", || unsafe { dpdk_sys::rte_eth_macaddr_get(self.id, &mut address) })?;
        Ok(MacAddr(address.addr_bytes))
    }

    fn step(&self, step: &'static str, work: impl FnOnce() -> c_int) -> Result<(), Error> {
        let (code, log) = captured(work);
        if code == 0 {
            return Ok(());
        }
        let hint = if self.spec.is_looped_capture() {
            "a capture with infinite_rx stays in memory: give DPDK more with -m in eal.args, or take a shorter one"
        } else {
            "check its address and its driver's arguments"
        };
        let (device, address) = (self.spec.name.clone(), self.spec.text().to_owned());
        Err(Error::Setup { device, address, step, reason: reason(&log, code), hint })
    }
}
