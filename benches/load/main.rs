// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a large table costs to load: from a file to the state that workers forward by. `benches/README.md` has the method.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::Path;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use benches::machine::{Watch, anonymous_memory, processor_time};
use benches::windows::round;
use benches::{Family, Pool, Shape, network};
use clap::Parser;
use forwarder::control::generations::Loaded;
use forwarder::control::load::Document;
use forwarder::settings::Settings;
use forwarder::wire::MacAddr;
use serde_json::json;
use tables::Publisher;

/// Between two looks at the memory.
const LOOK: Duration = Duration::from_millis(2);

/// Measures how much processor time a table takes from its file to being published.
#[derive(Debug, Parser)]
#[command(name = "load", max_term_width = 100)]
struct Args {
    /// Egress addresses, each with slices of its own
    #[arg(long, value_name = "N", default_value_t = 1_000_000, value_parser = clap::value_parser!(u32).range(1..=50_000_000))]
    addresses: u32,
    /// How many of a hundred addresses are local
    #[arg(long, value_name = "PERCENT", default_value_t = 100, value_parser = clap::value_parser!(u32).range(0..=100))]
    local: u32,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

fn main() -> ExitCode {
    let path = std::env::temp_dir().join(format!("sluice-bench-{}.json", std::process::id()));
    let result = run(&Args::parse(), &path);
    let _ = fs::remove_file(&path);
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(io::stderr(), "load: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(args: &Args, path: &Path) -> Result<(), String> {
    let shape = Shape { local: args.local, ..Shape::new(Family::V4, args.addresses) };
    let document_bytes = write(path, shape).map_err(|error| format!("{}: {error}", path.display()))?;
    let settings = network::settings(MacAddr::default());
    let before = anonymous_memory();
    let watch = Watch::new();
    let (found, peak) = with_peak(|| load(path, &settings));
    let Found { parse, build, table_bytes } = found?;
    let machine = watch.machine();
    let peak = peak.saturating_sub(before);
    let (parse, build) = (round(parse), round(build));
    let each = round(table_bytes as f64 / f64::from(args.addresses));
    let times = round(peak as f64 / table_bytes.max(1) as f64);
    let (seconds, megabytes) = (round(parse + build), document_bytes / 1_000_000);
    let text = if args.json {
        json!({
            "program": "load",
            "table": { "addresses": args.addresses, "local": args.local, "bytes": table_bytes },
            "document_bytes": document_bytes,
            "seconds": seconds, "parse_seconds": parse, "build_seconds": build,
            "bytes_per_address": each, "peak_anonymous_bytes": peak, "peak_over_table": times,
            "machine": machine,
        })
        .to_string()
    } else {
        let (addresses, line) = (args.addresses, machine.line());
        format!(
            "{addresses} addresses in {megabytes} MB: {seconds} s of one processor (reading {parse}, building {build}); \
             {each} bytes an address, at the most {times} times that while loading\n{line}"
        )
    };
    writeln!(io::stdout(), "{text}").map_err(|error| format!("cannot write to standard output: {error}"))
}

/// Writes the document; its length.
fn write(path: &Path, shape: Shape) -> io::Result<u64> {
    let mut file = BufWriter::with_capacity(1 << 20, File::create(path)?);
    let bytes = io::copy(&mut Pool::new(shape), &mut file)?;
    file.flush()?;
    Ok(bytes)
}

struct Found {
    /// Seconds of processor time; all is done by one thread.
    parse: f64,
    build: f64,
    table_bytes: usize,
}

/// What a reload does, but for telling anybody.
fn load(path: &Path, settings: &Settings) -> Result<Found, String> {
    let start = processor_time();
    let source = Document::File(path).read().map_err(|faults| faults.to_string())?;
    let parse = (processor_time() - start).as_secs_f64();
    let start = processor_time();
    let loaded = Loaded::new(source, 1, &network::viewpoint(), settings).map_err(|faults| faults.to_string())?;
    let Loaded { source, compiler, state } = loaded;
    let table_bytes = state.table.size();
    let (publisher, _readers) = Publisher::new(Box::new(state), 1);
    let build = (processor_time() - start).as_secs_f64();
    drop((source, compiler, publisher));
    Ok(Found { parse, build, table_bytes })
}

/// The most anonymous memory that this process had during `work`.
fn with_peak<T>(work: impl FnOnce() -> T) -> (T, u64) {
    let (peak, stop) = (AtomicU64::new(0), AtomicBool::new(false));
    let result = thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                peak.fetch_max(anonymous_memory(), Ordering::Relaxed);
                thread::sleep(LOOK);
            }
        });
        let result = work();
        stop.store(true, Ordering::Relaxed);
        result
    });
    (result, peak.into_inner())
}
