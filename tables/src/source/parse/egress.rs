// SPDX-License-Identifier: MIT OR Apache-2.0
//! The egress entries: one at a time, compressed before the next is read.

use std::net::{IpAddr, Ipv4Addr};

use serde::de::{DeserializeSeed, IgnoredAny, MapAccess, SeqAccess};
use serde_json::Deserializer;

use super::object::{Member, Members, Object, Seen};
use super::ownership::{Ranges, Slices, compile_ranges, compile_slices, same_owner};
use super::scalar::{DatacenterName, OrNull, ServerName, Text, True};
use super::tags::{TagDraft, Tags};
use super::want::{At, Place, Want};
use super::window::Window;
use crate::prefix::{Prefix, PrefixError};
use crate::source::draft::{Draft, Spelled, Spelling};
use crate::source::plan;
use crate::source::{DatacenterId, Entry, Owner, Ownership, PlanId, Run};

/// Wants the array of all entries.
pub(super) struct Egress<'a> {
    /// What they are read from, if that is a stream.
    pub(super) window: Option<&'a Window<'a>>,
}

impl<'de> Want<'de> for Egress<'_> {
    type Value = ();

    fn wanted(&self) -> String {
        "an array of entries".into()
    }

    fn array<A: SeqAccess<'de>>(self, mut at: At<'_>, mut array: A) -> Result<Option<()>, A::Error> {
        let mut entry = EntryDraft::default();
        // A document of 2^32 entries ends here, and is refused for what follows.
        for index in 0..u32::MAX {
            at.draft.faults.position.1 = index;
            let path = at.path.index(index as usize);
            let before = at.draft.faults.count();
            entry.clear();
            let place =
                Place::new(At { draft: at.draft, path: &path }, OneEntry { entry: &mut entry, window: self.window });
            if array.next_element_seed(place)?.is_none() {
                break;
            }
            let right = at.draft.faults.count() == before;
            entry.store(index, right, at.draft);
            at.again().go_on()?;
        }
        Ok(Some(()))
    }
}

/// Wants an entry.
struct OneEntry<'a, 'r> {
    entry: &'a mut EntryDraft,
    window: Option<&'a Window<'r>>,
}

impl<'de> Want<'de> for OneEntry<'_, '_> {
    type Value = ();

    fn wanted(&self) -> String {
        "an object".into()
    }

    fn object<A: MapAccess<'de>>(self, mut at: At<'_>, mut object: A) -> Result<Option<()>, A::Error> {
        let Self { entry, window } = self;
        if window.is_some_and(|window| window.object(|text| entry.read(at.again(), text))) {
            // What is left is the last brace.
            while object.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
            return Ok(Some(()));
        }
        Object(entry).object(at, object)
    }
}

/// An entry while it is read. One serves all of them, so that its vectors are allocated once.
#[derive(Default)]
struct EntryDraft {
    prefix: Option<Prefix>,
    datacenter: Option<DatacenterId>,
    unassigned: bool,
    slice_log: Option<u8>,
    spelled: Spelled,
    tags: TagDraft,
    runs: Vec<Run>,
    bytes: Vec<u8>,
}

impl Members for EntryDraft {
    const KEYS: &'static [&'static str] =
        &["prefix", "datacenter", "slices", "ranges", "server", "unassigned", "portless", "previous", "tags"];
    const REQUIRED: &'static [&'static str] = &["prefix"];

    fn member<'de, A: MapAccess<'de>>(&mut self, key: &'static str, mut value: Member<'_, A>) -> Result<(), A::Error> {
        match key {
            "prefix" => self.prefix = value.want(Text { wanted: "a prefix as text", read: egress_prefix })?,
            "datacenter" => self.datacenter = value.want(DatacenterName)?,
            "slices" => {
                let mut slices = Slices { log: None, spelled: &mut self.spelled };
                value.want(Object(&mut slices))?;
                self.slice_log = slices.log;
            }
            "ranges" => {
                value.want(Ranges(&mut self.spelled.ranges))?;
            }
            "server" => self.spelled.server = value.want(ServerName)?,
            "unassigned" => self.unassigned = value.want(True)?.is_some(),
            "portless" => self.spelled.portless = value.want(ServerName)?,
            "previous" => self.spelled.previous = value.want(OrNull(ServerName))?.flatten(),
            _ => {
                value.want(Tags(&mut self.tags))?;
            }
        }
        Ok(())
    }

    fn end(&mut self, mut at: At<'_>, seen: &Seen) {
        const KINDS: [&str; 4] = ["slices", "ranges", "server", "unassigned"];
        // What is not `true` is refused where it stands, and says nothing of the rest: perhaps it was meant as left out.
        let is_unclear = seen.has("unassigned") && !self.unassigned;
        let is_kind = |kind: &&str| seen.has(kind) && !(is_unclear && *kind == "unassigned");
        let kinds: Vec<&str> = KINDS.into_iter().filter(is_kind).collect();
        match kinds.as_slice() {
            [] if is_unclear => return,
            [_] => {}
            [] => at.fault("does not say whose it is: one of slices, ranges, server, unassigned is needed"),
            several => {
                at.fault(format!("says in several ways whose it is: only one of {} may stay", several.join(", ")))
            }
        }
        let mut misplaced = |key: &str, message: &str| {
            if seen.has(key) {
                at.draft.faults.add(&at.path.key(key), message);
            }
        };
        if self.unassigned {
            for key in ["datacenter", "tags", "portless", "previous"] {
                misplaced(key, "has no place beside unassigned: these addresses are in nobody's hands");
            }
        } else {
            if seen.has("server") && !seen.has("slices") && !seen.has("ranges") {
                misplaced("portless", "goes with slices or ranges; a server has every protocol of its address");
            }
            if !kinds.is_empty() && !seen.has("server") {
                misplaced("previous", "goes beside server; slices and ranges have previous owners of their own");
            }
            if !seen.has("datacenter") {
                at.fault("\"datacenter\" is missing");
            }
        }
        same_owner(at, self.spelled.server, self.spelled.previous);
    }
}

impl EntryDraft {
    /// Reads all of an entry; if false, nothing has happened.
    fn read(&mut self, mut at: At<'_>, text: &str) -> bool {
        let faults = at.draft.faults.count();
        let place = Place::new(at.again(), Object(self));
        let done = place.deserialize(&mut Deserializer::from_str(text)).is_ok();
        if !done {
            at.draft.faults.truncate(faults);
            self.clear();
        }
        done
    }

    fn clear(&mut self) {
        self.prefix = None;
        self.datacenter = None;
        self.unassigned = false;
        self.slice_log = None;
        self.spelled.clear();
        self.tags.clear();
    }

    /// Hands the entry over to the draft; unless it is `right`, only for the checks that are yet to come.
    fn store(&mut self, index: u32, right: bool, draft: &mut Draft) {
        let found = if right { self.ownership(draft) } else { None };
        let (ownership, spelling) = found.unwrap_or((Ownership::Unassigned, Spelling::Kept));
        if spelling == Spelling::Kept {
            draft.egress.kept.push((index, self.spelled.clone()));
        }
        if self.prefix.is_none() {
            draft.egress.unplaced.push(index);
        }
        let prefix = self.prefix.unwrap_or(Prefix::host(IpAddr::V4(Ipv4Addr::UNSPECIFIED)));
        draft.egress.entries.push(Entry { prefix, datacenter: self.datacenter, ownership });
        draft.egress.spellings.push(spelling);
        self.bytes.clear();
        self.tags.encode(&mut self.bytes);
        draft.egress.tags_of_entry.push(draft.egress.tags.intern(&self.bytes).unwrap_or_default());
    }

    /// What a right entry says, and how to find the places of its names again.
    fn ownership(&mut self, draft: &mut Draft) -> Option<(Ownership, Spelling)> {
        let spelled = &self.spelled;
        if let Some(server) = spelled.server {
            let owner = Owner { server, previous: spelled.previous };
            return Some((Ownership::Whole(owner), Spelling::Plain));
        }
        self.runs.clear();
        let spelling = if let Some(log) = self.slice_log {
            compile_slices(spelled, log, &mut self.runs)
        } else if self.datacenter.is_none() {
            // Of right entries only the unassigned have no data centre.
            return Some((Ownership::Unassigned, Spelling::Plain));
        } else {
            compile_ranges(&spelled.ranges, &mut self.runs)
        };
        self.bytes.clear();
        plan::encode(&self.runs, &mut self.bytes);
        let plan = PlanId(draft.egress.plans.intern(&self.bytes)?);
        Some((Ownership::Sliced { plan, portless: spelled.portless }, spelling))
    }
}

/// A prefix as packets show it: IPv4 in IPv6 clothes would never match one.
pub(super) fn egress_prefix(text: &str) -> Result<Prefix, String> {
    let prefix: Prefix = text.parse().map_err(|error: PrefixError| error.to_string())?;
    match prefix.address() {
        IpAddr::V6(v6) if prefix.length() >= 96 && v6.to_ipv4_mapped().is_some() => {
            Err(format!("{prefix} is an IPv4 prefix in IPv6 clothes; write it as IPv4"))
        }
        _ => Ok(prefix),
    }
}
