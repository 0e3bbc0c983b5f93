// SPDX-License-Identifier: MIT OR Apache-2.0
//! Broken frames, thousands of them: never kept unless sound, never lost without a counter.

use agent::receive::Action;

use crate::frames::{ACK, echo, fragments, ip, tcp, udp, unreachable};
use crate::host::{MINE, OTHERS, REMOTES, SHARED, THEIRS, address, at, forwarded, on_host, passed_on};

/// Marsaglia's xorshift: the same frames each time.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as usize % bound
    }
}

fn packets(version: usize) -> Vec<Vec<u8>> {
    let (remote, shared) = (REMOTES[version], SHARED[version]);
    let call = udp(at(shared, MINE), at(remote, 53), b"query");
    let headers = [&[60, 0, 1, 4, 0, 0, 0, 0, 17, 1][..], &[0; 14], &call[call.len() - 13..]].concat();
    let mut packets = vec![
        tcp(at(remote, 443), at(shared, MINE), ACK),
        udp(at(remote, 443), at(shared, THEIRS), b"payload"),
        unreachable(address(remote), address(shared), &call),
        echo(address(remote), address(shared), true, MINE),
        ip(address(remote), address(shared), 0, 0, &headers),
    ];
    packets.extend(fragments(&udp(at(remote, 443), at(shared, MINE), &[1; 64]), 9, 32));
    packets
}

#[test]
fn a_broken_frame_is_dropped_or_untouched() {
    on_host(|host| {
        let mut random = Random(0x9e37_79b9_7f4a_7c15);
        let mut seeds = Vec::new();
        for (outer, inner) in [(0, 0), (0, 1), (1, 0), (1, 1)] {
            for packet in packets(inner) {
                let mut sealed = forwarded(outer);
                sealed.has_checksum = true;
                let hop = forwarded(outer).hop(OTHERS[0].parse().unwrap(), 0);
                seeds.extend([forwarded(outer), sealed, hop, passed_on(outer)].map(|gue| gue.wrap(&packet)));
            }
        }
        let mut outcomes = [0; 4];
        for round in 0..20_000 {
            let mut frame = seeds[round % seeds.len()].clone();
            match random.below(8) {
                0 => frame.truncate(14 + random.below(frame.len() - 14)),
                1 => frame.extend(vec![0xa5; random.below(70)]),
                2 => {
                    let at = random.below(frame.len());
                    drop(frame.splice(at..at, [random.below(256) as u8]));
                }
                _ => {
                    for _ in 0..=random.below(3) {
                        let at = 12 + random.below(frame.len() - 12);
                        frame[at] = [0, 0xff, 1 << random.below(8), random.below(256) as u8][random.below(4)];
                    }
                }
            }
            let (fate, tried) = host.fate(&frame);
            let what = || format!("round {round}: {fate:?}, {:?}, {frame:02x?}", tried.action);
            match (fate, tried.action) {
                (None, Action::Pass) => assert_eq!(tried.frame, frame, "{}", what()),
                (Some(fate), Action::Pass) => {
                    assert!(fate.starts_with("kept_"), "{}", what());
                    assert!(is_sound(&tried.frame), "{}: {:02x?}", what(), tried.frame);
                }
                (Some(fate), Action::Redirect) => {
                    assert!(matches!(fate, "passed_on_owner" | "passed_on_previous"), "{}", what());
                    assert!(is_sound(&tried.frame), "{}: {:02x?}", what(), tried.frame);
                }
                (Some(fate), Action::Drop) => assert!(!fate.starts_with("kept_"), "{}", what()),
                _ => panic!("{}", what()),
            }
            outcomes[match (fate, tried.action) {
                (None, _) => 0,
                (_, Action::Pass) => 1,
                (_, Action::Drop) => 2,
                _ => 3,
            }] += 1;
        }
        // Each outcome was tried.
        assert!(outcomes.iter().all(|count| *count > 300), "{outcomes:?}");
    });
}

/// An IP packet of the type that Ethernet says, as long as the frame.
fn is_sound(frame: &[u8]) -> bool {
    let number = |at: usize| usize::from(frame[at]) << 8 | usize::from(frame[at + 1]);
    let rest = frame.len() - 14;
    match (number(12), frame[14] >> 4) {
        (0x0800, 4) => rest >= number(16) && number(16) >= 20 && (frame[14] & 15) >= 5,
        (0x86dd, 6) => rest >= 40 + number(18),
        _ => false,
    }
}
