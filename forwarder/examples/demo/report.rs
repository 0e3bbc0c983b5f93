// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the demo prints of its numbers.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::analysis::{Analysis, Faults};
use crate::network::{Network, Place};
use crate::paper::{Paper, grouped};

impl Paper {
    /// A check that there are no faults of a kind.
    pub(crate) fn none_of(&self, faults: &Faults, what: &str) -> bool {
        let first = faults.first.as_deref().unwrap_or_default();
        self.check(faults.count == 0, what, format_args!("{} times; first: {first}", grouped(faults.count)))
    }

    /// Packets of every server, in two columns.
    pub(crate) fn servers(&self, analysis: &Analysis) {
        self.heading("Packets per server, by the generation that sent them");
        let mut rows: Vec<_> = Place::all()
            .filter(|place| matches!(place, Place::Server(_)))
            .map(|place| {
                let address = place.addresses().first().map(ToString::to_string).unwrap_or_default();
                let [before, after] = analysis.by_place.get(&place).copied().unwrap_or_default();
                format!("  {place}  {address:<18}{:>9}{:>9}", grouped(before), grouped(after))
            })
            .collect();
        let right = rows.split_off(rows.len().div_ceil(2));
        let heading = format!("  {:<8}{:<18}{:>9}{:>9}", "server", "sent to", "gen. 1", "gen. 2");
        println!("{}", self.paint("2", format_args!("{heading}  {heading}")));
        for (index, left) in rows.iter().enumerate() {
            let line = format!("{left}  {}", right.get(index).map(String::as_str).unwrap_or_default());
            println!("{}", line.trim_end());
        }
    }

    /// Packets of every data centre, the own one included.
    pub(crate) fn datacenters(&self, analysis: &Analysis) {
        self.heading("Packets per data centre");
        let mut rows: BTreeMap<&str, [u64; 2]> = BTreeMap::new();
        for (place, [before, after]) in &analysis.by_place {
            let row = match place {
                Place::Server(_) => rows.entry("LHR (here)").or_default(),
                Place::Datacenter(name) => rows.entry(name).or_default(),
            };
            row[0] += before;
            row[1] += after;
        }
        for (name, [before, after]) in rows {
            println!("  {name:<26}{:>9}{:>9}", grouped(before), grouped(after));
        }
    }

    /// What generation 2 moved, and what went to the old and to the new owner.
    pub(crate) fn moves(&self, network: &Network, analysis: &Analysis) {
        self.heading("What generation 2 moved, and the packets its ports had");
        for (moved, [before, after]) in network.moves.iter().zip(&analysis.by_move) {
            let Some(egress) = network.egress().get(moved.egress) else { continue };
            let prefix = format!("{}/{}", egress.address, egress.length);
            let ports = format!("{}-{}", moved.ports.0, moved.ports.1);
            let note = if moved.draining { "  names the old owner while it drains" } else { "" };
            let (from, to) = (moved.from, moved.to);
            println!(
                "  {prefix:<20} {ports:<11}  {from:>6} {:>7}  ->  {to:>6} {:>7}{note}",
                grouped(*before),
                grouped(*after)
            );
        }
    }

    /// Drops by reason: what the daemon counted beside what the traffic must bring.
    pub(crate) fn drops(&self, counters: &Value, due: &BTreeMap<&'static str, u64>) {
        self.heading("Drops by reason");
        for (reason, count) in drops(counters) {
            let due = due.get(reason.as_str()).copied().unwrap_or(0);
            println!("  {reason:<26}{:>9}   sent on purpose: {}", grouped(count), grouped(due));
        }
    }
}

/// The drops that the daemon counted and that are not zero.
pub(crate) fn drops(counters: &Value) -> BTreeMap<String, u64> {
    let drops = counters.get("drops").and_then(Value::as_object).into_iter().flatten();
    drops.map(|(reason, count)| (reason.clone(), count.as_u64().unwrap_or(0))).filter(|(_, count)| *count > 0).collect()
}
