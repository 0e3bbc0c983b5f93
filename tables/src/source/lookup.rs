// SPDX-License-Identifier: MIT OR Apache-2.0
//! Finding entries by prefix.

use std::net::IpAddr;

use super::{Entry, Source};
use crate::prefix::Prefix;

impl Source {
    /// The entry of exactly this prefix, with its index.
    pub fn entry(&self, prefix: Prefix) -> Option<(usize, &Entry)> {
        self.at_rank(self.rank(prefix).ok()?)
    }

    /// The entry of this prefix, if there is one, and all entries inside it, in the order of their prefixes.
    pub fn entries_inside(&self, prefix: Prefix) -> impl Iterator<Item = (usize, &Entry)> {
        let (Ok(start) | Err(start)) = self.rank(prefix);
        (start..).map_while(|rank| self.at_rank(rank)).take_while(move |(_, entry)| prefix.covers(entry.prefix))
    }

    /// The entry of the longest prefix around this one, itself excluded.
    pub fn longest_around(&self, prefix: Prefix) -> Option<(usize, &Entry)> {
        // What comes right before in order is the longest around it, or inside of the longest around it. In the second
        // case that is no longer than what both have in common.
        let mut next = prefix.parent()?;
        let (Ok(mut before) | Err(mut before)) = self.rank(prefix);
        loop {
            let found = self.at_rank(before.checked_sub(1)?)?;
            let common = found.1.prefix.common(next)?;
            if common == found.1.prefix {
                return Some(found);
            }
            next = common;
            before = self.rank(next).map_or_else(|rank| rank, |rank| rank + 1);
        }
    }

    /// The longest prefix around an address.
    pub fn prefix_around(&self, address: IpAddr) -> Option<Prefix> {
        let host = Prefix::host(address);
        self.entry(host).or_else(|| self.longest_around(host)).map(|(_, entry)| entry.prefix)
    }

    /// Where in the order of prefixes an entry is, or would be.
    pub(super) fn rank(&self, prefix: Prefix) -> Result<usize, usize> {
        self.by_prefix.binary_search_by_key(&Some(prefix), |&index| self.prefix_at(index))
    }

    /// The prefix of the entry of that index.
    pub(super) fn prefix_at(&self, index: u32) -> Option<Prefix> {
        self.entries.get(index as usize).map(|entry| entry.prefix)
    }

    fn at_rank(&self, rank: usize) -> Option<(usize, &Entry)> {
        let index = *self.by_prefix.get(rank)? as usize;
        self.entries.get(index).map(|entry| (index, entry))
    }
}
