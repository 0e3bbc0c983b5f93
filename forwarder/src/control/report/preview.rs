// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a change would do, told before it is made.

use serde::{Deserialize, Serialize};
use tables::Source;
use tables::diff::{self, Overview, Summary};

/// Rows of a list that may be long.
const ROWS: usize = 50;

/// What would move, as seen from this forwarder's data centre. Numbers that do not fit 64 bits, which only IPv6 has, are
/// the largest that do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Preview {
    /// Addresses with a port that changes hands.
    pub addresses: u64,
    /// Ports that change hands, once for each address: the sum of the five that follow.
    pub ports: u64,
    /// From one server here to another, or from one other data centre to another.
    pub moved: u64,
    /// From nobody to somebody.
    pub newly_served: u64,
    /// From somebody to nobody.
    pub newly_dropped: u64,
    /// From a server here to another data centre: newly across the backbone.
    pub newly_remote: u64,
    /// From another data centre to a server here.
    pub newly_local: u64,
    /// Addresses that come into the table.
    pub entering: u64,
    /// Addresses that leave it.
    pub leaving: u64,
    /// From owner to owner, the most ports first.
    pub moves: Vec<MoveRow>,
    /// How many more there are of those.
    pub more_moves: usize,
    /// Servers and data centres whose packets will be sent differently.
    pub targets: Vec<TargetRow>,
    /// How many more there are of those.
    pub more_targets: usize,
}

/// What goes from one owner to another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MoveRow {
    /// Whose it is.
    pub from: Option<String>,
    /// Whose it would be.
    pub to: Option<String>,
    /// Addresses.
    pub addresses: u64,
    /// Ports.
    pub ports: u64,
}

/// A property of a server or a data centre.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TargetRow {
    /// `server` or `datacenter`.
    pub kind: String,
    /// Its name.
    pub name: String,
    /// What differs.
    pub what: String,
    /// What it is.
    pub from: Option<String>,
    /// What it would be.
    pub to: Option<String>,
}

impl Preview {
    /// Of `b` in the place of `a`.
    pub fn new(a: &Source, b: &Source, datacenter: &str) -> Self {
        diff::overview(a, b, datacenter).into()
    }
}

impl From<Overview<'_>> for Preview {
    fn from(overview: Overview<'_>) -> Self {
        let Overview { summary, moves, entering, leaving, targets } = overview;
        let Summary { addresses, ports, moved, newly_served, newly_dropped, newly_remote, newly_local } = summary;
        let move_row = |row: &diff::Move<'_>| MoveRow {
            from: row.from.map(str::to_owned),
            to: row.to.map(str::to_owned),
            addresses: number(row.addresses),
            ports: number(row.ports),
        };
        let target_row = |row: &diff::TargetChange<'_>| TargetRow {
            kind: row.kind.to_owned(),
            name: row.name.to_owned(),
            what: row.what.to_owned(),
            from: row.from.clone(),
            to: row.to.clone(),
        };
        Self {
            addresses: number(addresses),
            ports: number(ports),
            moved: number(moved),
            newly_served: number(newly_served),
            newly_dropped: number(newly_dropped),
            newly_remote: number(newly_remote),
            newly_local: number(newly_local),
            entering: number(entering),
            leaving: number(leaving),
            moves: moves.iter().take(ROWS).map(move_row).collect(),
            more_moves: moves.len().saturating_sub(ROWS),
            targets: targets.iter().take(ROWS).map(target_row).collect(),
            more_targets: targets.len().saturating_sub(ROWS),
        }
    }
}

fn number(number: u128) -> u64 {
    u64::try_from(number).unwrap_or(u64::MAX)
}
