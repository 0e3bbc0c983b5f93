// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a worker remembers of fragments: first fragments that have passed, and packets that wait for one (contract section 8,
//! "Fragments"). Its memory is taken at the start, and every call does constant work: senders can fill it, and no more.
//!
//! Time is exact although nobody sweeps: what is to be forgotten is found out when it is asked for.

#[cfg(test)]
mod tests;

use super::contexts::{Context, Contexts, First};
use super::coverage::{Coverage, Run};
use super::key::{Key, Secret};
use super::waiting::{Queue, WaitingRoom};
use crate::io::Nanos;
use crate::settings::FragmentLimits;

/// The bytes that a fragment other than the first brings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Span {
    /// Where in the datagram.
    pub(super) run: Run,
    /// Whether the datagram ends there.
    pub(super) is_last: bool,
}

/// What the store says of a fragment other than the first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Later<F> {
    /// Its first fragment has passed, and met this.
    Follows(F),
    /// It starts inside its first fragment.
    Overlaps,
    /// Its first fragment is not known.
    Early,
}

/// Packets that a first fragment lets go, to be asked for one by one.
#[derive(Debug)]
pub(super) struct Released(Option<Queue>);

/// First fragments, each with its fate `F`, and packets `P` that wait for one.
#[derive(Debug)]
pub(super) struct Store<F, P> {
    contexts: Contexts<F>,
    waiting: WaitingRoom<P>,
}

impl<F: Copy, P> Store<F, P> {
    /// An empty store.
    pub(super) fn new(limits: FragmentLimits, secret: Secret) -> Self {
        Self {
            contexts: Contexts::new(limits.contexts, secret),
            waiting: WaitingRoom::new(limits.packets, limits.bytes),
        }
    }

    /// How many packets wait.
    #[inline]
    pub(super) fn held(&self) -> usize {
        self.waiting.len()
    }

    /// How many datagrams are remembered or waited for, and how many bytes wait.
    pub(super) fn remembered(&self) -> (usize, u64) {
        (self.contexts.len(), self.waiting.bytes())
    }

    /// A first fragment, of the bytes up to `end`, has met `fate`. A store without room for it remembers nothing.
    pub(super) fn first(&mut self, key: Key, end: u16, fate: F, now: Nanos) -> Released {
        let first = First { fate, end, coverage: Coverage::up_to(end), used: now, whole: None };
        let before = match self.contexts.find(&key, now) {
            Some(index) => self.contexts.replace(index, first),
            None => {
                self.contexts.insert(key, Context::First(first), now);
                None
            }
        };
        match before {
            Some(Context::Waiting(queue)) => Released(queue),
            _ => Released(None),
        }
    }

    /// The next packet that a first fragment lets go, and whether it had waited too long.
    pub(super) fn release(&mut self, released: &mut Released, now: Nanos) -> Option<(P, bool)> {
        let (held, rest) = self.waiting.leave(released.0?)?;
        released.0 = rest;
        let is_due = held.is_due(now);
        Some((held.packet, is_due))
    }

    /// A fragment other than the first has come.
    pub(super) fn later(&mut self, key: &Key, span: Span, now: Nanos) -> Later<F> {
        let Some(index) = self.contexts.find(key, now) else { return Later::Early };
        let Some(Context::First(first)) = self.contexts.get_mut(index) else { return Later::Early };
        first.used = now;
        let overlaps = span.run.start < first.end;
        let mut just_whole = false;
        if !overlaps && first.whole.is_none() {
            first.coverage.add(span.run, span.is_last);
            just_whole = first.coverage.is_complete();
            first.whole = just_whole.then_some(now);
        }
        let fate = first.fate;
        self.contexts.used(index);
        if just_whole {
            self.contexts.whole(index);
        }
        if overlaps { Later::Overlaps } else { Later::Follows(fate) }
    }

    /// Lets a packet of `bytes` wait for the first fragment of its datagram, which is not known. Gives it back if it can't.
    pub(super) fn hold(&mut self, key: Key, packet: P, bytes: u32, now: Nanos) -> Result<(), P> {
        if !self.waiting.has_room(bytes) {
            return Err(packet);
        }
        let known = self.contexts.find(&key, now);
        let Some(index) = known.or_else(|| self.contexts.insert(key, Context::Waiting(None), now)) else {
            return Err(packet);
        };
        match self.contexts.get_mut(index) {
            Some(Context::Waiting(queue)) => {
                *queue = self.waiting.enter(packet, bytes, index, *queue, now);
                Ok(())
            }
            _ => Err(packet),
        }
    }

    /// A packet that has waited too long, the one that came first; none if none has.
    pub(super) fn expire(&mut self, now: Nanos) -> Option<P> {
        let (context, is_due) = self.waiting.longest(now)?;
        if is_due { self.give_up(context) } else { None }
    }

    /// Any packet that waits, however long it has; none if none does.
    pub(super) fn empty(&mut self) -> Option<P> {
        let (context, _) = self.waiting.longest(Nanos(0))?;
        self.give_up(context)
    }

    /// Takes out the packet that came first of those that wait for a datagram.
    fn give_up(&mut self, context: u32) -> Option<P> {
        let Some(Context::Waiting(queue)) = self.contexts.get_mut(context) else { return None };
        let (held, rest) = self.waiting.leave((*queue)?)?;
        *queue = rest;
        if rest.is_none() {
            self.contexts.remove(context);
        }
        Some(held.packet)
    }
}
