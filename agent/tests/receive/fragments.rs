// SPDX-License-Identifier: MIT OR Apache-2.0
//! Later fragments share the fate of their first.

use crate::frames::{GRE, ethernet, fragments, ip, udp};
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
