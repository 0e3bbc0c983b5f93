// SPDX-License-Identifier: MIT OR Apache-2.0
//! Holds every transmitted packet against what was fed: who got it, in which generation, and whether it is whole.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::path::Path;

use crate::capture::{self, Emitted, Private};
use crate::network::{Move, Network, Place};
use crate::pcap;
use crate::traffic::{Fate, PACKETS, Traffic};

/// What the output capture shows. Pairs are for generation 1 and generation 2.
#[derive(Default)]
pub(crate) struct Analysis {
    /// Frames in the capture.
    pub(crate) frames: u64,
    /// Packets to each place.
    pub(crate) by_place: BTreeMap<Place, [u64; 2]>,
    /// Packets to the ports of each move.
    pub(crate) by_move: Vec<[u64; 2]>,
    /// Number of the first frame that only generation 2 can have sent.
    pub(crate) boundary: Option<u64>,
    /// Frames that are no proper GUE, or whose inside was not fed.
    pub(crate) damaged: Faults,
    /// Frames that are not where, or as, their generation puts them.
    pub(crate) astray: Faults,
    /// Frames of generation 1 behind one of generation 2.
    pub(crate) disorder: Faults,
    /// Frames whose flow changed its UDP source port.
    pub(crate) unsteady: Faults,
    /// Packets that came out more often or less often than they went in.
    pub(crate) miscounted: Faults,
}

/// How many of one kind of fault, and what the first was.
#[derive(Default)]
pub(crate) struct Faults {
    /// How many.
    pub(crate) count: u64,
    /// The first.
    pub(crate) first: Option<String>,
}

impl Faults {
    fn add(&mut self, what: impl FnOnce() -> String) {
        self.count += 1;
        self.first.get_or_insert_with(what);
    }
}

/// What is remembered of one packet of the input.
#[derive(Clone, Copy, Default)]
struct Seen {
    times: u64,
    source_port: Option<u16>,
}

/// Reads the output capture. `fed` packets of `traffic` went in.
pub(crate) fn analyse(path: &Path, network: &Network, traffic: &Traffic, fed: u64) -> Result<Analysis, String> {
    let context = |error| format!("{}: {error}", path.display());
    let places: HashMap<IpAddr, Place> =
        Place::all().flat_map(|place| place.addresses().into_iter().map(move |address| (address, place))).collect();
    let mut analysis = Analysis { by_move: vec![[0; 2]; network.moves.len()], ..Analysis::default() };
    let mut seen = vec![Seen::default(); PACKETS];
    let mut reader = pcap::Reader::open(path).map_err(context)?;
    while let Some(frame) = reader.next().map_err(context)? {
        analysis.frames += 1;
        let number = analysis.frames;
        let emitted = match capture::parse(frame) {
            Ok(emitted) => emitted,
            Err(error) => {
                analysis.damaged.add(|| format!("frame {number}: {error}"));
                continue;
            }
        };
        let index = traffic.by_content.get(emitted.inner).copied().unwrap_or(PACKETS);
        let (Some(fate), Some(seen)) = (traffic.fates.get(index), seen.get_mut(index)) else {
            analysis.damaged.add(|| format!("frame {number}: the packet inside was never fed"));
            continue;
        };
        seen.times += 1;
        if *seen.source_port.get_or_insert(emitted.source_port) != emitted.source_port {
            analysis.unsteady.add(|| format!("frame {number}: another UDP source port than before"));
        }
        if let Fate::Forwarded { egress, port, owners } = *fate {
            let moved =
                network.moves.iter().position(|m| m.egress == egress && (m.ports.0..=m.ports.1).contains(&port));
            analysis.place(places.get(&emitted.destination).copied(), &emitted, owners, moved, network);
        }
    }
    for (index, seen) in seen.iter().enumerate() {
        let due = match traffic.fates.get(index) {
            Some(Fate::Forwarded { .. }) => traffic.times(index, fed),
            _ => 0,
        };
        if seen.times != due {
            analysis.miscounted.add(|| format!("packet {} went in {due} times, came out {}", index + 1, seen.times));
        }
    }
    Ok(analysis)
}

impl Analysis {
    /// Packets sent by each generation.
    pub(crate) fn totals(&self) -> [u64; 2] {
        self.by_place.values().fold([0; 2], |[a, b], [c, d]| [a + c, b + d])
    }

    /// Judges where a frame went, and learns from it which generation sends.
    fn place(
        &mut self,
        place: Option<Place>,
        emitted: &Emitted<'_>,
        owners: [Place; 2],
        moved: Option<usize>,
        network: &Network,
    ) {
        let number = self.frames;
        let Some(place) = place.filter(|place| owners.contains(place)) else {
            self.astray.add(|| format!("frame {number} went to {}", emitted.destination));
            return;
        };
        // Packets of moved ports, and those to other data centres, tell which generation sent them.
        let told = match emitted.private {
            Private::Datacenter(_, generation) => Some(generation >= 2),
            _ if owners[0] != owners[1] => Some(place == owners[1]),
            _ => None,
        };
        match told {
            Some(true) if self.boundary.is_none() => self.boundary = Some(number),
            Some(false) if self.boundary.is_some() => {
                self.disorder.add(|| format!("frame {number} is of generation 1"));
            }
            _ => {}
        }
        let late = told.unwrap_or(self.boundary.is_some());
        let expected = expected_private(place, late, moved.and_then(|index| network.moves.get(index)));
        let owner = if late { owners[1] } else { owners[0] };
        if owner != place || emitted.private != expected {
            self.astray.add(|| format!("frame {number} to {place} says {:?}, not {expected:?}", emitted.private));
        }
        let pairs = [Some(self.by_place.entry(place).or_default()), moved.and_then(|m| self.by_move.get_mut(m))];
        for [before, after] in pairs.into_iter().flatten() {
            *if late { after } else { before } += 1;
        }
    }
}

/// What the GUE header must say beside the protocol.
fn expected_private(place: Place, late: bool, moved: Option<&Move>) -> Private {
    if let Place::Datacenter(_) = place {
        return Private::Datacenter(1, if late { 2 } else { 1 });
    }
    match moved.filter(|m| m.draining && late).and_then(|m| m.from.addresses().into_iter().next()) {
        Some(IpAddr::V4(address)) => Private::PreviousOwner(address),
        _ => Private::None,
    }
}
