// SPDX-License-Identifier: MIT OR Apache-2.0
//! Every forwarder gets another table fifty times a second, while everybody downloads.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use serde_json::{Value, json};

use super::downloads::{self, Received};
use crate::breakage;
use crate::lab::Lab;
use crate::report::Report;
use crate::rpc::Connection;

/// Reloads a second of each forwarder.
const RATE: u32 = 50;
/// How long that goes on.
const TIME: Duration = Duration::from_secs(8);

/// What became of the reloads of one forwarder.
struct Reloaded {
    done: u32,
    rate: f64,
    slowest: Duration,
}

pub(super) fn tell(lab: &mut Lab, report: &mut Report) -> Result<()> {
    report.say(format_args!("{RATE} reloads a second at each forwarder for {} s", TIME.as_secs()));
    let (each, options) = if lab.broken.is_some() {
        (24, "--parallel-max 4 --connect-timeout 4 --max-time 15")
    } else {
        (200, "--parallel-max 4 --connect-timeout 20 --max-time 90")
    };
    let before = Received::all(lab)?;
    let downloads = downloads::start(lab, each, options)?;
    let tables = tables(&lab.table, lab.is_broken(breakage::RELOAD))?;
    let (start, sockets) = (Instant::now(), lab.forwarders.iter().map(|forwarder| forwarder.socket()));
    let results: Vec<Result<Reloaded>> = std::thread::scope(|scope| {
        let threads: Vec<_> = sockets.map(|socket| scope.spawn(|| reload(socket, &tables, start))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap_or_else(|_| anyhow::bail!("a thread panicked"))).collect()
    });
    // What all are left with is what the lab has, under a generation of its own.
    lab.table["generation"] = tables.last().context("tables")?["generation"].clone();
    lab.change(|_| Ok(()))?;
    let outcome = downloads::end(downloads)?;
    for (forwarder, result) in lab.forwarders.iter().zip(results) {
        let Reloaded { done, rate, slowest } = result?;
        let figures = format!("{done} tables, {rate:.0} a second, the slowest in {} ms", slowest.as_millis());
        // Without optimisation a reload takes several times as long.
        let enough = rate > if cfg!(debug_assertions) { 0.4 } else { 0.9 } * f64::from(RATE);
        report.check(enough, &format!("{} takes them all", forwarder.place.forwarder()), figures);
    }
    report.check(outcome.is_right(), "nothing breaks meanwhile", outcome);
    downloads::check_owners(report, &before, &Received::all(lab)?);
    Ok(())
}

/// One table after the other, each of which differs from the one before; every second one more than it should, where that is
/// wanted.
fn tables(first: &Value, wrong: bool) -> Result<Vec<Value>> {
    let generation = first["generation"].as_u64().context("a generation")?;
    let table = |number: u32| {
        let (mut table, owner) = (first.clone(), if number.is_multiple_of(2) { "lhr-1" } else { "lhr-2" });
        table["generation"] = json!(generation + u64::from(number));
        let entry = json!({ "prefix": "198.51.100.200/32", "datacenter": "LHR", "server": owner });
        let entries = table["egress"].as_array_mut().context("entries")?;
        entries.push(entry);
        if wrong && number.is_multiple_of(2) {
            breakage::rotate(entries)?;
        }
        Ok(table)
    };
    (1..=RATE * TIME.as_secs() as u32).map(table).collect()
}

/// Gives all of them to one forwarder, each at its time.
fn reload(socket: std::path::PathBuf, tables: &[Value], start: Instant) -> Result<Reloaded> {
    let mut connection = Connection::new(&socket)?;
    let mut slowest = Duration::ZERO;
    for (table, number) in tables.iter().zip(0..) {
        let due = start + number * Duration::from_secs(1) / RATE;
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
        let begin = Instant::now();
        connection.call("reload", &json!({ "table": table }))?;
        slowest = slowest.max(begin.elapsed());
    }
    let done = tables.len() as u32;
    Ok(Reloaded { done, rate: f64::from(done) / start.elapsed().as_secs_f64(), slowest })
}
