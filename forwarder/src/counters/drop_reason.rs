// SPDX-License-Identifier: MIT OR Apache-2.0
//! Why packets die: every drop has a name and a counter.

use std::fmt;

/// Why a packet was dropped. The order is that in which counters are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum DropReason {
    /// Not for the dataplane, and the device has no kernel path.
    NoKernelPath,
    /// The port is in no allocated slice, or is port 0.
    UnallocatedPort,
    /// The destination is announced but in nobody's hands.
    UnassignedAddress,
    /// A protocol without ports, and the address names no owner for those.
    NoPort,
    /// ICMP that means nothing to a shared address.
    IcmpUnwanted,
    /// An ICMP error whose quote names no owner.
    IcmpUnroutable,
    /// An echo request over the rate of answers.
    IcmpRateLimited,
    /// A later fragment whose first one did not come in time.
    FragmentUnmatched,
    /// Overlapping, tiny or impossible fragments.
    FragmentMalformed,
    /// No room to hold a fragment.
    FragmentStoreFull,
    /// A source route.
    IpOptions,
    /// With the outer headers larger than the MTU.
    TooBig,
    /// A source that can't be answered.
    MartianSource,
    /// Lengths, version or checksum are wrong, or the TTL is 0.
    Malformed,
    /// GUE from nobody we know, or on a device that takes none.
    GueUntrusted,
    /// GUE that contradicts itself.
    GueMalformed,
    /// Too many hops between data centres.
    RedirectLoop,
    /// GUE for a destination that is not in the table.
    GueNotOurs,
    /// The next hop's MAC is not known.
    NextHopUnresolved,
    /// The device's transmit queue was full.
    TxFull,
    /// A received frame in several segments that don't fit one buffer.
    Segmented,
    /// A buffer without room for the outer headers.
    NoHeadroom,
    /// No free buffer for the pieces of a packet.
    NoBuffer,
    /// For the kernel, and over the budget of its class or more than the path had room for.
    KernelPoliced,
}

impl DropReason {
    /// All reasons, in order.
    pub const ALL: [Self; 24] = [
        Self::NoKernelPath,
        Self::UnallocatedPort,
        Self::UnassignedAddress,
        Self::NoPort,
        Self::IcmpUnwanted,
        Self::IcmpUnroutable,
        Self::IcmpRateLimited,
        Self::FragmentUnmatched,
        Self::FragmentMalformed,
        Self::FragmentStoreFull,
        Self::IpOptions,
        Self::TooBig,
        Self::MartianSource,
        Self::Malformed,
        Self::GueUntrusted,
        Self::GueMalformed,
        Self::RedirectLoop,
        Self::GueNotOurs,
        Self::NextHopUnresolved,
        Self::TxFull,
        Self::Segmented,
        Self::NoHeadroom,
        Self::NoBuffer,
        Self::KernelPoliced,
    ];

    /// The name in counters, labels and documents (contract section 6).
    pub const fn name(self) -> &'static str {
        match self {
            Self::NoKernelPath => "no_kernel_path",
            Self::UnallocatedPort => "unallocated_port",
            Self::UnassignedAddress => "unassigned_address",
            Self::NoPort => "no_port",
            Self::IcmpUnwanted => "icmp_unwanted",
            Self::IcmpUnroutable => "icmp_unroutable",
            Self::IcmpRateLimited => "icmp_rate_limited",
            Self::FragmentUnmatched => "fragment_unmatched",
            Self::FragmentMalformed => "fragment_malformed",
            Self::FragmentStoreFull => "fragment_store_full",
            Self::IpOptions => "ip_options",
            Self::TooBig => "too_big",
            Self::MartianSource => "martian_source",
            Self::Malformed => "malformed",
            Self::GueUntrusted => "gue_untrusted",
            Self::GueMalformed => "gue_malformed",
            Self::RedirectLoop => "redirect_loop",
            Self::GueNotOurs => "gue_not_ours",
            Self::NextHopUnresolved => "next_hop_unresolved",
            Self::TxFull => "tx_full",
            Self::Segmented => "segmented",
            Self::NoHeadroom => "no_headroom",
            Self::NoBuffer => "no_buffer",
            Self::KernelPoliced => "kernel_policed",
        }
    }
}

impl fmt::Display for DropReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_order_is_that_of_the_discriminants() {
        for (index, reason) in DropReason::ALL.into_iter().enumerate() {
            assert_eq!(reason as usize, index, "{reason}");
        }
    }

    #[test]
    fn names_are_distinct_snake_case() {
        let names: std::collections::BTreeSet<_> = DropReason::ALL.iter().map(|r| r.name()).collect();
        assert_eq!(names.len(), DropReason::ALL.len());
        assert!(names.iter().all(|n| n.bytes().all(|b| b.is_ascii_lowercase() || b == b'_')));
    }
}
