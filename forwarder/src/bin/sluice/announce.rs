// SPDX-License-Identifier: MIT OR Apache-2.0
//! `sluice table announce`: what routing daemons are told of a table. `docs/announce.md` has the rest of their configurations.

use std::fmt::Write;
use std::net::IpAddr;
use std::path::Path;
use std::process::ExitCode;

use serde_json::json;
use tables::{Prefix, Source, announce};

use crate::args::RoutingDaemon;
use crate::failure::Failure;
use crate::output::Output;
use crate::table;

pub(crate) fn run(
    path: &Path,
    daemon: RoutingDaemon,
    interface: &str,
    underlay: &[IpAddr],
    output: &Output,
) -> Result<ExitCode, Failure> {
    if interface.is_empty() || !interface.bytes().all(|byte| byte.is_ascii_graphic() && !b"\"'\\/!#".contains(&byte)) {
        return Err(Failure::new(format!("{interface:?} is no interface that a configuration can name")));
    }
    let source = table::read(path)?;
    let hosts = hosts(&source, underlay)?;
    let prefixes = announce::announce(&source);
    if output.json() {
        output.document(&json!({ "prefixes": prefixes, "underlay": hosts }))?;
        return Ok(ExitCode::SUCCESS);
    }
    let mut text = String::new();
    for (family, is_v4) in [(4, true), (6, false)] {
        let of_family = |all: &[Prefix]| -> Vec<Prefix> {
            all.iter().copied().filter(|prefix| prefix.address().is_ipv4() == is_v4).collect()
        };
        let (prefixes, hosts) = (of_family(&prefixes), of_family(&hosts));
        // Writing to a string does not fail.
        let _ = match daemon {
            RoutingDaemon::Plain => prefixes.iter().chain(&hosts).try_for_each(|prefix| writeln!(text, "{prefix}")),
            RoutingDaemon::Bird => bird(&mut text, family, &prefixes, &hosts, interface),
            RoutingDaemon::Frr => frr(&mut text, if is_v4 { "ip" } else { "ipv6" }, &prefixes, &hosts, interface),
        };
    }
    if !text.is_empty() {
        output.text(text.trim_end())?;
    }
    Ok(ExitCode::SUCCESS)
}

/// The host routes of a forwarder's own addresses. Others would send to an address that is in the table, and no other.
fn hosts(source: &Source, underlay: &[IpAddr]) -> Result<Vec<Prefix>, Failure> {
    let is_forwarder =
        |address: &IpAddr| source.datacenters().iter().any(|datacenter| datacenter.forwarders.contains(address));
    let host = |address: &IpAddr| {
        let bits = if address.is_ipv4() { 32 } else { 128 };
        let prefix = Prefix::new(*address, bits).ok().filter(|_| is_forwarder(address));
        prefix.ok_or_else(|| Failure::new(format!("{address} is no forwarder of the table")))
    };
    underlay.iter().map(host).collect()
}

/// Three routes a prefix, the first one that is there counts: in service; leaving, once somebody has disabled the first
/// (RFC 8326's GRACEFUL_SHUTDOWN); and a black hole, which is always there and never announced. It counts before BGP's
/// routes (100): other data centres announce the same prefix, and by their route packets would go back.
/// A host route of the forwarder itself is there while in service, and has no black hole: the address is its own.
fn bird(text: &mut String, family: u8, prefixes: &[Prefix], hosts: &[Prefix], interface: &str) -> std::fmt::Result {
    let mut protocol = |name: &str, channel: &str, prefixes: &[Prefix], to: &str| {
        writeln!(text, "protocol static {name} {{\n    {channel}\n    check link;")?;
        prefixes.iter().try_for_each(|prefix| writeln!(text, "    route {prefix} {to};"))?;
        writeln!(text, "}}\n")
    };
    let via = format!("via \"{interface}\"");
    let in_service = format!("ipv{family} {{ preference 210; }};");
    protocol(&format!("sluice{family}"), &in_service, prefixes, &via)?;
    let leave = "import filter { bgp_community.add((65535, 0)); accept; }";
    let channel = format!("ipv{family} {{ preference 205; {leave}; }};");
    protocol(&format!("sluice{family}_leaving"), &channel, prefixes, &via)?;
    let channel = format!("ipv{family} {{ preference 200; }};");
    protocol(&format!("sluice{family}_hole"), &channel, prefixes, "blackhole")?;
    if hosts.is_empty() {
        return Ok(());
    }
    protocol(&format!("sluice{family}_underlay"), &in_service, hosts, &via)
}

/// Two routes a prefix: the tagged one is announced, and is there while in service; the black hole is there without it,
/// at a distance below that of BGP's routes (20 and 200). One a host route of the forwarder itself.
fn frr(text: &mut String, family: &str, prefixes: &[Prefix], hosts: &[Prefix], interface: &str) -> std::fmt::Result {
    prefixes.iter().try_for_each(|prefix| {
        writeln!(text, "{family} route {prefix} {interface} tag 6080")?;
        writeln!(text, "{family} route {prefix} blackhole 2")
    })?;
    hosts.iter().try_for_each(|host| writeln!(text, "{family} route {host} {interface} tag 6080"))
}
