// SPDX-License-Identifier: MIT OR Apache-2.0
//! Datagrams in pieces: which pieces come and when, and what the contract says of each.

use super::bytes::{SHARED_V4, frame, icmp, packet_v4, packet_v6, with_ports};
use Fate::{AsItsFirst, Malformed, Unmatched};
use Piece::{First, Inside, Last, Middle};

/// A piece of a datagram.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Piece {
    /// The first bytes, upper header included.
    First,
    /// What follows.
    Middle,
    /// The end.
    Last,
    /// One that starts inside the first.
    Inside,
}

/// What becomes of it.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Fate {
    /// What becomes of the datagram.
    AsItsFirst,
    /// No first fragment came in time: `fragment_unmatched`.
    Unmatched,
    /// It overlaps the first: `fragment_malformed`.
    Malformed,
}

/// The pieces of a datagram that come, in milliseconds from its beginning.
pub(crate) type Script = &'static [(u64, Piece, Fate)];

/// Datagrams of which every byte comes.
pub(crate) const FINISHED: [Script; 8] = [
    &[(0, First, AsItsFirst), (20, Middle, AsItsFirst), (40, Last, AsItsFirst)],
    // In reverse: held for the first, almost as long as can be.
    &[(0, Last, AsItsFirst), (30, Middle, AsItsFirst), (60, First, AsItsFirst)],
    &[(0, Last, AsItsFirst), (500, Middle, AsItsFirst), (999, First, AsItsFirst)],
    // Doubled, the first included; then copies of what was whole 999 ms ago, and 1,001 ms ago.
    &[
        (0, First, AsItsFirst),
        (10, Middle, AsItsFirst),
        (20, Middle, AsItsFirst),
        (30, First, AsItsFirst),
        (40, Middle, AsItsFirst),
        (50, Last, AsItsFirst),
    ],
    &[
        (0, First, AsItsFirst),
        (10, Last, AsItsFirst),
        (1_500, Middle, AsItsFirst),
        (2_499, Middle, AsItsFirst),
        (2_501, Last, Unmatched),
    ],
    // One that overlaps taints no other, whichever comes first.
    &[(0, First, AsItsFirst), (20, Inside, Malformed), (40, Middle, AsItsFirst), (60, Last, AsItsFirst)],
    &[(0, Inside, Malformed), (20, Middle, AsItsFirst), (40, First, AsItsFirst), (60, Last, AsItsFirst)],
    // Remembered for 10 s from one piece to the next.
    &[(0, First, AsItsFirst), (9_999, Last, AsItsFirst), (19_998, Middle, AsItsFirst)],
];

/// Datagrams of which some bytes don't come, or not in time.
pub(crate) const UNFINISHED: [Script; 8] = [
    // Without the first, in order and in reverse, and doubled.
    &[(0, Middle, Unmatched), (20, Last, Unmatched)],
    &[(0, Last, Unmatched), (300, Middle, Unmatched)],
    &[(0, Middle, Unmatched), (10, Middle, Unmatched), (20, Last, Unmatched), (900, Last, Unmatched)],
    // Without a middle, in order and in reverse; without the last.
    &[(0, First, AsItsFirst), (20, Last, AsItsFirst)],
    &[(0, Last, AsItsFirst), (20, First, AsItsFirst)],
    &[(0, First, AsItsFirst), (20, Middle, AsItsFirst), (25, Middle, AsItsFirst)],
    // The first comes 1,001 ms after one piece, and 801 ms after the other; and then not for 10 s.
    &[(0, Last, Unmatched), (200, Middle, AsItsFirst), (1_001, First, AsItsFirst)],
    &[(0, First, AsItsFirst), (20, Middle, AsItsFirst), (10_021, Last, Unmatched)],
];

/// For how long after its last piece a datagram may be remembered, and a bit.
pub(crate) const REMEMBERED: u64 = 10_001;

/// What the datagram is when it is put together.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Kind {
    is_v6: bool,
    protocol: u8,
    /// The port; an echo's type.
    port: u16,
    /// What is counted for each of its pieces.
    pub(crate) met: &'static str,
}

const fn kind(is_v6: bool, protocol: u8, port: u16, met: &'static str) -> Kind {
    Kind { is_v6, protocol, port, met }
}

/// Kinds of datagrams; of ICMP those with type 0, and type 8.
pub(crate) const KINDS: [Kind; 8] = [
    kind(false, 17, 2_100, "tx"),
    kind(true, 17, 4_200, "tx"),
    kind(false, 6, 4_200, "tx"),
    kind(true, 6, 2_100, "tx"),
    kind(false, 1, 0, "tx"),
    kind(false, 1, 8, "icmp_unwanted"),
    kind(false, 17, 100, "unallocated_port"),
    kind(true, 6, 0, "unallocated_port"),
];

/// Bytes of a first or middle piece.
const PIECE: u16 = 480;

impl Kind {
    /// The frame of a piece.
    pub(crate) fn frame(&self, id: u32, piece: Piece) -> Vec<u8> {
        let (offset, len, more) = match piece {
            First => (0, PIECE, true),
            Middle => (PIECE, PIECE, true),
            Last => (2 * PIECE, 100, false),
            Inside => (PIECE / 2, PIECE, true),
        };
        let mut payload = vec![0xbb; usize::from(len)];
        if matches!(piece, First) {
            payload = match self.protocol {
                1 => icmp(self.port as u8, [0x10, 0x92, 0, 1], &payload[8..]),
                _ => with_ports(self.port, payload.len()),
            };
        }
        if self.is_v6 {
            let mut header = vec![self.protocol, 0];
            header.extend((offset | u16::from(more)).to_be_bytes());
            header.extend(id.to_be_bytes());
            frame(&packet_v6(44, &[header, payload].concat()))
        } else {
            let fragmentation = (offset / 8) | (u16::from(more) << 13);
            let id = u16::try_from(id).expect("so many datagrams have no numbers of their own");
            frame(&packet_v4(SHARED_V4, self.protocol, id, fragmentation, &payload))
        }
    }
}
