// SPDX-License-Identifier: MIT OR Apache-2.0
//! What changes of the table cost at full load: the worker on a looped capture, control beside it, as in the daemon.
//! `benches/README.md` has the method.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use benches::driver::{self, Outcome, Plan};
use benches::frames::{self, Size};
use benches::machine::{Machine, Watch};
use benches::windows::{Windows, round};
use benches::{Family, Pool, Shape, dpdk, network};
use clap::Parser;
use forwarder::control::generations::{Generations, Loaded, Options};
use forwarder::control::load::Document;
use forwarder::counters::CountersReport;
use forwarder::io::DeviceIndex;
use forwarder::settings::Settings;
use forwarder::state::ForwardingState;
use serde_json::json;

/// Phases of a window: nothing changes, and changes come.
const QUIET: u32 = 0;
const CHANGING: u32 = 1;
/// The caches are cold, and the processor's clock low.
const WARMING: u32 = 2;

/// Measures reloads at full load.
#[derive(Debug, Parser)]
#[command(name = "reloads", max_term_width = 100)]
struct Args {
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
    let control = Control::new(shape, folder.join("table.json"), &settings, args.queues.into())?;
    let (control, readers) = control;

    let phase = AtomicU32::new(WARMING);
    let window = Duration::from_millis(args.window);
    let plan = Plan { settings: &settings, burst: 64, cores: &cores, window, phase: &phase };
    let watch = Watch::new();
    let outcome = driver::run(&plan, dpdk.queues(), readers, || control.take_turns(args, &phase));
    report(args, outcome, &watch.machine())
}

/// The control side: what changes the table.
struct Control {
    generations: Generations,
    document: PathBuf,
}

/// Milliseconds that changes took.
#[derive(Default)]
struct Changes {
    /// From publishing until the last worker was seen on the new table, and the old one was freed.
    swap: Windows,
    /// All of it.
    whole: Windows,
}

impl Control {
    fn new(
        shape: Shape,
        document: PathBuf,
        settings: &Arc<Settings>,
        workers: usize,
    ) -> Result<(Self, Vec<tables::Reader<ForwardingState>>), String> {
        let write = || {
            let mut file = BufWriter::with_capacity(1 << 20, File::create(&document)?);
            io::copy(&mut Pool::new(shape), &mut file)?;
            file.flush()
        };
        write().map_err(|error| format!("{}: {error}", document.display()))?;
        let source = Document::File(&document).read().map_err(|faults| faults.to_string())?;
        let viewpoint = network::viewpoint();
        let loaded = Loaded::new(source, 1, &viewpoint, settings).map_err(|faults| faults.to_string())?;
        let (generations, readers) = Generations::new(loaded, viewpoint, Arc::clone(settings), workers);
        Ok((Self { generations, document }, readers))
    }

    /// Turns without changes and with them.
    fn take_turns(&self, args: &Args, phase: &AtomicU32) -> Result<Changes, String> {
        let mut changes = Changes::default();
        let turn = Duration::from_secs_f64(args.turn.clamp(0.1, 600.0));
        thread::sleep(turn.min(Duration::from_millis(500)));
        let begin = Instant::now();
        while begin.elapsed().as_secs_f64() < args.seconds {
            phase.store(QUIET, Ordering::Relaxed);
            thread::sleep(turn);
            phase.store(CHANGING, Ordering::Relaxed);
            let start = Instant::now();
            while start.elapsed() < turn {
                let one = Instant::now();
                let swap = self.change()?;
                changes.swap.add_each(swap.as_secs_f64() * 1e3);
                changes.whole.add_each(one.elapsed().as_secs_f64() * 1e3);
                thread::sleep(Duration::from_millis(args.every).saturating_sub(one.elapsed()));
            }
        }
        Ok(changes)
    }

    /// One change: a reload of the whole document, which has no number and so is published each time.
    fn change(&self) -> Result<Duration, String> {
        let reloaded = self.generations.reload(Document::File(&self.document), Options::default());
        reloaded.map(|reloaded| reloaded.swap).map_err(|error| error.to_string())
    }
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
    let [q1, q50, c1, c50] =
        [quiet.percentile(1.0), quiet.percentile(50.0), changing.percentile(1.0), changing.percentile(50.0)].map(round);
    let text = if args.json {
        json!({
            "program": "reloads", "addresses": args.addresses, "queues": args.queues,
            "changes": count, "change_ms": whole, "swap_ms": { "p50": swap50, "p99": swap99, "max": most },
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
            "{addresses} addresses, {count} reloads of {whole} ms, of which the swap: {swap50:.3} ms (99 %: {swap99:.3}, all: \
             {most:.3})\nwindows with reloads forward {median} % of those without ({c50} of {q50} Mpps), the slowest \
             hundredth {slowest} % ({c1} of {q1}); no packet was lost\n{line}"
        )
    };
    writeln!(io::stdout(), "{text}").map_err(|error| format!("cannot write to standard output: {error}"))
}
