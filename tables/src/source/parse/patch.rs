// SPDX-License-Identifier: MIT OR Apache-2.0
//! The top of a patch. What it sets is spelled as in a table document and read by the same code.

use serde::de::{MapAccess, SeqAccess};

use super::document::{Datacenters, Servers};
use super::egress::{Egress, egress_prefix};
use super::object::{Member, Members, Object, Seen, each_element};
use super::ownership::{PORTS_WANTED, same_owner};
use super::scalar::{DatacenterName, Integer, OrNull, ServerName, Text};
use super::want::{At, Place, Want};
use crate::ports::{Ports, PortsError};
use crate::prefix::Prefix;
use crate::source::{DatacenterId, ServerId};

/// A patch as far as it could be read, but for what it sets, which is in the draft. Ids are the draft's.
#[derive(Debug, Default)]
pub(in crate::source) struct PatchDraft {
    pub(in crate::source) base: Option<(u64, u64)>,
    pub(in crate::source) removed: Removed,
    pub(in crate::source) ports: Vec<PortsDraft>,
    pub(in crate::source) ranks: PatchRanks,
    /// How many members came before.
    rank: u8,
}

/// In which order the members of the patch came that the document does not have.
#[derive(Debug, Default, Clone, Copy)]
pub(in crate::source) struct PatchRanks {
    pub(in crate::source) servers: u8,
    pub(in crate::source) datacenters: u8,
    pub(in crate::source) egress: u8,
    pub(in crate::source) ports: u8,
}

/// The member `remove`: each element that could be read, with its index.
#[derive(Debug, Default, Clone)]
pub(in crate::source) struct Removed {
    pub(in crate::source) servers: Vec<(u32, ServerId)>,
    pub(in crate::source) datacenters: Vec<(u32, DatacenterId)>,
    pub(in crate::source) egress: Vec<(u32, Prefix)>,
}

/// One element of `ports`.
#[derive(Debug, Default, Clone, Copy)]
pub(in crate::source) struct PortsDraft {
    pub(in crate::source) prefix: Option<Prefix>,
    pub(in crate::source) ports: Option<Ports>,
    pub(in crate::source) server: Option<ServerId>,
    pub(in crate::source) previous: Option<ServerId>,
}

impl PatchDraft {
    /// The next member begins.
    fn begin(&mut self, at: &mut At<'_>) -> u8 {
        let rank = self.rank;
        self.rank += 1;
        at.draft.faults.position = (rank, 0);
        rank
    }
}

impl Members for PatchDraft {
    const KEYS: &'static [&'static str] = &["base", "set", "remove", "ports"];
    const REQUIRED: &'static [&'static str] = &[];

    fn member<'de, A: MapAccess<'de>>(&mut self, key: &'static str, mut value: Member<'_, A>) -> Result<(), A::Error> {
        let rank = self.begin(&mut value.at);
        match key {
            "base" => self.base = value.want(Base)?,
            "set" => {
                value.want(Object(&mut SetMembers(self)))?;
            }
            "remove" => {
                value.want(Object(&mut RemoveMembers(self)))?;
            }
            _ => {
                self.ranks.ports = rank;
                value.want(PortChanges(&mut self.ports))?;
            }
        }
        Ok(())
    }
}

/// Generation and revision.
struct Base;

impl<'de> Want<'de> for Base {
    type Value = (u64, u64);

    fn wanted(&self) -> String {
        "an array of two numbers, the generation and the revision that the patch is for".into()
    }

    fn array<A: SeqAccess<'de>>(self, mut at: At<'_>, array: A) -> Result<Option<Self::Value>, A::Error> {
        let mut numbers = Vec::new();
        let mut elements = 0;
        each_element(
            &mut at,
            array,
            || Integer(0..=i64::MAX as u64),
            |_, number| {
                elements += 1;
                // A long one is not kept: it is wrong anyway.
                numbers.extend(number.filter(|_| elements <= 2));
            },
        )?;
        if elements != 2 {
            at.fault(format!("must be {}, not of {elements}", self.wanted()));
        }
        Ok(<[u64; 2]>::try_from(numbers).ok().map(|[generation, revision]| (generation, revision)))
    }
}

struct SetMembers<'a>(&'a mut PatchDraft);

impl Members for SetMembers<'_> {
    const KEYS: &'static [&'static str] = &["servers", "datacenters", "egress"];
    const REQUIRED: &'static [&'static str] = &[];

    fn member<'de, A: MapAccess<'de>>(&mut self, key: &'static str, mut value: Member<'_, A>) -> Result<(), A::Error> {
        let rank = self.0.begin(&mut value.at);
        let ranks = &mut value.at.draft.ranks;
        match key {
            "servers" => {
                ranks.servers = rank;
                value.want(Servers)?;
            }
            "datacenters" => {
                ranks.datacenters = rank;
                value.want(Datacenters)?;
            }
            _ => {
                ranks.egress = rank;
                value.want(Egress { window: None })?;
            }
        }
        Ok(())
    }
}

struct RemoveMembers<'a>(&'a mut PatchDraft);

impl Members for RemoveMembers<'_> {
    const KEYS: &'static [&'static str] = &["servers", "datacenters", "egress"];
    const REQUIRED: &'static [&'static str] = &[];

    fn member<'de, A: MapAccess<'de>>(&mut self, key: &'static str, mut value: Member<'_, A>) -> Result<(), A::Error> {
        let rank = self.0.begin(&mut value.at);
        let PatchDraft { ranks, removed, .. } = &mut *self.0;
        match key {
            "servers" => {
                ranks.servers = rank;
                value.want(List {
                    wanted: "an array of server names",
                    one: || ServerName,
                    to: &mut removed.servers,
                })?;
            }
            "datacenters" => {
                ranks.datacenters = rank;
                let wanted = "an array of names of data centres";
                value.want(List { wanted, one: || DatacenterName, to: &mut removed.datacenters })?;
            }
            _ => {
                ranks.egress = rank;
                let one = || Text { wanted: "a prefix as text", read: egress_prefix };
                value.want(List { wanted: "an array of prefixes", one, to: &mut removed.egress })?;
            }
        }
        Ok(())
    }
}

/// Wants an array; keeps each element that is as wanted.
struct List<'a, F, T> {
    wanted: &'static str,
    one: F,
    to: &'a mut Vec<(u32, T)>,
}

impl<'de, W: Want<'de>, F: FnMut() -> W> Want<'de> for List<'_, F, W::Value> {
    type Value = ();

    fn wanted(&self) -> String {
        self.wanted.into()
    }

    fn array<A: SeqAccess<'de>>(mut self, at: At<'_>, mut array: A) -> Result<Option<()>, A::Error> {
        for index in 0..u32::MAX {
            at.draft.faults.position.1 = index;
            let path = at.path.index(index as usize);
            let place = Place::new(At { draft: at.draft, path: &path }, (self.one)());
            let Some(value) = array.next_element_seed(place)? else { break };
            self.to.extend(value.map(|value| (index, value)));
        }
        Ok(Some(()))
    }
}

struct PortChanges<'a>(&'a mut Vec<PortsDraft>);

impl<'de> Want<'de> for PortChanges<'_> {
    type Value = ();

    fn wanted(&self) -> String {
        "an array of port changes".into()
    }

    fn array<A: SeqAccess<'de>>(self, at: At<'_>, mut array: A) -> Result<Option<()>, A::Error> {
        for index in 0..u32::MAX {
            at.draft.faults.position.1 = index;
            let mut change = PortsDraft::default();
            let path = at.path.index(index as usize);
            let place = Place::new(At { draft: at.draft, path: &path }, Object(&mut change));
            if array.next_element_seed(place)?.is_none() {
                break;
            }
            self.0.push(change);
        }
        Ok(Some(()))
    }
}

impl Members for PortsDraft {
    const KEYS: &'static [&'static str] = &["prefix", "ports", "server", "previous"];
    // Who leaves `server` out might have forgotten it: only null takes ports from everybody.
    const REQUIRED: &'static [&'static str] = &["prefix", "ports", "server"];

    fn member<'de, A: MapAccess<'de>>(&mut self, key: &'static str, mut value: Member<'_, A>) -> Result<(), A::Error> {
        match key {
            "prefix" => self.prefix = value.want(Text { wanted: "a prefix as text", read: egress_prefix })?,
            "ports" => {
                let read = str::parse::<Ports> as fn(&_) -> Result<_, PortsError>;
                self.ports = value.want(Text { wanted: PORTS_WANTED, read })?;
            }
            "server" => self.server = value.want(OrNull(ServerName))?.flatten(),
            _ => self.previous = value.want(OrNull(ServerName))?.flatten(),
        }
        Ok(())
    }

    fn end(&mut self, at: At<'_>, _: &Seen) {
        same_owner(at, self.server, self.previous);
    }
}
