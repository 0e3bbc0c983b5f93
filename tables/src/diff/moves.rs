// SPDX-License-Identifier: MIT OR Apache-2.0
//! Changes of hands, summed up by who loses and who gets.

use std::collections::HashMap;

use serde::Serialize;

use super::view::Party;
use super::{Runs, name};

/// What goes from one owner to another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Move<'a> {
    /// Whose it was.
    pub from: Option<&'a str>,
    /// Whose it will be.
    pub to: Option<&'a str>,
    /// Addresses with at least one such port.
    pub addresses: u128,
    /// Ports, counted once for each address that they are on.
    pub ports: u128,
}

#[derive(Default)]
pub(super) struct Moves<'a>(HashMap<(Option<Party<'a>>, Option<Party<'a>>), (u128, u128)>);

impl<'a> Moves<'a> {
    pub(super) fn add(&mut self, addresses: u128, runs: &Runs<'a>) {
        for (index, &(ports, from, to)) in runs.iter().enumerate() {
            let (of, sum) = self.0.entry((from, to)).or_default();
            let first = !runs.iter().take(index).any(|&(_, f, t)| (f, t) == (from, to));
            *of = of.saturating_add(if first { addresses } else { 0 });
            *sum = sum.saturating_add(addresses.saturating_mul(u128::from(ports.count())));
        }
    }

    pub(super) fn finish(self) -> Vec<Move<'a>> {
        let row = |((from, to), (addresses, ports))| Move { from: name(from), to: name(to), addresses, ports };
        let mut rows: Vec<Move<'a>> = self.0.into_iter().map(row).collect();
        rows.sort_unstable_by_key(|row| (std::cmp::Reverse(row.ports), row.from, row.to));
        rows
    }
}
