// SPDX-License-Identifier: MIT OR Apache-2.0
//! Closing the gaps that removed servers and data centres leave: the last ones take the ids of those that went, so that
//! ids stay indices. This looks at all entries and plans.

use crate::source::intern::Interner;
use crate::source::{DatacenterId, Entry, Owner, Ownership, PlanId, Run, ServerId, Source, plan};

/// New ids by old ones; what went has its old one.
struct Moves(Vec<u32>);

impl Moves {
    /// Takes the elements at `gone` out of `list`.
    fn take_out<T>(list: &mut Vec<T>, mut gone: Vec<u32>) -> Self {
        let mut before: Vec<u32> = (0..list.len() as u32).collect();
        let mut moves = before.clone();
        gone.sort_unstable();
        // From behind, so that what takes a place is something that stays.
        for id in gone.into_iter().rev().map(|id| id as usize).filter(|&id| id < moves.len()) {
            list.swap_remove(id);
            before.swap_remove(id);
        }
        for (now, before) in (0..).zip(before) {
            if let Some(id) = moves.get_mut(before as usize) {
                *id = now;
            }
        }
        Self(moves)
    }

    /// Whether all that stays keeps its id.
    fn is_empty(&self) -> bool {
        (0..).zip(&self.0).all(|(before, &id)| before == id)
    }

    fn id(&self, id: u32) -> u32 {
        self.0.get(id as usize).copied().unwrap_or(id)
    }

    fn server(&self, id: ServerId) -> ServerId {
        ServerId(self.id(id.0))
    }

    fn owner(&self, owner: Owner) -> Owner {
        Owner { server: self.server(owner.server), previous: owner.previous.map(|previous| self.server(previous)) }
    }
}

/// Removes data centres that nothing is in.
pub(super) fn remove_datacenters(source: &mut Source, gone: &[DatacenterId]) {
    if gone.is_empty() {
        return;
    }
    let moves = Moves::take_out(&mut source.datacenters, gone.iter().map(|id| id.0).collect());
    source.datacenter_names = names(source.datacenters.iter().map(|datacenter| &*datacenter.name));
    for server in &mut source.servers {
        server.datacenter.0 = moves.id(server.datacenter.0);
    }
    for datacenter in source.entries.iter_mut().filter_map(|entry| entry.datacenter.as_mut()) {
        datacenter.0 = moves.id(datacenter.0);
    }
}

/// Removes servers that nothing names.
pub(super) fn remove_servers(source: &mut Source, gone: &[ServerId]) {
    if gone.is_empty() {
        return;
    }
    let moves = Moves::take_out(&mut source.servers, gone.iter().map(|id| id.0).collect());
    source.server_names = names(source.servers.iter().map(|server| &*server.name));
    if moves.is_empty() {
        return;
    }
    for Entry { ownership, .. } in &mut source.entries {
        match ownership {
            Ownership::Unassigned => {}
            Ownership::Whole(owner) => *owner = moves.owner(*owner),
            Ownership::Sliced { portless, .. } => *portless = portless.map(|server| moves.server(server)),
        }
    }
    rewrite_plans(source, &moves);
}

/// Plans keep their ids, and what they mean.
fn rewrite_plans(source: &mut Source, moves: &Moves) {
    let (mut bytes, mut ends) = (Vec::new(), Vec::new());
    let mut runs: Vec<Run> = Vec::new();
    for id in 0..source.plans() as u32 {
        let moved = |run: &Run| moves.owner(run.owner) != run.owner;
        if source.runs(PlanId(id)).any(|run| moved(&run)) {
            runs.clear();
            runs.extend(source.runs(PlanId(id)).map(|run| Run { owner: moves.owner(run.owner), ..run }));
            let start = bytes.len();
            plan::encode(&runs, &mut bytes);
            ends.push((id, start..bytes.len()));
        }
    }
    source.plans.replace(ends.iter().map(|(id, range)| (*id, bytes.get(range.clone()).unwrap_or_default())));
}

/// Names in the order of their ids.
fn names<'a>(names: impl Iterator<Item = &'a str>) -> Interner {
    let mut interner = Interner::default();
    for name in names {
        interner.intern(name.as_bytes());
    }
    interner
}
