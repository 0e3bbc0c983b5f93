// SPDX-License-Identifier: MIT OR Apache-2.0
//! Captures, written and read without the code under test.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;

/// Writes a classic pcap (little endian), a microsecond between frames.
pub(crate) fn write(path: &Path, frames: impl Iterator<Item = Vec<u8>>) {
    let mut file = BufWriter::new(File::create(path).unwrap());
    for word in [0xa1b2_c3d4_u32, 0x0004_0002, 0, 0, 65_535, 1] {
        file.write_all(&word.to_le_bytes()).unwrap();
    }
    for (n, frame) in (0u32..).zip(frames) {
        let len = frame.len() as u32;
        for word in [1_700_000_000 + n / 1_000_000, n % 1_000_000, len, len] {
            file.write_all(&word.to_le_bytes()).unwrap();
        }
        file.write_all(&frame).unwrap();
    }
    file.flush().unwrap();
}

/// All frames of a classic pcap (little endian).
pub(crate) fn read(path: &Path) -> Vec<Vec<u8>> {
    let bytes = std::fs::read(path).unwrap();
    let mut rest = &bytes[24..];
    let mut frames = Vec::new();
    while let Some((header, packet)) = rest.split_at_checked(16) {
        let len = u32::from_le_bytes(header[8..12].try_into().unwrap()) as usize;
        frames.push(packet[..len].to_vec());
        rest = &packet[len..];
    }
    frames
}
