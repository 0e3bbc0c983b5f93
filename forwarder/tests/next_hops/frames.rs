// SPDX-License-Identifier: MIT OR Apache-2.0
//! What arrives at the forwarder.

/// A UDP packet of `len` bytes with DF to port 4242 of `to`, in a frame; each source port is a flow.
pub(crate) fn packet(to: [u8; 4], source_port: u16, len: usize) -> Vec<u8> {
    let mut ip = vec![0x45, 0, (len >> 8) as u8, len as u8, 0, 0, 0x40, 0, 64, 17, 0, 0, 203, 0, 113, 7];
    ip.extend(to);
    seal(&mut ip);
    ip.extend(source_port.to_be_bytes());
    ip.extend(4242_u16.to_be_bytes());
    ip.extend((len as u16 - 20).to_be_bytes());
    ip.resize(len, 0);
    [&[2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 9, 8, 0][..], &ip].concat()
}

/// A frame in which a router says to the forwarder that the path of its GUE to `to` takes `mtu` bytes.
pub(crate) fn too_big(to: [u8; 4], mtu: u16) -> Vec<u8> {
    let mut quote = vec![0x45, 0, 5, 220, 0, 0, 0x40, 0, 60, 17, 0, 0, 10, 0, 0, 1];
    quote.extend(to);
    seal(&mut quote);
    quote.extend([0xd2, 0x34, 0x17, 0xc0, 5, 200, 0, 0]);
    let mut icmp = vec![3, 4, 0, 0, 0, 0];
    icmp.extend(mtu.to_be_bytes());
    icmp.extend(quote);
    let sum = checksum(&icmp);
    icmp[2..4].copy_from_slice(&sum.to_be_bytes());
    let mut ip = vec![0x45, 0, 0, 20 + icmp.len() as u8, 0, 0, 0, 0, 64, 1, 0, 0, 10, 0, 9, 2, 10, 0, 0, 1];
    seal(&mut ip);
    [&[2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 9, 2, 8, 0][..], &ip, &icmp].concat()
}

fn seal(header: &mut [u8]) {
    let sum = checksum(header);
    header[10..12].copy_from_slice(&sum.to_be_bytes());
}

fn checksum(bytes: &[u8]) -> u16 {
    let sum: u32 = bytes.chunks(2).map(|pair| u32::from(pair[0]) << 8 | u32::from(pair[1])).sum();
    let sum = (sum & 0xffff) + (sum >> 16);
    !((sum & 0xffff) + (sum >> 16)) as u16
}
