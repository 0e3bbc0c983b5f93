// SPDX-License-Identifier: MIT OR Apache-2.0
//! What is known of datagrams: a hash table of fixed size, and in which order its entries are to be forgotten.

use super::coverage::Coverage;
use super::key::{Key, Secret};
use super::order::{Index, Order};
use super::waiting::Queue;
use crate::io::Nanos;

/// How long a first fragment is remembered after the last fragment of its datagram.
const REMEMBERED: u64 = 10_000_000_000;
/// How long it is remembered after the whole datagram has passed.
const REMEMBERED_WHOLE: u64 = 1_000_000_000;

/// What is known of a datagram.
#[derive(Debug)]
pub(super) enum Context<F> {
    /// Its first fragment has not come; these have.
    Waiting(Option<Queue>),
    /// Its first fragment has come.
    First(First<F>),
}

/// What is remembered of a first fragment.
#[derive(Debug)]
pub(super) struct First<F> {
    /// What became of it.
    pub(super) fate: F,
    /// Where its bytes end.
    pub(super) end: u16,
    /// The bytes that have passed.
    pub(super) coverage: Coverage,
    /// When a fragment of the datagram was seen last.
    pub(super) used: Nanos,
    /// When it was whole.
    pub(super) whole: Option<Nanos>,
}

impl<F> First<F> {
    fn is_forgotten(&self, now: Nanos) -> bool {
        since(self.used, now) >= REMEMBERED || self.whole.is_some_and(|whole| since(whole, now) >= REMEMBERED_WHOLE)
    }
}

/// Nanoseconds from `then` to `now`; none if the clock went back.
pub(super) fn since(then: Nanos, now: Nanos) -> u64 {
    now.0.saturating_sub(then.0)
}

#[derive(Debug)]
struct Entry<F> {
    key: Key,
    context: Context<F>,
    /// The next one in the same bucket.
    next: Option<Index>,
}

/// The table. Chains are short whoever sends: see [`Secret`].
#[derive(Debug)]
pub(super) struct Contexts<F> {
    secret: Secret,
    /// A power of two, about as many as entries.
    buckets: Box<[Option<Index>]>,
    entries: Box<[Option<Entry<F>>]>,
    free: Vec<Index>,
    /// First fragments, the least recently used one first.
    by_use: Order,
    /// Those whose datagram was whole, the earliest first.
    by_whole: Order,
}

impl<F> Contexts<F> {
    /// Room for `capacity` datagrams, at least one.
    pub(super) fn new(capacity: u32, secret: Secret) -> Self {
        let capacity = capacity.max(1);
        Self {
            secret,
            buckets: vec![None; capacity.next_power_of_two() as usize].into(),
            entries: (0..capacity).map(|_| None).collect(),
            free: (0..capacity).rev().collect(),
            by_use: Order::new(capacity),
            by_whole: Order::new(capacity),
        }
    }

    /// The datagram's entry, unless it is to be forgotten by now.
    pub(super) fn find(&mut self, key: &Key, now: Nanos) -> Option<Index> {
        let mut next = self.bucket(key).and_then(|bucket| *bucket);
        while let Some(index) = next {
            let entry = self.entry(index)?;
            if entry.key == *key {
                let forgotten = matches!(&entry.context, Context::First(first) if first.is_forgotten(now));
                if forgotten {
                    self.remove(index);
                }
                return (!forgotten).then_some(index);
            }
            next = entry.next;
        }
        None
    }

    /// What is known of the datagram at `index`.
    pub(super) fn get_mut(&mut self, index: Index) -> Option<&mut Context<F>> {
        Some(&mut self.entries.get_mut(index as usize)?.as_mut()?.context)
    }

    /// How many datagrams have an entry.
    pub(super) fn len(&self) -> usize {
        self.entries.len() - self.free.len()
    }

    /// Adds a datagram that has no entry. If there is no room, a first fragment is forgotten for it; `None` if there is none
    /// either.
    pub(super) fn insert(&mut self, key: Key, context: Context<F>, now: Nanos) -> Option<Index> {
        if self.free.is_empty() {
            self.remove(self.to_forget(now)?);
        }
        let index = self.free.pop()?;
        if matches!(context, Context::First(_)) {
            self.by_use.push(index);
        }
        let bucket = self.bucket(&key)?;
        let next = bucket.replace(index);
        *self.entries.get_mut(index as usize)? = Some(Entry { key, context, next });
        Some(index)
    }

    /// Forgets a datagram.
    pub(super) fn remove(&mut self, index: Index) {
        let Some(entry) = self.entries.get_mut(index as usize).and_then(Option::take) else { return };
        self.leave_orders(index, &entry.context);
        self.unchain(&entry, index);
        self.free.push(index);
    }

    /// A first fragment that just came takes the place of whatever was known.
    pub(super) fn replace(&mut self, index: Index, first: First<F>) -> Option<Context<F>> {
        let entry = self.entries.get_mut(index as usize)?.as_mut()?;
        let before = std::mem::replace(&mut entry.context, Context::First(first));
        self.leave_orders(index, &before);
        self.by_use.push(index);
        Some(before)
    }

    /// A fragment of the datagram of a first fragment was seen.
    pub(super) fn used(&mut self, index: Index) {
        self.by_use.move_to_end(index);
    }

    /// The datagram of a first fragment is whole just now.
    pub(super) fn whole(&mut self, index: Index) {
        self.by_whole.push(index);
    }

    /// The first fragment to go if one must: one that is to be forgotten by now, or the least recently used one.
    fn to_forget(&self, now: Nanos) -> Option<Index> {
        let whole = self.by_whole.first().filter(|&index| {
            matches!(self.entry(index), Some(Entry { context: Context::First(first), .. }) if first.is_forgotten(now))
        });
        whole.or(self.by_use.first())
    }

    fn leave_orders(&mut self, index: Index, context: &Context<F>) {
        if let Context::First(first) = context {
            self.by_use.remove(index);
            if first.whole.is_some() {
                self.by_whole.remove(index);
            }
        }
    }

    /// Takes an entry that is no longer in its place out of its bucket.
    fn unchain(&mut self, removed: &Entry<F>, index: Index) {
        let next = removed.next;
        let Some(bucket) = self.bucket(&removed.key) else { return };
        if *bucket == Some(index) {
            *bucket = next;
            return;
        }
        let mut at = *bucket;
        while let Some(entry) = at.and_then(|at| self.entries.get_mut(at as usize)).and_then(Option::as_mut) {
            if entry.next == Some(index) {
                entry.next = next;
                return;
            }
            at = entry.next;
        }
    }

    fn entry(&self, index: Index) -> Option<&Entry<F>> {
        self.entries.get(index as usize)?.as_ref()
    }

    fn bucket(&mut self, key: &Key) -> Option<&mut Option<Index>> {
        let mask = self.buckets.len() - 1;
        self.buckets.get_mut(self.secret.hash(key) as usize & mask)
    }
}
