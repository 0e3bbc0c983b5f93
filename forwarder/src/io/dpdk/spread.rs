// SPDX-License-Identifier: MIT OR Apache-2.0
//! How a device spreads flows over the workers' queues: receive side scaling, where it has that.
//!
//! By addresses, and by ports where a packet shows them; fragments by addresses alone, all of them alike. Where a device tells
//! the first fragment from the others, workers hand fragments to one another anyway.

use dpdk_sys::{rte_eth_conf, rte_eth_dev_info, rte_eth_rss_reta_entry64};
use rustix::rand::{GetRandomFlags, getrandom};

use super::device::DeviceId;

/// Entries in one group of the table from hash to queue.
const GROUP: u16 = 64;

/// What a device is asked for.
pub(super) struct Spread {
    flows: u64,
    key: Vec<u8>,
}

impl Spread {
    /// For `workers` queues of a device that can do what `info` says; none for one queue, or if it can't spread anything.
    pub(super) fn of(info: &rte_eth_dev_info, workers: u16) -> Option<Self> {
        let wanted = dpdk_sys::SHIM_ETH_RSS_IP
            | dpdk_sys::SHIM_ETH_RSS_TCP
            | dpdk_sys::SHIM_ETH_RSS_UDP
            | dpdk_sys::SHIM_ETH_RSS_SCTP;
        let flows = wanted & info.flow_type_rss_offloads;
        (workers > 1 && flows != 0).then(|| Self { flows, key: key(info.hash_key_size.into()) })
    }

    /// Puts it into the configuration of the device, which points to `self` from then on.
    pub(super) fn ask(&mut self, conf: &mut rte_eth_conf) {
        conf.rxmode.mq_mode = dpdk_sys::rte_eth_rx_mq_mode_RTE_ETH_MQ_RX_RSS;
        conf.rx_adv_conf.rss_conf.rss_hf = self.flows;
        if !self.key.is_empty() {
            // As long as the device's own, whose length is a byte.
            conf.rx_adv_conf.rss_conf.rss_key_len = self.key.len() as u8;
            conf.rx_adv_conf.rss_conf.rss_key = self.key.as_mut_ptr();
        }
    }
}

/// A key that nobody knows: with a driver's published one anybody could aim all flows at one worker. None, which leaves the
/// driver its own, if the system has nothing random.
fn key(len: usize) -> Vec<u8> {
    let mut key = vec![0; len];
    match getrandom(&mut key, GetRandomFlags::NONBLOCK) {
        Ok(filled) if filled == len => key,
        _ => Vec::new(),
    }
}

/// Fills the table from hash to queue of a running device, whose number of entries is `size`, by turns. Returns DPDK's code: drivers
/// without such a table have an order of their own.
pub(super) fn fill(id: DeviceId, size: u16, workers: u16) -> i32 {
    let mut table = table(size);
    for (index, queue) in (0..size).zip((0..workers).cycle()) {
        if let Some(entry) = entry(&mut table, index) {
            *entry = queue;
        }
    }
    // SAFETY: `table` has room for `size` entries; any numbers will do.
    unsafe { dpdk_sys::rte_eth_dev_rss_reta_update(id, table.as_mut_ptr(), size) }
}

/// The queue for each hash, as the device has it; empty if it does not say.
pub(super) fn read(id: DeviceId, size: u16) -> Vec<u16> {
    let mut table = table(size);
    // SAFETY: likewise.
    let code = unsafe { dpdk_sys::rte_eth_dev_rss_reta_query(id, table.as_mut_ptr(), size) };
    let entries = if code == 0 { 0..size } else { 0..0 };
    entries.filter_map(|index| entry(&mut table, index).copied()).collect()
}

/// Whole groups, all of whose entries count.
fn table(size: u16) -> Vec<rte_eth_rss_reta_entry64> {
    let group = || rte_eth_rss_reta_entry64 { mask: u64::MAX, ..Default::default() };
    (0..size.div_ceil(GROUP)).map(|_| group()).collect()
}

fn entry(table: &mut [rte_eth_rss_reta_entry64], index: u16) -> Option<&mut u16> {
    table.get_mut(usize::from(index / GROUP))?.reta.get_mut(usize::from(index % GROUP))
}
