// SPDX-License-Identifier: MIT OR Apache-2.0
//! IP prefixes without host bits.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use serde::{Serialize, Serializer};

/// An IPv4 or IPv6 prefix; its host bits are zero by construction. Ordered by family, address, length.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Prefix {
    address: IpAddr,
    length: u8,
}

/// Why a text or a pair of address and length is no prefix.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PrefixError {
    /// There is no `/LENGTH`.
    #[error("a prefix needs a length, such as {0}")]
    NoLength(String),
    /// The part before the slash is no IP address.
    #[error("{0:?} is not an IPv4 or IPv6 address")]
    Address(String),
    /// The length is no number or too large for the family.
    #[error("prefix length {length:?} is not a number from 0 to {max}")]
    Length {
        /// As written.
        length: String,
        /// 32 or 128.
        max: u8,
    },
    /// Bits behind the length are set.
    #[error("host bits are set; the prefix is {0}")]
    HostBits(Prefix),
}

impl Prefix {
    /// A prefix of `length` bits; an error if the length is too large or host bits are set.
    pub fn new(address: IpAddr, length: u8) -> Result<Self, PrefixError> {
        let max = Self::host(address).length;
        let network =
            Self::around(address, length).ok_or_else(|| PrefixError::Length { length: length.to_string(), max })?;
        if network.address == address { Ok(network) } else { Err(PrefixError::HostBits(network)) }
    }

    /// The prefix of `length` bits that `address` is in; none if the family has fewer bits.
    pub fn around(address: IpAddr, length: u8) -> Option<Self> {
        (length <= Self::host(address).length).then(|| Self { address: network(address, length), length })
    }

    /// The prefix that is this one address.
    pub fn host(address: IpAddr) -> Self {
        Self { address, length: if address.is_ipv4() { 32 } else { 128 } }
    }

    /// The network address.
    pub fn address(&self) -> IpAddr {
        self.address
    }

    /// The number of leading bits that count: 0–32 or 0–128.
    pub fn length(&self) -> u8 {
        self.length
    }

    /// Whether `address` is of this family and inside.
    pub fn contains(&self, address: IpAddr) -> bool {
        address.is_ipv4() == self.address.is_ipv4() && network(address, self.length) == self.address
    }

    /// Whether every address of `other` is inside; a prefix covers itself.
    pub fn covers(&self, other: Prefix) -> bool {
        self.length <= other.length && self.contains(other.address)
    }

    /// The longest prefix around both; none if they are of different families.
    pub fn common(self, other: Prefix) -> Option<Self> {
        let equal = match (self.address, other.address) {
            (IpAddr::V4(a), IpAddr::V4(b)) => (a.to_bits() ^ b.to_bits()).leading_zeros(),
            (IpAddr::V6(a), IpAddr::V6(b)) => (a.to_bits() ^ b.to_bits()).leading_zeros(),
            _ => return None,
        };
        Self::around(self.address, self.length.min(other.length).min(equal as u8))
    }

    /// The prefix that is one bit shorter; none above the whole family.
    pub fn parent(&self) -> Option<Self> {
        Self::around(self.address, self.length.checked_sub(1)?)
    }

    /// The two prefixes that are one bit longer; none below a host.
    pub fn halves(&self) -> Option<[Self; 2]> {
        let length = self.length + 1;
        let first = Self::around(self.address, length)?;
        let second = match self.address {
            IpAddr::V4(a) => Ipv4Addr::from_bits(a.to_bits() | 1 << (32 - length)).into(),
            IpAddr::V6(a) => Ipv6Addr::from_bits(a.to_bits() | 1 << (128 - length)).into(),
        };
        Some([first, Self { address: second, length }])
    }
}

/// `address` with all but its first `length` bits cleared. `length` fits the family.
fn network(address: IpAddr, length: u8) -> IpAddr {
    let length = u32::from(length);
    match address {
        IpAddr::V4(a) => Ipv4Addr::from_bits(a.to_bits() & !u32::MAX.checked_shr(length).unwrap_or(0)).into(),
        IpAddr::V6(a) => Ipv6Addr::from_bits(a.to_bits() & !u128::MAX.checked_shr(length).unwrap_or(0)).into(),
    }
}

impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.length)
    }
}

impl Serialize for Prefix {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl FromStr for Prefix {
    type Err = PrefixError;

    fn from_str(text: &str) -> Result<Self, PrefixError> {
        let (address, length) = match text.split_once('/') {
            Some((address, length)) => (address, Some(length)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| PrefixError::Address(address.to_owned()))?;
        let host = Self::host(address);
        let length = length.ok_or_else(|| PrefixError::NoLength(host.to_string()))?;
        // `parse` alone would take a sign, and leading zeros that some tools read as octal.
        let canonical = length == "0" || (!length.starts_with('0') && length.bytes().all(|b| b.is_ascii_digit()));
        match length.parse() {
            Ok(number) if canonical && number <= host.length => Self::new(address, number),
            _ => Err(PrefixError::Length { length: length.to_owned(), max: host.length }),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn prefix(text: &str) -> Prefix {
        text.parse().unwrap()
    }

    fn error(text: &str) -> String {
        text.parse::<Prefix>().unwrap_err().to_string()
    }

    #[test]
    fn what_is_written_is_what_is_read() {
        for text in ["0.0.0.0/0", "10.0.0.0/8", "198.51.100.1/32", "128.0.0.0/1", "::/0", "2001:db8:e::/64", "::1/128"]
        {
            assert_eq!(prefix(text).to_string(), text);
        }
    }

    #[test]
    fn every_error_says_what_would_be_right() {
        assert_eq!(error("198.51.100.1"), "a prefix needs a length, such as 198.51.100.1/32");
        assert_eq!(error("2001:db8::"), "a prefix needs a length, such as 2001:db8::/128");
        assert_eq!(error("198.51.100.1/24"), "host bits are set; the prefix is 198.51.100.0/24");
        assert_eq!(error("2001:db8::1/127"), "host bits are set; the prefix is 2001:db8::/127");
        assert_eq!(error("1.2.3.4/33"), "prefix length \"33\" is not a number from 0 to 32");
        assert_eq!(error("::/129"), "prefix length \"129\" is not a number from 0 to 128");
        assert_eq!(error("::/1000"), "prefix length \"1000\" is not a number from 0 to 128");
        for length in ["", "+8", "-1", "08", "8 ", "eight", "8/8", "٨"] {
            assert_eq!(
                error(&format!("10.0.0.0/{length}")),
                format!("prefix length {length:?} is not a number from 0 to 32")
            );
        }
        for address in ["", "10.0.0", "10.0.0.256", "010.0.0.0", "lhr-1", "fe80::1%eth0", " 10.0.0.0", "[::1]"] {
            assert_eq!(error(&format!("{address}/8")), format!("{address:?} is not an IPv4 or IPv6 address"));
            assert_eq!(error(address), format!("{address:?} is not an IPv4 or IPv6 address"));
        }
    }

    #[test]
    fn a_family_contains_nothing_of_the_other() {
        let mapped: IpAddr = "::ffff:10.0.0.1".parse().unwrap();
        assert!(!prefix("0.0.0.0/0").contains(mapped));
        assert!(!prefix("::/0").contains("10.0.0.1".parse().unwrap()));
        assert!(prefix("::/0").contains(mapped));
        assert!(!prefix("0.0.0.0/0").covers(prefix("::/0")));
    }

    #[test]
    fn containment_ends_at_both_bounds() {
        let p = prefix("10.2.0.0/15");
        for (address, inside) in
            [("10.1.255.255", false), ("10.2.0.0", true), ("10.3.255.255", true), ("10.4.0.0", false)]
        {
            assert_eq!(p.contains(address.parse().unwrap()), inside, "{address}");
        }
    }

    #[test]
    fn prefixes_order_by_family_then_address_then_length() {
        let sorted = ["0.0.0.0/0", "10.0.0.0/8", "10.0.0.0/9", "10.0.0.1/32", "::/0", "::/128", "2001:db8::/32"];
        let mut prefixes: Vec<Prefix> = sorted.iter().rev().map(|text| prefix(text)).collect();
        prefixes.sort();
        assert_eq!(prefixes.iter().map(Prefix::to_string).collect::<Vec<_>>(), sorted);
    }

    proptest! {
        #[test]
        fn a_prefix_covers_its_descendants_and_no_sibling(bits: u128, length in 1u8..=128) {
            let p = Prefix::around(Ipv6Addr::from_bits(bits).into(), length).unwrap();
            let sibling = Prefix::new(Ipv6Addr::from_bits(u128_of(p) ^ (1 << (128 - length))).into(), length).unwrap();
            prop_assert_eq!(p.parent(), sibling.parent());
            prop_assert!(p.parent().unwrap().covers(p) && p.covers(p));
            prop_assert!(!p.covers(sibling) && !p.covers(p.parent().unwrap()));
            prop_assert_eq!(p.parent().unwrap().halves(), Some([p.min(sibling), p.max(sibling)]));
        }

        #[test]
        fn masking_agrees_with_counting_equal_bits(a: u32, b: u32, length in 0u8..=32) {
            let p = Prefix::around(Ipv4Addr::from_bits(a).into(), length).unwrap();
            prop_assert!(p.contains(Ipv4Addr::from_bits(a).into()));
            prop_assert_eq!(p.contains(Ipv4Addr::from_bits(b).into()), (a ^ b).leading_zeros() >= u32::from(length));
            prop_assert_eq!(p.to_string().parse::<Prefix>().unwrap(), p);
        }
    }

    #[test]
    fn what_two_prefixes_have_in_common() {
        let common = |a: &str, b: &str| prefix(a).common(prefix(b)).map(|common| common.to_string());
        assert_eq!(common("10.0.0.0/24", "10.0.1.0/24").as_deref(), Some("10.0.0.0/23"));
        assert_eq!(common("10.0.0.0/8", "10.0.1.0/24").as_deref(), Some("10.0.0.0/8"));
        assert_eq!(common("10.0.0.1/32", "10.0.0.1/32").as_deref(), Some("10.0.0.1/32"));
        assert_eq!(common("0.0.0.0/1", "128.0.0.0/1").as_deref(), Some("0.0.0.0/0"));
        assert_eq!(common("2001:db8::1/128", "2001:db8::1/128").as_deref(), Some("2001:db8::1/128"));
        assert_eq!(common("2001:db8::/32", "2001:db9::/32").as_deref(), Some("2001:db8::/31"));
        assert_eq!(common("0.0.0.0/0", "::/0"), None);
    }

    fn u128_of(p: Prefix) -> u128 {
        match p.address() {
            IpAddr::V4(a) => u128::from(a.to_bits()),
            IpAddr::V6(a) => a.to_bits(),
        }
    }
}
