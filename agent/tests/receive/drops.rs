// SPDX-License-Identifier: MIT OR Apache-2.0
//! Each drop, by its name, and nothing goes anywhere then.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use agent::config;
use agent::receive::{Action, Receive};
use agent::view::View;

use crate::frames::{GRE, Gue, SYN, UDP, ethernet, fragments, icmp, ip, tcp, udp, v6};
use crate::host::{
    GHOSTLY, Host, MINE, NOBODYS, OTHERS, OWN, REMOTES, SHARED, THEIRS, WHOLE, address, at, forwarded, on_host,
    on_host_with_fou, passed_on, view,
};

#[track_caller]
fn dropped(host: &mut Host, what: &str, frame: &[u8], fate: &str) {
    assert_eq!(host.expect(what, frame, fate).action, Action::Drop, "{what}");
}

fn packet() -> Vec<u8> {
    udp(at(REMOTES[0], 443), at(SHARED[0], MINE), b"payload")
}

#[test]
fn from_strangers() {
    on_host(|host| {
        for (from, to) in [("10.0.0.2", OWN[0]), (REMOTES[0], OWN[0]), (OWN[0], OWN[0]), (REMOTES[1], OWN[1])] {
            let gue = Gue::new(address(from), address(to));
            dropped(host, from, &gue.wrap(&packet()), "gue_untrusted");
            // That it is malformed as well is not looked for.
            let header = [0xc1, 0x23, 0x17, 0xc0, 0, 8, 0, 0];
            dropped(host, from, &gue.frame(&header), "gue_untrusted");
        }
    });
}

/// Addresses of both versions are one kind in the program, so one must not pass for the other.
#[test]
fn ipv6_that_would_pass_for_ipv4() {
    on_host(|host| {
        for (from, to) in [("::ffff:10.0.0.1", OWN[1]), ("::ffff:10.0.0.1", "::ffff:10.0.1.1")] {
            let gue = Gue::new(v6(from), v6(to));
            dropped(host, from, &gue.wrap(&packet()), "gue_malformed");
        }
        let shared = SocketAddr::new(v6("::ffff:198.51.100.1"), MINE);
        for remote in [at(REMOTES[1], 443), SocketAddr::new(v6("::ffff:203.0.113.7"), 443)] {
            dropped(host, "inner", &forwarded(0).wrap(&udp(remote, shared, b"")), "inner_malformed");
        }
    });
}

/// The devices that are up for fou open any tunnel: none but GUE must reach them, however it is wrapped.
#[test]
fn tunnels_that_are_not_gue_while_fou_runs() {
    on_host_with_fou(|host| {
        let patience = Instant::now() + Duration::from_secs(20);
        for version in [0, 1] {
            let (remote, own, whole) = (address(REMOTES[version]), address(OWN[version]), address(WHOLE[version]));
            for inner in [0, 1] {
                let packet = udp(at(REMOTES[inner], 443), at(SHARED[inner], MINE), b"payload");
                let protocol = [4, 41][inner];
                let bare = ethernet(&ip(remote, own, protocol, 0, &packet));
                // From when on, the thread that follows addresses says.
                while host.fate(&bare).0.is_none() && Instant::now() < patience {
                    std::thread::sleep(Duration::from_millis(10));
                }
                dropped(host, "bare", &bare, "gue_untrusted");
                let tagged = [&bare[..12], &[0x81, 0, 0, 0], &bare[12..]].concat();
                dropped(host, "tagged", &tagged, "gue_untrusted");
                let within = ip(remote, whole, protocol, 0, &packet);
                dropped(host, "in GUE", &forwarded(version).wrap(&within), "gue_not_ours");
                if version == 1 {
                    let mut headers = [60, 0, 1, 4, 0, 0, 0, 0].repeat(9);
                    headers[64] = protocol;
                    let hidden = |to| ip(remote, to, 60, 0, &[&headers[..], &packet].concat());
                    dropped(host, "hidden", &ethernet(&hidden(own)), "gue_untrusted");
                    dropped(host, "hidden in GUE", &forwarded(1).wrap(&hidden(whole)), "gue_not_ours");
                }
            }
        }
        // They are up now, which another agent takes for somebody's own.
        let how = config::Receive { xdp: config::XdpMode::Generic, decapsulation: config::Decapsulation::Auto };
        let second = Receive::start(&["lo".to_owned()], 6080, how, &view()).unwrap();
        assert!(second.why_not_fou().unwrap().contains("would get nothing any more"));
    });
}

#[test]
fn neighbour_discovery() {
    on_host(|host| {
        for kind in 133..=137 {
            let packet = icmp(address(REMOTES[1]), address(WHOLE[1]), kind, [0; 4], &[0; 16]);
            dropped(host, "from afar", &forwarded(1).wrap(&packet), "gue_not_ours");
        }
    });
}

#[test]
fn gue_that_is_none() {
    on_host(|host| {
        for outer in [0, 1] {
            let gue = forwarded(outer);
            let sound = gue.datagram(&packet());
            let with = |at: usize, byte: u8| {
                let mut datagram = sound.clone();
                datagram[at] = byte;
                gue.frame(&datagram)
            };
            host.expect("sound", &gue.frame(&sound), "kept_own");
            for (what, at, byte) in [
                ("variant 1", 8, 0x45),
                ("variant 3", 8, 0xc0),
                ("control", 8, 0x20),
                ("a header past the end", 8, 0x1f),
                ("private flag", 11, 1),
                ("flags", 10, 0x80),
                ("protocol of the other version", 9, 41),
                ("another protocol", 9, 0),
                ("UDP longer than IP", 5, sound[5] + 1),
                ("UDP shorter than IP", 5, sound[5] - 1),
                ("a wrong checksum", 7, 1),
                ("no inner version", 12, 0x15),
                ("an inner header of 16 bytes", 12, 0x44),
                ("inner length beyond GUE's", 15, sound[15] + 1),
            ] {
                dropped(host, what, &with(at, byte), "gue_malformed");
            }
            for len in [8, 11, 12, 30] {
                let mut datagram = sound[..len].to_vec();
                datagram[4..6].copy_from_slice(&(len as u16).to_be_bytes());
                dropped(host, &format!("{len} bytes"), &gue.frame(&datagram), "gue_malformed");
            }
            let mut cut = gue.frame(&sound);
            cut.pop();
            dropped(host, "a frame shorter than IP says", &cut, "gue_malformed");
            let [first, _] = fragments(&gue.wrap(&packet())[14..], 7, 24);
            dropped(host, "an outer fragment", &ethernet(&first), "gue_malformed");
        }
        let mut frame = forwarded(0).wrap(&packet());
        frame[14 + 10] ^= 1;
        dropped(host, "a wrong outer header checksum", &frame, "gue_malformed");
        let headers = [&[UDP, 0, 1, 4, 0, 0, 0, 0], &forwarded(1).datagram(&packet())[..]].concat();
        let frame = ethernet(&ip(address(crate::host::FORWARDERS[1]), address(OWN[1]), 60, 0, &headers));
        dropped(host, "outer extension headers", &frame, "gue_malformed");
    });
}

#[test]
fn hops_that_make_no_sense() {
    on_host(|host| {
        let with = |words: &[u8]| {
            let mut gue = forwarded(0);
            gue.words = words.to_vec();
            gue.wrap(&packet())
        };
        for words in
            [&[0, 0, 0, 1][..], &[0, 0, 0, 2, 10, 0, 1, 2], &[0, 0, 2, 1, 10, 0, 1, 2], &[0, 0, 0, 0, 1, 1, 1, 1]]
        {
            dropped(host, &format!("{words:?}"), &with(words), "gue_malformed");
        }
        host.expect("none", &with(&[0, 0, 0, 0]), "kept_own");
    });
}

#[test]
fn what_is_not_ours() {
    on_host(|host| {
        for to in ["198.51.100.77", OWN[0], "127.0.0.1", "224.0.0.1"] {
            let packet = udp(at(REMOTES[0], 443), at(to, MINE), b"");
            dropped(host, to, &forwarded(0).wrap(&packet), "gue_not_ours");
            dropped(host, to, &passed_on(1).wrap(&packet), "gue_not_ours");
        }
        let packet = udp(at(REMOTES[1], 443), std::net::SocketAddr::new(v6("2001:db8:f::1"), MINE), b"");
        dropped(host, "IPv6", &forwarded(1).wrap(&packet), "gue_not_ours");
        for version in [0, 1] {
            let packet = tcp(at(REMOTES[version], 443), at(SHARED[version], NOBODYS), SYN);
            dropped(host, "nobody's port", &forwarded(0).wrap(&packet), "not_owned");
        }
        let packet = ip(address(REMOTES[0]), address(GHOSTLY), GRE, 0, b"gre!");
        dropped(host, "nobody's protocol", &forwarded(0).wrap(&packet), "not_owned");
    });
}

#[test]
fn inner_packets_that_are_cut() {
    on_host(|host| {
        for version in [0, 1] {
            let (remote, shared) = (address(REMOTES[version]), address(SHARED[version]));
            for (protocol, len) in [(6, 19), (17, 7), (132, 3), (if version == 0 { 1 } else { 58 }, 7)] {
                let packet = ip(remote, shared, protocol, 0, &vec![0; len]);
                dropped(host, &format!("protocol {protocol}"), &forwarded(0).wrap(&packet), "inner_malformed");
            }
        }
        let packet = ip(address(REMOTES[1]), address(SHARED[1]), 0, 0, &[6, 1, 0, 0, 0, 0, 0, 0]);
        dropped(host, "an extension header", &forwarded(0).wrap(&packet), "inner_malformed");
        let mut packet = packet_of_len(20);
        packet[3] = 19;
        dropped(host, "shorter than its header", &forwarded(0).wrap(&packet), "inner_malformed");
    });
}

fn packet_of_len(len: usize) -> Vec<u8> {
    ip(address(REMOTES[0]), address(SHARED[0]), UDP, 0, &vec![0; len])
}

#[test]
fn when_it_cannot_go_on() {
    on_host(|host| {
        let packet = tcp(at(REMOTES[0], 443), at(GHOSTLY, THEIRS), SYN);
        dropped(host, "no neighbour", &forwarded(0).wrap(&packet), "next_hop_unresolved");
        let gue = forwarded(0).hop("192.0.2.1".parse().unwrap(), 0);
        let packet = tcp(at(REMOTES[0], 443), at(SHARED[0], MINE), SYN);
        host.receive.publish(&View { servers: vec![address("192.0.2.1")], ..view() }).unwrap();
        dropped(host, "no route", &gue.wrap(&packet), "next_hop_unresolved");
        host.receive.publish(&view()).unwrap();
        // 1600 bytes by IPv4 are 1620 by IPv6.
        let long = udp(at(REMOTES[1], 443), at(SHARED[1], THEIRS), &[0; 1600 - 20 - 12 - 40 - 8]);
        dropped(host, "longer with the other version", &forwarded(0).wrap(&long), "too_big");
        let fits = &long[..long.len() - 20];
        let fits = [&fits[..4], &((fits.len() - 40) as u16).to_be_bytes(), &fits[6..]].concat();
        assert_eq!(host.expect("fits", &forwarded(0).wrap(&fits), "passed_on_owner").action, Action::Redirect);
        let packet = tcp(at(REMOTES[0], 443), at(SHARED[0], THEIRS), SYN);
        let of_peers = Gue::new(address("10.0.9.77"), address(OWN[0]));
        dropped(host, "nor from a server's other address", &of_peers.wrap(&packet), "passed_on_without_socket");
        dropped(host, "once is enough", &passed_on(0).wrap(&packet), "passed_on_without_socket");
        let gue = forwarded(0).hop(OTHERS[0].parse().unwrap(), 1);
        dropped(host, "the header says it was", &gue.wrap(&packet), "passed_on_without_socket");
    });
}
