// SPDX-License-Identifier: MIT OR Apache-2.0
//! Log lines that others can cause: a packet, or a peer that asks and asks. So many at once, then one each while; the
//! next one that comes through says how many did not.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use super::generations::lock;

/// A bound for one kind of line.
#[derive(Debug)]
pub(crate) struct Limited {
    burst: u32,
    every: Duration,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// Lines that may come at once.
    left: u32,
    /// Until when `left` is counted.
    counted: Option<Instant>,
    kept_back: u64,
}

impl Limited {
    /// At most `burst` lines at once, and one each `every` in the long run.
    pub(crate) const fn new(burst: u32, every: Duration) -> Self {
        Self { burst, every, state: Mutex::new(State { left: burst, counted: None, kept_back: 0 }) }
    }

    /// Whether a line may come now, and if so how many were kept back since the last one.
    pub(crate) fn pass(&self) -> Option<u64> {
        self.pass_at(Instant::now())
    }

    fn pass_at(&self, now: Instant) -> Option<u64> {
        let mut state = lock(&self.state);
        let counted = state.counted.unwrap_or(now);
        let periods = now.saturating_duration_since(counted).as_nanos() / self.every.as_nanos().max(1);
        let periods = u32::try_from(periods).unwrap_or(u32::MAX);
        state.left = state.left.saturating_add(periods).min(self.burst);
        // What is over the burst is lost, and so is the rest of a period then.
        let full = state.left == self.burst;
        state.counted = Some(if full { now } else { counted + self.every * periods });
        if state.left == 0 {
            state.kept_back += 1;
            return None;
        }
        state.left -= 1;
        Some(std::mem::take(&mut state.kept_back))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_and_then_one_each_while() {
        let limited = Limited::new(3, Duration::from_secs(2));
        let start = Instant::now();
        let at = |ms| limited.pass_at(start + Duration::from_millis(ms));
        assert_eq!([at(0), at(0), at(1), at(2), at(1999)], [Some(0), Some(0), Some(0), None, None]);
        assert_eq!([at(2000), at(2001), at(3999), at(4000)], [Some(2), None, None, Some(2)]);
        assert_eq!([at(100_000), at(100_000), at(100_000), at(100_000)], [Some(0), Some(0), Some(0), None]);
        // A clock that goes back passes nothing.
        assert_eq!(at(5), None);
    }
}
