// SPDX-License-Identifier: MIT OR Apache-2.0
//! `sluice replay`, and how counters are shown.

use std::process::ExitCode;

use forwarder::control::config::{Config, Purpose};
use forwarder::control::generations::FIRST_GENERATION;
use forwarder::counters::CountersReport;
use forwarder::replay::{Error, Replay, Report};
use serde_json::json;

use crate::args::ReplayArgs;
use crate::failure::Failure;
use crate::output::{Output, Tone, columns};
use crate::progress::Progress;
use crate::table;

pub(crate) fn replay(args: &ReplayArgs, output: &Output) -> Result<ExitCode, Failure> {
    let config = Config::load(&args.config, Purpose::Replay).map_err(|error| Failure::config(&error))?;
    let path = args.table.as_ref().unwrap_or(&config.table);
    let source = table::read(path)?;
    let (progress, read) = Progress::reading(&args.input);
    let replayed = forwarder::replay::replay(Replay {
        settings: config.settings(&[]),
        source: &source,
        generation: source.generation().unwrap_or(FIRST_GENERATION),
        viewpoint: &config.viewpoint(),
        input: &args.input,
        read,
        output: &args.output,
        exceptions: args.exceptions.as_deref(),
    });
    drop(progress);
    match replayed {
        Ok(report) if output.json() => output.document(&report)?,
        Ok(report) => output.text(describe(&report, output))?,
        Err(Error::Table(faults)) => return Err(Failure::unsuited(path, &faults)),
        Err(error) => return Err(failure(&error, output)),
    }
    Ok(ExitCode::SUCCESS)
}

/// Why a replay failed; of one that broke off, what was replayed counts all the same.
fn failure(error: &Error, output: &Output) -> Failure {
    let message = error.to_string();
    let Error::InputCut { report, .. } = error else { return Failure::new(message) };
    let Report { generation, counters } = &**report;
    let shown = if output.json() {
        output.document(&json!({ "generation": generation, "counters": counters, "error": { "message": message } }))
    } else {
        output.text(describe(report, output))
    };
    Failure::after(shown, message)
}

fn describe(report: &Report, output: &Output) -> String {
    let numbers = numbers(&report.counters).into_iter().filter(|(name, n)| *n > 0 || !name.starts_with("drop "));
    let mut rows = vec![vec![format!("generation {}", report.generation), "total".to_owned()]];
    rows.extend(numbers.map(|(name, number)| vec![name, number.to_string()]));
    format!("{}\n{}", columns(&rows, |column| column > 0), conservation(imbalance(&report.counters), output))
}

/// Every counter with the name that people see.
pub(crate) fn numbers(counters: &CountersReport) -> Vec<(String, i128)> {
    let CountersReport { rx, originated, tx, exception, held, handed_over, drops, .. } = counters;
    let CountersReport { rx_bytes, tx_bytes, icmp_errors_suppressed, kernel_tx, kernel_drops, .. } = counters;
    let own = [
        ("rx", (*rx).into()),
        ("originated", (*originated).into()),
        ("tx", (*tx).into()),
        ("exception", (*exception).into()),
        ("held", (*held).into()),
        ("handed over", (*handed_over).into()),
        ("rx bytes", (*rx_bytes).into()),
        ("tx bytes", (*tx_bytes).into()),
        ("icmp errors suppressed", (*icmp_errors_suppressed).into()),
        ("kernel tx", (*kernel_tx).into()),
        ("kernel drops", (*kernel_drops).into()),
    ];
    let own = own.into_iter().map(|(name, number)| (name.to_owned(), number));
    own.chain(drops.iter().map(|(reason, number)| (format!("drop {reason}"), (*number).into()))).collect()
}

/// `rx + originated` less what became of them.
fn imbalance(counters: &CountersReport) -> i64 {
    let CountersReport { rx, originated, tx, exception, held, drops, .. } = counters;
    let sum = |numbers: &[u64]| numbers.iter().map(|number| i128::from(*number)).sum::<i128>();
    let dropped: i128 = drops.values().map(|number| i128::from(*number)).sum();
    i64::try_from(sum(&[*rx, *originated]) - sum(&[*tx, *exception]) - i128::from(*held) - dropped).unwrap_or(i64::MAX)
}

/// The conservation sum in a line.
pub(crate) fn conservation(imbalance: i64, output: &Output) -> String {
    match imbalance {
        0 => output.tone(Tone::Good, "every packet is accounted for"),
        n => output.tone(Tone::Bad, format!("{n} packets are not accounted for: please report this")),
    }
}
