// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the program costs a packet. The figures of docs/agent-receive.md are what this prints.

use std::net::UdpSocket;
use std::time::Duration;

use crate::frames::{MACS, SYN, tcp, udp};
use crate::host::{DRAINING, MINE, REMOTES, SHARED, THEIRS, at, forwarded, on_host};

/// Far above what it takes, and far below what a loop too many would.
const TOO_LONG: Duration = Duration::from_micros(50);

#[test]
fn one_packet_takes_nanoseconds() {
    on_host(|host| {
        let _socket = UdpSocket::bind(at(SHARED[0], DRAINING)).unwrap();
        let answer = |port, len| udp(at(REMOTES[0], 443), at(SHARED[0], port), &vec![1; len]);
        let mut sealed = forwarded(0);
        sealed.has_checksum = true;
        let arp = [&MACS[..], &[8, 6], &[0; 46]].concat();
        let syn = tcp(at(REMOTES[0], 443), at(SHARED[0], THEIRS), SYN);
        for (what, frame) in [
            ("not for it", arp),
            ("kept for a socket", forwarded(0).wrap(&answer(DRAINING, 64))),
            ("kept by the owner", forwarded(0).wrap(&answer(MINE, 64))),
            ("kept, IPv6 in IPv6", forwarded(1).wrap(&udp(at(REMOTES[1], 443), at(SHARED[1], MINE), &[1; 64]))),
            ("kept, 1400 bytes with a checksum", sealed.wrap(&answer(MINE, 1400))),
            ("passed on", forwarded(0).wrap(&syn)),
            ("passed on, IPv4 to IPv6", forwarded(0).wrap(&tcp(at(REMOTES[1], 443), at(SHARED[1], THEIRS), SYN))),
        ] {
            // Once each: the kernel runs a program that is repeated on what it has left of the frame.
            let mut each: Vec<_> = (0..5000).map(|_| host.receive.try_frame(&frame, 1).unwrap().each).collect();
            each.sort_unstable();
            let median = each[each.len() / 2];
            eprintln!("{what}: {} ns", median.as_nanos());
            assert!(median < TOO_LONG, "{what}: {median:?}");
        }
    });
}
