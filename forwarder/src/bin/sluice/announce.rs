// SPDX-License-Identifier: MIT OR Apache-2.0
//! `sluice table announce`: what routing daemons are told of a table. `docs/announce.md` has the rest of their configurations.

use std::fmt::Write;
use std::path::Path;
use std::process::ExitCode;

use serde_json::json;
use tables::{Prefix, announce};

use crate::args::RoutingDaemon;
use crate::failure::Failure;
use crate::output::Output;
use crate::table;

pub(crate) fn run(path: &Path, daemon: RoutingDaemon, interface: &str, output: &Output) -> Result<ExitCode, Failure> {
    if interface.is_empty() || !interface.bytes().all(|byte| byte.is_ascii_graphic() && !b"\"'\\/!#".contains(&byte)) {
        return Err(Failure::new(format!("{interface:?} is no interface that a configuration can name")));
    }
    let prefixes = announce::announce(&table::read(path)?);
    if output.json() {
        output.document(&json!({ "prefixes": prefixes }))?;
        return Ok(ExitCode::SUCCESS);
    }
    let (v4, v6): (Vec<_>, Vec<_>) = prefixes.iter().partition(|prefix| prefix.address().is_ipv4());
    let mut text = String::new();
    // Writing to a string does not fail.
    let _ = match daemon {
        RoutingDaemon::Plain => prefixes.iter().try_for_each(|prefix| writeln!(text, "{prefix}")),
        RoutingDaemon::Bird => bird(&mut text, 4, &v4, interface).and_then(|()| bird(&mut text, 6, &v6, interface)),
        RoutingDaemon::Frr => {
            frr(&mut text, "ip", &v4, interface).and_then(|()| frr(&mut text, "ipv6", &v6, interface))
        }
    };
    if !text.is_empty() {
        output.text(text.trim_end())?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Three routes a prefix, the first one that is there counts: in service; leaving, once somebody has disabled the first
/// (RFC 8326's GRACEFUL_SHUTDOWN); and a black hole, which is always there and never announced. It counts before BGP's
/// routes (100): other data centres announce the same prefix, and by their route packets would go back.
fn bird(text: &mut String, family: u8, prefixes: &[&Prefix], interface: &str) -> std::fmt::Result {
    let mut protocol = |name: &str, channel: &str, to: &str| {
        writeln!(text, "protocol static {name} {{\n    {channel}\n    check link;")?;
        prefixes.iter().try_for_each(|prefix| writeln!(text, "    route {prefix} {to};"))?;
        writeln!(text, "}}\n")
    };
    let via = format!("via \"{interface}\"");
    protocol(&format!("sluice{family}"), &format!("ipv{family} {{ preference 210; }};"), &via)?;
    let leave = "import filter { bgp_community.add((65535, 0)); accept; }";
    let channel = format!("ipv{family} {{ preference 205; {leave}; }};");
    protocol(&format!("sluice{family}_leaving"), &channel, &via)?;
    protocol(&format!("sluice{family}_hole"), &format!("ipv{family} {{ preference 200; }};"), "blackhole")
}

/// Two routes a prefix: the tagged one is announced, and is there while in service; the black hole is there without it,
/// at a distance below that of BGP's routes (20 and 200).
fn frr(text: &mut String, family: &str, prefixes: &[&Prefix], interface: &str) -> std::fmt::Result {
    prefixes.iter().try_for_each(|prefix| {
        writeln!(text, "{family} route {prefix} {interface} tag 6080")?;
        writeln!(text, "{family} route {prefix} blackhole 2")
    })
}
