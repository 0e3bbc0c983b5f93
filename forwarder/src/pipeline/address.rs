// SPDX-License-Identifier: MIT OR Apache-2.0
//! What an address alone decides, before and beside the table. Inlined always: callers know the family, and it is what most
//! of the work depends on.

use std::net::IpAddr;

use crate::settings::Underlay;

/// Whether packets to `destination` are the kernel's, whatever the table says: multicast, link-local, or the forwarder's
/// own underlay address.
#[inline(always)]
pub fn is_for_kernel(destination: IpAddr, own: &Underlay) -> bool {
    destination.is_multicast() || is_link_local(destination) || own.has(destination)
}

/// Whether the address means something on its own link only.
#[inline(always)]
pub fn is_link_local(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => address.is_link_local(),
        IpAddr::V6(address) => address.is_unicast_link_local(),
    }
}

/// Whether nobody can be answered at this source: loopback, multicast, unspecified; of IPv4 also 0/8 and 240/4, which
/// holds broadcast.
#[inline(always)]
pub fn is_martian(source: IpAddr) -> bool {
    match source {
        IpAddr::V4(address) => matches!(address.octets(), [0 | 127 | 224.., ..]),
        IpAddr::V6(address) => address.is_unspecified() || address.is_loopback() || address.is_multicast(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn martians_by_their_edges() {
        for martian in
            ["0.0.0.0", "0.255.255.255", "127.0.0.1", "127.255.255.255", "224.0.0.0", "239.255.255.255", "240.0.0.0"]
        {
            assert!(is_martian(address(martian)), "{martian}");
        }
        for martian in ["255.255.255.255", "::", "::1", "ff00::", "ff02::1"] {
            assert!(is_martian(address(martian)), "{martian}");
        }
        // private and shared addresses can be answered inside some networks
        for honest in ["1.0.0.0", "10.0.0.1", "126.255.255.255", "128.0.0.0", "223.255.255.255", "::2", "fec0::1"] {
            assert!(!is_martian(address(honest)), "{honest}");
        }
    }

    #[test]
    fn the_kernel_gets_what_is_its_own() {
        let own = Underlay { ipv4: Some([10, 0, 0, 1].into()), ipv6: None, gue_port: 6080 };
        for kernels in ["224.0.0.5", "169.254.0.1", "10.0.0.1", "ff02::1", "fe80::1", "febf::1"] {
            assert!(is_for_kernel(address(kernels), &own), "{kernels}");
        }
        for other in ["10.0.0.2", "198.51.100.1", "255.255.255.255", "2001:db8::1", "fec0::1", "::"] {
            assert!(!is_for_kernel(address(other), &own), "{other}");
        }
    }
}
