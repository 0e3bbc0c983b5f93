// SPDX-License-Identifier: MIT OR Apache-2.0
//! `sluice doctor`.

use std::process::ExitCode;

use forwarder::control::config::{Config, Purpose};
use forwarder::control::doctor::{self, Finding, Level, Report};
use forwarder::control::machine::Machine;

use crate::args::DoctorArgs;
use crate::failure::Failure;
use crate::output::{Output, Tone, count};

pub(crate) fn doctor(args: &DoctorArgs, output: &Output) -> Result<ExitCode, Failure> {
    let load = |file| Config::load(file, Purpose::Daemon).map_err(|error| Failure::config(&error));
    let config = args.config.as_deref().map(load).transpose()?;
    let report = doctor::examine(&Machine::new(&args.root), config.as_ref());
    if output.json() {
        output.document(&report)?;
    } else {
        output.text(describe(&report, output))?;
    }
    Ok(if report.ok { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn describe(report: &Report, output: &Output) -> String {
    let width = report.findings.iter().map(|finding| finding.check.len()).max().unwrap_or(0);
    let mut lines: Vec<_> = report.findings.iter().map(|finding| line(finding, width, output)).collect();
    let of = |level| report.findings.iter().filter(|finding| finding.level == level).count();
    lines.push(format!("{}, {}", count(of(Level::Fail), "failure"), count(of(Level::Warn), "warning")));
    lines.join("\n")
}

fn line(finding: &Finding, width: usize, output: &Output) -> String {
    let level = match finding.level {
        Level::Ok => output.tone(Tone::Good, "ok  "),
        Level::Warn => output.tone(Tone::Strong, "warn"),
        Level::Fail => output.tone(Tone::Bad, "fail"),
    };
    let mut line = format!("{level}  {:<width$}  {}", finding.check, finding.what);
    let more = [("why", &finding.why), ("fix", &finding.fix)];
    for (word, text) in more.into_iter().filter_map(|(word, text)| Some((word, text.as_ref()?))) {
        line.push_str(&format!("\n      {word}: {text}"));
    }
    line
}
