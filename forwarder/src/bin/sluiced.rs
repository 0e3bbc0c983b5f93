// SPDX-License-Identifier: MIT OR Apache-2.0
//! `sluiced`, the forwarder daemon: the library's daemon on DPDK.

use std::io::{self, ErrorKind, IsTerminal, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use forwarder::control::config::{Address, Config, Purpose};
use forwarder::control::daemon::{self, Backend};
use forwarder::io::DeviceIndex;
use forwarder::io::dpdk::{self, DeviceAddress, DeviceSpec, Dpdk, DpdkIo};
use forwarder::wire::MacAddr;
use forwarder::worker::handoff;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::LevelFilter;

/// Forwards packets in the foreground, and logs to stderr as RUST_LOG says (info by default).
///
/// SIGHUP reloads the configured table; SIGTERM and SIGINT stop.
#[derive(Debug, Parser)]
#[command(name = "sluiced", version, max_term_width = 100)]
struct Args {
    /// The configuration
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// Validate configuration and table, and exit: 0 if both are good, 1 with every fault if not
    #[arg(long)]
    check: bool,
}

fn main() -> ExitCode {
    let args = match Args::try_parse() {
        Ok(args) => args,
        Err(told) => return tell(&told),
    };
    let result = match Config::load(&args.config, Purpose::Daemon) {
        Err(error) if args.check => Err(error.lines()),
        Err(error) => {
            let mut lines = error.lines();
            if lines.len() > 1 {
                lines.push(error.to_string());
            }
            Err(lines)
        }
        Ok(config) if args.check => check(&config),
        Ok(config) => {
            log();
            daemon::run(config, Devices::start).map_err(|error| error.lines())
        }
    };
    let lines = match result {
        Ok(()) => return ExitCode::SUCCESS,
        Err(lines) => lines,
    };
    lines.iter().for_each(|line| say(line));
    ExitCode::FAILURE
}

/// Help, the version, or what is wrong with the arguments.
fn tell(told: &clap::Error) -> ExitCode {
    match told.print() {
        _ if told.use_stderr() => ExitCode::from(2),
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            say(&unwritable(&error));
            ExitCode::FAILURE
        }
        _ => ExitCode::SUCCESS,
    }
}

/// A line on stderr. Without a stderr the exit status has to do; `eprintln!` would panic.
fn say(line: &str) {
    let _ = writeln!(io::stderr(), "sluiced: {line}");
}

fn unwritable(error: &io::Error) -> String {
    format!("cannot write to standard output: {error}")
}

fn check(config: &Config) -> Result<(), Vec<String>> {
    let good = daemon::check(config)?;
    config.warnings().iter().for_each(|warning| say(&format!("warning: {warning}")));
    match writeln!(io::stdout(), "{good}") {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(vec![unwritable(&error)]),
        _ => Ok(()),
    }
}

/// Logs to stderr. A full disk or a reader that has gone costs log lines, never the daemon: `log_internal_errors` and
/// `from_env_lossy` would complain with `eprintln!`, which panics on the very stderr that can't be written.
fn log() {
    let builder = || EnvFilter::builder().with_default_directive(LevelFilter::INFO.into());
    let wanted = std::env::var("RUST_LOG").unwrap_or_default();
    let (filter, ignored) = match builder().parse(&wanted) {
        Ok(filter) => (filter, None),
        Err(error) => (builder().parse_lossy(""), Some(error)),
    };
    let plain = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    let color = io::stderr().is_terminal() && !plain;
    let subscriber = tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr);
    subscriber.with_ansi(color).log_internal_errors(false).init();
    if let Some(error) = ignored {
        tracing::warn!("RUST_LOG={wanted:?} is ignored: {error}; give LEVEL or TARGET=LEVEL,…");
    }
}

/// DPDK's devices.
struct Devices(Dpdk);

impl Devices {
    fn start(config: &Config) -> Result<Self, dpdk::Error> {
        let spec = |device: &forwarder::control::config::Device| DeviceSpec {
            name: device.name.clone(),
            address: match device.address.clone() {
                Some(Address::Vdev(text)) => DeviceAddress::Vdev(text),
                Some(Address::Pci(text)) => DeviceAddress::Pci(text),
                // The configuration of a daemon has one.
                None => DeviceAddress::Vdev(String::new()),
            },
            mtu: device.mtu,
        };
        let specs: Vec<_> = config.devices.iter().map(spec).collect();
        let workers = config.workers.cores.len();
        let kept = workers * config.fragments.packets as usize + handoff::on_their_way(workers);
        Dpdk::start(&config.eal_args, &specs, workers, config.workers.burst, kept).map(Self)
    }
}

impl Backend for Devices {
    type Io = DpdkIo;

    fn mac(&self, device: DeviceIndex) -> MacAddr {
        self.0.mac(device)
    }

    fn queues(&mut self) -> Vec<DpdkIo> {
        self.0.queues()
    }
}
