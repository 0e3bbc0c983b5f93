// SPDX-License-Identifier: MIT OR Apache-2.0
//! What is owned changes hands while its old owner has connections open: a slice to a neighbour, then whole addresses to the
//! other data centre. The table names the old owner as `previous` until its last connection is over.

use std::net::IpAddr;

use anyhow::{Context, Result};
use serde_json::{Value, json};

use crate::curl::{Checksums, Order, Outcome};
use crate::lab::Lab;
use crate::origin::{FILES, LARGE};
use crate::plan::{LHR, MOVING4, MOVING6, SLICE};
use crate::report::Report;
use crate::run::wait_for;

/// A change of hands.
struct Move {
    what: &'static str,
    from: &'static str,
    to: &'static str,
    /// What `sluice-agent exec` is to use.
    agent: &'static [&'static str],
    /// Whether something is moving: an address, and a port.
    is_moving: fn(IpAddr, u16) -> bool,
    /// Gives it in the table to a server, with a previous one or none.
    give: fn(&mut Value, &str, Option<&str>) -> Result<()>,
}

pub(super) fn tell(lab: &mut Lab, report: &mut Report) -> Result<()> {
    let slice = Move {
        what: "ports 2048-4095 of what LHR shares",
        from: "lhr-1",
        to: "lhr-2",
        agent: &["--tag", "use=web"],
        is_moving: |address, port| LHR.shared().contains(&address) && u32::from(port) / SLICE == 1,
        give: give_slice,
    };
    slice.tell(lab, report)?;
    // The other steps want it where it was, and nothing uses it now.
    lab.change(|table| give_slice(table, slice.from, None))?;
    let addresses = Move {
        what: "a whole address of each family, with its data centre",
        from: "lhr-1",
        to: "cdg-3",
        agent: &["--tag", "use=mail"],
        is_moving: |address, _| [IpAddr::V4(MOVING4), IpAddr::V6(MOVING6)].contains(&address),
        give: give_addresses,
    };
    addresses.tell(lab, report)
}

fn entries(table: &mut Value) -> Result<&mut Vec<Value>> {
    table["egress"].as_array_mut().context("entries")
}

fn give_slice(table: &mut Value, to: &str, previous: Option<&str>) -> Result<()> {
    for entry in entries(table)?.iter_mut().filter(|entry| entry["tags"]["country"] == "GB") {
        entry["slices"]["owners"][1] = json!(to);
        entry["slices"]["previous"] = json!([null, previous]);
    }
    Ok(())
}

fn give_addresses(table: &mut Value, to: &str, previous: Option<&str>) -> Result<()> {
    let site = table["servers"][to]["datacenter"].clone();
    for entry in entries(table)?.iter_mut().filter(|entry| entry["tags"]["use"] == "mail") {
        entry["server"] = json!(to);
        entry["datacenter"] = site.clone();
        let entry = entry.as_object_mut().context("an entry")?;
        entry.remove("previous");
        if let Some(previous) = previous {
            entry.insert("previous".to_owned(), json!(previous));
        }
    }
    Ok(())
}

impl Move {
    fn tell(&self, lab: &mut Lab, report: &mut Report) -> Result<()> {
        let &Self { what, from, to, agent, give, .. } = self;
        let checksums = Checksums::new()?;
        let slow = "--parallel-max 8 --limit-rate 400k --max-time 60";
        let mut old = vec![];
        for family in ['4', '6'] {
            old.push(Order { files: vec![LARGE.0; 6], family, options: slow, agent }.start(lab.server(from)?)?);
        }
        // All of them are under way then.
        wait_for("the old owner's connections are open", || self.open(lab, from) >= 12)?;
        let (passed_before, asked_before) = (passed_on(lab, to)?, lab.origin.requests()?.len());
        report.say(format_args!("{what}: from {from}, which has {} connections, to {to}", self.open(lab, from)));
        lab.change(|table| give(table, to, Some(from)))?;

        let mut new = Outcome::default();
        for family in ['4', '6'] {
            let files = (0..100).map(|index| 1 + index % FILES).collect();
            let options = "--parallel-max 16 --connect-timeout 20 --max-time 60";
            new.add(&Order { files, family, options, agent }.start(lab.server(to)?)?.end(&checksums)?);
        }
        let draining = draining(lab, from)?;
        let of_it = self.requests(lab, asked_before, to)?;
        let enough = of_it.iter().all(|number| *number > 0);
        let figures = format!("{new}; {} of them by IPv4 and {} by IPv6 use what has moved", of_it[0], of_it[1]);
        report.check(new.is_right() && enough, &format!("new connections of {to} work at once"), figures);
        report.check(draining > 0, &format!("{from} tells what drains meanwhile"), format_args!("{draining} sockets"));

        let mut outcome = Outcome::default();
        for downloads in old {
            outcome.add(&downloads.end(&checksums)?);
        }
        report.check(outcome.is_right(), &format!("the old connections of {from} go on to their end"), outcome);
        let passed = passed_on(lab, to)? - passed_before;
        report.check(passed > 0, &format!("{to} passed on what had no socket there"), format_args!("{passed} packets"));
        let mut left = 0;
        let over = wait_for("the drain is over", || {
            left = self::draining(lab, from).unwrap_or(u64::MAX);
            left == 0
        });
        let figures =
            over.map_or(format!("{left} sockets left"), |time| format!("0 sockets, {:.1} s later", time.as_secs_f64()));
        report.check(left == 0, &format!("the end of the drain shows in the metrics of {from}"), figures);
        lab.change(|table| give(table, to, None))?;
        let order = Order { files: vec![1; 10], family: '4', options: "--max-time 20", agent };
        let outcome = order.start(lab.server(to)?)?.end(&checksums)?;
        report.check(outcome.is_right(), "all is well when the table has forgotten the old owner", outcome);
        Ok(())
    }

    /// TCP connections that a server has with what moves.
    fn open(&self, lab: &Lab, server: &str) -> usize {
        let list = || lab.server(server)?.netns.run("ss -Htn state established");
        let local = |line: &str| line.split_whitespace().nth(2)?.parse::<std::net::SocketAddr>().ok();
        let addresses: Vec<_> = list().unwrap_or_default().lines().filter_map(local).collect();
        addresses.iter().filter(|address| (self.is_moving)(address.ip().to_canonical(), address.port())).count()
    }

    /// What a server has asked for since from what moves, by IPv4 and by IPv6.
    fn requests(&self, lab: &Lab, before: usize, server: &str) -> Result<[usize; 2]> {
        let requests = lab.origin.requests()?.split_off(before);
        let of_it = requests.iter().filter(|r| r.server == server && (self.is_moving)(r.address, r.port));
        let (four, six): (Vec<_>, Vec<_>) = of_it.partition(|request| request.address.is_ipv4());
        Ok([four.len(), six.len()])
    }
}

/// Sockets that a server has with what it does not own any more.
fn draining(lab: &Lab, server: &str) -> Result<u64> {
    lab.server(server)?.metric("sluice_agent_draining_sockets", "")
}

/// Packets without a socket that a server has passed on.
fn passed_on(lab: &Lab, server: &str) -> Result<u64> {
    lab.server(server)?.metric("sluice_agent_receive_packets_total", "passed_on_")
}
