// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the contract says of fragments to sliced addresses, in the order in which it says it.

use std::collections::{BTreeMap, BTreeSet};

use super::piece::{Piece, QUOTE, To, Upper};

const SECOND: u64 = 1_000_000_000;

/// Dropped for a reason, or sent.
type Verdict = Result<(), &'static str>;

/// A verdict that is none of the reasons: the kernel's, from whom the Internet brings.
const NOT_OURS: Verdict = Err("not ours");

/// "`src`, `dst`, `id`, and protocol for IPv4"; the source is the same for all that are no martians.
type Key = (To, u8, Option<u8>);

struct First {
    verdict: Verdict,
    end: u32,
    /// Bytes that have passed.
    seen: BTreeSet<u32>,
    datagram_end: Option<u32>,
    used: u64,
    whole: Option<u64>,
}

struct Waiting {
    number: u8,
    key: Key,
    piece: Piece,
    since: u64,
}

#[derive(Default)]
pub(crate) struct Rules {
    firsts: BTreeMap<Key, First>,
    /// In order of arrival.
    waiting: Vec<Waiting>,
    /// Last bytes of what has been sent, in order.
    pub(crate) sent: Vec<u8>,
    /// How many the kernel got.
    pub(crate) kernel: u64,
    pub(crate) drops: BTreeMap<&'static str, u64>,
}

impl Rules {
    /// How many wait.
    pub(crate) fn held(&self) -> u64 {
        self.waiting.len() as u64
    }

    /// Fragment `number` comes.
    pub(crate) fn receive(&mut self, number: u8, piece: &Piece, now: u64) {
        self.take_waiting(|held| now - held.since >= SECOND)
            .iter()
            .for_each(|held| self.meet(held.number, &held.piece, Err("fragment_unmatched")));
        self.firsts
            .retain(|_, first| now - first.used < 10 * SECOND && first.whole.is_none_or(|whole| now - whole < SECOND));

        let key = (piece.to, piece.id, (piece.to != To::V6).then(|| piece.protocol()));
        let is_portless = piece.upper == Upper::Gre || piece.upper == Upper::Options && piece.to != To::V6;
        if piece.is_martian {
            self.meet(number, piece, Err("martian_source"));
        } else if is_portless {
            let owner = if piece.to == To::V4 { Err("no_port") } else { Ok(()) };
            self.meet(number, piece, possible(piece).and(owner));
        } else if piece.offset == 0 {
            let verdict = possible(piece).and_then(|()| selected(piece));
            self.meet(number, piece, verdict);
            let end = u32::from(piece.len);
            let first = First { verdict, end, seen: (0..end).collect(), datagram_end: None, used: now, whole: None };
            self.firsts.insert(key, first);
            let released = self.take_waiting(|held| held.key == key);
            released.iter().for_each(|held| self.later(held.number, key, &held.piece, now));
        } else if let Err(reason) = possible(piece) {
            self.meet(number, piece, Err(reason));
        } else {
            self.later(number, key, piece, now);
        }
    }

    /// Nothing more comes.
    pub(crate) fn finish(&mut self) {
        for held in std::mem::take(&mut self.waiting) {
            self.meet(held.number, &held.piece, Err("fragment_unmatched"));
        }
    }

    /// Takes some of those that wait, in their order.
    fn take_waiting(&mut self, which: impl Fn(&Waiting) -> bool) -> Vec<Waiting> {
        let (taken, rest) = std::mem::take(&mut self.waiting).into_iter().partition(which);
        self.waiting = rest;
        taken
    }

    fn later(&mut self, number: u8, key: Key, piece: &Piece, now: u64) {
        let Some(first) = self.firsts.get_mut(&key) else {
            return self.waiting.push(Waiting { number, key, piece: *piece, since: now });
        };
        first.used = now;
        let (start, end) = bytes(piece);
        let verdict = if start < first.end { Err("fragment_malformed") } else { first.verdict };
        if start >= first.end && first.whole.is_none() {
            first.seen.extend(start..end);
            if !piece.more {
                first.datagram_end = first.datagram_end.max(Some(end));
            }
            let is_whole = first.datagram_end.is_some_and(|end| (0..end).all(|byte| first.seen.contains(&byte)));
            first.whole = is_whole.then_some(now);
        }
        self.meet(number, piece, verdict);
    }

    fn meet(&mut self, number: u8, piece: &Piece, verdict: Verdict) {
        match verdict {
            Ok(()) => self.sent.push(piece.last_byte(number)),
            NOT_OURS if piece.is_from_peer => *self.drops.entry("gue_not_ours").or_default() += 1,
            NOT_OURS => self.kernel += 1,
            Err(reason) => *self.drops.entry(reason).or_default() += 1,
        }
    }
}

fn bytes(piece: &Piece) -> (u32, u32) {
    let start = 8 * u32::from(piece.offset);
    (start, start + u32::from(piece.len))
}

/// "More-fragments with a payload that is no multiple of 8, or an end above 65535."
fn possible(piece: &Piece) -> Verdict {
    let is_bad = piece.more && !piece.len.is_multiple_of(8) || bytes(piece).1 > 65_535;
    if is_bad { Err("fragment_malformed") } else { Ok(()) }
}

/// What a possible first fragment meets.
fn selected(piece: &Piece) -> Verdict {
    let header = if piece.upper == Upper::Options { 8 } else { 0 };
    if piece.len < header {
        return Err("malformed");
    }
    if piece.len < header + 8 {
        return Err("fragment_malformed");
    }
    match piece.upper {
        Upper::EchoRequest => Err("icmp_unwanted"),
        Upper::Discovery => NOT_OURS,
        Upper::Error if piece.len < QUOTE => Err("icmp_unroutable"),
        _ if piece.is_owned => Ok(()),
        _ => Err("unallocated_port"),
    }
}
