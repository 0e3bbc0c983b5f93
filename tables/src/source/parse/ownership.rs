// SPDX-License-Identifier: MIT OR Apache-2.0
//! `slices` and `ranges`: who owns which ports of an address.

use std::collections::BTreeMap;

use serde::de::{MapAccess, SeqAccess};

use super::object::{Member, Members, Object, Seen, each_element};
use super::scalar::{OrNull, ServerName, Text};
use super::want::{At, Place, Want};
use crate::ports::{Ports, PortsError};
use crate::source::draft::{Spelled, SpelledRange, Spelling};
use crate::source::plan::{normalize, push_run};
use crate::source::{Owner, Run, ServerId};

/// Equal slices, one owner each.
pub(super) struct Slices<'a> {
    /// The size of a slice, as a binary logarithm: 6 to 16.
    pub(super) log: Option<u8>,
    pub(super) spelled: &'a mut Spelled,
}

impl Members for Slices<'_> {
    const KEYS: &'static [&'static str] = &["ports", "owners", "previous"];
    const REQUIRED: &'static [&'static str] = &["ports", "owners"];

    fn member<'de, A: MapAccess<'de>>(&mut self, key: &'static str, mut value: Member<'_, A>) -> Result<(), A::Error> {
        match key {
            "ports" => self.log = value.want(SliceSize)?,
            "owners" => {
                value.want(Names(&mut self.spelled.owners))?;
            }
            _ => {
                value.want(Names(&mut self.spelled.owners_previous))?;
            }
        }
        Ok(())
    }

    fn end(&mut self, at: At<'_>, _: &Seen) {
        let Spelled { owners, owners_previous, .. } = &*self.spelled;
        if let Some(log) = self.log {
            let slices = 1 << (16 - log);
            let too_many = |names: &[_]| {
                (names.len() > slices)
                    .then(|| format!("has {} elements; there are {slices} slices of {} ports", names.len(), 1 << log))
            };
            for (key, names) in [("owners", owners), ("previous", owners_previous)] {
                if let Some(message) = too_many(names) {
                    at.draft.faults.add(&at.path.key(key), message);
                }
            }
        }
        let path = at.path.key("previous");
        for (index, previous) in owners_previous.iter().enumerate() {
            // beside a slice that nobody owns it means nothing: a slice that was just freed may keep its last owner
            if previous.is_some() && owners.get(index) == Some(previous) {
                at.draft.faults.add(&path.index(index), "is the owner itself: null belongs here");
            }
        }
    }
}

/// The size of a slice; becomes its binary logarithm.
struct SliceSize;

impl Want<'_> for SliceSize {
    type Value = u8;

    fn wanted(&self) -> String {
        "the size of a slice, a power of two from 64 to 65536".into()
    }

    fn integer(self, mut at: At<'_>, value: u64) -> Option<u8> {
        if !value.is_power_of_two() || !(64..=65_536).contains(&value) {
            at.fault(format!("must be {}, not {value}", self.wanted()));
            return None;
        }
        Some(value.trailing_zeros() as u8)
    }
}

/// Slices of 64 ports, which are the smallest.
const SLICES: usize = 1 << 10;
/// Ranges of one port.
const RANGES: usize = 1 << 16;

/// Server names or null, one for each slice.
struct Names<'a>(&'a mut Vec<Option<ServerId>>);

impl<'de> Want<'de> for Names<'_> {
    type Value = ();

    fn wanted(&self) -> String {
        "an array of server names or null".into()
    }

    fn array<A: SeqAccess<'de>>(self, mut at: At<'_>, array: A) -> Result<Option<()>, A::Error> {
        let mut count = 0;
        each_element(
            &mut at,
            array,
            || OrNull(ServerName),
            |_, name| {
                count += 1;
                if count <= SLICES {
                    self.0.push(name.flatten());
                }
            },
        )?;
        if count > SLICES {
            at.fault(format!("has {count} elements; there are at most {SLICES} slices"));
            self.0.clear();
        }
        Ok(Some(()))
    }
}

/// What a range must look like.
pub(super) const PORTS_WANTED: &str = "a range of ports as text, such as \"2048-4095\"";

/// Ranges of ports, one owner each.
pub(super) struct Ranges<'a>(pub(super) &'a mut Vec<SpelledRange>);

impl<'de> Want<'de> for Ranges<'_> {
    type Value = ();

    fn wanted(&self) -> String {
        "an array of ranges".into()
    }

    fn array<A: SeqAccess<'de>>(self, mut at: At<'_>, mut array: A) -> Result<Option<()>, A::Error> {
        for index in 0.. {
            let mut range = SpelledRange::default();
            let path = at.path.index(index);
            let place = Place::new(At { draft: at.draft, path: &path }, Object(&mut range));
            if array.next_element_seed(place)?.is_none() {
                break;
            }
            match index {
                RANGES => at.fault(format!("has more than {RANGES} ranges, which is one for each port")),
                0..RANGES => self.0.push(range),
                _ => {}
            }
            at.again().go_on()?;
        }
        let ports = self.0.iter().enumerate().filter_map(|(index, range)| Some((index, range.ports?)));
        find_overlaps(ports, |index, message| at.draft.faults.add(&at.path.index(index).key("ports"), message));
        Ok(Some(()))
    }
}

impl Members for SpelledRange {
    const KEYS: &'static [&'static str] = &["ports", "server", "previous"];
    const REQUIRED: &'static [&'static str] = &["ports", "server"];

    fn member<'de, A: MapAccess<'de>>(&mut self, key: &'static str, mut value: Member<'_, A>) -> Result<(), A::Error> {
        match key {
            "ports" => {
                let read = str::parse::<Ports> as fn(&_) -> Result<_, PortsError>;
                self.ports = value.want(Text { wanted: PORTS_WANTED, read })?;
            }
            "server" => self.server = value.want(ServerName)?,
            _ => self.previous = value.want(OrNull(ServerName))?.flatten(),
        }
        Ok(())
    }

    fn end(&mut self, at: At<'_>, _: &Seen) {
        same_owner(at, self.server, self.previous);
    }
}

/// Nobody is his own predecessor.
pub(super) fn same_owner(at: At<'_>, server: Option<ServerId>, previous: Option<ServerId>) {
    if server.is_some() && server == previous {
        at.draft.faults.add(&at.path.key("previous"), "is the owner itself: leave previous out");
    }
}

/// Calls `overlap` with the index of each range that overlaps an earlier one, and with what those take up around it.
pub(in crate::source) fn find_overlaps(
    ranges: impl Iterator<Item = (usize, Ports)> + Clone,
    mut overlap: impl FnMut(usize, String),
) {
    if ranges.clone().is_sorted_by(|(_, before), (_, after)| before.last() < after.first()) {
        return;
    }
    // first and last port of what earlier ranges took, disjoint: overlapping ones have become one
    let mut taken = BTreeMap::<u16, u16>::new();
    for (index, ports) in ranges {
        let (mut first, mut last) = (ports.first(), ports.last());
        let overlapped = taken.range(..=last).rev().map_while(|(&from, &to)| (to >= first).then_some((from, to)));
        let overlapped: Vec<(u16, u16)> = overlapped.collect();
        if let Some((from, to)) = overlapped.last() {
            overlap(index, format!("overlaps earlier ranges, which have {from}-{to}: give each port to one range"));
        }
        for (from, to) in overlapped {
            taken.remove(&from);
            (first, last) = (first.min(from), last.max(to));
        }
        taken.insert(first, last);
    }
}

/// The runs of right slices, and whether they name everybody whom the document names.
pub(super) fn compile_slices(spelled: &Spelled, log: u8, runs: &mut Vec<Run>) -> Spelling {
    let Spelled { owners, owners_previous, .. } = spelled;
    let mut spelling = if owners_previous.len() > owners.len() { Spelling::Kept } else { Spelling::Slices(log) };
    let previous = owners_previous.iter().copied().chain(std::iter::repeat(None));
    for (slice, (&owner, previous)) in (0_u32..).zip(owners.iter().zip(previous)) {
        match owner {
            Some(server) => {
                let first = slice << log;
                let last = first + (1 << log) - 1;
                push_run(runs, Run { first: first as u16, last: last as u16, owner: Owner { server, previous } });
            }
            None if previous.is_some() => spelling = Spelling::Kept,
            None => {}
        }
    }
    spelling
}

/// The runs of right ranges, and whether each range became a run of its own, in order.
pub(super) fn compile_ranges(ranges: &[SpelledRange], runs: &mut Vec<Run>) -> Spelling {
    let run = |range: &SpelledRange| {
        let (ports, server) = (range.ports?, range.server?);
        Some(Run { first: ports.first(), last: ports.last(), owner: Owner { server, previous: range.previous } })
    };
    runs.extend(ranges.iter().filter_map(run));
    let in_order = !normalize(runs);
    if in_order && runs.len() == ranges.len() { Spelling::Ranges } else { Spelling::Kept }
}
