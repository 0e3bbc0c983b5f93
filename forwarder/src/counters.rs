// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a worker counts, and how others read it: plain numbers in the worker's own memory, copied once a burst into a
//! cell from which any thread gets one consistent copy.

mod drop_reason;
mod report;
mod seqlock;
mod tally;

use crossbeam_utils::CachePadded;

pub use drop_reason::DropReason;
pub use report::CountersReport;
use seqlock::Seqlock;
pub use tally::{DestinationTallies, Tally, Traffic, WorkerTallies};

const REASONS: usize = DropReason::ALL.len();
/// The numbers of [`Counters`]: twelve, and one for each drop reason.
const WORDS: usize = 12 + REASONS;

/// One worker's counters, or the sum of several. `rx + originated = tx + exception + held + Σ drops` between bursts, where
/// `held` is [`Self::held_net`].
///
/// Workers hand fragments to one another: what comes to one can leave by another. So each worker's balance counts what it
/// has handed over as still held, and what it has taken over as held no longer, and in the sum what is left is on its way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counters {
    /// Frames received.
    pub rx: u64,
    /// Packets that the forwarder added.
    pub originated: u64,
    /// Frames that a device took.
    pub tx: u64,
    /// Frames that the kernel path took.
    pub exception: u64,
    /// Packets that wait at this worker at this moment.
    pub held: u64,
    /// Packets handed over to other workers so far.
    pub handed_over: u64,
    /// Packets taken over from other workers so far.
    pub taken_over: u64,
    /// Bytes received, Ethernet header included, FCS not.
    pub rx_bytes: u64,
    /// Bytes that a device took, counted alike.
    pub tx_bytes: u64,
    /// ICMP errors that were due and not sent. Outside the sum.
    pub icmp_errors_suppressed: u64,
    /// Frames of the kernel that a device took. Outside the sum.
    pub kernel_tx: u64,
    /// Frames of the kernel that were lost. Outside the sum.
    pub kernel_drops: u64,
    /// Drops, by [`DropReason`].
    drops: [u64; REASONS],
}

impl Counters {
    /// Counts `packets` dropped for `reason`.
    pub fn drop(&mut self, reason: DropReason, packets: u64) {
        if let Some(count) = self.drops.get_mut(reason as usize) {
            *count += packets;
        }
    }

    /// How many were dropped for `reason`.
    pub fn dropped(&self, reason: DropReason) -> u64 {
        self.drops.get(reason as usize).copied().unwrap_or(0)
    }

    /// How many were dropped, for any reason.
    pub fn dropped_total(&self) -> u64 {
        self.drops.iter().sum()
    }

    /// The sum of both counters, number by number.
    pub fn add(&mut self, other: &Self) {
        let mut sum = self.to_words();
        for (number, more) in sum.iter_mut().zip(other.to_words()) {
            *number += more;
        }
        *self = Self::from_words(sum);
    }

    /// `rx + originated` less everything that became of them; 0 when every packet is accounted for.
    pub fn imbalance(&self) -> i128 {
        let came = i128::from(self.rx) + i128::from(self.originated);
        let went = [self.tx, self.exception, self.dropped_total()];
        came - went.into_iter().map(i128::from).sum::<i128>() - i128::from(self.held_net())
    }

    /// Packets held: those that wait, and those on their way between workers. Of one worker alone, what it adds to that sum,
    /// which is negative if it took over more than it handed over.
    pub fn held_net(&self) -> i64 {
        self.held.wrapping_add(self.handed_over).wrapping_sub(self.taken_over).cast_signed()
    }

    fn to_words(self) -> [u64; WORDS] {
        let Self { rx, originated, tx, exception, held, handed_over, taken_over, .. } = self;
        let Self { rx_bytes, tx_bytes, icmp_errors_suppressed, kernel_tx, kernel_drops, drops, .. } = self;
        let mut words = [0; WORDS];
        let inside = [rx, originated, tx, exception, held, handed_over, taken_over];
        let outside = [rx_bytes, tx_bytes, icmp_errors_suppressed, kernel_tx, kernel_drops];
        for (word, number) in words.iter_mut().zip(inside.into_iter().chain(outside).chain(drops)) {
            *word = number;
        }
        words
    }

    fn from_words(words: [u64; WORDS]) -> Self {
        let [rx, originated, tx, exception, held, handed_over, taken_over, rest @ ..] = words;
        let [rx_bytes, tx_bytes, icmp_errors_suppressed, kernel_tx, kernel_drops, drops @ ..] = rest;
        Self {
            rx,
            originated,
            tx,
            exception,
            held,
            handed_over,
            taken_over,
            rx_bytes,
            tx_bytes,
            icmp_errors_suppressed,
            kernel_tx,
            kernel_drops,
            drops,
        }
    }
}

/// A worker's counters as others see them: written by the worker once a burst, read by anybody.
///
/// Padded to cache lines of its own, so that what a reader or a neighbour touches never slows the worker's stores.
#[derive(Debug, Default)]
pub struct CounterCell(CachePadded<Seqlock<WORDS>>);

impl CounterCell {
    /// Publishes a copy. Only the worker that owns the counters calls it; plain stores, no read-modify-write.
    pub fn publish(&self, counters: &Counters) {
        self.0.store(&counters.to_words());
    }

    /// One consistent copy: all numbers of one moment.
    pub fn read(&self) -> Counters {
        Counters::from_words(self.0.load())
    }
}

/// How often [`read_all`] looks again before it lets somebody else run.
const LOOKS_BEFORE_YIELD: u32 = 16;
/// How often it looks at all. A look is wrong only if a packet changed workers during the microsecond that it took.
const LOOKS: u32 = 10_000;

/// One consistent copy of each worker's counters, such that together no less than nothing is held.
///
/// Every copy balances, and so does any sum of copies. But one taken before its worker handed a packet over, and another taken
/// after that packet was taken over, would together hold one less than nothing: then all are taken again.
pub fn read_all<'a>(cells: impl Iterator<Item = &'a CounterCell> + Clone) -> Vec<Counters> {
    let mut copies: Vec<_> = cells.clone().map(CounterCell::read).collect();
    for look in 1..LOOKS {
        if total(&copies).held_net() >= 0 {
            break;
        }
        if look.is_multiple_of(LOOKS_BEFORE_YIELD) {
            std::thread::yield_now();
        }
        for (copy, cell) in copies.iter_mut().zip(cells.clone()) {
            *copy = cell.read();
        }
    }
    copies
}

/// The sum over workers.
pub fn total<'a>(workers: impl IntoIterator<Item = &'a Counters>) -> Counters {
    workers.into_iter().fold(Counters::default(), |mut total, worker| {
        total.add(worker);
        total
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Counters in which every number is another one.
    fn distinct() -> Counters {
        Counters::from_words(std::array::from_fn(|i| 100 + i as u64))
    }

    #[test]
    fn a_cell_gives_back_what_was_published() {
        let cell = CounterCell::default();
        assert_eq!(cell.read(), Counters::default());
        cell.publish(&distinct());
        assert_eq!(cell.read(), distinct());
    }

    #[test]
    fn sums_go_number_by_number() {
        let mut sum = distinct();
        sum.add(&Counters { rx: 1, tx_bytes: 2, ..Counters::default() });
        let mut expected = distinct();
        expected.rx += 1;
        expected.tx_bytes += 2;
        assert_eq!(sum, expected);
        sum.add(&expected);
        assert_eq!(sum.dropped(DropReason::NoHeadroom), 2 * expected.dropped(DropReason::NoHeadroom));
    }

    #[test]
    fn drops_are_kept_by_reason() {
        let mut counters = Counters::default();
        for (n, reason) in DropReason::ALL.into_iter().enumerate() {
            counters.drop(reason, n as u64);
        }
        for (n, reason) in DropReason::ALL.into_iter().enumerate() {
            assert_eq!(counters.dropped(reason), n as u64, "{reason}");
        }
        assert_eq!(counters.dropped_total(), 276);
    }

    #[test]
    fn imbalance_is_what_nobody_accounts_for() {
        let mut counters = Counters { rx: 10, originated: 2, tx: 5, exception: 3, held: 1, ..Counters::default() };
        assert_eq!(counters.imbalance(), 3);
        counters.drop(DropReason::TooBig, 3);
        assert_eq!(counters.imbalance(), 0);
        counters.tx += 1;
        assert_eq!(counters.imbalance(), -1);
    }
}
