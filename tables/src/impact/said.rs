// SPDX-License-Identifier: MIT OR Apache-2.0
//! Who owns the ports of an address, and what becomes of them.

use crate::source::{DatacenterId, Entry, Ownership, ServerId, Source, plan};

/// Ports of an address: one past the last.
const ALL: u32 = 1 << 16;

/// What an entry says of each of its addresses, in the ids of one source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Said<'a> {
    pub(crate) datacenter: Option<DatacenterId>,
    pub(crate) owned: Owned<'a>,
}

/// By whom.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Owned<'a> {
    Nobody,
    Whole(ServerId),
    /// By a plan, as a source keeps it.
    Sliced(&'a [u8]),
}

/// What becomes of the ports of one address.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Fate {
    pub(super) removed: u64,
    pub(super) moved: u64,
}

impl<'a> Said<'a> {
    pub(crate) fn of(source: &'a Source, entry: &Entry) -> Self {
        let owned = match entry.ownership {
            Ownership::Unassigned => Owned::Nobody,
            Ownership::Whole(owner) => Owned::Whole(owner.server),
            Ownership::Sliced { plan, .. } => Owned::Sliced(source.plan_bytes(plan)),
        };
        Self { datacenter: entry.datacenter, owned }
    }

    /// First port, one past the last, owner.
    fn runs(self) -> impl Iterator<Item = (u32, u32, ServerId)> + 'a {
        let (whole, plan) = match self.owned {
            Owned::Nobody => (None, &[][..]),
            Owned::Whole(server) => (Some((0, ALL, server)), &[][..]),
            Owned::Sliced(plan) => (None, plan),
        };
        let run = |run: crate::source::Run| (run.first.into(), u32::from(run.last) + 1, run.owner.server);
        whole.into_iter().chain(plan::Runs::new(plan).map(run))
    }

    /// Ports that somebody owns.
    pub(super) fn allocated(self) -> u64 {
        self.runs().map(|(first, end, _)| u64::from(end - first)).sum()
    }

    /// What becomes of these ports when `after` is said; `server` tells a server here by its id there.
    pub(super) fn fate(self, after: Said<'_>, server: impl Fn(ServerId) -> Option<ServerId>) -> Fate {
        let mut fate = Fate::default();
        let mut after = after.runs().peekable();
        for (first, end, owner) in self.runs() {
            let owner = server(owner);
            let mut still = 0;
            while let Some(&(start, stop, now)) = after.peek()
                && start < end
            {
                let common = u64::from(stop.min(end).saturating_sub(start.max(first)));
                still += common;
                fate.moved += if owner == Some(now) { 0 } else { common };
                // It may go on in the next run.
                if stop > end {
                    break;
                }
                after.next();
            }
            fate.removed += u64::from(end - first) - still;
        }
        fate
    }
}
