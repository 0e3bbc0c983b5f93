// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a device can do by itself to the frames that it sends, in DPDK's words.

use dpdk_sys::{SHIM_ETH_TX_IPV4_CKSUM, SHIM_ETH_TX_VLAN_INSERT};

use crate::io::offload::Offloads;

/// What a device with these capabilities (`tx_offload_capa`) can do.
pub(super) fn of_capabilities(capabilities: u64) -> Offloads {
    let has = |capability| capabilities & capability != 0;
    Offloads { checksum: has(SHIM_ETH_TX_IPV4_CKSUM), tag: has(SHIM_ETH_TX_VLAN_INSERT) }
}

/// What to ask of a device, and thereby of all its queues. One that can't do it refuses its whole configuration.
pub(super) fn request(offloads: Offloads) -> u64 {
    let bit = |is_wanted, bit| if is_wanted { bit } else { 0 };
    bit(offloads.checksum, SHIM_ETH_TX_IPV4_CKSUM) | bit(offloads.tag, SHIM_ETH_TX_VLAN_INSERT)
}
