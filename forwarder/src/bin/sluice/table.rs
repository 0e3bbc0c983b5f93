// SPDX-License-Identifier: MIT OR Apache-2.0
//! `sluice table`: work on table files.

use std::fs::File;
use std::io::{self, BufReader};
use std::path::Path;
use std::process::ExitCode;

use forwarder::io::counted::Counted;
use serde_json::json;
use tables::diff::Overview;
use tables::{Fault, Faults, Source, diff, geofeed, holdings};

use crate::announce;
use crate::args::TableCommand;
use crate::failure::Failure;
use crate::output::{Output, Tone, columns, count};
use crate::preview;
use crate::progress::Progress;

/// Rows of a list for people.
const ROWS: usize = 200;

/// Large reads: a table may have hundreds of megabytes.
const BUFFER: usize = 1 << 20;

pub(crate) fn run(command: &TableCommand, output: &Output) -> Result<ExitCode, Failure> {
    match command {
        TableCommand::Check { file } => check(file, output),
        TableCommand::Slices { file, server } => slices(file, server, output),
        TableCommand::Diff { a, b, datacenter, exit_code } => compare(a, b, datacenter, *exit_code, output),
        TableCommand::Announce { file, daemon, interface, underlay } => {
            announce::run(file, *daemon, interface, underlay, output)
        }
        TableCommand::Geofeed { file } => feed(file, output),
    }
}

/// Reads a table that has to be valid.
pub(crate) fn read(path: &Path) -> Result<Source, Failure> {
    try_read(path)?.map_err(|faults| Failure::table(path, &faults))
}

fn try_read(path: &Path) -> Result<Result<Source, Faults>, Failure> {
    let file = File::open(path).map_err(|error| Failure::file("read the table", path, error))?;
    let (_progress, counter) = Progress::reading(path);
    Ok(Source::from_reader(BufReader::with_capacity(BUFFER, Counted(file, counter))))
}

/// What to say of a name that is not in the table.
pub(crate) fn unknown<'a>(what: &str, name: &str, path: &Path, known: impl Iterator<Item = &'a str>) -> String {
    let nearest = known.min_by_key(|known| strsim::damerau_levenshtein(known, name));
    let hint = nearest.map_or_else(|| "it has none".to_owned(), |nearest| format!("the nearest is {nearest:?}"));
    format!("{}: there is no {what} {name:?}; {hint}", path.display())
}

fn check(path: &Path, output: &Output) -> Result<ExitCode, Failure> {
    let source = match try_read(path) {
        Ok(Ok(source)) => source,
        Ok(Err(faults)) => {
            let message = format!("{}: {}", path.display(), count(faults.0.len(), "fault"));
            return Err(Failure::after(list(&faults, output), message));
        }
        // A file that can't be read is no valid table either, and programs ask in one way only.
        Err(Failure::Told { message, .. }) if output.json() => {
            let faults = Faults(vec![Fault { path: String::new(), message: message.clone() }]);
            return Err(Failure::after(list(&faults, output), message));
        }
        Err(failure) => return Err(failure),
    };
    if output.json() {
        list(&Faults(Vec::new()), output)?;
        return Ok(ExitCode::SUCCESS);
    }
    let generation = source.generation().map_or_else(String::new, |number| format!("generation {number}, "));
    let prefixes = count(source.entries().len(), "prefix");
    let servers = count(source.servers().len(), "server");
    let datacenters = count(source.datacenters().len(), "data centre");
    let good = output.tone(Tone::Good, "OK");
    output.text(format!("{good}: {generation}{prefixes}, {servers}, {datacenters}"))?;
    Ok(ExitCode::SUCCESS)
}

/// Every fault: a line each, or the document of `--json`.
fn list(faults: &Faults, output: &Output) -> io::Result<()> {
    if output.json() {
        return output.document(&json!({ "ok": faults.0.is_empty(), "faults": faults }));
    }
    let lines: Vec<_> = faults.0.iter().map(ToString::to_string).collect();
    output.text(lines.join("\n"))
}

fn slices(path: &Path, server: &str, output: &Output) -> Result<ExitCode, Failure> {
    let source = read(path)?;
    let names = source.servers().iter().map(|server| &*server.name);
    let id = source.find_server(server).ok_or_else(|| Failure::new(unknown("server", server, path, names)))?;
    let holdings = holdings::holdings(&source, id);
    if output.json() {
        output.document(&holdings)?;
        return Ok(ExitCode::SUCCESS);
    }
    let slices = holdings.slices.iter().map(|row| vec![row.prefix.to_string(), row.ports.to_string()]);
    let portless =
        holdings.portless.iter().map(|prefix| vec![prefix.to_string(), "protocols without ports".to_owned()]);
    let rows: Vec<_> = slices.chain(portless).collect();
    if rows.is_empty() {
        output.text(format!("{server} owns nothing"))?;
    } else {
        output.text(columns(&rows, |_| false))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn compare(a: &Path, b: &Path, datacenter: &str, exit_code: bool, output: &Output) -> Result<ExitCode, Failure> {
    let (before, after) = (read(a)?, read(b)?);
    if before.find_datacenter(datacenter).is_none() && after.find_datacenter(datacenter).is_none() {
        let names = after.datacenters().iter().map(|datacenter| &*datacenter.name);
        return Err(Failure::new(unknown("data centre", datacenter, b, names)));
    }
    let diff = diff::diff(&before, &after, datacenter);
    if output.json() {
        output.document(&diff)?;
    } else {
        output.text(describe(&diff, output))?;
    }
    Ok(if exit_code && !diff.is_empty() { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

fn describe(diff: &diff::Diff<'_>, output: &Output) -> String {
    if diff.is_empty() {
        return "nothing moves".to_owned();
    }
    let who = |name: Option<&str>| name.unwrap_or("nobody").to_owned();
    let row = |mark: &str, prefix: String, what: String, from: Option<&str>, to: Option<&str>| {
        vec![mark.to_owned(), prefix, what, who(from), "→".to_owned(), who(to)]
    };
    let mut rows = Vec::new();
    for change in &diff.changes {
        rows.push(row("owner", change.prefix.to_string(), change.ports.to_string(), change.from, change.to));
    }
    for change in &diff.portless {
        rows.push(row("owner", change.prefix.to_string(), "without ports".to_owned(), change.from, change.to));
    }
    for change in &diff.previous {
        rows.push(row("previous", change.prefix.to_string(), change.ports.to_string(), change.from, change.to));
    }
    let mut lines = Vec::new();
    let more = rows.len().saturating_sub(ROWS);
    rows.truncate(ROWS);
    if !rows.is_empty() {
        lines.push(columns(&rows, |_| false));
    }
    lines.extend((more > 0).then(|| format!("… and {more} more; --json has all of them")));
    for (what, prefixes) in [("enters the table", &diff.entering), ("leaves the table", &diff.leaving)] {
        lines.extend(prefixes.iter().take(ROWS).map(|prefix| format!("{what}: {prefix}")));
        let more = prefixes.len().saturating_sub(ROWS);
        lines.extend((more > 0).then(|| format!("{what}: … and {more} more")));
    }
    lines.extend(diff.targets.iter().map(|target| {
        let diff::TargetChange { kind, name, what, from, to } = target;
        format!("{kind} {name}: {what} {} → {}", who_or(from, "none"), who_or(to, "none"))
    }));
    // What was listed already is not summed up.
    let sums = Overview { summary: diff.summary, moves: diff.moves.clone(), ..Overview::default() };
    lines.push(preview::describe(&sums.into(), output));
    lines.join("\n")
}

fn who_or<'a>(value: &'a Option<String>, none: &'a str) -> &'a str {
    value.as_deref().unwrap_or(none)
}

fn feed(path: &Path, output: &Output) -> Result<ExitCode, Failure> {
    let source = read(path)?;
    let lines = geofeed::geofeed(&source);
    if output.json() {
        output.document(&json!({ "prefixes": lines }))?;
    } else if !lines.is_empty() {
        let lines: Vec<_> = lines.iter().map(ToString::to_string).collect();
        output.text(lines.join("\n"))?;
    }
    Ok(ExitCode::SUCCESS)
}
