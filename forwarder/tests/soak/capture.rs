// SPDX-License-Identifier: MIT OR Apache-2.0
//! The capture, made as it goes: the same in every run, and what is to be counted of it.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};

use super::datagrams::{FINISHED, Fate, KINDS, Kind, Piece, REMEMBERED, UNFINISHED};
use super::whole::{Template, templates};

/// Microseconds between two packets on average: an hour for two million.
const INTERVAL: u64 = 1_800;
/// Packets that are no fragments from one datagram to the next: with three fragments of each, 1 % are fragments.
const BETWEEN_DATAGRAMS: u64 = 312;
/// Datagrams after which an identification comes again, if it does. More than is remembered, and less than there is room for.
const RECYCLED: usize = 128;
/// Where the identifications start that come once.
const UNIQUE: u32 = 1_000;

/// A fragment that is to come.
#[derive(Debug, Clone, Copy)]
struct Pending {
    kind: Kind,
    id: u32,
    piece: Piece,
    fate: Fate,
}

pub(crate) struct Capture {
    /// The part made last.
    part: Vec<u8>,
    /// Microseconds.
    now: u64,
    random: u64,
    /// A thousand, by which one is chosen.
    deck: Vec<usize>,
    templates: Vec<Template>,
    /// By time, and by number.
    schedule: BinaryHeap<Reverse<(u64, usize)>>,
    pending: Vec<Pending>,
    /// When an identification that comes again may do so.
    free_at: [u64; RECYCLED / 2],
    whole: u64,
    fragments: u64,
    finished: u64,
    unfinished: u64,
    /// Beside `rx`.
    counted: BTreeMap<&'static str, u64>,
}

impl Capture {
    pub(crate) fn new() -> Self {
        let templates = templates();
        let deck: Vec<_> = (0..templates.len()).flat_map(|n| vec![n; templates[n].share as usize]).collect();
        assert_eq!(deck.len(), 1_000);
        Self {
            part: [0xa1b2_c3d4_u32, 0x0004_0002, 0, 0, 65_535, 1].map(u32::to_le_bytes).concat(),
            now: 1_700_000_000_000_000,
            random: 0x5eed,
            deck,
            templates,
            schedule: BinaryHeap::new(),
            pending: Vec::new(),
            free_at: [0; RECYCLED / 2],
            whole: 0,
            fragments: 0,
            finished: 0,
            unfinished: 0,
            counted: BTreeMap::new(),
        }
    }

    /// Packets so far.
    pub(crate) fn packets(&self) -> u64 {
        self.whole + self.fragments
    }

    /// What [`Self::advance`] made last: a part of a pcap file.
    pub(crate) fn part(&self) -> &[u8] {
        &self.part
    }

    /// Makes the next `packets` packets, or a few more.
    pub(crate) fn advance(&mut self, packets: u64) {
        let end = self.packets() + packets;
        // The file's header is in the first part already.
        if self.packets() > 0 {
            self.part.clear();
        }
        while self.packets() < end {
            self.now += 1 + self.next_random() % (2 * INTERVAL);
            self.fragments_due();
            self.whole_packet();
            if self.whole.is_multiple_of(BETWEEN_DATAGRAMS) {
                self.datagram();
            }
        }
    }

    /// Appends the fragments that are still to come.
    pub(crate) fn finish(&mut self) {
        self.now = self.schedule.iter().map(|Reverse((time, _))| *time).max().unwrap_or(self.now);
        self.fragments_due();
    }

    /// What should be counted for the packets so far; not what is 0.
    pub(crate) fn expected(&self) -> BTreeMap<String, u64> {
        let rx = [("rx", &self.packets())].map(|(name, number)| (name.to_owned(), *number));
        self.counted.iter().map(|(name, number)| ((*name).to_owned(), *number)).chain(rx).collect()
    }

    /// How long the capture is.
    pub(crate) fn length(&self) -> String {
        format!("{} min", (self.now / 1_000_000 - 1_700_000_000) / 60)
    }

    /// Whether the capture is what it should be: 1 % fragments, a third of the datagrams unfinished.
    pub(crate) fn check_mixture(&self) {
        let per_mille = |part: u64, whole: u64| 1_000 * part / whole;
        let fragments = per_mille(self.fragments, self.packets());
        let unfinished = per_mille(self.unfinished, self.unfinished + self.finished);
        assert!((9..=11).contains(&fragments), "{fragments} of a thousand packets are fragments");
        assert!((320..=347).contains(&unfinished), "{unfinished} of a thousand datagrams don't finish");
    }

    /// Xorshift (Marsaglia 2003).
    fn next_random(&mut self) -> u64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        self.random
    }

    /// Schedules the pieces of another datagram.
    fn datagram(&mut self) {
        let number = (self.finished + self.unfinished) as usize;
        let is_finished = !number.is_multiple_of(3);
        *(if is_finished { &mut self.finished } else { &mut self.unfinished }) += 1;
        let script = (if is_finished { FINISHED } else { UNFINISHED })[self.next_random() as usize % FINISHED.len()];
        let due = |millis: u64| self.now + 1_000 * millis;
        let end = script.last().map_or(0, |(millis, ..)| due(millis + REMEMBERED));

        // Every other one has the identification, and addresses and protocol, of a datagram that must be forgotten by now.
        let slot = number / 2 % (RECYCLED / 2);
        let kind = KINDS[slot % KINDS.len()];
        let id = if number.is_multiple_of(2) {
            assert!(self.free_at[slot] < self.now, "this one may be remembered");
            self.free_at[slot] = end;
            slot as u32
        } else {
            UNIQUE + number as u32
        };
        for &(millis, piece, fate) in script {
            self.schedule.push(Reverse((due(millis), self.pending.len())));
            self.pending.push(Pending { kind, id, piece, fate });
        }
    }

    /// Writes the fragments whose time has come.
    fn fragments_due(&mut self) {
        while let Some(&Reverse((time, index))) = self.schedule.peek()
            && time <= self.now
        {
            self.schedule.pop();
            let Pending { kind, id, piece, fate } = self.pending[index];
            self.write(time, &kind.frame(id, piece));
            self.fragments += 1;
            let counter = match fate {
                Fate::AsItsFirst => kind.met,
                Fate::Unmatched => "fragment_unmatched",
                Fate::Malformed => "fragment_malformed",
            };
            *self.counted.entry(counter).or_default() += 1;
        }
    }

    /// Writes a packet that is no fragment, of another flow than the last one of its kind.
    fn whole_packet(&mut self) {
        let random = self.next_random();
        let index = self.deck[random as usize % self.deck.len()];
        let template = &mut self.templates[index];
        if let Some(port) = template.source_port {
            template.frame[port..port + 2].copy_from_slice(&(random >> 32).to_be_bytes()[6..]);
        }
        for (counter, number) in template.counted {
            *self.counted.entry(counter).or_default() += number;
        }
        self.whole += 1;
        let frame = std::mem::take(&mut self.templates[index].frame);
        self.write(self.now, &frame);
        self.templates[index].frame = frame;
    }

    /// Appends a packet's record.
    fn write(&mut self, micros: u64, frame: &[u8]) {
        let len = frame.len() as u32;
        for word in [(micros / 1_000_000) as u32, (micros % 1_000_000) as u32, len, len] {
            self.part.extend_from_slice(&word.to_le_bytes());
        }
        self.part.extend_from_slice(frame);
    }
}
