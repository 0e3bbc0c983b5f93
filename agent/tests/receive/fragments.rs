// SPDX-License-Identifier: MIT OR Apache-2.0
//! Later fragments share the fate of their first.

use std::thread;
use std::time::Duration;

use crate::frames::{GRE, ethernet, fragments, ip, udp, udp_datagram, unreachable};
use crate::host::{DRAINING, MINE, NOBODYS, REMOTES, SHARED, THEIRS, address, at, forwarded, on_host, passed_on};

#[test]
fn later_ones_go_where_the_first_went() {
    on_host(|host| {
        for version in [0, 1] {
            let cases = [
                (MINE, "kept_own", "kept_fragment"),
                (DRAINING, "passed_on_previous", "passed_on_previous"),
                (THEIRS, "passed_on_owner", "passed_on_owner"),
                (NOBODYS, "not_owned", "not_owned"),
            ];
            for (id, (port, first_fate, later_fate)) in (1..).zip(cases) {
                let whole = udp(at(REMOTES[version], 53), at(SHARED[version], port), &[7; 100]);
                let [first, later] = fragments(&whole, id, 64);
                host.expect("too early", &forwarded(0).wrap(&later), "fragment_unmatched");
                host.expect("first", &forwarded(version).wrap(&first), first_fate);
                let tried = host.expect("later", &forwarded(version).wrap(&later), later_fate);
                if later_fate == "kept_fragment" {
                    assert_eq!(tried.frame, ethernet(&later));
                }
                if later_fate.starts_with("passed_on_") {
                    host.expect("never twice", &passed_on(0).wrap(&later), "passed_on_without_socket");
                }
                let [_, another] = fragments(&whole, id + 100, 64);
                host.expect("of another datagram", &forwarded(0).wrap(&another), "fragment_unmatched");
            }
            let whole = udp(at(REMOTES[version], 54), at(SHARED[version], DRAINING), &[7; 100]);
            let [first, later] = fragments(&whole, 50, 64);
            host.expect("first", &passed_on(version).wrap(&first), "passed_on_without_socket");
            host.expect("later", &passed_on(version).wrap(&later), "passed_on_without_socket");
            let gre = ip(address(REMOTES[version]), address(SHARED[version]), GRE, 0, &[7; 100]);
            for fragment in fragments(&gre, 60, 64) {
                host.expect("without ports", &forwarded(0).wrap(&fragment), "kept_portless");
            }
        }
    });
}

#[test]
fn a_first_one_without_its_ports_is_malformed() {
    on_host(|host| {
        let whole = ip(address(REMOTES[0]), address(SHARED[0]), 17, 0, &[7; 4]);
        let mut first = whole.clone();
        first[6..8].copy_from_slice(&0x2000_u16.to_be_bytes());
        host.expect("4 bytes", &forwarded(0).wrap(&first), "inner_malformed");
    });
}

#[test]
fn a_first_one_is_forgotten_when_none_comes_for_a_while() {
    on_host(|host| {
        let whole = udp(at(REMOTES[0], 53), at(SHARED[0], THEIRS), &[7; 100]);
        let [first, later] = fragments(&whole, 1, 64);
        host.expect("first", &forwarded(0).wrap(&first), "passed_on_owner");
        host.expect("at once", &forwarded(0).wrap(&later), "passed_on_owner");
        thread::sleep(Duration::from_secs(11));
        host.expect("of another datagram", &forwarded(0).wrap(&later), "fragment_unmatched");
    });
}

/// The first is looked up by the flow that it quotes, and is still the first of its own datagram.
#[test]
fn of_an_icmp_error() {
    on_host(|host| {
        for version in [0, 1] {
            for (id, (port, first_fate, later_fate)) in
                (1..).zip([(MINE, "kept_own", "kept_fragment"), (THEIRS, "passed_on_owner", "passed_on_owner")])
            {
                let call = udp(at(SHARED[version], port), at(REMOTES[version], 53), &[7; 100]);
                let router = address(["203.0.113.99", "2001:db8:c::99"][version]);
                let [first, later] = fragments(&unreachable(router, address(SHARED[version]), &call), id, 96);
                host.expect("first", &forwarded(version).wrap(&first), first_fate);
                host.expect("later", &forwarded(version).wrap(&later), later_fate);
                // The quoted flow has datagrams of its own.
                let whole = udp(at(REMOTES[version], 53), at(SHARED[version], port), &[7; 200]);
                let [_, later] = fragments(&whole, id, 96);
                host.expect("of the flow", &forwarded(version).wrap(&later), "fragment_unmatched");
            }
        }
    });
}

/// What the fragment header names is then no protocol, and what is behind it only the first has.
#[test]
fn with_extension_headers_in_what_was_cut() {
    on_host(|host| {
        for (id, (port, first_fate, later_fate)) in
            (1..).zip([(MINE, "kept_own", "kept_fragment"), (THEIRS, "passed_on_owner", "passed_on_owner")])
        {
            let (from, to) = (at(REMOTES[1], 53), at(SHARED[1], port));
            let rest = [&[17, 0, 1, 4, 0, 0, 0, 0], &udp_datagram(from, to, &[7; 100])[..]].concat();
            let [first, later] = fragments(&ip(from.ip(), to.ip(), 60, 0, &rest), id, 64);
            host.expect("too early", &forwarded(1).wrap(&later), "fragment_unmatched");
            host.expect("first", &forwarded(1).wrap(&first), first_fate);
            host.expect("later", &forwarded(1).wrap(&later), later_fate);
        }
    });
}
