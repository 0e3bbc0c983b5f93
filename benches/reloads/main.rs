// SPDX-License-Identifier: MIT OR Apache-2.0
//! What changes of the table cost at full load: the worker on a looped capture, control beside it, as in the daemon.
//! `benches/README.md` has the method.

mod control;

use std::fs;
use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::AtomicU32;
use std::time::Duration;

use benches::driver::{self, Outcome, Plan};
use benches::frames::{self, Size};
use benches::machine::{Machine, Watch};
use benches::windows::{Windows, round};
use benches::{Family, Shape, dpdk, network};
use clap::{Parser, ValueEnum};
use control::{CHANGING, Change, Changes, Control, QUIET, Schedule, WARMING};
use forwarder::counters::CountersReport;
use forwarder::io::DeviceIndex;
use serde_json::json;

/// Measures reloads, or patches, at full load.
#[derive(Debug, Parser)]
#[command(name = "reloads", max_term_width = 100)]
struct Args {
    /// What changes the table: a reload of the whole document, or a patch that gives one slice to another server
    #[arg(long, value_enum, default_value_t = Change::Reload)]
    change: Change,
    /// Egress addresses
    #[arg(long, value_name = "N", default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..=10_000_000))]
    addresses: u32,
    /// Frames of the capture, of as many addresses
    #[arg(long, value_name = "N", default_value_t = 100_000, value_parser = clap::value_parser!(u32).range(1..=10_000_000))]
    frames: u32,
    /// Queues, and workers for them
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=16))]
    queues: u16,
    /// Milliseconds from the beginning of one change to that of the next, if it takes no longer
    #[arg(long, value_name = "MS", default_value_t = 20)]
    every: u64,
    /// Seconds with changes, and likewise without, by turns
    #[arg(long, value_name = "SECONDS", default_value_t = 1.0)]
    turn: f64,
    /// How long to measure, both together
    #[arg(long, value_name = "SECONDS", default_value_t = 10.0)]
    seconds: f64,
    /// Length of a window
    #[arg(long, value_name = "MS", default_value_t = 10)]
    window: u64,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

fn main() -> ExitCode {
    let folder = std::env::temp_dir().join(format!("sluice-bench-{}", std::process::id()));
    let result = fs::create_dir(&folder).map_err(|error| error.to_string()).and_then(|()| run(&Args::parse(), &folder));
    let _ = fs::remove_dir_all(&folder);
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(io::stderr(), "reloads: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(args: &Args, folder: &Path) -> Result<(), String> {
    let cores = driver::cores();
    let shape = Shape::new(Family::V4, args.addresses);
    let capture = folder.join("in.pcap");
    let images = frames::random(&shape, Size::Fixed(60), args.frames as usize);
    dpdk::capture(&capture, &images).map_err(|error| format!("{}: {error}", capture.display()))?;
    drop(images);
    let started = dpdk::start(dpdk::Source::Pcap(&capture), args.queues.into(), 64, 60);
    let (mut dpdk, _) = started.map_err(|error| error.to_string())?;
    let settings = Arc::new(network::settings(dpdk.mac(DeviceIndex(0))));
    let (control, readers) = Control::new(shape, folder.join("table.json"), &settings, args.queues.into())?;
    let schedule = Schedule {
        change: args.change,
        every: Duration::from_millis(args.every),
        turn: Duration::from_secs_f64(args.turn.clamp(0.1, 600.0)),
        time: Duration::from_secs_f64(args.seconds.clamp(0.1, 86_400.0)),
    };

    let phase = AtomicU32::new(WARMING);
    let window = Duration::from_millis(args.window);
    let plan = Plan { settings: &settings, burst: 64, cores: &cores, window, phase: &phase };
    let watch = Watch::new();
    let outcome = driver::run(&plan, dpdk.queues(), readers, Vec::new(), |_| control.take_turns(&schedule, &phase));
    report(args, outcome, &watch.machine())
}

fn report(args: &Args, outcome: Outcome<Result<Changes, String>>, machine: &Machine) -> Result<(), String> {
    let mut changes = outcome.control?;
    let counters = &outcome.counters;
    if counters.imbalance() != 0 || counters.rx == 0 || counters.dropped_total() > 0 {
        let report = serde_json::to_string(&CountersReport::from(counters)).unwrap_or_default();
        return Err(format!("frames were lost, or none came: {report}"));
    }
    // Millions of packets a second, by window.
    let rates = |phase| {
        let mut rates = Windows::default();
        let of_phase = outcome.windows.iter().flatten().filter(|window| window.phase == phase);
        of_phase.for_each(|window| rates.add_each(window.packets as f64 / window.time.as_secs_f64() / 1e6));
        rates
    };
    let (mut quiet, mut changing) = (rates(QUIET), rates(CHANGING));
    let ratio = |percent, quiet: &mut Windows, changing: &mut Windows| {
        round(100.0 * changing.percentile(percent) / quiet.percentile(percent).max(0.001))
    };
    let slowest = ratio(1.0, &mut quiet, &mut changing);
    let median = ratio(50.0, &mut quiet, &mut changing);
    let [swap50, swap99, most] = [50.0, 99.0, 100.0].map(|percent| changes.swap.percentile(percent));
    let (count, whole) = (changes.swap.count(), round(changes.whole.percentile(50.0)));
    let a_second = round(count as f64 / changes.time.as_secs_f64().max(0.001));
    let change = args.change.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default();
    let [q1, q50, c1, c50] =
        [quiet.percentile(1.0), quiet.percentile(50.0), changing.percentile(1.0), changing.percentile(50.0)].map(round);
    let text = if args.json {
        json!({
            "program": "reloads", "change": change, "addresses": args.addresses, "queues": args.queues,
            "changes": count, "changes_per_second": a_second, "change_ms": whole, "swap_ms": { "p50": swap50, "p99": swap99, "max": most },
            "window_ms": args.window,
            "quiet_mpps": { "p1": q1, "p50": q50, "windows": quiet.count() },
            "changing_mpps": { "p1": c1, "p50": c50, "windows": changing.count() },
            "slowest_percent": slowest, "median_percent": median,
            "rx": counters.rx, "tx": counters.tx, "lost": 0, "machine": machine,
        })
        .to_string()
    } else {
        let (addresses, line) = (args.addresses, machine.line());
        format!(
            "{addresses} addresses, {count} times a {change} of {whole} ms, {a_second} a second, of which the swap: {swap50:.3} ms (99 %: {swap99:.3}, all: \
             {most:.3})\nwindows with them forward {median} % of those without ({c50} of {q50} Mpps), the slowest \
             hundredth {slowest} % ({c1} of {q1}); no packet was lost\n{line}"
        )
    };
    writeln!(io::stdout(), "{text}").map_err(|error| format!("cannot write to standard output: {error}"))
}
