// SPDX-License-Identifier: MIT OR Apache-2.0
//! What differs, by where packets go and where they would.

use std::collections::HashMap;

use crate::control::names::Names;
use crate::control::report::{ShadowExample, ShadowPair, ShadowParty};
use crate::counters::Traffic;
use crate::explain::Verdict;
use crate::shadow::{Change, End, Kind};

/// Pairs that are told apart. A table that differs in more differs in everything.
const PAIRS: usize = 4_096;
/// Those that are shown.
const SHOWN: usize = 50;
/// Packets of each pair that are shown.
const EXAMPLES: usize = 3;

/// What differs, by pairs of fates.
#[derive(Default)]
pub(super) struct Pairs(HashMap<(Kind, End, End), ShadowPair>);

impl Pairs {
    /// Takes in a packet; false if there are too many pairs. The names are those of what runs and of the shadow.
    pub(super) fn add(&mut self, change: &Change, running: &Names, shadow: &Names) -> bool {
        let key = (change.kind, change.before, change.after);
        if self.0.len() >= PAIRS && !self.0.contains_key(&key) {
            return false;
        }
        let pair = self.0.entry(key).or_insert_with(|| ShadowPair {
            kind: change.kind.name().to_owned(),
            from: party(change.before, running),
            to: party(change.after, shadow),
            packets: 0,
            bytes: 0,
            examples: Vec::new(),
        });
        let traffic = Traffic { packets: pair.packets, bytes: pair.bytes };
        let more = Traffic { packets: 1, bytes: change.bytes.into() };
        Traffic { packets: pair.packets, bytes: pair.bytes } = traffic.plus(more);
        if pair.examples.len() < EXAMPLES {
            pair.examples.push(example(change));
        }
        true
    }

    /// The pairs with the most packets, and how many more there are.
    pub(super) fn report(&self) -> (Vec<ShadowPair>, usize) {
        let mut pairs: Vec<_> = self.0.values().collect();
        pairs.sort_by(|a, b| (b.packets, &a.kind, a.from.name()).cmp(&(a.packets, &b.kind, b.from.name())));
        let shown: Vec<_> = pairs.into_iter().take(SHOWN).cloned().collect();
        let more = self.0.len() - shown.len();
        (shown, more)
    }
}

fn party(end: End, names: &Names) -> ShadowParty {
    let named = |verdict, name: Option<&str>, address: std::net::IpAddr| {
        // A patch has taken it away since.
        let name = name.map_or_else(|| address.to_string(), str::to_owned);
        ShadowParty { verdict, target: Some(name), reason: None }
    };
    match end {
        End::Server(address) => named(Verdict::Server, names.server(address), address),
        End::Datacenter(address) => named(Verdict::Datacenter, names.datacenter(address), address),
        End::Answer => ShadowParty { verdict: Verdict::Answer, target: None, reason: None },
        End::Kernel => ShadowParty { verdict: Verdict::Kernel, target: None, reason: None },
        End::Drop(reason) => {
            ShadowParty { verdict: Verdict::Drop, target: None, reason: Some(reason.name().to_owned()) }
        }
    }
}

fn example(change: &Change) -> ShadowExample {
    ShadowExample {
        source: change.addresses.map(|(source, _)| source),
        destination: change.addresses.map(|(_, destination)| destination),
        protocol: change.protocol,
        port: change.port,
        bytes: change.bytes,
    }
}
