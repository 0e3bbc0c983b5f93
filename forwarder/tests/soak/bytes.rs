// SPDX-License-Identifier: MIT OR Apache-2.0
//! Packets to the addresses of the test's table, in frames, made without the code under test.

/// Shared addresses: port 2,048 and up have an owner, the ports below have none.
pub(crate) const SHARED_V4: [u8; 4] = [198, 51, 100, 1];
const SHARED_V6: [u8; 16] = [0x20, 0x01, 0x0d, 0xb8, 0, 0x0e, 0, 0, 0, 0, 0, 0, 0, 0, 0, 7];
/// In nobody's hands.
pub(crate) const UNASSIGNED: [u8; 4] = [198, 51, 100, 99];
/// Whom they hear from.
pub(crate) const SOURCE_V4: [u8; 4] = [203, 0, 113, 9];
const SOURCE_V6: [u8; 16] = [0x20, 0x01, 0x0d, 0xb8, 0, 0x0f, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9];

const MACS: [u8; 12] = [2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 9];

/// DF, in the word of an IPv4 header that has flags and offset.
pub(crate) const DONT_FRAGMENT: u16 = 0x4000;

/// RFC 1071.
fn checksum(bytes: &[u8]) -> [u8; 2] {
    let words = bytes.chunks(2).map(|word| u32::from(word[0]) << 8 | u32::from(word.get(1).copied().unwrap_or(0)));
    let sum: u32 = words.sum();
    let folded = (sum & 0xffff) + (sum >> 16);
    (!((folded & 0xffff) + (folded >> 16)) as u16).to_be_bytes()
}

/// An IPv4 packet.
pub(crate) fn packet_v4(to: [u8; 4], protocol: u8, id: u16, fragmentation: u16, payload: &[u8]) -> Vec<u8> {
    let mut packet = vec![0x45, 0];
    packet.extend((20 + payload.len() as u16).to_be_bytes());
    packet.extend(id.to_be_bytes());
    packet.extend(fragmentation.to_be_bytes());
    packet.extend([57, protocol, 0, 0]);
    packet.extend(SOURCE_V4);
    packet.extend(to);
    let sum = checksum(&packet);
    packet[10..12].copy_from_slice(&sum);
    packet.extend(payload);
    packet
}

/// An IPv6 packet to the shared address; `next` is what `payload` begins with.
pub(crate) fn packet_v6(next: u8, payload: &[u8]) -> Vec<u8> {
    let mut packet = vec![0x60, 0, 0, 0];
    packet.extend((payload.len() as u16).to_be_bytes());
    packet.extend([next, 57]);
    packet.extend(SOURCE_V6);
    packet.extend(SHARED_V6);
    packet.extend(payload);
    packet
}

/// An ICMP message: four bytes behind the checksum, then the rest.
pub(crate) fn icmp(kind: u8, rest_of_header: [u8; 4], body: &[u8]) -> Vec<u8> {
    let mut message = [&[kind, 0, 0, 0], &rest_of_header[..], body].concat();
    let sum = checksum(&message);
    message[2..4].copy_from_slice(&sum);
    message
}

/// Ports, and `len` bytes in all.
pub(crate) fn with_ports(port: u16, len: usize) -> Vec<u8> {
    let mut payload = [&[0x01, 0xbb], &port.to_be_bytes()[..]].concat();
    payload.resize(len, 0xaa);
    payload
}

/// The frame of an IP packet.
pub(crate) fn frame(packet: &[u8]) -> Vec<u8> {
    let ethertype = if packet[0] >> 4 == 4 { [0x08, 0] } else { [0x86, 0xdd] };
    [&MACS, &ethertype[..], packet].concat()
}

/// A frame that is not IP.
pub(crate) fn arp() -> Vec<u8> {
    [&MACS, &[0x08, 0x06][..], &[0; 46]].concat()
}
