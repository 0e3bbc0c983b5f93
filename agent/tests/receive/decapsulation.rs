// SPDX-License-Identifier: MIT OR Apache-2.0
//! What is kept comes up as it was sent.

use agent::receive::Action;

use crate::frames::{Gue, MACS, echo, ethernet, ip, ipv4_options, udp, udp_tos};
use crate::host::{Host, MINE, OWN, REMOTES, SHARED, WHOLE, address, at, forwarded, on_host};

fn inner(version: usize) -> Vec<u8> {
    udp(at(REMOTES[version], 443), at(SHARED[version], MINE), b"odd number of bytes")
}

#[test]
fn byte_for_byte_whatever_is_around_it() {
    on_host(|host| {
        for (outer, within) in [(0, 0), (0, 1), (1, 0), (1, 1)] {
            let plain = forwarded(outer);
            let mut variants = vec![plain.clone(), plain.clone(), plain.clone(), plain.clone()];
            variants[1].has_checksum = true;
            variants[2].words = vec![0x53, 1, 1, 0, 0, 0, 0, 42];
            variants[3].options = vec![1; 8];
            variants[3].tos = 0xb8;
            for gue in variants {
                let packet = inner(within);
                let mut frame = gue.wrap(&packet);
                let kept = host.expect("as sent", &frame, "kept_own");
                assert_eq!((kept.action, &kept.frame), (Action::Pass, &ethernet(&packet)), "{outer} {within}");
                frame.extend([0xee; 30]);
                let kept = host.expect("padded", &frame, "kept_own");
                assert_eq!(kept.frame, ethernet(&packet), "padding stays behind");
                // Bytes of UDP behind the inner packet are no more its own.
                let frame = gue.wrap(&[&packet[..], &[0xee; 5]].concat());
                assert_eq!(host.expect("with more", &frame, "kept_own").frame, ethernet(&packet));
            }
        }
        assert_eq!(host.counters().packets("kept_own"), 4 * 4 * 3);
    });
}

#[test]
fn checksums_of_every_length_are_verified() {
    on_host(|host| {
        for outer in [0, 1] {
            let mut gue = forwarded(outer);
            gue.has_checksum = true;
            for len in (0..300).chain([1000, 1471, 1472, 3000]) {
                let packet = udp(at(REMOTES[0], 443), at(SHARED[0], MINE), &vec![0xa5; len]);
                let mut frame = gue.wrap(&packet);
                assert_eq!(host.expect("right", &frame, "kept_own").frame, ethernet(&packet), "{len}");
                let last = frame.len() - 1;
                frame[last] ^= 1;
                host.expect("wrong", &frame, "gue_malformed");
            }
        }
    });
}

/// RFC 6040, figure 4: inner down, outer across: Not-ECT, ECT(1), ECT(0), CE.
#[test]
fn marks_of_congestion_are_merged() {
    const NOT: Option<u8> = Some(0);
    const ECT1: Option<u8> = Some(1);
    const ECT0: Option<u8> = Some(2);
    const CE: Option<u8> = Some(3);
    const MERGED: [[Option<u8>; 4]; 4] =
        [[NOT, NOT, NOT, None], [ECT1, ECT1, ECT1, CE], [ECT0, ECT1, ECT0, CE], [CE, CE, CE, CE]];
    on_host(|host| {
        for (inner, row) in MERGED.iter().enumerate() {
            for (outer, merged) in row.iter().enumerate() {
                for (around, within) in [(0, 0), (0, 1), (1, 0), (1, 1)] {
                    let packet =
                        |ecn: u8| udp_tos(at(REMOTES[within], 443), at(SHARED[within], MINE), 0x28 | ecn, b"x");
                    let mut gue = forwarded(around);
                    gue.tos = 0xb8 | outer as u8;
                    let frame = gue.wrap(&packet(inner as u8));
                    let Some(merged) = merged else {
                        host.expect("CE that nobody would hear of", &frame, "gue_malformed");
                        continue;
                    };
                    let kept = host.expect("merged", &frame, "kept_own");
                    // A header built with that mark has the right checksum, so this one has.
                    assert_eq!(kept.frame, ethernet(&packet(*merged)), "{inner} in {outer}");
                }
            }
        }
    });
}

#[test]
fn other_traffic_is_left_alone() {
    on_host(|host| {
        let packet = inner(0);
        let mut other_port = forwarded(0);
        other_port.port = 6081;
        let mut other_address = forwarded(0);
        other_address.to = address("10.0.1.77");
        let tagged = [&MACS[..], &[0x81, 0, 0, 5], &forwarded(0).wrap(&packet)[12..]].concat();
        let tunnel = ethernet(&ip(address(REMOTES[0]), address(OWN[0]), 4, 0, &packet));
        let arp = [&MACS[..], &[8, 6], &[0; 46]].concat();
        let later = {
            let [_, later] = crate::frames::fragments(&forwarded(0).wrap(&packet)[14..], 7, 16);
            ethernet(&later)
        };
        let mut cut = forwarded(0).wrap(&packet);
        cut.truncate(30);
        let plain = ethernet(&udp(at(REMOTES[0], 6080), at(OWN[0], 53), b"not to the port"));
        for frame in [other_port.wrap(&packet), other_address.wrap(&packet), tagged, tunnel, arp, later, cut, plain] {
            let (fate, tried) = host.fate(&frame);
            assert_eq!((fate, tried.action), (None, Action::Pass));
            assert_eq!(tried.frame, frame);
        }
        assert_eq!(host.counters().received().packets, 0);
    });
}

/// The kernel does not see them either.
#[test]
fn tags_that_only_name_a_priority_are_looked_through() {
    on_host(|host| {
        for outer in [0, 1] {
            let packet = inner(outer);
            let tagged = |gue: &Gue, tags: &[u8]| [&MACS[..], tags, &gue.wrap(&packet)[12..]].concat();
            for tags in [&[0x81, 0, 0xe0, 0][..], &[0x88, 0xa8, 0, 0, 0x81, 0, 0x10, 0]] {
                let kept = host.expect("tagged", &tagged(&forwarded(outer), tags), "kept_own");
                assert_eq!(kept.frame, ethernet(&packet));
                let stranger = Gue::new(address(REMOTES[outer]), address(OWN[outer]));
                host.expect("a stranger's", &tagged(&stranger, tags), "gue_untrusted");
            }
            host.expect("three", &tagged(&forwarded(outer), &[0x81, 0, 0, 0].repeat(3)), "gue_malformed");
        }
    });
}

#[test]
fn what_has_no_ports_goes_by_the_address() {
    on_host(|host| {
        let keep = |host: &mut Host, what, packet: &[u8], fate| {
            let frame = forwarded(0).wrap(packet);
            assert_eq!(host.expect(what, &frame, fate).frame, ethernet(packet), "{what}");
        };
        for version in [0, 1] {
            let (remote, shared, whole) =
                (address(REMOTES[version]), address(SHARED[version]), address(WHOLE[version]));
            keep(host, "GRE", &ip(remote, shared, 47, 0, b"gre!"), "kept_portless");
            keep(host, "no next header", &ip(remote, shared, 59, 0, b""), "kept_portless");
            keep(host, "echo request", &echo(remote, whole, false, THEIRS_ID), "kept_portless");
            keep(host, "echo reply", &echo(remote, shared, true, MINE), "kept_own");
            keep(host, "SCTP", &ip(remote, shared, 132, 0, &sctp(MINE)), "kept_own");
            keep(host, "any port of an own address", &ip(remote, whole, 132, 0, &sctp(1)), "kept_own");
        }
        let options = ipv4_options(address(REMOTES[0]), address(SHARED[0]), 132, 0, &[1; 40], &sctp(MINE));
        keep(host, "IPv4 options", &options, "kept_own");
        let extended = [&[60, 0, 1, 4, 0, 0, 0, 0], &[132, 1][..], &[0; 14], &sctp(MINE)].concat();
        keep(host, "extension headers", &ip(address(REMOTES[1]), address(SHARED[1]), 0, 0, &extended), "kept_own");
        let mut many = Vec::new();
        for next in [60, 60, 60, 60, 60, 60, 60, 60, 132] {
            many.extend([next, 0, 1, 4, 0, 0, 0, 0]);
        }
        many.extend(sctp(MINE));
        let nine = ip(address(REMOTES[1]), address(SHARED[1]), 60, 0, &many);
        keep(host, "a ninth extension header", &nine, "kept_portless");
        let eight = ip(address(REMOTES[1]), address(SHARED[1]), 60, 0, &many[8..]);
        keep(host, "eight", &eight, "kept_own");
    });
}

const THEIRS_ID: u16 = crate::host::THEIRS;

fn sctp(port: u16) -> [u8; 12] {
    let [high, low] = port.to_be_bytes();
    [0, 9, high, low, 0, 0, 0, 0, 0, 0, 0, 0]
}
