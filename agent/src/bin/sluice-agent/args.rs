// SPDX-License-Identifier: MIT OR Apache-2.0
//! The command line's words.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use clap_complete::Shell;

const EXAMPLES: &str = "\
Examples:
  sluice-agent check --config agent.toml       what is wrong with configuration and table, if anything
  sluice-agent run --config agent.toml         hold this server's addresses, in the foreground
  sluice-agent status                          what it holds, and whether all is well
  sluice-agent slices                          what this server owns, and what uses it
  sluice-agent exec --tag country=GB -- curl https://example.com
  sluice-agent reload                          read the table again; a new file in its place is read anyway

The agent's socket is taken from --socket, SLUICE_AGENT_SOCKET, or is /run/sluice/agent.sock.
Exit status: 0 done, 1 failed or refused, 2 wrong usage.";

/// What a server does that shares addresses.
#[derive(Debug, Parser)]
#[command(name = "sluice-agent", version, after_help = EXAMPLES, max_term_width = 100)]
pub(crate) struct Cli {
    /// Print one JSON document instead of text
    #[arg(long, global = true)]
    pub(crate) json: bool,

    /// The agent's control socket
    #[arg(long, global = true, value_name = "PATH")]
    pub(crate) socket: Option<PathBuf>,

    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Hold what the table gives this server, in the foreground
    ///
    /// The log goes to the journal or to stderr, as RUST_LOG says (info by default). SIGHUP reads the table again; SIGTERM
    /// and SIGINT stop, and take back what was put.
    Run(ConfigArgs),
    /// Validate configuration and table: exit status 0 if both are good, 1 with every fault if not
    Check(ConfigArgs),
    /// What the agent holds, and whether all is well
    Status,
    /// What this server owns: addresses and ports, and what uses them
    Slices,
    /// Whether all is well: exit status 0 if so, 1 if not
    Health,
    /// Read the table again, or another one until the next time; returns when the server follows it
    Reload {
        /// The table; the configured one if not given
        #[arg(value_name = "FILE")]
        file: Option<PathBuf>,
    },
    /// The metrics, as Prometheus gets them
    Metrics,
    /// Run a program whose connections leave from addresses and ports that this server owns
    Exec(ExecArgs),
    /// Print the completions for a shell
    Completions {
        /// The shell
        shell: Shell,
    },
    /// Write the manual pages
    Man {
        /// The folder for man1, such as /usr/local/share/man
        folder: PathBuf,
    },
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  sluice-agent exec -- curl https://example.com
  sluice-agent exec --tag country=GB --tag trust=untrusted -- ./browser
  sluice-agent exec --family 6 -- bash         a shell, and all that is started from it

Connections that the program has open stay as they are. Exit status: the program's, 1 if it can't be started.")]
pub(crate) struct ExecArgs {
    /// Only from addresses with this tag; may be repeated
    #[arg(long = "tag", value_name = "KEY=VALUE")]
    pub(crate) tags: Vec<String>,
    /// Only from addresses of this IP version
    #[arg(long, value_name = "4|6", value_parser = clap::value_parser!(u8).range(4..=6))]
    pub(crate) family: Option<u8>,
    /// The program and its arguments
    #[arg(last = true, required = true, value_name = "COMMAND")]
    pub(crate) command: Vec<std::ffi::OsString>,
}

#[derive(Debug, Args)]
pub(crate) struct ConfigArgs {
    /// The configuration
    #[arg(long, value_name = "FILE")]
    pub(crate) config: PathBuf,
}
