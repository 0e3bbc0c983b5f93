// SPDX-License-Identifier: MIT OR Apache-2.0
//! Other next hops for the table that runs.

use std::sync::Arc;
use std::time::Duration;

use super::{Generations, lock};
use crate::control::next_hops::Underlay;
use crate::hops::NextHops;
use crate::state::ForwardingState;

/// How long a worker may take to be seen on other next hops, before it is left to the next publication to free the old ones.
const PATIENCE: Duration = Duration::from_millis(50);

/// What became of other next hops.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::control) enum Published {
    /// They are those that run.
    Nothing,
    /// Every worker goes by them.
    Seen,
    /// They are published, and some worker has not been seen on them yet.
    ButLate,
}

impl Generations {
    /// Takes next hops from `underlay`, if there is one. The first state has those that it had then.
    pub(in crate::control) fn following(self, underlay: Option<Arc<Underlay>>) -> Self {
        Self { underlay, ..self }
    }

    /// Where next hops come from, unless the configuration has them.
    pub fn underlay(&self) -> Option<&Arc<Underlay>> {
        self.underlay.as_ref()
    }

    /// The next hops for `next`, if the kernel has them; those of the `running` state if they fit.
    pub(super) fn next_hops(&self, next: &ForwardingState, running: &ForwardingState) -> Option<Arc<NextHops>> {
        let underlay = self.underlay.as_ref()?;
        match running.hops() {
            Some(hops) if next.has_destinations_of(running) => Some(Arc::clone(hops)),
            _ => Some(Arc::new(underlay.next_hops(next))),
        }
    }

    /// Publishes the running table with the next hops that the underlay has now, if they are others.
    pub(in crate::control) fn refresh_next_hops(&self) -> Published {
        let Some(underlay) = &self.underlay else { return Published::Nothing };
        let mut publisher = lock(&self.publisher);
        let running = publisher.current();
        let hops = underlay.next_hops(running);
        if running.hops().is_some_and(|old| **old == hops) {
            return Published::Nothing;
        }
        let state = running.clone().with_hops(Some(Arc::new(hops)));
        let epoch = publisher.publish(Box::new(state));
        drop(publisher);
        self.look(|_| ());
        match self.wait_for(epoch, PATIENCE) {
            Ok(()) => Published::Seen,
            Err(_) => Published::ButLate,
        }
    }
}
