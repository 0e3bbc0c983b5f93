// SPDX-License-Identifier: MIT OR Apache-2.0
//! Writing pcapng (draft-ietf-opsawg-pcapng) with what no older format can hold: a comment and a direction for each packet, and
//! how many were lost.

use super::drain::Frame;

const SECTION_HEADER: u32 = 0x0a0d_0d0a;
const INTERFACE_DESCRIPTION: u32 = 1;
const INTERFACE_STATISTICS: u32 = 5;
const ENHANCED_PACKET: u32 = 6;

const COMMENT: u16 = 1;
const USER_APPLICATION: u16 = 4;
const INTERFACE_NAME: u16 = 2;
const TIME_RESOLUTION: u16 = 9;
const PACKET_FLAGS: u16 = 2;
const STATISTICS_DROPPED: u16 = 5;

const ETHERNET: u16 = 1;
/// An option's length has 16 bits.
const OPTION_MAX: usize = u16::MAX as usize;

/// Which way a packet goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// It came.
    In,
    /// It left.
    Out,
}

/// Begins a section, with an interface for each of these devices.
pub fn begin<'a>(out: &mut Vec<u8>, devices: impl Iterator<Item = &'a str>) {
    block(out, SECTION_HEADER, |out| {
        out.extend(0x1a2b_3c4d_u32.to_le_bytes());
        out.extend([1, 0, 0, 0]);
        out.extend(u64::MAX.to_le_bytes());
        option(out, USER_APPLICATION, concat!("sluiced ", env!("CARGO_PKG_VERSION")).as_bytes());
        end_of_options(out);
    });
    for device in devices {
        block(out, INTERFACE_DESCRIPTION, |out| {
            out.extend(ETHERNET.to_le_bytes());
            out.extend([0; 6]);
            option(out, INTERFACE_NAME, device.as_bytes());
            option(out, TIME_RESOLUTION, &[9]);
            end_of_options(out);
        });
    }
}

/// A frame.
pub fn packet(out: &mut Vec<u8>, frame: &Frame, direction: Direction, comment: &str) {
    block(out, ENHANCED_PACKET, |out| {
        let Frame { time, device, length, bytes } = frame;
        out.extend(u32::from(device.0).to_le_bytes());
        out.extend(((time >> 32) as u32).to_le_bytes());
        out.extend((*time as u32).to_le_bytes());
        out.extend((bytes.len() as u32).to_le_bytes());
        out.extend(length.to_le_bytes());
        out.extend(bytes);
        pad(out, bytes.len());
        option(out, COMMENT, comment.as_bytes());
        let flags: u32 = if direction == Direction::In { 1 } else { 2 };
        option(out, PACKET_FLAGS, &flags.to_le_bytes());
        end_of_options(out);
    });
}

/// How many packets were lost until `time`, in nanoseconds since 1970. No device lost them, so they stand with the first.
pub fn lost(out: &mut Vec<u8>, time: u64, packets: u64) {
    block(out, INTERFACE_STATISTICS, |out| {
        out.extend(0_u32.to_le_bytes());
        out.extend(((time >> 32) as u32).to_le_bytes());
        out.extend((time as u32).to_le_bytes());
        option(out, COMMENT, b"lost between the workers and this file, of all devices");
        option(out, STATISTICS_DROPPED, &packets.to_le_bytes());
        end_of_options(out);
    });
}

/// A block of that type, its body written by `body`.
fn block(out: &mut Vec<u8>, kind: u32, body: impl FnOnce(&mut Vec<u8>)) {
    let start = out.len();
    out.extend(kind.to_le_bytes());
    out.extend([0; 4]);
    body(out);
    let length = ((out.len() - start + 4) as u32).to_le_bytes();
    out.extend(length);
    if let Some(place) = out.get_mut(start + 4..start + 8) {
        place.copy_from_slice(&length);
    }
}

fn option(out: &mut Vec<u8>, code: u16, value: &[u8]) {
    let value = value.get(..OPTION_MAX).unwrap_or(value);
    out.extend(code.to_le_bytes());
    out.extend((value.len() as u16).to_le_bytes());
    out.extend(value);
    pad(out, value.len());
}

fn end_of_options(out: &mut Vec<u8>) {
    out.extend([0; 4]);
}

/// Fills up to a multiple of four bytes.
fn pad(out: &mut Vec<u8>, length: usize) {
    out.extend(std::iter::repeat_n(0, length.next_multiple_of(4) - length));
}
