// SPDX-License-Identifier: MIT OR Apache-2.0
//! Which bytes of a datagram have passed.

/// Runs of bytes that are kept apart. Fragments come in order, or in reverse, or a few of them changed places: that takes one
/// run, or a handful.
const RUNS: usize = 8;

/// Bytes `start` to `end` (not included) of a datagram's payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Run {
    pub(super) start: u16,
    pub(super) end: u16,
}

/// The bytes that have passed, each counted once however often it came.
///
/// If they are in too many pieces to be written down, some are forgotten: then the datagram is not known to be complete, and
/// remembered as long as one that is not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Coverage {
    /// Sorted, with gaps between them; the first `len` count.
    runs: [Run; RUNS],
    len: u8,
    /// Where the datagram ends, by the last fragment; the farthest end if there were several.
    end: Option<u16>,
}

impl Coverage {
    /// Of a datagram whose bytes up to `end` have passed.
    pub(super) fn up_to(end: u16) -> Self {
        let mut coverage = Self { runs: [Run { start: 0, end: 0 }; RUNS], len: 0, end: None };
        coverage.insert(0, Run { start: 0, end });
        coverage
    }

    /// A fragment has passed; the datagram's last one, or one with more behind it.
    pub(super) fn add(&mut self, run: Run, is_last: bool) {
        if is_last {
            self.end = self.end.max(Some(run.end));
        }
        if run.start == run.end {
            return;
        }
        let known = self.runs();
        let at = known.iter().take_while(|other| other.end < run.start).count();
        let touching = known.iter().skip(at).take_while(|other| other.start <= run.end);
        let (count, joined) = touching.fold((0, run), |(count, joined), other| {
            (count + 1, Run { start: joined.start.min(other.start), end: joined.end.max(other.end) })
        });
        self.remove(at, count);
        self.insert(at, joined);
    }

    /// Whether all bytes up to the datagram's end have passed.
    pub(super) fn is_complete(&self) -> bool {
        match (self.runs().first(), self.end) {
            (Some(run), Some(end)) => run.start == 0 && run.end >= end,
            _ => false,
        }
    }

    fn runs(&self) -> &[Run] {
        self.runs.get(..usize::from(self.len)).unwrap_or_default()
    }

    fn remove(&mut self, at: usize, count: usize) {
        if let Some(tail) = self.runs.get_mut(at..usize::from(self.len)) {
            tail.rotate_left(count);
            self.len -= count as u8;
        }
    }

    /// Puts a run before the one at `at`; of too many the last is forgotten, which may be this one.
    fn insert(&mut self, at: usize, run: Run) {
        self.len = (self.len + 1).min(RUNS as u8);
        if let Some(tail @ [_, ..]) = self.runs.get_mut(at..usize::from(self.len)) {
            tail.rotate_right(1);
            tail.iter_mut().take(1).for_each(|first| *first = run);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn after(first: u16, fragments: &[(u16, u16, bool)]) -> Coverage {
        let mut coverage = Coverage::up_to(first);
        fragments.iter().for_each(|&(start, end, is_last)| coverage.add(Run { start, end }, is_last));
        coverage
    }

    #[test]
    fn complete_means_every_byte() {
        assert!(!after(16, &[]).is_complete());
        assert!(after(16, &[(16, 24, true)]).is_complete());
        assert!(!after(16, &[(24, 32, true)]).is_complete());
        assert!(after(16, &[(24, 32, true), (16, 24, false)]).is_complete());
        assert!(!after(16, &[(16, 24, false), (16, 24, false), (32, 40, true)]).is_complete(), "twice is once");
        assert!(after(16, &[(32, 40, true), (16, 32, false)]).is_complete());
        assert!(after(16, &[(16, 40, true), (24, 32, false)]).is_complete());
        assert!(!after(16, &[(16, 24, true), (32, 40, true)]).is_complete(), "the farthest end counts");
        assert!(after(8, &[(8, 8, true)]).is_complete(), "a last fragment without bytes");
    }

    #[test]
    fn any_order_that_stays_in_a_few_runs_completes() {
        let reverse: Vec<_> = (1..100).rev().map(|n| (8 * n, 8 * n + 8, n == 99)).collect();
        assert!(after(8, &reverse).is_complete());
        let odd_first: Vec<_> = [3, 5, 7, 9, 11, 13, 2, 4, 6, 8, 10, 12, 1].map(|n| (8 * n, 8 * n + 8, n == 13)).into();
        assert!(after(8, &odd_first).is_complete());
    }

    #[test]
    fn a_run_too_many_is_forgotten_wherever_it_comes() {
        let apart = |numbers: &[u16]| numbers.iter().map(|n| (16 * n, 16 * n + 8, false)).collect::<Vec<_>>();
        let eight = after(8, &apart(&[1, 2, 3, 4, 5, 6, 7]));
        assert_eq!(after(8, &apart(&[1, 2, 3, 4, 5, 6, 7, 8])), eight, "behind all others");
        assert_eq!(after(8, &apart(&[1, 3, 4, 5, 6, 7, 8, 2])), eight, "between them: the last one goes");
    }

    proptest! {
        // Few cases have too many runs.
        #![proptest_config(ProptestConfig::with_cases(4096))]

        /// Never complete when it is not; and complete when it is, unless there were too many runs on the way.
        #[test]
        fn equals_a_set_of_bytes(
            first in 1..6_u16,
            fragments in proptest::collection::vec((0..40_u16, 0..8_u16, any::<bool>()), 0..40),
        ) {
            let mut coverage = Coverage::up_to(8 * first);
            let mut bytes = vec![false; 8 * 64];
            bytes[..usize::from(8 * first)].fill(true);
            let (mut end, mut most) = (None, 0);
            for (start, blocks, is_last) in fragments {
                let run = Run { start: 8 * start, end: 8 * (start + blocks) };
                coverage.add(run, is_last);
                bytes[usize::from(run.start)..usize::from(run.end)].fill(true);
                end = if is_last { end.max(Some(run.end)) } else { end };
                let runs = bytes.windows(2).filter(|pair| !pair[0] && pair[1]).count() + usize::from(bytes[0]);
                most = most.max(runs);
                let complete = end.is_some_and(|end| bytes[..usize::from(end)].iter().all(|seen| *seen));
                prop_assert!(complete || !coverage.is_complete());
                if most <= RUNS {
                    prop_assert_eq!(complete, coverage.is_complete());
                }
            }
        }
    }
}
