// SPDX-License-Identifier: MIT OR Apache-2.0
//! The targets of a table: each distinct pair of a server and its previous owner, once.

use hashbrown::HashMap;

use super::limit::Limit;
use super::{Target, TargetId};
use crate::growing::Growing;
use crate::source::{DatacenterId, Owner, Server, ServerId, Source};

/// A target's id fits a slot of a port plan, which keeps one value for "nobody".
pub(super) const MOST_TARGETS: usize = u16::MAX as usize;

/// The targets that the entries of one data centre name or named, in the order in which they were first named. Ids last
/// as long as this does.
#[derive(Default)]
pub(super) struct Targets {
    /// By server: the target without previous owner. Nearly every slice has such a one, so this is no hash map.
    settled: Vec<Option<TargetId>>,
    draining: HashMap<Owner, TargetId>,
    all: Growing<Target>,
}

impl Targets {
    /// The target that stands for `owner`; a new one if need be.
    pub(super) fn id(&mut self, source: &Source, owner: Owner) -> Result<TargetId, Limit> {
        self.find(owner).map_or_else(|| self.add(source, owner), Ok)
    }

    /// The target that stands for `owner`, if there is one.
    pub(super) fn find(&self, owner: Owner) -> Option<TargetId> {
        match owner.previous {
            None => self.settled.get(owner.server.0 as usize).copied().flatten(),
            Some(_) => self.draining.get(&owner).copied(),
        }
    }

    /// All targets, by id.
    pub(super) fn all(&self) -> Growing<Target> {
        self.all.clone()
    }

    /// Takes what the source says of servers now, which may have other numbers than before. Those that it has no longer in
    /// the data centre `own` keep their targets, to which no address leads, and which say so: where they went, this forwarder
    /// may have no way.
    pub(super) fn refresh(&mut self, source: &Source, own: Option<DatacenterId>) {
        self.settled.clear();
        self.draining.clear();
        let mut now = Growing::default();
        let before = self.all();
        for (id, old) in (0..).map(TargetId).zip(before.iter()) {
            let owner = owner_of(source, own, old);
            owner.into_iter().for_each(|owner| self.list(source, owner, id));
            now.push(
                owner
                    .and_then(|owner| target(source, owner))
                    .unwrap_or_else(|| Target { is_gone: true, ..old.clone() }),
            );
        }
        // What was made for the targets goes on to fit if they are the same.
        if !now.iter().eq(before.iter()) {
            self.all = now;
        }
    }

    fn add(&mut self, source: &Source, owner: Owner) -> Result<TargetId, Limit> {
        let id = u16::try_from(self.all.len()).ok().filter(|&id| usize::from(id) < MOST_TARGETS).map(TargetId);
        let id = id.ok_or(Limit::Targets)?;
        // A source is valid: it has every server that it names.
        self.all.push(target(source, owner).ok_or(Limit::Targets)?);
        self.list(source, owner, id);
        Ok(id)
    }

    /// Lets `id` be found by its owner.
    fn list(&mut self, source: &Source, owner: Owner, id: TargetId) {
        if owner.previous.is_some() {
            self.draining.insert(owner, id);
            return;
        }
        let server = owner.server.0 as usize;
        if self.settled.len() <= server {
            self.settled.resize(source.servers().len().max(server + 1), None);
        }
        if let Some(settled) = self.settled.get_mut(server) {
            *settled = Some(id);
        }
    }
}

/// What packets to `owner` need.
fn target(source: &Source, owner: Owner) -> Option<Target> {
    let server = server(source, owner.server)?;
    let previous = match owner.previous {
        None => None,
        Some(previous) => Some(self::server(source, previous)?),
    };
    Some(Target {
        name: server.name.clone(),
        address: server.address,
        previous: previous.map(|server| (server.name.clone(), server.address)),
        mtu: server.mtu,
        is_gone: false,
    })
}

/// The owner that a target stands for, if the source has its servers still: the previous one anywhere.
fn owner_of(source: &Source, own: Option<DatacenterId>, target: &Target) -> Option<Owner> {
    let server = source.find_server(&target.name).filter(|&id| Some(source.server(id).datacenter) == own)?;
    let previous = match &target.previous {
        None => None,
        Some((previous, _)) => Some(source.find_server(previous)?),
    };
    Some(Owner { server, previous })
}

fn server(source: &Source, id: ServerId) -> Option<&Server> {
    source.servers().get(id.0 as usize)
}
