// SPDX-License-Identifier: MIT OR Apache-2.0
//! The compiled table: immutable, from one data centre's point of view, made for lookups.
//!
//! An address resolves to a 32-bit word, IPv4 by a trie, IPv6 by an index of intervals; a word that names a port
//! plan leads to the owner of the port in one more read. Equal plans are stored once.
//!
//! Tables that a [`Compiler`] made by patches share memory. Which of these files lookups read: `trie4`, `intervals6`,
//! `plans`, `word`. The others make what is read.

mod compiler;
mod extents;
mod flatten6;
mod intervals6;
mod limit;
mod owners;
mod plan_store;
mod plans;
mod targets;
mod trie4;
mod trie_painter;
mod viewpoint;
mod word;

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

pub use self::compiler::{Compiler, Reclaim};
use self::intervals6::Intervals6;
use self::plans::Plans;
use self::trie4::Trie4;
use self::word::Word;
use crate::fault::Faults;
use crate::growing::Growing;
use crate::source::Source;

/// Who looks at the table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Viewpoint {
    /// The data centre whose entries are local.
    pub datacenter: String,
    /// The forwarder's own underlay IPv4 address; without one it can't reach IPv4 targets.
    pub ipv4: Option<Ipv4Addr>,
    /// The same for IPv6.
    pub ipv6: Option<Ipv6Addr>,
}

/// Index of a [`Target`]: one server with, where it has one, its previous owner.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TargetId(pub u16);

/// Index of a [`Remote`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RemoteId(pub u16);

/// A port plan of this table: opaque, from [`Table::address`] to [`Table::port`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct PlanRef(u32);

/// What the table says about an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Address {
    /// Not in the table.
    Absent,
    /// In the table, in nobody's hands.
    Unassigned,
    /// All of it belongs to one server here.
    Whole(TargetId),
    /// Belongs to another data centre.
    Remote(RemoteId),
    /// Sliced among servers here: ask [`Table::port`], or [`Table::portless`].
    Sliced(PlanRef),
}

/// What a burst's lookup finds for one destination and port: what the table says of the address, and where it says
/// who owns the port.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Found {
    word: Word,
    place: u32,
}

impl Found {
    /// Not in the table.
    pub const ABSENT: Self = Self { word: Word::ABSENT, place: Plans::NOWHERE };

    /// What the table says about the address.
    #[inline(always)]
    pub fn address(self) -> Address {
        self.word.address()
    }
}

impl Default for Found {
    fn default() -> Self {
        Self::ABSENT
    }
}

/// A server that packets go to, with the previous owner to name in the header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// The server's name.
    pub name: Box<str>,
    /// Where its packets are sent.
    pub address: IpAddr,
    /// Name and address of the previous owner.
    pub previous: Option<(Box<str>, IpAddr)>,
    /// IP MTU of the path to it, where it is less than the device's.
    pub mtu: Option<u16>,
    /// A patch took it away: its id stands for nobody, and no address leads to it.
    pub is_gone: bool,
}

/// Another data centre.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remote {
    /// Its name.
    pub name: Box<str>,
    /// Those of its forwarders whose family the viewpoint has, in the order of the document; never empty if an
    /// address leads here.
    pub forwarders: Vec<IpAddr>,
    /// IP MTU of the path to it.
    pub mtu: Option<u16>,
}

/// Keys that a burst has in flight at once: more than a core can miss on, few enough for the nearest cache.
const STAGE: usize = 64;

/// The compiled table. Immutable; shared by all workers. A clone shares everything with it.
#[derive(Clone)]
pub struct Table {
    trie: Trie4,
    plans: Plans,
    intervals: Arc<Intervals6>,
    targets: Growing<Target>,
    remotes: Arc<[Remote]>,
    /// Of every data centre, sorted.
    forwarders: Arc<[IpAddr]>,
    /// Bytes of the large arrays.
    arrays: usize,
}

impl Table {
    /// Compiles `source` for one forwarder, by a [`Compiler`] that is needed no more.
    pub fn compile(source: &Source, viewpoint: &Viewpoint) -> Result<Self, Faults> {
        Compiler::new(source, viewpoint).map(|(_, table)| table)
    }

    /// What the longest prefix around `destination` says.
    #[inline]
    pub fn address(&self, destination: IpAddr) -> Address {
        match destination {
            IpAddr::V4(address) => self.trie.lookup(address.octets()),
            IpAddr::V6(address) => self.intervals.lookup(address.to_bits()),
        }
        .address()
    }

    /// [`Self::address`] for a burst of IPv4 destinations, level by level with prefetch. `address` reads one in network byte
    /// order, and `port` the port (host byte order) whose owner [`Self::owner`] will be asked for next, which is prefetched
    /// too. `found` gets one answer a destination; the shorter of both slices counts.
    #[inline]
    pub fn address_burst<K>(
        &self,
        destinations: &[K],
        address: impl Fn(&K) -> [u8; 4] + Copy,
        port: impl Fn(&K) -> u16,
        found: &mut [Found],
    ) {
        for (keys, found) in destinations.chunks(STAGE).zip(found.chunks_mut(STAGE)) {
            self.trie.lookup_stage(keys, address, found, |key, word| self.found(word, port(key)));
        }
    }

    /// The same for IPv6 destinations, which `address` reads as numbers.
    #[inline]
    pub fn address_burst6<K>(
        &self,
        destinations: &[K],
        address: impl Fn(&K) -> u128,
        port: impl Fn(&K) -> u16,
        found: &mut [Found],
    ) {
        for (keys, found) in destinations.chunks(STAGE).zip(found.chunks_mut(STAGE)) {
            self.intervals.lookup_stage(keys, &address, found, |key, word| self.found(word, port(key)));
        }
    }

    #[inline(always)]
    fn found(&self, word: Word, port: u16) -> Found {
        let place = word.plan().map_or(Plans::NOWHERE, |plan| self.plans.place(plan, port));
        Found { word, place }
    }

    /// Who owns the port that this was found for, if one read tells; most ports are found so. What this does not know,
    /// [`Self::port`] does.
    #[inline(always)]
    pub fn owner(&self, found: Found) -> Option<TargetId> {
        self.plans.at(found.place)
    }

    /// Who owns `port` (host byte order) of a sliced address. Port 0 has no owner.
    #[inline(always)]
    pub fn port(&self, plan: PlanRef, port: u16) -> Option<TargetId> {
        self.plans.port(plan, port)
    }

    /// Who gets protocols without ports of a sliced address.
    #[inline]
    pub fn portless(&self, plan: PlanRef) -> Option<TargetId> {
        self.plans.portless(plan)
    }

    /// All targets, by [`TargetId`]. After patches some may be among them that no address leads to any more.
    pub fn targets(&self) -> &Growing<Target> {
        &self.targets
    }

    /// All other data centres that addresses lead to, by [`RemoteId`]. The same goes for them.
    pub fn remotes(&self) -> &[Remote] {
        &self.remotes
    }

    /// Whether GUE from `address` is to be trusted: a forwarder of any data centre.
    pub fn is_forwarder(&self, address: IpAddr) -> bool {
        self.forwarders.binary_search(&address).is_ok()
    }

    /// The widest run of ports around `port` with the same owner, as [`Self::port`] tells it: port 0 has none. For
    /// people: slower than a lookup.
    pub fn run_around(&self, plan: PlanRef, port: u16) -> (u16, u16) {
        let owner = self.port(plan, port);
        let same = |other: &u16| self.port(plan, *other) == owner;
        let first = (0..port).rev().take_while(same).last();
        let last = (port..=u16::MAX).take_while(same).last();
        (first.unwrap_or(port), last.unwrap_or(port))
    }

    /// Bytes of memory that the compiled table holds, with what it shares with others.
    pub fn size(&self) -> usize {
        let targets = self.targets.iter().map(|target| size_of::<Target>() + target.text()).sum::<usize>();
        let remotes = size_of_val(&*self.remotes) + self.remotes.iter().map(Remote::heap).sum::<usize>();
        size_of::<Self>() + self.arrays + targets + remotes + size_of_val(&*self.forwarders)
    }
}

impl Target {
    fn text(&self) -> usize {
        self.name.len() + self.previous.as_ref().map_or(0, |(name, _)| name.len())
    }
}

impl Remote {
    fn heap(&self) -> usize {
        self.name.len() + size_of_val(&*self.forwarders)
    }
}

impl fmt::Debug for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Table")
            .field("targets", &self.targets.len())
            .field("remotes", &self.remotes.len())
            .field("size", &self.size())
            .finish_non_exhaustive()
    }
}
