// SPDX-License-Identifier: MIT OR Apache-2.0
//! Captures written and read by hand, so that nothing of the product is in the way.

use std::fs;
use std::path::Path;

/// `count` different frames of 60 to 1,500 bytes, the same at every call.
pub(crate) fn frames(count: usize) -> Vec<Vec<u8>> {
    let sizes = (60..=1500).step_by(7).cycle();
    sizes.zip(0..count).map(|(size, number)| frame(number, size)).collect()
}

/// A frame of `size` bytes: its number, then bytes that follow from it.
pub(crate) fn frame(number: usize, size: usize) -> Vec<u8> {
    let number = u32::try_from(number).unwrap();
    let mut frame = number.to_be_bytes().to_vec();
    let mut state = number;
    while frame.len() < size {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        frame.push((state >> 24) as u8);
    }
    frame
}

/// Writes a little-endian pcap file of Ethernet frames.
pub(crate) fn write(path: &Path, frames: &[Vec<u8>]) {
    let mut file = Vec::new();
    for word in [0xa1b2_c3d4_u32, 0x0004_0002, 0, 0, 262_144, 1] {
        file.extend(word.to_le_bytes());
    }
    for frame in frames {
        let len = u32::try_from(frame.len()).unwrap();
        for word in [0, 0, len, len] {
            file.extend(word.to_le_bytes());
        }
        file.extend(frame);
    }
    fs::write(path, file).unwrap();
}

/// Reads the frames of a little-endian pcap file.
pub(crate) fn read(path: &Path) -> Vec<Vec<u8>> {
    let file = fs::read(path).unwrap();
    let word = |at: usize| u32::from_le_bytes(file[at..at + 4].try_into().unwrap()) as usize;
    assert!([0xa1b2_c3d4, 0xa1b2_3c4d].contains(&word(0)), "{path:?} is no little-endian pcap file");
    let mut frames = Vec::new();
    let mut at = 24;
    while at < file.len() {
        let len = word(at + 8);
        assert_eq!(len, word(at + 12), "a frame was cut");
        frames.push(file[at + 16..at + 16 + len].to_vec());
        at += 16 + len;
    }
    frames
}
