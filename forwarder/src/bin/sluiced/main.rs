// SPDX-License-Identifier: MIT OR Apache-2.0
//! `sluiced`, the forwarder daemon: the library's daemon on DPDK.

mod args;

use std::io::{self, ErrorKind, PipeReader, Write};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use clap::Parser;
use forwarder::control::config::{Address, Config, Purpose};
use forwarder::control::daemon::{self, Backend};
use forwarder::control::log;
use forwarder::io::DeviceIndex;
use forwarder::io::dpdk::{self, DeviceAddress, DeviceSpec, Dpdk, DpdkIo};
use forwarder::io::hardware::Probe;
use forwarder::io::offload::Offloads;
use forwarder::wire::MacAddr;
use forwarder::worker::handoff;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;

use crate::args::Args;

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
            log::start(config.log, "sluiced");
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
            link_wait: device.link_wait,
            offloads: device.wanted_offloads(&config.underlay),
        };
        let specs: Vec<_> = config.devices.iter().map(spec).collect();
        let workers = config.workers.cores.len();
        let kept = handoff::kept(workers, config.fragments.packets);
        let dpdk = Dpdk::start(&config.eal_args, &specs, workers, config.workers.burst, kept)?;
        let stop = Arc::new(AtomicBool::new(false));
        for signal in [SIGTERM, SIGINT] {
            // Without, a signal is obeyed as well, but later.
            let _ = flag::register(signal, Arc::clone(&stop));
        }
        dpdk.wait_for_links(&specs, || !stop.load(Ordering::Relaxed))?;
        Ok(Self(dpdk))
    }
}

impl Backend for Devices {
    type Io = DpdkIo;

    fn log(&mut self) -> Option<PipeReader> {
        self.0.log()
    }

    fn mac(&self, device: DeviceIndex) -> MacAddr {
        self.0.mac(device)
    }

    fn node(&self, device: DeviceIndex) -> Option<u32> {
        self.0.node(device)
    }

    fn offloads(&self, device: DeviceIndex) -> Offloads {
        self.0.offloads(device)
    }

    fn probe(&self) -> Probe {
        self.0.probe()
    }

    fn queues(&mut self) -> Vec<DpdkIo> {
        self.0.queues()
    }
}
