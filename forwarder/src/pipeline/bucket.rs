// SPDX-License-Identifier: MIT OR Apache-2.0
//! A token bucket: so many a second, and as many at once.

use crate::io::Nanos;

const SECOND: u64 = 1_000_000_000;

/// A bucket that one second of its rate fills.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bucket {
    /// Tokens a second.
    rate: u64,
    /// Billionths of a token: a nanosecond brings `rate` of them, so that no part of a token is ever lost.
    level: u64,
    /// When the level was right.
    since: Nanos,
}

impl Bucket {
    /// A full bucket. A rate of 0 gives nothing, ever.
    pub(crate) fn new(rate: u32) -> Self {
        let rate = u64::from(rate);
        Self { rate, level: rate * SECOND, since: Nanos(0) }
    }

    /// Takes a token, if there is a whole one.
    pub(crate) fn take(&mut self, now: Nanos) -> bool {
        let elapsed = now.0.saturating_sub(self.since.0).min(SECOND);
        self.since = self.since.max(now);
        // Neither term exceeds 2^32 × 10^9, so the sum can't overflow.
        self.level = (self.level + elapsed * self.rate).min(self.rate * SECOND);
        let left = self.level.checked_sub(SECOND);
        self.level = left.unwrap_or(self.level);
        left.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many of `asked` tokens there are at that time.
    fn taken(bucket: &mut Bucket, now: u64, asked: usize) -> usize {
        (0..asked).filter(|_| bucket.take(Nanos(now))).count()
    }

    #[test]
    fn starts_full_and_fills_at_its_rate() {
        let mut bucket = Bucket::new(1000);
        let start = 1_700_000_000 * SECOND;
        assert_eq!(taken(&mut bucket, start, 2000), 1000);
        assert_eq!(taken(&mut bucket, start + 999_999, 1), 0, "one nanosecond too early");
        assert_eq!(taken(&mut bucket, start + 1_000_000, 2), 1);
        assert_eq!(taken(&mut bucket, start + SECOND / 2, 2000), 499);
        assert_eq!(taken(&mut bucket, start + 100 * SECOND, 2000), 1000, "no more than a second's worth");
    }

    #[test]
    fn parts_of_a_token_add_up() {
        let mut bucket = Bucket::new(3);
        assert_eq!(taken(&mut bucket, 0, 9), 3);
        let times = (1..=SECOND).step_by(999_983).chain([SECOND]);
        assert_eq!(times.filter(|&now| bucket.take(Nanos(now))).count(), 3, "asked often, over one second");
    }

    #[test]
    fn time_that_goes_back_brings_nothing() {
        let mut bucket = Bucket::new(1);
        assert!(bucket.take(Nanos(10 * SECOND)));
        assert!(!bucket.take(Nanos(5 * SECOND)));
        assert!(!bucket.take(Nanos(10 * SECOND + SECOND / 2)));
        assert!(bucket.take(Nanos(11 * SECOND)));
    }

    #[test]
    fn any_rate_and_time_do() {
        let mut bucket = Bucket::new(u32::MAX);
        assert!(bucket.take(Nanos(u64::MAX)) && bucket.take(Nanos(0)) && bucket.take(Nanos(u64::MAX)));
        let mut none = Bucket::new(0);
        assert_eq!(taken(&mut none, 0, 3) + taken(&mut none, u64::MAX, 3), 0);
    }
}
