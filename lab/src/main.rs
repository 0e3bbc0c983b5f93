// SPDX-License-Identifier: MIT OR Apache-2.0
//! `lab`: two data centres and an Internet in network namespaces, with the real programs in them, and a story that is told and
//! checked step by step. Needs root. Whatever ends it, nothing of it stays.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "the report is the point")]
#![allow(clippy::indexing_slicing, reason = "of JSON, which has a null for what is not there, and of pairs")]

mod answer;
mod bird;
mod breakage;
mod curl;
mod forwarder;
mod house;
mod lab;
mod netns;
mod network;
mod origin;
mod picture;
mod plan;
mod report;
mod rpc;
mod run;
mod server;
mod shell;
mod story;

use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::Parser;

use breakage::{BREAKAGES, Breakage};
use lab::Lab;
use report::Report;

/// Two data centres and an Internet in network namespaces: builds them, tells a story in them and checks each step
///
/// As root. Everything goes when it ends, whatever ends it. Exits with 1 if a check has failed.
#[derive(Debug, Parser)]
#[command(name = "lab")]
struct Arguments {
    /// Leave it up, with a shell in it, instead of telling the story
    #[arg(long, conflicts_with_all = ["only", "broken"])]
    shell: bool,
    /// Tell only this step; may be given several times
    #[arg(long, value_name = "STEP", value_parser = story::STEPS.map(|step| step.name))]
    only: Vec<String>,
    /// Break something on purpose, and tell the step that has to notice; exits with 0 only if it does
    #[arg(long = "break", value_name = "HOW", value_parser = BREAKAGES.map(|breakage| breakage.name), conflicts_with = "only")]
    broken: Option<String>,
    /// Where the picture of who talked to whom goes; it needs the step of downloads
    #[arg(long, value_name = "FILE", default_value = "lab.svg")]
    picture: PathBuf,
    /// Copy what all daemons have logged to this folder, at the end
    #[arg(long, value_name = "FOLDER")]
    logs: Option<PathBuf>,
    /// Print one JSON document instead of the commentary
    #[arg(long, conflicts_with = "shell")]
    json: bool,
    /// Be the origin's service for datagrams
    #[arg(long, hide = true)]
    answer: bool,
    /// It is in a house of its own already
    #[arg(long, hide = true)]
    inside: bool,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let result = if arguments.answer {
        answer::serve().map(|()| ExitCode::SUCCESS)
    } else if arguments.inside {
        inside(&arguments)
    } else {
        run::possible().and_then(|()| house::keep())
    };
    result.unwrap_or_else(|error| {
        eprintln!("lab: {error:#}");
        ExitCode::FAILURE
    })
}

fn inside(arguments: &Arguments) -> Result<ExitCode> {
    house::furnish()?;
    let mut report = Report::new(arguments.json);
    report.step("start", "two data centres, a backbone, an Internet");
    let breakage = BREAKAGES.iter().find(|breakage| arguments.broken.as_deref() == Some(breakage.name));
    let mut lab = Lab::start(&mut report, breakage)?;
    if arguments.shell {
        shell::run(&lab)?;
        return Ok(ExitCode::SUCCESS);
    }
    for step in story::STEPS.iter().filter(|step| is_told(step.name, arguments, breakage)) {
        step.run(&mut lab, &mut report);
    }
    let picture = lab.talk.as_deref().filter(|_| breakage.is_none()).map(|counts| {
        let written = fs::write(&arguments.picture, picture::draw(counts));
        written.with_context(|| format!("the picture {}", arguments.picture.display())).map(|()| &*arguments.picture)
    });
    if let Some(folder) = &arguments.logs {
        run::copy_logs(folder)?;
    }
    report.end(picture.transpose()?);
    let good = if breakage.is_some() { report.has_caught() } else { report.all_passed() };
    Ok(if good { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn is_told(step: &str, arguments: &Arguments, breakage: Option<&Breakage>) -> bool {
    match breakage {
        Some(breakage) => breakage.noticed_by == step,
        None => arguments.only.is_empty() || arguments.only.iter().any(|name| name == step),
    }
}
