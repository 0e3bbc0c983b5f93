// SPDX-License-Identifier: MIT OR Apache-2.0
//! The program's figures, by name.

use aya::maps::{MapData, MapError, PerCpuArray};

/// What became of packets. In the order of `enum fate` in `bpf/count.h`, from its second on.
const FATES: [&str; 16] = [
    "kept_socket",
    "kept_own",
    "kept_portless",
    "kept_fragment",
    "passed_on_previous",
    "passed_on_owner",
    "gue_untrusted",
    "gue_malformed",
    "gue_not_ours",
    "inner_malformed",
    "fragment_unmatched",
    "not_owned",
    "passed_on_without_socket",
    "next_hop_unresolved",
    "too_big",
    "not_rewritten",
];
/// The first so many are kept, and so many after them passed on; the rest is dropped.
const KEPT: usize = 4;
const PASSED_ON: usize = 2;

/// Packets, and the bytes of their frames as they came.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Figures {
    /// How many.
    pub packets: u64,
    /// Ethernet headers included, checksums of frames not.
    pub bytes: u64,
}

/// What became of the GUE packets that came since the start. Each is counted once, so what was received is the sum.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct ReceiveCounters([Figures; FATES.len()]);

impl ReceiveCounters {
    /// All of them, also those that are dropped as no names of them say.
    pub fn received(&self) -> Figures {
        sum(self.0.iter())
    }

    /// What went up to the stack, by what kept it.
    pub fn kept(&self) -> impl Iterator<Item = (&'static str, Figures)> {
        self.named().take(KEPT)
    }

    /// What went on to another server.
    pub fn passed_on(&self) -> impl Iterator<Item = (&'static str, Figures)> {
        self.named().skip(KEPT).take(PASSED_ON)
    }

    /// What was dropped, by reason.
    pub fn drops(&self) -> impl Iterator<Item = (&'static str, Figures)> {
        self.named().skip(KEPT + PASSED_ON)
    }

    /// One by its name; nothing for a name that there is not.
    pub fn packets(&self, name: &str) -> u64 {
        self.named().find(|(of, _)| *of == name).map_or(0, |(_, figures)| figures.packets)
    }

    fn named(&self) -> impl Iterator<Item = (&'static str, Figures)> {
        FATES.into_iter().zip(self.0)
    }

    pub(super) fn read(map: &PerCpuArray<MapData, [u8; 16]>) -> Result<Self, MapError> {
        let mut counters = Self::default();
        for (key, to) in (1..).zip(&mut counters.0) {
            *to = sum(map.get(&key, 0)?.iter().map(|value| figures(*value)).collect::<Vec<_>>().iter());
        }
        Ok(counters)
    }
}

fn sum<'a>(all: impl Iterator<Item = &'a Figures>) -> Figures {
    all.fold(Figures::default(), |sum, of| Figures { packets: sum.packets + of.packets, bytes: sum.bytes + of.bytes })
}

fn figures(value: [u8; 16]) -> Figures {
    let both = u128::from_ne_bytes(value);
    let (first, second) = if cfg!(target_endian = "little") { (both, both >> 64) } else { (both >> 64, both) };
    Figures { packets: first as u64, bytes: second as u64 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_two_numbers_of_this_machine() {
        let mut value = [0; 16];
        value[..8].copy_from_slice(&3_u64.to_ne_bytes());
        value[8..].copy_from_slice(&500_u64.to_ne_bytes());
        assert_eq!(figures(value), Figures { packets: 3, bytes: 500 });
    }

    #[test]
    fn each_name_is_kept_passed_on_or_dropped() {
        let counters = ReceiveCounters(std::array::from_fn(|at| Figures { packets: 1 << at, bytes: 1 }));
        assert!(counters.kept().all(|(name, _)| name.starts_with("kept_")));
        assert!(counters.passed_on().all(|(name, _)| name.starts_with("passed_on_")));
        assert_eq!((counters.packets("kept_socket"), counters.packets("gue_untrusted")), (1, 1 << 6));
        let parts = [counters.kept().count(), counters.passed_on().count(), counters.drops().count()];
        assert_eq!(parts.iter().sum::<usize>(), FATES.len());
        assert_eq!(counters.received(), Figures { packets: (1 << FATES.len()) - 1, bytes: FATES.len() as u64 });
    }
}
