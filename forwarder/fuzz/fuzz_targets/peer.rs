// SPDX-License-Identifier: MIT OR Apache-2.0
//! GUE from a peer: the input is what is behind the outer UDP header, and a byte that says how it comes.
#![no_main]

use std::cell::RefCell;

use fuzz::{Forwarder, ones_complement_sum, repair};
use libfuzzer_sys::fuzz_target;

thread_local!(static FORWARDER: RefCell<Forwarder> = RefCell::default());

const V4: &[u8] = &[10, 1, 0, 1, 10, 0, 0, 1];
const V6: &[u8] = b"\x20\x01\x0d\xb8\0\x0b\0\0\0\0\0\0\0\0\0\x01\x20\x01\x0d\xb8\0\x0a\0\0\0\0\0\0\0\0\0\x01";

fuzz_target!(|input: &[u8]| {
    let Some((&how, gue)) = input.split_first() else { return };
    let (is_v6, is_left_wrong, has_checksum, ecn) = (how & 1 != 0, how & 14 == 14, how & 16 != 0, how >> 5 & 3);
    let mut gue = gue.to_vec();
    if let Some(inner) = inner(&mut gue).filter(|_| !is_left_wrong) {
        repair(inner);
    }
    let frame = frame(&gue, is_v6, has_checksum, ecn);
    FORWARDER.with_borrow_mut(|forwarder| forwarder.frame(&frame));
});

/// What is behind the GUE header.
fn inner(gue: &mut [u8]) -> Option<&mut [u8]> {
    let len = 4 + 4 * usize::from(gue.first()? & 31);
    gue.get_mut(len..)
}

fn frame(gue: &[u8], is_v6: bool, has_checksum: bool, ecn: u8) -> Vec<u8> {
    let addresses = if is_v6 { V6 } else { V4 };
    let len = (8 + gue.len()) as u16;
    let mut datagram = [0xc000, 6080, len, 0].map(u16::to_be_bytes).concat();
    datagram.extend(gue);
    if has_checksum {
        let pseudo = [addresses, &[0, 17], &len.to_be_bytes(), &datagram].concat();
        let checksum = match !ones_complement_sum(&pseudo) {
            0 => 0xffff,
            checksum => checksum,
        };
        datagram[6..8].copy_from_slice(&checksum.to_be_bytes());
    }
    let mut packet = Vec::new();
    if is_v6 {
        packet.extend([0x60, ecn << 4, 0, 0]);
        packet.extend(len.to_be_bytes());
        packet.extend([17, 61]);
    } else {
        packet.extend([0x45, ecn]);
        packet.extend((20 + len).to_be_bytes());
        packet.extend([0, 0, 0x40, 0, 61, 17, 0, 0]);
    }
    packet.extend(addresses);
    repair(&mut packet);
    let link: &[u8] =
        if is_v6 { b"\x02\0\0\0\0\x01\x02\0\0\0\0\x09\x86\xdd" } else { b"\x02\0\0\0\0\x01\x02\0\0\0\0\x09\x08\0" };
    [link, &packet, &datagram].concat()
}
