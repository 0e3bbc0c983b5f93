// SPDX-License-Identifier: MIT OR Apache-2.0
//! What has been read of a document: complete in the end, but with names that may lead nowhere yet.
//!
//! Names become ids when they are first met, defined or not, since members of a JSON object come in any order.

use std::net::IpAddr;

use super::faults::FaultList;
use super::intern::Interner;
use super::short_names::ShortNames;
use super::{DatacenterId, Entry, ServerId};
use crate::ports::Ports;

/// A document on its way to a source, or a patch on its way to one.
#[derive(Debug, Default)]
pub(super) struct Draft {
    pub(super) faults: FaultList,
    pub(super) generation: Option<u64>,
    pub(super) names: Names,
    pub(super) egress: EgressDraft,
    /// Ranks of the large members among all.
    pub(super) ranks: Ranks,
}

/// What the names of a document stand for.
#[derive(Debug, Default, Clone)]
pub(super) struct Names {
    pub(super) datacenters: Registry<DatacenterDraft>,
    pub(super) servers: Registry<ServerDraft>,
}

/// The member `egress`.
#[derive(Debug, Default, Clone)]
pub(super) struct EgressDraft {
    pub(super) plans: Interner,
    /// Sets of tags, as [`super::tags`] writes them, and the id of each entry's.
    pub(super) tags: Interner,
    pub(super) tags_of_entry: Vec<u32>,
    /// One for each element of `egress`. What a faulty one does not say is made up; nobody gets to see it.
    pub(super) entries: Vec<Entry>,
    /// How each entry spelled its ownership.
    pub(super) spellings: Vec<Spelling>,
    /// The ownership of entries with [`Spelling::Kept`], in their order.
    pub(super) kept: Vec<(u32, Spelled)>,
    /// Entries whose prefix could not be read, in their order.
    pub(super) unplaced: Vec<u32>,
}

/// In which order the large members of the document came.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Ranks {
    pub(super) datacenters: u8,
    pub(super) servers: u8,
    pub(super) egress: u8,
}

/// A data centre as far as it could be read.
#[derive(Debug, Default, Clone)]
pub(super) struct DatacenterDraft {
    pub(super) forwarders: Vec<IpAddr>,
    pub(super) mtu: Option<u16>,
    /// Whether something was wrong with it, so that forwarders may only be missing here.
    pub(super) faulty: bool,
}

/// A server as far as it could be read.
#[derive(Debug, Default, Clone)]
pub(super) struct ServerDraft {
    pub(super) datacenter: Option<DatacenterId>,
    pub(super) address: Option<IpAddr>,
    pub(super) mtu: Option<u16>,
}

/// How to find the places of an entry's server names again, after its ownership was compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Spelling {
    /// There is nothing to find: whole addresses and unassigned ones.
    Plain,
    /// Slices of this size, as a binary logarithm.
    Slices(u8),
    /// Ranges, one for each run of the plan, in the same order.
    Ranges,
    /// Something else, kept in [`EgressDraft::kept`].
    Kept,
}

/// The ownership of an entry as the document spells it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Spelled {
    pub(super) owners: Vec<Option<ServerId>>,
    pub(super) owners_previous: Vec<Option<ServerId>>,
    pub(super) ranges: Vec<SpelledRange>,
    pub(super) server: Option<ServerId>,
    pub(super) previous: Option<ServerId>,
    pub(super) portless: Option<ServerId>,
}

impl Spelled {
    /// Forgets everything but the space that it took.
    pub(super) fn clear(&mut self) {
        let Self { owners, owners_previous, ranges, server, previous, portless } = self;
        owners.clear();
        owners_previous.clear();
        ranges.clear();
        (*server, *previous, *portless) = (None, None, None);
    }
}

/// One element of `ranges`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct SpelledRange {
    pub(super) ports: Option<Ports>,
    pub(super) server: Option<ServerId>,
    pub(super) previous: Option<ServerId>,
}

/// Things with names.
#[derive(Debug, Clone)]
pub(super) struct Registry<T> {
    /// Whether the object that defines them could be read. If not, that alone is the fault, not every use of a name.
    pub(super) known: bool,
    names: Interner,
    /// Some of `names` again.
    short: ShortNames,
    /// What each name stands for, with its rank among the definitions; none while it is only referred to.
    slots: Vec<Option<(u32, T)>>,
    defined: u32,
}

impl<T> Default for Registry<T> {
    fn default() -> Self {
        Self { known: false, names: Interner::default(), short: ShortNames::default(), slots: Vec::new(), defined: 0 }
    }
}

impl<T> Registry<T> {
    /// The id of a name, defined or not; none when there are 2^32 names.
    pub(super) fn refer(&mut self, name: &str) -> Option<u32> {
        if let Some(id) = self.short.find(name) {
            return Some(id);
        }
        let id = self.names.intern(name.as_bytes())?;
        self.short.insert(name, id);
        if id as usize == self.slots.len() {
            self.slots.push(None);
        }
        Some(id)
    }

    /// Says what a name stands for; false if that was said before.
    pub(super) fn define(&mut self, id: u32, thing: T) -> bool {
        match self.slots.get_mut(id as usize) {
            Some(slot @ None) => {
                *slot = Some((self.defined, thing));
                self.defined += 1;
                true
            }
            _ => false,
        }
    }

    /// What the name stands for, if that was said.
    pub(super) fn get(&self, id: u32) -> Option<&T> {
        self.slots.get(id as usize)?.as_ref().map(|(_, thing)| thing)
    }

    /// The name of that id.
    pub(super) fn name(&self, id: u32) -> &str {
        std::str::from_utf8(self.names.items().get(id)).unwrap_or_default()
    }

    /// The id of a name, if it is one.
    pub(super) fn find(&self, name: &str) -> Option<u32> {
        self.names.find(name.as_bytes())
    }

    /// How many names there are, defined or not.
    pub(super) fn len(&self) -> usize {
        self.slots.len()
    }

    /// How many names have been defined.
    pub(super) fn defined(&self) -> u32 {
        self.defined
    }

    /// All that is defined: rank among the definitions, id, thing.
    pub(super) fn iter(&self) -> impl Iterator<Item = (u32, u32, &T)> {
        (0_u32..).zip(&self.slots).filter_map(|(id, slot)| slot.as_ref().map(|(rank, thing)| (*rank, id, thing)))
    }

    /// The names, and each thing made into what is wanted of it; none if one of them is not to be had.
    pub(super) fn finish<U>(self, mut make: impl FnMut(Box<str>, T) -> Option<U>) -> Option<(Interner, Vec<U>)> {
        let Self { names, slots, .. } = self;
        let name = |id: u32| std::str::from_utf8(names.items().get(id)).unwrap_or_default().into();
        let things = (0_u32..).zip(slots).map(|(id, slot)| make(name(id), slot?.1)).collect::<Option<_>>()?;
        Some((names, things))
    }
}
