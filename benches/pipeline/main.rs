// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the whole pipeline costs a packet, in memory: frame in, GUE frame out. `benches/README.md` has the method.

mod bench;

use std::io::{self, Write};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use bench::{Bench, Measured};
use benches::frames::{self, Size};
use benches::machine::{Machine, Watch};
use benches::windows::round;
use benches::{Family, Shape, network};
use clap::{Parser, ValueEnum};
use forwarder::wire::MacAddr;
use serde_json::{Value, json};

/// Different frames: more than any table's part that the caches can hold has entries, and few enough to be read in order
/// without hurry.
const IMAGES: usize = 1 << 18;

/// Bursts of a window with hot buffers: as many as one of the usual buffers has.
const HOT_BURSTS: usize = 256;

/// Measures the whole pipeline in memory.
#[derive(Debug, Parser)]
#[command(name = "pipeline", max_term_width = 100)]
struct Args {
    /// Egress addresses; networks of 64 bits with --inner 6
    #[arg(long, value_name = "N", default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..=50_000_000))]
    addresses: u32,
    /// Ports of a slice, a power of two from 64
    #[arg(long, value_name = "N", default_value_t = 2048)]
    slice_ports: u32,
    /// How many of a hundred addresses are local; the others belong to 30 other data centres
    #[arg(long, value_name = "PERCENT", default_value_t = 100, value_parser = clap::value_parser!(u32).range(0..=100))]
    local: u32,
    /// Local servers
    #[arg(long, value_name = "N", default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..=60_000))]
    servers: u32,
    /// Length of frames without FCS, 60 to 1514, or imix; as much more as headers need
    #[arg(long, value_name = "BYTES", default_value = "60")]
    frame: Size,
    /// IP version of the servers' addresses
    #[arg(long, value_enum, default_value_t = Version::V4)]
    outer: Version,
    /// IP version of the egress addresses
    #[arg(long, value_enum, default_value_t = Version::V4)]
    inner: Version,
    /// By next hops as from the kernel's routes, over so many neighbours, instead of the one of the configuration
    #[arg(long, value_name = "NEIGHBOURS", value_parser = clap::value_parser!(u16).range(1..))]
    hops: Option<u16>,
    /// Frames of a burst
    #[arg(long, value_name = "N", default_value_t = 64, value_parser = clap::value_parser!(u16).range(1..=1024))]
    burst: u16,
    /// Packet buffers, 2 KiB apart, in random order
    #[arg(long, value_name = "N", default_value_t = 16_384, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    buffers: u32,
    /// Only with the buffers of one burst, which are in the nearest cache always
    #[arg(long)]
    hot: bool,
    /// How long to measure, with all buffers and then with hot ones
    #[arg(long, value_name = "SECONDS", default_value_t = 3.0)]
    seconds: f64,
    /// Measure nothing: process so many bursts, for a profiler
    #[arg(long, value_name = "BURSTS")]
    count: Option<u64>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Version {
    #[value(name = "4")]
    V4,
    #[value(name = "6")]
    V6,
}

impl From<Version> for Family {
    fn from(version: Version) -> Self {
        match version {
            Version::V4 => Self::V4,
            Version::V6 => Self::V6,
        }
    }
}

fn main() -> ExitCode {
    match run(&Args::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(io::stderr(), "pipeline: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(args: &Args) -> Result<(), String> {
    let settings = network::settings(MacAddr([2, 0, 0, 0, 0, 1]));
    let shape = Shape {
        inner: args.inner.into(),
        outer: args.outer.into(),
        addresses: args.addresses,
        local: args.local,
        slice_ports: args.slice_ports,
        servers: args.servers,
    };
    let (state, took) = bench::state(shape, &settings)?;
    let hops = args.hops.map(|links| Arc::new(network::hops(&state, &settings, links)));
    let state = state.with_hops(hops);
    let table_bytes = state.table.size();
    let burst = usize::from(args.burst);
    let buffers = if args.hot { burst } else { args.buffers as usize };
    let images = frames::random(&shape, args.frame, if args.count.is_some() { buffers } else { IMAGES });
    let mut bench = Bench::new(state, settings, burst, buffers, images);
    bench.verify()?;
    if let Some(bursts) = args.count {
        bench.count(bursts);
        return print(&format!("{} packets", bursts * u64::from(args.burst)));
    }

    let time = Duration::from_secs_f64(args.seconds.clamp(0.01, 3600.0));
    let watch = Watch::new();
    let cold = (!args.hot).then(|| bench.run(time));
    let mut bench = bench.with_buffers(burst);
    let hot = bench.run_hot(time, HOT_BURSTS);
    let machine = watch.machine();
    if bench.lost() > 0 {
        return Err(format!("{} frames were dropped", bench.lost()));
    }
    let figures = Figures::new(cold, hot);
    if args.json {
        print(&json(args, &figures, table_bytes, took, &machine).to_string())
    } else {
        print(&format!("{}\n{}", figures.text(args, table_bytes), machine.line()))
    }
}

/// The results, as JSON.
struct Figures {
    cold: Option<Value>,
    hot: Value,
}

impl Figures {
    fn new(cold: Option<Measured>, hot: Measured) -> Self {
        let one = |mut measured: Measured| {
            let process = measured.process.nanoseconds();
            json!({
                "ns_per_packet": process,
                "mpps": round(1000.0 / process.p50.max(0.01)),
                "restore_ns": measured.restore.nanoseconds(),
                "windows": measured.process.count(),
            })
        };
        Self { cold: cold.map(one), hot: one(hot) }
    }

    fn text(&self, args: &Args, table_bytes: usize) -> String {
        let line = |buffers: u32, one: &Value| {
            let (ns, restore) = (&one["ns_per_packet"], &one["restore_ns"]);
            format!(
                "{buffers:6} buffers: {} ns a packet (5 %: {}, best: {}) over {} windows, {} Mpps; restoring one: {} ns",
                ns["p50"], ns["p5"], ns["min"], one["windows"], one["mpps"], restore["p50"]
            )
        };
        let mut lines = vec![format!(
            "{} addresses, {} % local, {} bytes each; frames of {} bytes in bursts of {}",
            args.addresses,
            args.local,
            table_bytes / args.addresses as usize,
            args.frame,
            args.burst
        )];
        lines.extend(self.cold.as_ref().map(|cold| line(args.buffers, cold)));
        lines.push(line(args.burst.into(), &self.hot));
        lines.join("\n")
    }
}

/// The document: the figures with all buffers at the top, unless only hot ones were asked for.
fn json(args: &Args, figures: &Figures, table_bytes: usize, took: [f64; 2], machine: &Machine) -> Value {
    let [read, compile] = took.map(round);
    let mut document = json!({
        "program": "pipeline",
        "table": {
            "addresses": args.addresses, "local": args.local, "slice_ports": args.slice_ports, "servers": args.servers,
            "bytes": table_bytes, "read_seconds": read, "compile_seconds": compile,
        },
        "frame": args.frame.to_string(),
        "outer": if args.outer == Version::V4 { 4 } else { 6 },
        "inner": if args.inner == Version::V4 { 4 } else { 6 },
        "hops": args.hops,
        "burst": args.burst,
        "buffers": if args.hot { u32::from(args.burst) } else { args.buffers },
        "hot": figures.hot,
        "machine": machine,
    });
    let main = figures.cold.as_ref().unwrap_or(&figures.hot);
    if let (Value::Object(document), Value::Object(main)) = (&mut document, main) {
        document.extend(main.clone());
    }
    document
}

fn print(text: &str) -> Result<(), String> {
    writeln!(io::stdout(), "{text}").map_err(|error| format!("cannot write to standard output: {error}"))
}
