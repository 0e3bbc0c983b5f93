// SPDX-License-Identifier: MIT OR Apache-2.0
//! Raw bindings to an installed libdpdk: what `forwarder::io::dpdk` calls and nothing else, with no policy.
//!
//! Names are DPDK's own. Those that begin with `shim_` and `SHIM_` stand for something that bindgen can't reach; `shim.h`
//! says for each of them what and why. All functions are as unsafe as C; the safe wrapper is in `forwarder`.
#![allow(unsafe_code, reason = "this crate is the foreign interface")]

pub use bindings::*;

#[allow(missing_docs, reason = "generated: DPDK's headers document them")]
#[allow(non_camel_case_types, non_snake_case, non_upper_case_globals, reason = "generated: names are C's")]
#[allow(unreachable_pub, dead_code, reason = "generated: what the allowed items mention comes along")]
#[allow(clippy::all, clippy::undocumented_unsafe_blocks, reason = "generated")]
#[allow(clippy::multiple_unsafe_ops_per_block, clippy::indexing_slicing, reason = "generated")]
mod bindings {
    include!(concat!(env!("OUT_DIR"), "/bindings.rs"));
}

#[cfg(test)]
mod tests {
    use std::ffi::CStr;

    use super::*;

    /// The library that is loaded is the one whose headers were read: structures would differ otherwise.
    #[test]
    fn headers_and_library_agree() {
        // SAFETY: needs no EAL, and returns a static string.
        let version = unsafe { rte_version() };
        // SAFETY: a NUL-terminated static string.
        let version = unsafe { CStr::from_ptr(version) }.to_str().unwrap();
        let mut numbers = version.trim_start_matches("DPDK ").split(['.', '-']);
        let mut number = || numbers.next().unwrap().parse::<u32>().unwrap();
        assert!((number(), number()) >= (22, 11), "{version}");
    }

    /// The fields that Rust reaches by offset lie inside the structure and don't overlap.
    #[test]
    fn mbuf_fields_are_disjoint() {
        let mut fields = [
            (SHIM_MBUF_BUF_ADDR, 8),
            (SHIM_MBUF_DATA_OFF, 2),
            (SHIM_MBUF_NB_SEGS, 2),
            (SHIM_MBUF_PKT_LEN, 4),
            (SHIM_MBUF_DATA_LEN, 2),
            (SHIM_MBUF_OL_FLAGS, 8),
            (SHIM_MBUF_VLAN_TCI, 2),
            (SHIM_MBUF_TX_OFFLOAD, 8),
        ];
        fields.sort_unstable();
        for pair in fields.windows(2) {
            assert!(pair[0].0 + pair[0].1 <= pair[1].0, "{pair:?}");
        }
        assert!(fields.iter().all(|(offset, size)| offset + size <= size_of::<rte_mbuf>()));
    }

    /// `rte_errno` as the shim reads it is the calling thread's own, and is the one that DPDK sets.
    #[test]
    fn errno_is_the_threads_own() {
        // SAFETY: no precondition; before EAL's initialisation it fails with EINVAL.
        assert_eq!(unsafe { rte_thread_register() }, -1);
        // SAFETY: reads a thread-local integer.
        let here = unsafe { shim_errno() };
        // SAFETY: likewise.
        let there = std::thread::spawn(|| unsafe { shim_errno() }).join().unwrap();
        assert_eq!((here, there), (22, 0));
    }
}
