// SPDX-License-Identifier: MIT OR Apache-2.0
//! `lab`: two data centres and an Internet in network namespaces, with the real programs in them, and a story that is told and
//! checked step by step. Needs root. Whatever ends it, nothing of it stays.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "the report is the point")]

mod bird;
mod curl;
mod forwarder;
mod house;
mod lab;
mod netns;
mod network;
mod origin;
mod plan;
mod report;
mod rpc;
mod run;
mod server;
mod shell;
mod story;

use std::process::ExitCode;

use anyhow::Result;
use clap::Parser;

use lab::Lab;
use report::Report;

/// Two data centres and an Internet in network namespaces: builds them, tells a story in them and checks each step
///
/// As root. Everything goes when it ends, whatever ends it.
#[derive(Debug, Parser)]
#[command(name = "lab")]
struct Arguments {
    /// Leave it up, with a shell in it, instead of the story
    #[arg(long)]
    shell: bool,
    /// Print one JSON document instead of the commentary
    #[arg(long, conflicts_with = "shell")]
    json: bool,
    /// Tell only this step of the story; may be given several times
    #[arg(long, value_name = "STEP", value_parser = story::STEPS.map(|step| step.name))]
    only: Vec<String>,
    /// It is in a house of its own already
    #[arg(long, hide = true)]
    inside: bool,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let result = if arguments.inside { inside(&arguments) } else { run::possible().and_then(|()| house::keep()) };
    result.unwrap_or_else(|error| {
        eprintln!("lab: {error:#}");
        ExitCode::FAILURE
    })
}

fn inside(arguments: &Arguments) -> Result<ExitCode> {
    house::furnish()?;
    let mut report = Report::new(arguments.json);
    report.step("start", "two data centres, a backbone, an Internet");
    let mut lab = Lab::start(&mut report)?;
    if arguments.shell {
        shell::run(&lab)?;
        return Ok(ExitCode::SUCCESS);
    }
    for step in story::STEPS {
        if arguments.only.is_empty() || arguments.only.iter().any(|name| name == step.name) {
            step.run(&mut lab, &mut report);
        }
    }
    report.end(None);
    Ok(if report.all_passed() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
