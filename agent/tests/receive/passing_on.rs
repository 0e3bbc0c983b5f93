// SPDX-License-Identifier: MIT OR Apache-2.0
//! What goes to another server goes as a forwarder would have sent it, but for whom it comes from.

use std::net::Ipv4Addr;

use agent::receive::Action;
use agent::view::View;

use crate::frames::{ACK, Gue, SYN, echo, fragments, ip, tcp, udp, unreachable};
use crate::host::{
    DRAINING, Host, MINE, NOBODYS, OTHER_MAC, OTHERS, OWN, OWN_MAC, REMOTES, SHARED, THEIRS, address, at, forwarded,
    on_host, passed_on, view,
};

/// The frame that goes to the other server.
fn sent(gue: &Gue, version: usize, inner: &[u8]) -> Vec<u8> {
    let mut gue = Gue { from: address(OWN[version]), to: address(OTHERS[version]), has_checksum: false, ..gue.clone() };
    gue.options.clear();
    let mut frame = gue.wrap(inner);
    frame[..6].copy_from_slice(&OTHER_MAC);
    frame[6..12].copy_from_slice(&OWN_MAC);
    frame
}

/// It goes on, as `fate`, when a forwarder sends it, and not once more when another server does.
#[track_caller]
fn goes_on(host: &mut Host, gue: &Gue, version: usize, inner: &[u8], fate: &str) {
    let tried = host.expect("from a forwarder", &gue.wrap(inner), fate);
    let index = usize::from(!gue.words.is_empty());
    let mut expected = gue.clone();
    if index == 1 {
        expected.words[2] += 1;
    }
    assert_eq!(tried.action, Action::Redirect);
    assert_eq!(tried.frame, sent(&expected, version, inner));
    for by in [0, 1] {
        host.expect("from a server", &passed_on(by).wrap(inner), "passed_on_without_socket");
    }
}

#[test]
fn to_the_previous_owner_that_the_header_names() {
    on_host(|host| {
        let [previous, _] = OTHERS.map(|other| other.parse::<Ipv4Addr>());
        let previous = previous.unwrap();
        for (flags, port) in [(SYN | ACK, DRAINING), (ACK, DRAINING), (SYN, DRAINING), (SYN | ACK, MINE)] {
            let packet = tcp(at(REMOTES[0], 443), at(SHARED[0], port), flags);
            goes_on(host, &forwarded(0).hop(previous, 0), 0, &packet, "passed_on_previous");
        }
        // Whatever the table says here, as the table of the forwarder may be newer.
        let packet = udp(at(REMOTES[0], 443), at(SHARED[0], NOBODYS), b"");
        goes_on(host, &forwarded(0).hop(previous, 0), 0, &packet, "passed_on_previous");
        let mut gue = forwarded(0).hop(previous, 0);
        (gue.tos, gue.has_checksum, gue.options) = (0xb8, true, vec![1; 4]);
        goes_on(host, &gue, 0, &packet, "passed_on_previous");
        // Neither a stranger nor this server itself is another server: the table decides.
        host.receive.publish(&View { peers: vec!["10.0.1.0/24".parse().unwrap()], ..view() }).unwrap();
        let stranger = forwarded(0).hop("10.0.1.9".parse().unwrap(), 0);
        let packet = udp(at(REMOTES[0], 443), at(SHARED[0], MINE), b"");
        host.expect("to a stranger", &stranger.wrap(&packet), "kept_own");
        let packet = udp(at(REMOTES[0], 443), at(SHARED[0], THEIRS), b"");
        let frame = host.expect("to a stranger", &stranger.wrap(&packet), "passed_on_owner").frame;
        assert_eq!(frame[30..34], [10, 0, 1, 2]);
        let own = forwarded(0).hop(OWN[0].parse().unwrap(), 0);
        let packet = tcp(at(REMOTES[0], 443), at(SHARED[0], MINE), SYN);
        host.expect("to itself", &own.wrap(&packet), "kept_own");
    });
}

#[test]
fn to_the_other_owner_of_the_own_table() {
    on_host(|host| {
        for version in [0, 1] {
            let (remote, shared) = (REMOTES[version], SHARED[version]);
            for (port, fate) in [(DRAINING, "passed_on_previous"), (THEIRS, "passed_on_owner")] {
                for flags in [SYN, SYN | ACK, ACK] {
                    let packet = tcp(at(remote, 443), at(shared, port), flags);
                    goes_on(host, &forwarded(version), version, &packet, fate);
                }
                let answer = udp(at(remote, 53), at(shared, port), b"answer");
                goes_on(host, &forwarded(version), version, &answer, fate);
                let call = tcp(at(shared, port), at(remote, 443), SYN);
                let error = unreachable(address(remote), address(shared), &call);
                goes_on(host, &forwarded(version), version, &error, fate);
                let header_and_8 = if version == 0 { 28 } else { 48 };
                let error = unreachable(address(remote), address(shared), &call[..header_and_8]);
                goes_on(host, &forwarded(version), version, &error, fate);
            }
            // No socket tells whose a reply is: the owner's.
            let reply = echo(address(remote), address(shared), true, THEIRS);
            goes_on(host, &forwarded(version), version, &reply, "passed_on_owner");
            let pinged = echo(address(shared), address(remote), false, THEIRS);
            let error = unreachable(address(remote), address(shared), &pinged);
            goes_on(host, &forwarded(version), version, &error, "passed_on_owner");
            let [high, low] = THEIRS.to_be_bytes();
            let sctp = ip(address(remote), address(shared), 132, 0, &[0, 9, high, low, 0, 0, 0, 0]);
            goes_on(host, &forwarded(version), version, &sctp, "passed_on_owner");
            let reply = echo(address(remote), address(shared), true, DRAINING);
            host.expect("the owner keeps it, also", &passed_on(0).wrap(&reply), "kept_own");
        }
    });
}

#[test]
fn without_what_is_behind_it() {
    on_host(|host| {
        for (version, to) in [(0, 0), (1, 1), (0, 1), (1, 0)] {
            let packet = tcp(at(REMOTES[to], 443), at(SHARED[to], THEIRS), ACK);
            let mut frame = forwarded(version).wrap(&packet);
            frame.extend([0xee; 40]);
            let tried = host.expect("padded", &frame, "passed_on_owner");
            assert_eq!(tried.frame, sent(&forwarded(version), to, &packet));
        }
    });
}

/// The other server's table has it as a server of the version that it was sent to, or does not trust it: so the address
/// by which this one was reached is its name wherever that is of the right version.
#[test]
fn by_the_other_ip_version_where_the_target_is_of_that() {
    on_host(|host| {
        for (arrives, leaves) in [(0, 1), (1, 0)] {
            let packet = tcp(at(REMOTES[leaves], 443), at(SHARED[leaves], THEIRS), ACK);
            goes_on(host, &forwarded(arrives), leaves, &packet, "passed_on_owner");
        }
    });
}

#[test]
fn errors_that_quote_nonsense_go_by_the_address() {
    on_host(|host| {
        for version in [0, 1] {
            let (remote, shared) = (address(REMOTES[version]), address(SHARED[version]));
            let mine = tcp(at(SHARED[version], THEIRS), at(REMOTES[version], 443), SYN);
            let foreign = tcp(at(REMOTES[version], 443), at(REMOTES[version], THEIRS), SYN);
            let [_, later] = fragments(&mine, 1, 8);
            let reply = echo(shared, remote, true, THEIRS);
            for quote in [&[][..], &mine[..20], &[0x15; 60], &foreign, &later, &reply] {
                let error = forwarded(0).wrap(&unreachable(remote, shared, quote));
                host.expect(&format!("{quote:?}"), &error, "kept_portless");
            }
        }
    });
}
