// SPDX-License-Identifier: MIT OR Apache-2.0
//! From a source to a table, and from a table and a change of the source to the next one.

use std::mem;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;

use super::extents::Extent;
use super::flatten6::Flatten6;
use super::intervals6::Intervals6;
use super::limit::Limit;
use super::owners::Owners;
use super::trie_painter::{Painter, count_nodes};
use super::viewpoint::Place;
use super::word::Word;
use super::{Table, Viewpoint};
use crate::fault::Faults;
use crate::prefix::Prefix;
use crate::source::patch::Changes;
use crate::source::{Datacenter, Source};

/// Makes the generations of a table that follow from one another by patches, so that they share what is the same in
/// them. It has all that only the making needs; a [`Table`] has what lookups read.
pub struct Compiler {
    viewpoint: Viewpoint,
    /// Those that `place` was made for.
    datacenters: Vec<Datacenter>,
    place: Place,
    owners: Owners,
    painter: Painter,
    intervals: Arc<Intervals6>,
    forwarders: Arc<[IpAddr]>,
    /// One for all generations that share arenas.
    lineage: Arc<()>,
    /// Whether the last patch failed. What it had done already is not undone, and how plans are numbered after the
    /// caller has put the source back is not known.
    torn: bool,
}

/// What a table has no longer that earlier ones of its lineage have: [`Compiler::reclaim`].
#[derive(Debug)]
#[must_use = "memory that is not reclaimed is lost to the lineage"]
pub struct Reclaim {
    lineage: Arc<()>,
    nodes: Vec<u32>,
    lines: Vec<Extent>,
}

impl Compiler {
    /// Compiles `source` for one forwarder. Faults here are those of one forwarder (contract section 3), or what a
    /// table can't hold.
    pub fn new(source: &Source, viewpoint: &Viewpoint) -> Result<(Self, Table), Faults> {
        let place = Place::new(source, viewpoint)?;
        let mut compiler = Self {
            viewpoint: viewpoint.clone(),
            datacenters: source.datacenters().to_vec(),
            owners: Owners::new(source, &place)?,
            place,
            painter: Painter::new(count_nodes(v4(source)))?,
            intervals: Arc::default(),
            forwarders: forwarders(source),
            lineage: Arc::default(),
            torn: false,
        };
        compiler.fill(source)?;
        compiler.owners.swept();
        let (table, _) = compiler.publish();
        Ok((compiler, table))
    }

    /// The table after `changes`, which were just made to the source that the last table was made of. It takes time by
    /// what has changed; if there are other data centres than before, or no more room in the arenas, all is compiled
    /// anew. The faults are those of [`Self::new`]. After one, tables made so far stay what they are, the caller may put
    /// the source back by any way, and the next patch compiles anew, whatever the source is then.
    pub fn patch(&mut self, source: &Source, changes: &Changes) -> Result<(Table, Reclaim), Faults> {
        let torn = mem::replace(&mut self.torn, true);
        if torn || self.datacenters != source.datacenters() {
            return self.anew(source);
        }
        self.admit(source, changes)?;
        if self.change(source, changes).is_err() {
            return self.anew(source);
        }
        self.torn = false;
        Ok(self.publish())
    }

    /// Takes back what a patch left behind. Only when no reader can look at any generation before that patch any more,
    /// and none of them will be published again: what was theirs is written over by the next patch.
    pub fn reclaim(&mut self, reclaim: Reclaim) {
        if Arc::ptr_eq(&self.lineage, &reclaim.lineage) {
            self.painter.reclaim(reclaim.nodes);
            reclaim.lines.into_iter().for_each(|lines| self.owners.plans.reclaim(lines));
        }
    }

    /// The caller has put the source back after a patch that went well here, and no one may see the table. It is as if that
    /// patch had failed: the next one compiles anew.
    pub fn distrust(&mut self) {
        self.torn = true;
    }

    fn anew(&mut self, source: &Source) -> Result<(Table, Reclaim), Faults> {
        let (compiler, table) = Self::new(source, &self.viewpoint)?;
        // Nothing is shared with earlier tables, so nothing of theirs is left behind.
        let reclaim = Reclaim { lineage: Arc::clone(&compiler.lineage), nodes: Vec::new(), lines: Vec::new() };
        *self = compiler;
        Ok((table, reclaim))
    }

    /// Finds the faults of one forwarder, before anything is changed.
    fn admit(&mut self, source: &Source, changes: &Changes) -> Result<(), Faults> {
        if changes.directory {
            self.place.check_servers(source, &self.viewpoint)?;
        }
        let changed = changes.prefixes.iter().filter_map(|&prefix| source.entry(prefix));
        self.place.admit(source, &self.viewpoint, changed.filter_map(|(_, entry)| entry.datacenter))
    }

    fn change(&mut self, source: &Source, changes: &Changes) -> Result<(), Limit> {
        if changes.directory {
            self.owners.targets.refresh(source, self.place.own());
        }
        changes.freed_plans.iter().for_each(|&plan| self.owners.forget(plan));
        self.owners.sweep(source);
        let mut painted: Option<Prefix> = None;
        for &prefix in &changes.prefixes {
            // They ascend, so that what a longer one says was painted with the shorter one around it.
            if painted.is_some_and(|painted| painted.covers(prefix)) {
                continue;
            }
            painted = Some(prefix);
            if let IpAddr::V4(address) = prefix.address() {
                self.repaint(source, prefix, address.to_bits())?;
            }
        }
        if changes.prefixes.iter().any(|prefix| prefix.address().is_ipv6()) {
            self.flatten(source)?;
        }
        Ok(())
    }

    /// Paints all of a prefix as the source has it now.
    fn repaint(&mut self, source: &Source, prefix: Prefix, address: u32) -> Result<(), Limit> {
        if source.entry(prefix).is_none() {
            let around = source.longest_around(prefix);
            let word = around.map(|(_, entry)| self.owners.word(source, &self.place, entry)).transpose()?;
            self.painter.paint(address, prefix.length(), word.unwrap_or(Word::ABSENT))?;
        }
        for (_, entry) in source.entries_inside(prefix) {
            let word = self.owners.word(source, &self.place, entry)?;
            if let IpAddr::V4(address) = entry.prefix.address() {
                self.painter.paint(address.to_bits(), entry.prefix.length(), word)?;
            }
        }
        self.painter.tidy(address);
        Ok(())
    }

    /// Makes the intervals of all IPv6 prefixes.
    fn flatten(&mut self, source: &Source) -> Result<(), Limit> {
        let mut flatten = Flatten6::default();
        let all = Prefix::around(Ipv6Addr::UNSPECIFIED.into(), 0);
        for (_, entry) in all.into_iter().flat_map(|all| source.entries_inside(all)) {
            let word = self.owners.word(source, &self.place, entry)?;
            if let IpAddr::V6(address) = entry.prefix.address() {
                flatten.paint(address.to_bits(), entry.prefix.length(), word);
            }
        }
        self.intervals = Arc::new(flatten.finish()?);
        Ok(())
    }

    /// One pass over the entries in the order of their prefixes, so near linear.
    fn fill(&mut self, source: &Source) -> Result<(), Limit> {
        let mut flatten = Flatten6::default();
        for (_, entry) in source.entries_by_prefix() {
            let word = self.owners.word(source, &self.place, entry)?;
            match entry.prefix.address() {
                IpAddr::V4(address) => self.painter.paint(address.to_bits(), entry.prefix.length(), word)?,
                IpAddr::V6(address) => flatten.paint(address.to_bits(), entry.prefix.length(), word),
            }
        }
        self.intervals = Arc::new(flatten.finish()?);
        Ok(())
    }

    /// The table as it is now, which will not change any more.
    fn publish(&mut self) -> (Table, Reclaim) {
        let (trie, nodes) = self.painter.publish();
        let table = Table {
            trie,
            intervals: Arc::clone(&self.intervals),
            plans: self.owners.plans.plans(),
            targets: self.owners.targets.all(),
            remotes: self.place.remotes(),
            forwarders: Arc::clone(&self.forwarders),
            arrays: self.painter.size() + self.intervals.size() + self.owners.plans.size(),
        };
        let lines = self.owners.take_retired();
        (table, Reclaim { lineage: Arc::clone(&self.lineage), nodes, lines })
    }
}

/// The IPv4 prefixes, which ascend.
fn v4(source: &Source) -> impl Iterator<Item = (u32, u8)> {
    source.entries_by_prefix().filter_map(|(_, entry)| match entry.prefix.address() {
        IpAddr::V4(address) => Some((address.to_bits(), entry.prefix.length())),
        IpAddr::V6(_) => None,
    })
}

/// The addresses that peers send from, sorted.
fn forwarders(source: &Source) -> Arc<[IpAddr]> {
    let mut all: Vec<IpAddr> = source.datacenters().iter().flat_map(|it| it.forwarders.iter().copied()).collect();
    all.sort_unstable();
    all.dedup();
    all.into()
}
