// SPDX-License-Identifier: MIT OR Apache-2.0
//! `sluice capture`: compiles the filter, and writes the file with the user's own rights.

use std::fs::File;
use std::io::{self, IsTerminal, Write};
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use forwarder::capture::filter::Instruction;
use forwarder::control::methods::capture::CapturePart;
use pcap::{Capture, Linktype};
use serde_json::{Value, json};
use signal_hook::consts::{SIGINT, SIGTERM};

use crate::args::CaptureArgs;
use crate::client::{self, Client};
use crate::failure::Failure;
use crate::output::{Output, count};

pub(crate) fn capture(client: &mut Client, args: &CaptureArgs, output: &Output) -> Result<ExitCode, Failure> {
    let params = params(args)?;
    let stop = stop_signal()?;
    let begun = client.call("capture", &params)?;
    let number = begun.get("capture").cloned().unwrap_or_default();
    let named = json!({ "capture": number });
    if io::stderr().is_terminal() {
        eprintln!("capturing; Ctrl-C ends it");
    }
    let written = Target::open(&args.out).and_then(|mut target| record(client, &named, &mut target, &stop));
    let (packets, lost) = match written {
        Ok(counted) => counted,
        Err(failure) => {
            // Whoever reads it no more should not leave that to be found out. What is wrong here is known already.
            let _ = client.call("capture_stop", &named);
            return Err(failure);
        }
    };
    let is_stdout = is_stdout(&args.out);
    if output.json() && !is_stdout {
        output.document(&json!({ "file": args.out, "packets": packets, "lost": lost }))?;
    } else if !is_stdout {
        output.text(describe(&args.out, packets, lost))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Reads on until the daemon has no more; packets, and packets lost. On a signal it asks for the end, and reads what there is.
fn record(
    client: &mut Client,
    named: &Value,
    target: &mut Target<'_>,
    stop: &AtomicBool,
) -> Result<(u64, u64), Failure> {
    let mut is_stopped = false;
    loop {
        if stop.load(Ordering::Relaxed) && !is_stopped {
            client.call("capture_stop", named)?;
            is_stopped = true;
        }
        let part: CapturePart = client::read(client.call("capture_read", named)?)?;
        let bytes = part.bytes().ok_or_else(|| Failure::new("sluiced is of another version: no Base64"))?;
        target.write(&bytes)?;
        if !part.running {
            return Ok((part.packets, part.lost));
        }
    }
}

fn params(args: &CaptureArgs) -> Result<Value, Failure> {
    let CaptureArgs { filter, drops, sample, count, snap_length, .. } = args;
    let filter = filter.as_deref().map(compile).transpose()?;
    let drops = (!drops.is_empty()).then_some(drops);
    Ok(json!({ "filter": filter, "drops": drops, "sample": sample, "count": count, "snap_length": snap_length }))
}

/// What libpcap makes of a filter for Ethernet.
fn compile(expression: &str) -> Result<Vec<Instruction>, Failure> {
    let wrong = |error: pcap::Error| {
        Failure::new(format!("--filter {expression:?}: {error}; its language is that of tcpdump, pcap-filter(7)"))
    };
    let program = Capture::dead(Linktype::ETHERNET).and_then(|dead| dead.compile(expression, true)).map_err(wrong)?;
    let read = |text: String| {
        let mut numbers = text.split(' ');
        let code = numbers.next()?.parse().ok()?;
        let (yes, no) = (numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?);
        Some((code, yes, no, numbers.next()?.parse().ok()?))
    };
    // The library shows its instructions in no other way than as text.
    let instructions: Option<_> = program.get_instructions().iter().map(|one| read(one.to_string())).collect();
    instructions.ok_or_else(|| Failure::new("libpcap is of another version: its filters can't be read"))
}

/// Set by Ctrl-C, or by who wants it to end in order. The second time it ends at once: nobody may be reading our output.
fn stop_signal() -> Result<Arc<AtomicBool>, Failure> {
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM] {
        signal_hook::flag::register_conditional_shutdown(signal, 1, Arc::clone(&stop))
            .and_then(|_| signal_hook::flag::register(signal, Arc::clone(&stop)))
            .map_err(|error| Failure::new(format!("cannot handle signals: {error}")))?;
    }
    Ok(stop)
}

/// Where the file goes.
enum Target<'a> {
    File(&'a Path, File),
    Stdout,
}

impl<'a> Target<'a> {
    fn open(path: &'a Path) -> Result<Self, Failure> {
        if is_stdout(path) {
            return Ok(Self::Stdout);
        }
        let file = File::create(path).map_err(|error| Failure::file("write", path, error))?;
        Ok(Self::File(path, file))
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        match self {
            Self::File(path, file) => file.write_all(bytes).map_err(|error| Failure::file("write", path, error)),
            Self::Stdout => {
                let mut stdout = io::stdout().lock();
                Ok(stdout.write_all(bytes).and_then(|()| stdout.flush())?)
            }
        }
    }
}

fn is_stdout(path: &Path) -> bool {
    path == Path::new("-")
}

fn describe(file: &Path, packets: u64, lost: u64) -> String {
    let packets = usize::try_from(packets).unwrap_or(usize::MAX);
    let lost = match lost {
        0 => "none was lost".to_owned(),
        lost => format!("{lost} were lost: take a sample, or ask for fewer bytes with --snap-length"),
    };
    format!("{}: {}; {lost}", file.display(), count(packets, "packet"))
}
