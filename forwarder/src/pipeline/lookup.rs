// SPDX-License-Identifier: MIT OR Apache-2.0
//! The table's answers for a whole burst: level by level over all packets, so that the cache misses of one packet overlap
//! with those of the others.

use tables::Table;
use tables::table::Address;

use super::packet::{Addresses, NotForwarded, Packet};
use super::upper::Selector;

/// Room for the keys and answers of one burst.
#[derive(Debug)]
pub(super) struct Lookup {
    v4: Family<4>,
    v6: Family<16>,
    /// What the table says of every packet.
    addresses: Vec<Address>,
}

/// The destinations of one family in a burst, and what the table says of each.
#[derive(Debug)]
struct Family<const LEN: usize> {
    keys: Vec<[u8; LEN]>,
    found: Vec<Address>,
}

impl Lookup {
    /// Room for `burst` packets.
    pub(super) fn new(burst: usize) -> Self {
        Self { v4: Family::new(burst), v6: Family::new(burst), addresses: Vec::with_capacity(burst) }
    }

    /// What the table says of each packet's destination; [`Address::Absent`] where there is no packet. The port plans that
    /// will be asked next are on their way into the cache.
    #[inline]
    pub(super) fn burst(&mut self, table: &Table, packets: &[Result<Packet, NotForwarded>]) -> &[Address] {
        self.v4.keys.clear();
        self.v6.keys.clear();
        for packet in packets.iter().flatten() {
            match packet.addresses {
                Addresses::V4(_, destination) => self.v4.keys.push(destination.octets()),
                Addresses::V6(_, destination) => self.v6.keys.push(destination.octets()),
            }
        }
        let mut v4 = self.v4.look_up(|keys, found| table.address_burst(keys, found));
        let mut v6 = self.v6.look_up(|keys, found| table.address_burst6(keys, found));

        self.addresses.clear();
        for packet in packets {
            let address = match packet {
                Ok(Packet { addresses: Addresses::V4(..), .. }) => v4.next(),
                Ok(Packet { addresses: Addresses::V6(..), .. }) => v6.next(),
                Err(_) => None,
            };
            let address = address.unwrap_or(Address::Absent);
            if let (Address::Sliced(plan), Ok(Packet { upper, .. })) = (address, packet)
                && let Selector::Port(port) = upper.selector
            {
                table.prefetch_port(plan, port);
            }
            self.addresses.push(address);
        }
        &self.addresses
    }
}

impl<const LEN: usize> Family<LEN> {
    fn new(burst: usize) -> Self {
        Self { keys: Vec::with_capacity(burst), found: Vec::with_capacity(burst) }
    }

    /// The answers to the keys, in their order.
    #[inline]
    fn look_up(&mut self, ask: impl FnOnce(&[[u8; LEN]], &mut [Address])) -> impl Iterator<Item = Address> + '_ {
        self.found.clear();
        self.found.resize(self.keys.len(), Address::Absent);
        ask(&self.keys, &mut self.found);
        self.found.iter().copied()
    }
}
