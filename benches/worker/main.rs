// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the real worker costs a packet on DPDK: received, forwarded, sent. `benches/README.md` has the method.

mod kernel;
mod ring;
mod turns;

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::AtomicU32;
use std::thread;
use std::time::Duration;

use benches::driver::{self, Outcome, Plan, Window};
use benches::frames::{self, Image, Size};
use benches::machine::{Machine, Watch};
use benches::windows::{Windows, round};
use benches::{Family, Pool, Shape, dpdk, network};
use clap::{Parser, ValueEnum};
use forwarder::counters::{CountersReport, DropReason};
use forwarder::io::DeviceIndex;
use forwarder::io::dpdk::{Dpdk, DpdkIo};
use forwarder::settings::Settings;
use forwarder::state::ForwardingState;
use ring::Ring;
use serde_json::json;
use tables::{Publisher, Reader, Source};
use turns::Shadow;

/// Before this much time the caches are cold, and the processor's clock low.
const WARM_UP: Duration = Duration::from_millis(300);

/// Measures the real worker on DPDK.
#[derive(Debug, Parser)]
#[command(name = "worker", max_term_width = 100)]
struct Args {
    /// Where frames come from: a capture with one for each address, again and again, what is sent being dropped; a device
    /// that brings zeros, which are dropped; or a ring on which what was sent comes back
    #[arg(long, value_enum, default_value_t = From::Pcap)]
    source: From,
    /// Egress addresses
    #[arg(long, value_name = "N", default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..=10_000_000))]
    addresses: u32,
    /// How many of a hundred addresses are local; the others belong to 30 other data centres
    #[arg(long, value_name = "PERCENT", default_value_t = 100, value_parser = clap::value_parser!(u32).range(0..=100))]
    local: u32,
    /// Local servers
    #[arg(long, value_name = "N", default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..=60_000))]
    servers: u32,
    /// Length of frames without FCS, 60 to 1514
    #[arg(long, value_name = "BYTES", default_value_t = 60, value_parser = clap::value_parser!(u16).range(60..=1514))]
    frame: u16,
    /// Frames of a burst at most
    #[arg(long, value_name = "N", default_value_t = 64, value_parser = clap::value_parser!(u16).range(1..=1024))]
    burst: u16,
    /// Queues, and workers for them
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=16))]
    queues: u16,
    /// ARP requests among a thousand frames of the capture. The device then has a kernel's side, with the daemon's budgets
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = clap::value_parser!(u16).range(0..=500))]
    arp: u16,
    /// How long to measure
    #[arg(long, value_name = "SECONDS", default_value_t = 3.0)]
    seconds: f64,
    /// Half of the time, by turns, hold one packet in N against another table, and tell what that costs
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    shadow: Option<u64>,
    /// Servers of that other table; with as many as in the first, no packet's fate is another
    #[arg(long, value_name = "N", requires = "shadow", value_parser = clap::value_parser!(u32).range(1..=60_000))]
    shadow_servers: Option<u32>,
    /// The capture's name; it is written anew, and stays
    #[arg(long, value_name = "FILE")]
    capture: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum From {
    Pcap,
    Null,
    Ring,
}

fn main() -> ExitCode {
    match run(&Args::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(io::stderr(), "worker: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(args: &Args) -> Result<(), String> {
    let cores = driver::cores();
    let shape = Shape { local: args.local, servers: args.servers, ..Shape::new(Family::V4, args.addresses) };
    let mut images = frames::each(&shape, Size::Fixed(args.frame));
    if args.arp > 0 {
        images = kernel::with_arp(&images, args.arp.into()).into();
    }
    let (mut dpdk, huge_pages) = start(args, &images)?;
    let mut settings = network::settings(dpdk.mac(DeviceIndex(0)));
    settings.devices.iter_mut().for_each(|device| device.kernel_path = args.arp > 0);
    let settings = Arc::new(settings);
    let readers = publish(shape, &settings, args.queues)?;
    let shadow = args.shadow.map(|every| {
        let shape = Shape { servers: args.shadow_servers.unwrap_or(args.servers), ..shape };
        Ok::<_, String>(Shadow { state: Arc::new(build(shape, 2, &settings)?), settings: Arc::clone(&settings), every })
    });
    let shadow = shadow.transpose()?;
    let queues = dpdk.queues();
    let phase = AtomicU32::new(0);
    let plan =
        Plan { settings: &settings, burst: args.burst.into(), cores: &cores, window: Duration::ZERO, phase: &phase };
    let watch = Watch::new();
    let outcome = if args.source == From::Ring {
        let images: Arc<[Image]> = images.into();
        let rings = queues.into_iter().map(|io| Ring::new(io, Arc::clone(&images))).collect();
        forward(&plan, rings, readers, args, shadow)
    } else {
        drop(images);
        forward::<DpdkIo>(&plan, queues, readers, args, shadow)
    };
    let machine = watch.machine();
    report(args, outcome, huge_pages, &machine)
}

fn start(args: &Args, images: &[Image]) -> Result<(Dpdk, bool), String> {
    let temporary = std::env::temp_dir().join(format!("sluice-bench-{}.pcap", std::process::id()));
    let file = args.capture.as_ref().unwrap_or(&temporary);
    let source = match args.source {
        From::Pcap => dpdk::Source::Pcap(file),
        From::Null => dpdk::Source::Null,
        From::Ring => dpdk::Source::Ring,
    };
    if args.source == From::Pcap {
        dpdk::capture(file, images).map_err(|error| format!("{}: {error}", file.display()))?;
    }
    let started = dpdk::start(source, args.queues.into(), args.burst.into(), args.frame.into());
    if args.source == From::Pcap && args.capture.is_none() {
        // The device has it in memory.
        let _ = std::fs::remove_file(file);
    }
    started.map_err(|error| error.to_string())
}

/// Publishes the table; one reader for each worker.
fn publish(shape: Shape, settings: &Settings, workers: u16) -> Result<Vec<Reader<ForwardingState>>, String> {
    // The readers keep the state when the publisher goes.
    Ok(Publisher::new(Box::new(build(shape, 1, settings)?), workers.into()).1)
}

fn build(shape: Shape, generation: u64, settings: &Settings) -> Result<ForwardingState, String> {
    let source = Source::from_reader(Pool::new(shape)).map_err(|faults| faults.to_string())?;
    ForwardingState::build(&source, generation, &network::viewpoint(), settings).map_err(|faults| faults.to_string())
}

fn forward<Io: forwarder::io::PacketIo + Send>(
    plan: &Plan<'_>,
    queues: Vec<Io>,
    readers: Vec<Reader<ForwardingState>>,
    args: &Args,
    shadow: Option<Shadow>,
) -> Outcome<()> {
    let time = WARM_UP + Duration::from_secs_f64(args.seconds.clamp(0.01, 3600.0));
    let (ends, _sink) = match args.arp {
        0 => (Vec::new(), None),
        _ => {
            let (ends, sink) =
                kernel::ends(plan.settings, queues.len(), plan.burst + plan.settings.fragments.packets as usize);
            (ends, Some(sink))
        }
    };
    driver::run(plan, queues, readers, ends, |workers| match shadow {
        None => thread::sleep(time),
        Some(shadow) => shadow.take_turns(workers, time, plan.phase),
    })
}

fn report(args: &Args, outcome: Outcome<()>, huge_pages: bool, machine: &Machine) -> Result<(), String> {
    let counters = &outcome.counters;
    let expected = if args.source == From::Null { counters.rx } else { counters.dropped(DropReason::KernelPoliced) };
    if counters.imbalance() != 0 || counters.rx == 0 || counters.dropped_total() != expected {
        let report = serde_json::to_string(&CountersReport::from(counters)).unwrap_or_default();
        return Err(format!("frames were lost, or none came: {report}"));
    }
    let (mut all, mut mpps) = (Windows::default(), 0.0);
    for worker in &outcome.windows {
        let mut own = Windows::default();
        warm(worker).for_each(|window| own.add(window.time, window.packets as usize));
        mpps += 1000.0 / own.percentile(50.0).max(0.01);
        warm(worker).for_each(|window| all.add(window.time, window.packets as usize));
    }
    let (ns, mpps) = (all.nanoseconds(), round(mpps));
    let cost = args.shadow.map(|_| turns::cost(&outcome.windows));
    // What is forwarded, where ARP is among it.
    let forwarded = round(mpps * counters.tx as f64 / counters.rx as f64);
    let text = if args.json {
        json!({
            "program": "worker",
            "source": args.source.to_possible_value().map(|value| value.get_name().to_owned()),
            "table": { "addresses": args.addresses, "local": args.local, "servers": args.servers },
            "frame": args.frame, "burst": args.burst, "queues": args.queues, "arp": args.arp,
            "ns_per_packet": ns, "mpps": mpps, "forwarded_mpps": forwarded, "windows": all.count(),
            "rx": counters.rx, "tx": counters.tx, "exception": counters.exception, "drops": counters.dropped_total(),
            "shadow": cost,
            "dpdk_huge_pages": huge_pages,
            "machine": machine,
        })
        .to_string()
    } else {
        let (p50, p5, min) = (ns.p50, ns.p5, ns.min);
        let (addresses, workers, line) = (args.addresses, args.queues, machine.line());
        let cost = cost.map_or_else(String::new, |cost| format!("{cost}\n"));
        format!(
            "{addresses} addresses, {workers} workers: {p50} ns a packet (5 %: {p5}, best: {min}), {mpps} Mpps in all, \
             {forwarded} of them forwarded\n{cost}{line}"
        )
    };
    writeln!(io::stdout(), "{text}").map_err(|error| format!("cannot write to standard output: {error}"))
}

/// The windows after the warm-up.
fn warm(windows: &[Window]) -> impl Iterator<Item = &Window> {
    let mut since = Duration::ZERO;
    windows.iter().skip_while(move |window| {
        since += window.time;
        since < WARM_UP
    })
}
