// SPDX-License-Identifier: MIT OR Apache-2.0
//! Every so manieth.

/// Takes the first, and then every so manieth.
#[derive(Debug)]
pub(super) struct Sampler {
    every: u64,
    /// How many to leave out before the next.
    left: u64,
}

impl Sampler {
    /// Takes one of `every`; of 0 as of 1, all.
    pub(super) fn new(every: u64) -> Self {
        Self { every: every.max(1), left: 0 }
    }

    /// Whether this one is taken.
    #[inline]
    pub(super) fn takes(&mut self) -> bool {
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

    /// Leaves out `count` at once, if none of them is to be taken.
    #[inline]
    pub(super) fn skips(&mut self, count: usize) -> bool {
        match self.left.checked_sub(count as u64) {
            Some(left) => {
                self.left = left;
                true
            }
            None => false,
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
                if burst.skips(64) {
                    in_bursts.extend([false; 64]);
                } else {
                    in_bursts.extend(std::array::from_fn::<_, 64, _>(|_| burst.takes()));
                }
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
