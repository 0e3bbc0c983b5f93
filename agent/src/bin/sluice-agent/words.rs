// SPDX-License-Identifier: MIT OR Apache-2.0
//! What is made of the command line's words: completions for shells, and manual pages.

use std::fs;
use std::io;
use std::path::Path;
use std::process::ExitCode;

use clap::CommandFactory;
use clap_complete::Shell;
use forwarder::cli::failure::Failure;
use forwarder::cli::output::Output;

use crate::args::Cli;

pub(crate) fn completions(shell: Shell, output: &Output) -> Result<ExitCode, Failure> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), crate::PROGRAM, &mut script);
    output.text(String::from_utf8_lossy(&script).trim_end())?;
    Ok(ExitCode::SUCCESS)
}

/// Writes a page for the program and one for each command, to where `man` looks below `folder`.
pub(crate) fn manual(folder: &Path) -> Result<ExitCode, Failure> {
    write(folder).map_err(|error| Failure::file("write manual pages to", folder, error))?;
    Ok(ExitCode::SUCCESS)
}

fn write(folder: &Path) -> io::Result<()> {
    let folder = folder.join("man1");
    fs::create_dir_all(&folder)?;
    clap_mangen::generate_to(Cli::command().disable_help_subcommand(true), &folder)
}
