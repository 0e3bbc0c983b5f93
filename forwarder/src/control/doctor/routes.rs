// SPDX-License-Identifier: MIT OR Apache-2.0
//! Whether the kernel tells where its routes lead.

use super::Findings;
use crate::control::config::Config;
use crate::control::machine::Machine;

/// Of a forwarder that goes by them.
pub(super) fn examine(machine: &Machine, config: Option<&Config>, findings: &mut Findings) {
    const CHECK: &str = "nexthop-objects";
    if !config.is_some_and(Config::follows_kernel) {
        return;
    }
    // A kernel without next-hop objects has no such file.
    if machine.number("proc/sys/net/ipv4/nexthop_compat_mode") == Some(0) {
        findings.warn(
            CHECK,
            "the kernel tells of a route by next-hop objects without its gateways",
            "next hops are read with the routes, where such a one counts as none: packets go by a wider one, or are dropped",
            "sysctl -w net.ipv4.nexthop_compat_mode=1   # or make the routes without ip nexthop",
        );
    } else {
        findings.ok(CHECK, "the kernel tells the gateways of every route");
    }
}
