// SPDX-License-Identifier: MIT OR Apache-2.0
//! The table document (contract section 3): one for the whole network, in memory, validated, not yet
//! anybody's point of view.
//!
//! The way of a document: `parse` streams it into a `draft`, where names are ids and plans are compressed; `check`
//! looks at what only the whole can tell; what passes is a [`Source`].

mod check;
mod digest;
mod draft;
mod faults;
mod intern;
mod leb;
mod lookup;
mod parse;
pub mod patch;
pub(crate) mod path;
pub(crate) mod plan;
mod rule;
mod shared;
mod short_names;
mod tags;
mod write;

use std::io::Read;
use std::net::IpAddr;

use self::draft::{DatacenterDraft, Draft, EgressDraft, ServerDraft, Spelling};
use self::intern::Interner;
pub use self::parse::shape::Bounded;
pub use self::rule::{Asked, Rule};
use self::shared::Shared;
use crate::fault::{Fault, Faults};
use crate::prefix::Prefix;

/// Index of a data centre in [`Source::datacenters`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DatacenterId(pub u32);

/// Index of a server in [`Source::servers`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ServerId(pub u32);

/// Names one distinct port plan; equal plans of a source have equal ids.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PlanId(pub u32);

/// A data centre and the forwarders that take its packets from others.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Datacenter {
    /// Its name, an IATA code as a rule.
    pub name: Box<str>,
    /// Underlay addresses of its forwarders, in the order of the document (the choice among them counts on it).
    pub forwarders: Vec<IpAddr>,
    /// IP MTU of the path to it from other data centres.
    pub mtu: Option<u16>,
}

/// A server that owns addresses or slices.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Server {
    /// Its name.
    pub name: Box<str>,
    /// Where it is.
    pub datacenter: DatacenterId,
    /// Its underlay address, where GUE packets for it go.
    pub address: IpAddr,
    /// IP MTU of the path to it.
    pub mtu: Option<u16>,
}

/// Who answers for a port or an address, and who did before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Owner {
    /// The server.
    pub server: ServerId,
    /// The last owner, while its old connections drain.
    pub previous: Option<ServerId>,
}

/// Consecutive ports of one owner.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Run {
    /// First port.
    pub first: u16,
    /// Last port, inclusive.
    pub last: u16,
    /// Whose they are.
    pub owner: Owner,
}

/// What an entry says about each address of its prefix.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Ownership {
    /// Announced, but in nobody's hands.
    Unassigned,
    /// Every protocol and port belongs to one server.
    Whole(Owner),
    /// Ports belong to servers by a plan.
    Sliced {
        /// The port plan.
        plan: PlanId,
        /// Who gets protocols that carry no ports.
        portless: Option<ServerId>,
    },
}

/// One member of `egress`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry {
    /// The addresses it speaks of, longer prefixes excepted.
    pub prefix: Prefix,
    /// The data centre that owns them; none for unassigned ones.
    pub datacenter: Option<DatacenterId>,
    /// Who owns what.
    pub ownership: Ownership,
}

impl Entry {
    /// The port plan, if it has one.
    pub fn plan(&self) -> Option<PlanId> {
        match self.ownership {
            Ownership::Sliced { plan, .. } => Some(plan),
            _ => None,
        }
    }
}

/// A valid table document. References are resolved, so ids of a source always index it.
///
/// Data centres and servers are numbered in the order in which the document first names them. What a patch adds comes
/// behind them; when it removes one, the last ones take the numbers of those that went.
#[derive(Debug, Clone)]
pub struct Source {
    generation: Option<u64>,
    datacenters: Vec<Datacenter>,
    datacenter_names: Interner,
    servers: Vec<Server>,
    server_names: Interner,
    plans: Shared,
    entries: Vec<Entry>,
    tags: Shared,
    tags_of_entry: Vec<u32>,
    /// How the document spelled each entry; nothing since a patch has added or removed some.
    spellings: Vec<Spelling>,
    by_prefix: Vec<u32>,
}

impl Source {
    /// Reads and validates a document as a stream; all faults are found, not only the first.
    pub fn from_reader(mut reader: impl Read) -> Result<Self, Faults> {
        Self::from_draft(parse::parse(&mut reader))
    }

    /// Reads and validates a document in memory.
    pub fn from_slice(mut json: &[u8]) -> Result<Self, Faults> {
        Self::from_draft(parse::parse(&mut json))
    }

    fn from_draft((mut draft, complete): (Draft, bool)) -> Result<Self, Faults> {
        // What is missing from half a document may stand in the other half.
        let by_prefix = if complete { check::check(&mut draft) } else { Vec::new() };
        draft.faults.finish()?;
        let undefined =
            || Faults(vec![Fault { path: String::new(), message: "uses a name that is not defined".into() }]);
        let Draft { generation, names, egress, .. } = draft;
        let (datacenter_names, datacenters) = names.datacenters.finish(Datacenter::from_draft).ok_or_else(undefined)?;
        let (server_names, servers) = names.servers.finish(Server::from_draft).ok_or_else(undefined)?;
        let EgressDraft { plans, tags, mut tags_of_entry, mut entries, mut spellings, .. } = egress;
        entries.shrink_to_fit();
        tags_of_entry.shrink_to_fit();
        spellings.shrink_to_fit();
        Ok(Self {
            generation,
            datacenters,
            datacenter_names,
            servers,
            server_names,
            plans: Shared::new(plans, entries.iter().filter_map(Entry::plan).map(|plan| plan.0)),
            tags: Shared::new(tags, tags_of_entry.iter().copied()),
            entries,
            tags_of_entry,
            spellings,
            by_prefix,
        })
    }

    /// The document's own number, if it gives one: 0 … 2^63−1.
    pub fn generation(&self) -> Option<u64> {
        self.generation
    }

    /// All data centres, by id.
    pub fn datacenters(&self) -> &[Datacenter] {
        &self.datacenters
    }

    /// All servers, by id.
    pub fn servers(&self) -> &[Server] {
        &self.servers
    }

    /// All egress entries: in the order of the document until a patch adds or removes some; prefixes are distinct.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// All egress entries with their indices, in the order of their prefixes: a shorter one before those inside it.
    pub fn entries_by_prefix(&self) -> impl Iterator<Item = (usize, &Entry)> + Clone + '_ {
        // Every index is one of an entry, so that no element is left out.
        let entry = |&index: &u32| self.entries.get(index as usize).map(|entry| (index as usize, entry));
        self.by_prefix.iter().filter_map(entry)
    }

    /// The data centre of that id. Panics for an id of some other source.
    #[expect(clippy::indexing_slicing, reason = "an id of this source always indexes it")]
    pub fn datacenter(&self, id: DatacenterId) -> &Datacenter {
        &self.datacenters[id.0 as usize]
    }

    /// The server of that id. Panics for an id of some other source.
    #[expect(clippy::indexing_slicing, reason = "an id of this source always indexes it")]
    pub fn server(&self, id: ServerId) -> &Server {
        &self.servers[id.0 as usize]
    }

    /// The data centre of that name.
    pub fn find_datacenter(&self, name: &str) -> Option<DatacenterId> {
        self.datacenter_names.find(name.as_bytes()).map(DatacenterId)
    }

    /// The server of that name.
    pub fn find_server(&self, name: &str) -> Option<ServerId> {
        self.server_names.find(name.as_bytes()).map(ServerId)
    }

    /// How many ids port plans have; those that a patch freed are among them, until a later one gives them away again.
    pub fn plans(&self) -> usize {
        self.plans.items().len()
    }

    /// The runs of a plan: ascending, disjoint, touching runs of one owner merged, unallocated ports left out. A freed
    /// plan has none.
    pub fn runs(&self, plan: PlanId) -> impl Iterator<Item = Run> + Clone + '_ {
        plan::Runs::new(self.plans.items().get(plan.0))
    }

    /// A plan as it is kept: the same bytes for the same runs.
    pub(crate) fn plan_bytes(&self, plan: PlanId) -> &[u8] {
        self.plans.items().get(plan.0)
    }

    /// The binary logarithm of the largest power of two that all bounds of a plan's runs are multiples of. Cheaper than
    /// to read the runs.
    pub(crate) fn plan_unit_log(&self, plan: PlanId) -> u32 {
        plan::unit_log(self.plans.items().get(plan.0))
    }

    /// The tags of the `index`-th entry, sorted by key.
    pub fn tags(&self, index: usize) -> impl Iterator<Item = (&str, &str)> + '_ {
        let set = self.tags_of_entry.get(index).map(|&set| self.tags.items().get(set)).unwrap_or_default();
        tags::Pairs(set)
    }

    /// A digest of what the document means: the same for two spellings of one table. The generation is left out.
    pub fn digest(&self) -> u128 {
        digest::digest(self)
    }
}

impl Datacenter {
    fn from_draft(name: Box<str>, draft: DatacenterDraft) -> Option<Self> {
        Some(Self { name, forwarders: draft.forwarders, mtu: draft.mtu })
    }
}

impl Server {
    fn from_draft(name: Box<str>, draft: ServerDraft) -> Option<Self> {
        Some(Self { name, datacenter: draft.datacenter?, address: draft.address?, mtu: draft.mtu })
    }
}
