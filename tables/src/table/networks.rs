// SPDX-License-Identifier: MIT OR Apache-2.0
//! The prefixes themselves, for people who ask which one an address fell into. Cold, so small comes before fast.

use std::net::IpAddr;

use super::arena::{Arena, size};
use crate::prefix::Prefix;

/// The prefixes of a table.
#[derive(Default)]
pub(super) struct Networks {
    v4: Lengths<u32>,
    v6: Lengths<u128>,
}

/// Networks by prefix length; those of one length ascend.
type Lengths<A> = Vec<Arena<A>>;

impl Networks {
    /// Adds a prefix; those of one length come in ascending order.
    pub(super) fn push(&mut self, prefix: Prefix) {
        match prefix.address() {
            IpAddr::V4(address) => push(&mut self.v4, prefix.length(), address.to_bits()),
            IpAddr::V6(address) => push(&mut self.v6, prefix.length(), address.to_bits()),
        }
    }

    /// The longest prefix around an address.
    pub(super) fn longest_around(&self, address: IpAddr) -> Option<Prefix> {
        let longest_first = (0..=Prefix::host(address).length()).rev();
        longest_first.filter_map(|length| Prefix::around(address, length)).find(|&prefix| self.has(prefix))
    }

    fn has(&self, prefix: Prefix) -> bool {
        let length = usize::from(prefix.length());
        match prefix.address() {
            IpAddr::V4(a) => self.v4.get(length).is_some_and(|all| all.binary_search(&a.to_bits()).is_ok()),
            IpAddr::V6(a) => self.v6.get(length).is_some_and(|all| all.binary_search(&a.to_bits()).is_ok()),
        }
    }

    /// Gives back the memory that growing took too much.
    pub(super) fn finish(mut self) -> Self {
        self.v4.iter_mut().for_each(Vec::shrink_to_fit);
        self.v6.iter_mut().for_each(Vec::shrink_to_fit);
        self
    }

    pub(super) fn size(&self) -> usize {
        fn all<A>(lengths: &Lengths<A>) -> usize {
            size(lengths) + lengths.iter().map(|networks| size(networks)).sum::<usize>()
        }
        all(&self.v4) + all(&self.v6)
    }
}

fn push<A>(lengths: &mut Lengths<A>, length: u8, network: A) {
    let length = usize::from(length);
    if lengths.len() <= length {
        lengths.resize_with(length + 1, Arena::new);
    }
    if let Some(networks) = lengths.get_mut(length) {
        networks.push(network);
    }
}
