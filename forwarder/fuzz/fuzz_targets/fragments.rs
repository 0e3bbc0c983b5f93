// SPDX-License-Identifier: MIT OR Apache-2.0
//! Sequences of fragments: every eight bytes of the input are one, of few datagrams, so that they meet.
#![no_main]

use std::cell::RefCell;

use fuzz::{Forwarder, repair};
use libfuzzer_sys::fuzz_target;

thread_local!(static FORWARDER: RefCell<Forwarder> = RefCell::default());

/// A sliced address, and one that a server owns wholly.
const V4: [[u8; 4]; 2] = [[198, 51, 100, 2], [198, 51, 100, 4]];
/// Subnets of such addresses.
const V6: [u8; 2] = [1, 0];
/// UDP, TCP, ICMP of either version, GRE, and an extension header.
const PROTOCOLS: [u8; 8] = [17, 17, 6, 1, 58, 47, 60, 132];

fuzz_target!(|input: &[u8]| {
    FORWARDER.with_borrow_mut(|forwarder| {
        let mut burst = Vec::new();
        let (steps, _) = input.as_chunks::<8>();
        for step in steps.iter().take(256) {
            let [kind, identification, offset, len, protocol, dport, more, time] = *step;
            let piece = Piece {
                is_v6: kind & 1 != 0,
                whole: usize::from(kind >> 1 & 1),
                is_fragment: kind & 0xf0 != 0xf0,
                identification: identification & 7,
                // mostly where the pieces of small datagrams are; the last ones near the end of the largest
                offset: if offset < 0xf0 { u16::from(offset) } else { 0x1f00 | u16::from(offset) },
                len: usize::from(len) * if kind & 4 != 0 { 8 } else { 1 },
                protocol: PROTOCOLS[usize::from(protocol & 7)],
                dport: [0x08 | dport >> 5, dport],
                more: more & 1 != 0,
                padding: usize::from(more >> 6),
            };
            burst.push(piece.frame());
            // a burst ends where time passes: up to 2.5 s, or nothing at all
            if time > 0 {
                forwarder.burst(&std::mem::take(&mut burst), u64::from(time - 1) * 10_000_000);
            }
        }
        forwarder.burst(&burst, 0);
        forwarder.forget();
    });
});

struct Piece {
    is_v6: bool,
    whole: usize,
    is_fragment: bool,
    identification: u8,
    /// In units of eight bytes.
    offset: u16,
    len: usize,
    protocol: u8,
    dport: [u8; 2],
    more: bool,
    padding: usize,
}

impl Piece {
    fn frame(&self) -> Vec<u8> {
        let mut payload = [&[0, 53][..], &self.dport, &[0, 16, 0, 0]].concat();
        payload.resize(self.len, 0xaa);
        let packet = if self.is_v6 { self.v6(&payload) } else { self.v4(&payload) };
        let link: &[u8] = if self.is_v6 {
            b"\x02\0\0\0\0\x01\x02\0\0\0\0\x09\x86\xdd"
        } else {
            b"\x02\0\0\0\0\x01\x02\0\0\0\0\x09\x08\0"
        };
        [link, &packet, &vec![0; self.padding]].concat()
    }

    fn v4(&self, payload: &[u8]) -> Vec<u8> {
        let fragmentation = if self.is_fragment { self.offset | u16::from(self.more) << 13 } else { 0 };
        let mut packet = vec![0x45, 0];
        packet.extend(((20 + payload.len()) as u16).to_be_bytes());
        packet.extend([0, self.identification]);
        packet.extend(fragmentation.to_be_bytes());
        packet.extend([57, self.protocol, 0, 0, 203, 0, 113, 9]);
        packet.extend(V4[self.whole]);
        repair(&mut packet);
        packet.extend(payload);
        packet
    }

    fn v6(&self, payload: &[u8]) -> Vec<u8> {
        let len = payload.len() + if self.is_fragment { 8 } else { 0 };
        let mut packet = vec![0x60, 0, 0, 0];
        packet.extend((len as u16).to_be_bytes());
        packet.extend([if self.is_fragment { 44 } else { self.protocol }, 57]);
        packet.extend(b"\x20\x01\x0d\xb8\0\x0f\0\0\0\0\0\0\0\0\0\x09");
        packet.extend(b"\x20\x01\x0d\xb8\0\x0e\0");
        packet.push(V6[self.whole]);
        packet.extend(b"\0\0\0\0\0\0\0\x07");
        if self.is_fragment {
            packet.extend([self.protocol, 0]);
            packet.extend((self.offset << 3 | u16::from(self.more)).to_be_bytes());
            packet.extend([0, 0, 0, self.identification]);
        }
        packet.extend(payload);
        packet
    }
}
