// SPDX-License-Identifier: MIT OR Apache-2.0
//! Every so manieth.

/// Takes the first, and then every so manieth.
#[derive(Debug)]
pub(crate) struct Sampler {
    every: u64,
    /// How many to leave out before the next.
    left: u64,
}

impl Sampler {
    /// Takes one of `every`; of 0 as of 1, all.
    pub(crate) fn new(every: u64) -> Self {
        Self { every: every.max(1), left: 0 }
    }

    /// Whether this one is taken.
    #[inline]
    pub(crate) fn takes(&mut self) -> bool {
        match self.left.checked_sub(1) {
            Some(left) => {
                self.left = left;
                false
            }
            None => {
                self.left = self.every - 1;
                true
            }
        }
    }

    /// Of `count` that come, the index of the first that is taken, not looking at those before `from`; none if no more is.
    #[inline]
    pub(crate) fn next_of(&mut self, from: usize, count: usize) -> Option<usize> {
        let rest = count.saturating_sub(from) as u64;
        match self.left.checked_sub(rest) {
            Some(left) => {
                self.left = left;
                None
            }
            None => {
                let index = from + self.left as usize;
                self.left = self.every - 1;
                Some(index)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_of_so_many_is_taken_however_they_come() {
        for every in [1, 2, 7, 64, 1_000] {
            let (mut single, mut burst) = (Sampler::new(every), Sampler::new(every));
            let one_by_one: Vec<_> = (0..4_096).map(|_| single.takes()).collect();
            let mut in_bursts = Vec::new();
            for _ in 0..64 {
                let (mut taken, mut from) = ([false; 64], 0);
                while let Some(index) = burst.next_of(from, 64) {
                    taken[index] = true;
                    from = index + 1;
                }
                in_bursts.extend(taken);
            }
            assert_eq!(one_by_one, in_bursts, "1/{every}");
            assert_eq!(
                one_by_one.iter().filter(|taken| **taken).count() as u64,
                4_096_u64.div_ceil(every),
                "1/{every}"
            );
        }
    }
}
