// SPDX-License-Identifier: MIT OR Apache-2.0
//! What is made of the command line's words: completions for shells, and manual pages.

use std::fs::{self, File};
use std::io;
use std::path::Path;
use std::process::ExitCode;

use clap::CommandFactory;
use clap_complete::Shell;
use clap_mangen::Man;

use crate::args::Cli;
use crate::failure::Failure;
use crate::output::Output;

#[path = "../sluiced/args.rs"]
#[allow(dead_code, reason = "what the daemon's words mean is the daemon's business")]
mod daemon;

pub(crate) fn completions(shell: Shell, output: &Output) -> Result<ExitCode, Failure> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "sluice", &mut script);
    output.text(String::from_utf8_lossy(&script).trim_end())?;
    Ok(ExitCode::SUCCESS)
}

/// Writes a page for each command, and the daemon's, to where `man` looks below `folder`.
pub(crate) fn manual(folder: &Path) -> Result<ExitCode, Failure> {
    write(folder).map_err(|error| Failure::file("write manual pages to", folder, error))?;
    Ok(ExitCode::SUCCESS)
}

fn write(folder: &Path) -> io::Result<()> {
    let [users, daemons] = ["man1", "man8"].map(|section| folder.join(section));
    fs::create_dir_all(&users)?;
    fs::create_dir_all(&daemons)?;
    clap_mangen::generate_to(Cli::command().disable_help_subcommand(true), &users)?;
    let man = Man::new(daemon::Args::command()).section("8");
    man.render(&mut File::create(daemons.join(man.get_filename()))?)
}
