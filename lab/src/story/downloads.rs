// SPDX-License-Identifier: MIT OR Apache-2.0
//! Thousands of downloads by all servers at once: every byte, who asked from where, and by which data centre it came.

use std::collections::BTreeMap;
use std::time::Instant;

use anyhow::Result;

use crate::curl::{Checksums, Downloads, Order, Outcome};
use crate::forwarder::Counts;
use crate::lab::Lab;
use crate::origin::FILES;
use crate::plan::SITES;
use crate::report::Report;
use crate::server::WEB;

/// Downloads of each server by each address family.
const EACH: u64 = 300;

/// Starts so many downloads of each server by IPv4, and as many by IPv6.
pub(super) fn start(lab: &Lab, each: u64, options: &'static str) -> Result<Vec<Downloads>> {
    let mut all = vec![];
    for (server, family) in lab.servers.iter().flat_map(|server| ['4', '6'].map(|family| (server, family))) {
        let files = (0..each).map(|index| 1 + index * 7 % FILES).collect();
        all.push(Order { files, family, slow: false, options, agent: WEB }.start(server)?);
    }
    Ok(all)
}

/// Waits for the end of them all; what came of them together.
pub(super) fn end(downloads: Vec<Downloads>) -> Result<Outcome> {
    let (checksums, mut outcome) = (Checksums::new()?, Outcome::default());
    for downloads in downloads {
        outcome.add(&downloads.end(&checksums)?);
    }
    Ok(outcome)
}

pub(super) fn tell(lab: &mut Lab, report: &mut Report) -> Result<()> {
    let (before, asked_before) = (lab.counts()?, lab.origin.requests()?.len());
    let received_before = Received::all(lab)?;
    let start = Instant::now();
    let outcome = end(start_all(lab, report)?)?;
    let seconds = start.elapsed().as_secs_f64();
    let counts: Vec<_> = lab.counts()?.iter().zip(&before).map(|(now, before)| now.since(before)).collect();
    report.check(
        outcome.is_right(),
        "every download has the checksum of what the origin has",
        format_args!("{outcome}, in {seconds:.1} s"),
    );
    check_sources(lab, report, asked_before, outcome.wanted)?;
    check_owners(report, &received_before, &Received::all(lab)?);
    check_ways(lab, report, &counts);
    lab.talk = Some(counts);
    Ok(())
}

fn start_all(lab: &Lab, report: &Report) -> Result<Vec<Downloads>> {
    let (each, options) = if lab.broken.is_some() {
        (20, "--parallel-max 16 --connect-timeout 4 --max-time 15")
    } else {
        (EACH, "--parallel-max 16 --connect-timeout 20 --max-time 90")
    };
    report.say(format_args!("{} downloads, each by a connection of its own, every tenth by HTTPS", 12 * each));
    start(lab, each, options)
}

/// Whoever asked did so from what it owns: the origin knows the name, the address and the port.
fn check_sources(lab: &Lab, report: &mut Report, before: usize, wanted: usize) -> Result<()> {
    let requests = lab.origin.requests()?.split_off(before);
    let wrong = requests.iter().find(|request| lab.owner(request.address, request.port) != Some(&request.server));
    let mut figures = format!("{} requests", requests.len());
    for (address, site) in SITES.into_iter().flat_map(|site| site.shared().map(|address| (address, site))) {
        let of_it: Vec<_> = requests.iter().filter(|request| request.address == address).collect();
        let servers = lab.servers.iter().filter(|s| of_it.iter().any(|request| request.server == s.name));
        figures += &format!("; {} from {address} by {} servers of {}", of_it.len(), servers.count(), site.name);
    }
    if let Some(request) = wrong {
        figures += &format!("; {request:?}");
    }
    let complete = requests.len() >= wanted && requests.iter().all(|request| request.status == 200);
    report.check(wrong.is_none() && complete, "each was asked for from a port of the server that asked", figures);
    Ok(())
}

/// What agents have counted, all of them together.
pub(super) struct Received {
    packets: u64,
    kept: u64,
    passed_on: u64,
}

impl Received {
    pub(super) fn all(lab: &Lab) -> Result<Self> {
        let mut all = Self { packets: 0, kept: 0, passed_on: 0 };
        for server in &lab.servers {
            all.packets += server.metric("sluice_agent_receive_packets_total", "")?;
            all.kept += server.metric("sluice_agent_receive_kept_packets_total", "socket")?;
            all.passed_on += server.metric("sluice_agent_receive_passed_on_packets_total", "")?;
        }
        Ok(all)
    }
}

/// Each packet found a socket, or belonged to a connection that its owner had just closed; none came to another server, which
/// would have passed it on to the owner.
pub(super) fn check_owners(report: &mut Report, before: &Received, now: &Received) {
    let (packets, kept) = (now.packets - before.packets, now.kept - before.kept);
    let (without, passed_on) = (packets.saturating_sub(kept), now.passed_on - before.passed_on);
    let figures = format!("{packets} received, {without} without a socket, {passed_on} passed on");
    let found = packets > 0 && passed_on == 0 && without * 100 <= packets;
    report.check(found, "the answers found their sockets at the first server they came to", figures);
}

/// Both data centres got about half of what came for each, and none of it was lost.
fn check_ways(lab: &Lab, report: &mut Report, counts: &[Counts]) {
    let all = |count: &dyn Fn(&Counts) -> u64| counts.iter().map(count).sum::<u64>();
    for site in SITES {
        let servers = lab.servers.iter().filter(|server| server.place.site == site);
        let arrived: u64 = servers.map(|server| all(&|counts| counts.to(&server.name))).sum();
        let detour = all(&|counts| counts.to(site.name));
        let percent = 100 * detour / arrived.max(1);
        let what = format!("about half of {}'s packets came by way of {}", site.name, site.other().name);
        report.check((30..=70).contains(&percent), &what, format_args!("{detour} of {arrived}, {percent} %"));
    }
    let idle = lab.forwarders.iter().zip(counts).filter(|(_, counts)| counts.targets.values().sum::<u64>() == 0);
    let shares = counts.iter().map(|counts| counts.targets.values().sum::<u64>().to_string());
    let shares = shares.collect::<Vec<_>>().join(", ");
    report.check(idle.count() == 0, "each forwarder had its share", format_args!("{shares} packets"));
    // What is too big for the way is dropped, and its sender told: that is how it learns. On a busy machine a device may
    // be full, or a session down, for a moment.
    let mut drops = BTreeMap::<&str, u64>::new();
    for (reason, number) in counts.iter().flat_map(|counts| &counts.drops).filter(|(_, number)| **number > 0) {
        *drops.entry(reason).or_default() += number;
    }
    let harmless = drops.keys().all(|reason| ["too_big", "tx_full", "next_hop_unresolved"].contains(reason));
    let few = 100 * drops.values().sum::<u64>() <= all(&|counts| counts.targets.values().sum());
    let what = "no forwarder met a packet that it did not know what to do with";
    report.check(harmless && few, what, format_args!("drops {drops:?}"));
}
