// SPDX-License-Identifier: MIT OR Apache-2.0
//! The targets of a table: each distinct pair of a server and its previous owner, once.

use hashbrown::HashMap;

use super::{Target, TargetId};
use crate::fault::{Fault, Faults};
use crate::source::{Owner, Source};

/// A target's id fits a slot of a port plan, which keeps one value for "nobody".
const MOST: usize = u16::MAX as usize;

/// Collects the targets that the entries of one data centre name, in the order in which they are first named.
pub(super) struct Targets<'a> {
    source: &'a Source,
    /// By server: the target without previous owner. Nearly every slice has such a one, so this is no hash map.
    settled: Vec<Option<TargetId>>,
    draining: HashMap<Owner, TargetId>,
    all: Vec<Target>,
}

impl<'a> Targets<'a> {
    pub(super) fn new(source: &'a Source) -> Self {
        let settled = vec![None; source.servers().len()];
        Self { source, settled, draining: HashMap::new(), all: Vec::new() }
    }

    /// The target that stands for `owner`.
    pub(super) fn id(&mut self, owner: Owner) -> Result<TargetId, Faults> {
        let known = match owner.previous {
            None => self.settled.get(owner.server.0 as usize).copied().flatten(),
            Some(_) => self.draining.get(&owner).copied(),
        };
        known.map_or_else(|| self.add(owner), Ok)
    }

    /// All targets, by id.
    pub(super) fn finish(self) -> Box<[Target]> {
        self.all.into()
    }

    fn add(&mut self, owner: Owner) -> Result<TargetId, Faults> {
        let id = u16::try_from(self.all.len()).ok().filter(|&id| usize::from(id) < MOST).map(TargetId);
        let id = id.ok_or_else(too_many)?;
        let server = self.source.server(owner.server);
        let previous = owner.previous.map(|previous| self.source.server(previous));
        self.all.push(Target {
            name: server.name.clone(),
            address: server.address,
            previous: previous.map(|server| (server.name.clone(), server.address)),
            mtu: server.mtu,
        });
        if owner.previous.is_some() {
            self.draining.insert(owner, id);
        } else if let Some(settled) = self.settled.get_mut(owner.server.0 as usize) {
            *settled = Some(id);
        }
        Ok(id)
    }
}

fn too_many() -> Faults {
    let message = format!(
        "this data centre's entries name more than {MOST} distinct pairs of a server and its previous owner, which is \
         the most that a table holds; use fewer servers or let drained `previous` owners go"
    );
    Faults(vec![Fault { path: "egress".into(), message }])
}
