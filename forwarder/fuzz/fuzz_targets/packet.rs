// SPDX-License-Identifier: MIT OR Apache-2.0
//! One frame of any bytes. The checksum of an IPv4 header is put right in seven of eight: hardly anything gets past it else.
#![no_main]

use std::cell::RefCell;

use fuzz::{Forwarder, repair};
use libfuzzer_sys::fuzz_target;

thread_local!(static FORWARDER: RefCell<Forwarder> = RefCell::default());

fuzz_target!(|frame: &[u8]| {
    let mut frame = frame.to_vec();
    let is_left_wrong = frame.get(6).is_some_and(|byte| byte & 7 == 7); // in the source address, which nobody reads
    let mut start = 14;
    while let Some([0x81, 0x00] | [0x88, 0xa8]) = frame.get(start - 2..start) {
        start += 4;
    }
    if let Some(packet) = frame.get_mut(start..).filter(|_| !is_left_wrong) {
        repair(packet);
    }
    FORWARDER.with_borrow_mut(|forwarder| forwarder.frame(&frame));
});
