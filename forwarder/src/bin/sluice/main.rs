// SPDX-License-Identifier: MIT OR Apache-2.0
//! `sluice`, the command line of an operator: asks the daemon by its socket, works on table files, replays captures.

mod announce;
mod args;
mod capture;
mod doctor;
mod explain;
mod kept;
mod kernel;
mod online;
mod patch;
mod progress;
mod replay;
mod service;
mod shadow;
mod table;
mod top;
mod words;

use std::process::ExitCode;

use clap::Parser;
use forwarder::cli::{client, failure, output, preview};
use forwarder::control::config::DEFAULT_SOCKET;

use crate::args::{Cli, Command};
use crate::client::{Client, Daemon};
use crate::failure::Failure;
use crate::output::Output;

/// Whom this program talks to.
const SLUICED: Daemon = Daemon { name: "sluiced", variable: "SLUICE_SOCKET", socket: DEFAULT_SOCKET };

fn main() -> ExitCode {
    let (result, output) = match Cli::try_parse() {
        Ok(cli) => {
            let output = Output::new("sluice", cli.json);
            (run(&cli, &output), output)
        }
        Err(told) => (tell(&told), Output::new("sluice", false)),
    };
    result.unwrap_or_else(|failure| failure.report(&output))
}

/// Help, the version, or what is wrong with the arguments.
fn tell(told: &clap::Error) -> Result<ExitCode, Failure> {
    match told.print() {
        // Without a stderr the exit status has to do.
        _ if told.use_stderr() => Ok(ExitCode::from(2)),
        printed => Ok(printed.map(|()| ExitCode::SUCCESS)?),
    }
}

fn run(cli: &Cli, output: &Output) -> Result<ExitCode, Failure> {
    let client = || Client::connect(&SLUICED, cli.socket.as_deref());
    match &cli.command {
        Command::Reload(args) => online::reload(client, args, output),
        Command::Patch(args) => patch::patch(client, args, output),
        Command::Rollback(args) => kept::rollback(client, args, output),
        Command::Shadow(args) => shadow::shadow(client, args, output),
        Command::Generations => kept::generations(&mut client()?, output),
        Command::Status { exit_code } => online::status(&mut client()?, *exit_code, output),
        Command::Health => service::health(client()?, output),
        Command::Drain => service::drain(&mut client()?, output),
        Command::Undrain => service::undrain(&mut client()?, output),
        Command::Stats { watch } => online::stats(&mut client()?, *watch, output),
        Command::Top => top::top(cli.socket.as_deref(), output),
        Command::Doctor(args) => doctor::doctor(args, output),
        Command::Explain(args) => explain::explain(client, args, output),
        Command::Capture(args) => capture::capture(&mut client()?, args, output),
        Command::Replay(args) => replay::replay(args, output),
        Command::Table(command) => table::run(command, output),
        Command::Completions { shell } => words::completions(*shell, output),
        Command::Man { folder } => words::manual(folder),
    }
}
