// SPDX-License-Identifier: MIT OR Apache-2.0
//! The daemon's words. `sluice man` reads them, too.

use std::path::PathBuf;

use clap::Parser;

/// Forwards packets, in the foreground.
///
/// The log goes to the journal or to stderr, as RUST_LOG says (info by default). SIGHUP reloads the configured table;
/// SIGTERM and SIGINT stop.
#[derive(Debug, Parser)]
#[command(name = "sluiced", version, max_term_width = 100)]
pub(crate) struct Args {
    /// The configuration
    #[arg(long, value_name = "FILE")]
    pub(crate) config: PathBuf,
    /// Validate configuration and table, and exit: 0 if both are good, 1 with every fault if not
    #[arg(long)]
    pub(crate) check: bool,
}
