// SPDX-License-Identifier: MIT OR Apache-2.0
//! `sluice-agent`: the daemon on a server that shares addresses, and the command line that asks it.

mod args;
mod online;
mod words;

use std::process::ExitCode;

use agent::config::{Config, DEFAULT_SOCKET};
use agent::daemon;
use clap::Parser;
use forwarder::cli::client::{Client, Daemon};
use forwarder::cli::failure::Failure;
use forwarder::cli::output::Output;
use forwarder::control::log;

use crate::args::{Cli, Command, ConfigArgs};

const PROGRAM: &str = "sluice-agent";
/// Whom this program talks to.
const AGENT: Daemon = Daemon { name: PROGRAM, variable: "SLUICE_AGENT_SOCKET", socket: DEFAULT_SOCKET };

fn main() -> ExitCode {
    let (result, output) = match Cli::try_parse() {
        Ok(cli) => {
            let output = Output::new(PROGRAM, cli.json);
            (run(&cli, &output), output)
        }
        Err(told) => (tell(&told), Output::new(PROGRAM, false)),
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
    let client = || Client::connect(&AGENT, cli.socket.as_deref());
    match &cli.command {
        Command::Run(ConfigArgs { config }) => serve(load(config)?),
        Command::Check(ConfigArgs { config }) => check(&load(config)?, output),
        Command::Status => online::status(&mut client()?, output),
        Command::Slices => online::slices(&mut client()?, output),
        Command::Health => online::health(&mut client()?, output),
        Command::Reload { file } => online::reload(&mut client()?, file.as_deref(), output),
        Command::Exec(args) => online::exec(&mut client()?, args),
        Command::Metrics => online::metrics(&mut client()?, output),
        Command::Completions { shell } => words::completions(*shell, output),
        Command::Man { folder } => words::manual(folder),
    }
}

fn load(file: &std::path::Path) -> Result<Config, Failure> {
    Config::load(file).map_err(|error| Failure::config(&error))
}

fn serve(config: Config) -> Result<ExitCode, Failure> {
    log::start(config.log, PROGRAM);
    daemon::run(config).map_err(|error| Failure::lines(error.lines()))?;
    Ok(ExitCode::SUCCESS)
}

fn check(config: &Config, output: &Output) -> Result<ExitCode, Failure> {
    let good = daemon::check(config).map_err(Failure::lines)?;
    if output.json() {
        output.document(&serde_json::json!({ "ok": true }))?;
    } else {
        output.text(good)?;
    }
    Ok(ExitCode::SUCCESS)
}
