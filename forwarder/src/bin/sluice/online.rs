// SPDX-License-Identifier: MIT OR Apache-2.0
//! The commands that ask the daemon, except `patch` and `explain`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant, SystemTime};

use forwarder::control::kept::KeptStatus;
use forwarder::control::next_hops::status::{NextHopsStatus, UnresolvedStatus};
use forwarder::control::report::{
    self, DeviceStatus, Health, LoadingStatus, PatchesStatus, ReloadReport, ReloadStatus, Stats, Status, SwapTimes,
};
use serde_json::{Value, json};

use crate::SLUICED;
use crate::args::ReloadArgs;
use crate::client::{self, Client};
use crate::failure::Failure;
use crate::kernel;
use crate::output::{Output, Tone, columns, count, memory, span};
use crate::preview;
use crate::progress::{Far, Progress};

/// Who only asks along the way does not wait.
const IMPATIENCE: Duration = Duration::from_millis(250);
/// Between two looks of `stats --watch`.
pub(crate) const INTERVAL: Duration = Duration::from_secs(1);

/// Back to the top left, and nothing below.
pub(crate) const CLEAR: &str = "\x1b[H\x1b[2J";

pub(crate) fn reload(
    client: impl FnOnce() -> Result<Client, Failure>,
    args: &ReloadArgs,
    output: &Output,
) -> Result<ExitCode, Failure> {
    let path = absolute(&args.file, "read the table")?;
    let params = json!({ "path": path, "dry_run": args.dry_run, "force": args.force });
    let mut client = client()?;
    let progress = Progress::start(format!("sluiced loads {path}"), looking_on(client.socket().to_owned()));
    let result = client.call("reload", &params);
    drop(progress);
    told(result?, output)
}

/// Tells what a reload or a rollback did.
pub(crate) fn told(result: Value, output: &Output) -> Result<ExitCode, Failure> {
    if output.json() {
        output.document(&result)?;
        return Ok(ExitCode::SUCCESS);
    }
    let done: ReloadReport = client::read(result)?;
    if let Some(preview) = &done.preview {
        output.text(preview::describe(preview, output))?;
    }
    output.text(describe(&done))?;
    Ok(ExitCode::SUCCESS)
}

/// How much the daemon at `socket` has read of the table that it loads, asked by a connection of its own. A daemon that
/// does not answer at once is not asked again.
pub(crate) fn looking_on(socket: PathBuf) -> impl FnMut() -> Far + Send + 'static {
    let mut connection: Option<Option<Client>> = None;
    let look = |client: &mut Client| {
        let status = client.call("status", &json!({})).ok()?;
        serde_json::from_value::<Option<LoadingStatus>>(status.get("loading")?.clone()).ok()
    };
    move || {
        let client = connection.get_or_insert_with(|| {
            Client::connect(&SLUICED, Some(&socket)).and_then(|client| client.impatient(IMPATIENCE)).ok()
        });
        let loading = client.as_mut().and_then(look);
        if loading.is_none() {
            *client = None;
        }
        loading.flatten().map_or_else(Far::default, |LoadingStatus { read, of }| Far { done: read, total: of })
    }
}

/// The path of a file that is there, as the daemon finds it.
pub(crate) fn absolute(file: &Path, what: &str) -> Result<String, Failure> {
    let path = file.canonicalize().map_err(|error| Failure::file(what, file, error))?;
    let text = path.to_str().map(str::to_owned);
    text.ok_or_else(|| Failure::file("name", &path, "not UTF-8, which the socket needs; rename it"))
}

fn describe(done: &ReloadReport) -> String {
    let ReloadReport { previous, parse_ms, build_ms, swap_us, .. } = done;
    let generation = match done.revision {
        0 => done.generation.to_string(),
        revision => format!("{} with {}", done.generation, count(revision as usize, "patch")),
    };
    let times = format!("read in {parse_ms:.1} ms, built in {build_ms:.1} ms");
    match (done.changed, done.dry_run) {
        (false, _) => format!("generation {generation} runs already, with the same content; nothing done"),
        (true, true) => {
            let discarded = discarded(done.discarded_patches, "would be");
            format!("generation {generation} would replace {previous}{discarded}; {times}, not published")
        }
        (true, false) => {
            let discarded = discarded(done.discarded_patches, if done.discarded_patches == 1 { "is" } else { "are" });
            format!("generation {generation}, after {previous}{discarded}; {times}, at every worker in {swap_us} µs")
        }
    }
}

/// What a reload did to patches, if there were some.
fn discarded(patches: u64, verb: &str) -> String {
    match usize::try_from(patches) {
        Ok(0) => String::new(),
        patches => {
            let patches = patches.map_or_else(|_| "all patches".to_owned(), |patches| count(patches, "patch"));
            format!(", whose {patches} {verb} discarded")
        }
    }
}

pub(crate) fn status(client: &mut Client, exit_code: bool, output: &Output) -> Result<ExitCode, Failure> {
    let result = client.call("status", &json!({}))?;
    if output.json() {
        output.document(&result)?;
    }
    let status: Status = client::read(result)?;
    if !output.json() {
        output.text(describe_status(&status, output))?;
    }
    let fine = !exit_code || status.health.state == Health::READY;
    Ok(if fine { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn describe_status(status: &Status, output: &Output) -> String {
    let now = report::timestamp(SystemTime::now());
    let table = &status.table;
    let cores: Vec<_> = status.workers.iter().map(|worker| worker.core.to_string()).collect();
    let mut rows = vec![
        [
            "state".to_owned(),
            output.tone(if status.state == "forwarding" { Tone::Good } else { Tone::Bad }, &status.state),
        ],
        [
            "health".to_owned(),
            output
                .tone(if status.health.state == Health::READY { Tone::Good } else { Tone::Bad }, &status.health.state),
        ],
        ["generation".to_owned(), {
            let generation = output.tone(Tone::Strong, status.generation);
            let revision = match status.revision {
                0 => String::new(),
                revision => format!(", revision {revision}"),
            };
            format!("{generation}{revision}, for {}", span(now.saturating_sub(table.since)))
        }],
        ["table".to_owned(), {
            let (prefixes, servers) = (count(table.prefixes, "prefix"), count(table.servers, "server"));
            format!("{}: {prefixes}, {servers}, {}", table.path, count(table.datacenters, "data centre"))
        }],
        [format!("from {}", status.datacenter), {
            let (targets, remotes) = (count(table.targets, "target"), count(table.remotes, "other data centre"));
            format!("{targets}, {remotes}, {}", memory(table.bytes))
        }],
        ["workers".to_owned(), format!("{}, on core {}", status.workers.len(), cores.join(", "))],
    ];
    rows.splice(2..2, status.health.reasons.iter().map(|reason| ["because".to_owned(), reason.message.clone()]));
    let otherwise = if status.next_hops.is_some() { "by the kernel's routes" } else { "none" };
    let device = |device: &DeviceStatus| [format!("device {}", device.name), describe_device(device, otherwise)];
    rows.extend(status.devices.iter().map(device));
    rows.extend(status.next_hops.iter().map(|hops| ["next hops".to_owned(), describe_next_hops(hops)]));
    rows.extend(status.last_reload.iter().map(|last| ["last reload".to_owned(), describe_reload(last, now, output)]));
    rows.extend(describe_patches(&status.patches, now, output).map(|patches| ["patches".to_owned(), patches]));
    if status.swap_us.count > 0 {
        let SwapTimes { count, p50, p99, max } = status.swap_us;
        rows.push([
            "swaps".to_owned(),
            format!("{count}, at every worker in {p50} µs (p50), {p99} µs (p99), {max} µs at most"),
        ]);
    }
    rows.extend(status.shadow.iter().map(|shadow| {
        let ago = span(now.saturating_sub(shadow.since));
        ["shadow".to_owned(), format!("generation {}, for {ago}, from {}", shadow.generation, shadow.from)]
    }));
    rows.extend(status.instead.iter().map(|why| ["start".to_owned(), output.tone(Tone::Bad, why)]));
    rows.extend(status.kept.iter().map(|kept| ["kept".to_owned(), describe_kept(kept, output)]));
    let Status { version, pid, uptime_s, config, .. } = status;
    rows.push(["daemon".to_owned(), format!("sluiced {version}, pid {pid}, up {}, by {config}", span(*uptime_s))]);
    columns(&rows.map_rows(), |_| false)
}

/// Rows of two cells as rows of any.
trait MapRows {
    fn map_rows(self) -> Vec<Vec<String>>;
}

impl MapRows for Vec<[String; 2]> {
    fn map_rows(self) -> Vec<Vec<String>> {
        self.into_iter().map(Vec::from).collect()
    }
}

fn describe_kept(kept: &KeptStatus, output: &Output) -> String {
    let well = format!("{} in {}", count(kept.generations, "generation"), kept.folder);
    match &kept.problem {
        None => well,
        Some(problem) => format!("{}: {problem}", output.tone(Tone::Bad, "degraded")),
    }
}

fn describe_next_hops(hops: &NextHopsStatus) -> String {
    let least = hops.least_mtu.map_or_else(|| "none".to_owned(), |mtu| format!("MTU {mtu} or more"));
    let lowered = match hops.lowered.as_slice() {
        [] => String::new(),
        lowered => format!(", {} narrowed by routers", count(lowered.len(), "path")),
    };
    let unresolved = match hops.unresolved.first() {
        None => String::new(),
        Some(first) => {
            let number = hops.servers_unresolved + hops.forwarders_unresolved;
            let UnresolvedStatus { kind, name, address, why } = first;
            format!("; without: {number}, first {kind} {name} at {address}: {why}")
        }
    };
    format!("from the kernel, {least}{lowered}{unresolved}")
}

fn describe_device(device: &DeviceStatus, otherwise: &str) -> String {
    let DeviceStatus { mac, mtu, next_hop_mac, .. } = device;
    let next_hop = next_hop_mac.as_deref().unwrap_or(otherwise);
    let gue = if device.gue { "" } else { ", no GUE accepted" };
    let offloads = if device.offloads.is_empty() { "none".to_owned() } else { device.offloads.join(", ") };
    format!("{mac}, MTU {mtu}, next hop {next_hop}{gue}, offloads: {offloads}")
}

fn describe_reload(last: &ReloadStatus, now: u64, output: &Output) -> String {
    let ReloadStatus { at, by, from, error, .. } = last;
    let outcome = match error {
        None => output.tone(Tone::Good, "done"),
        Some(error) => output.tone(Tone::Bad, error),
    };
    format!("{} ago, {from}, by {by}: {outcome}", span(now.saturating_sub(*at)))
}

fn describe_patches(patches: &PatchesStatus, now: u64, output: &Output) -> Option<String> {
    let PatchesStatus { applied, refused, last } = patches;
    let last = last.as_ref()?;
    let outcome = match &last.error {
        None => output.tone(Tone::Good, "done"),
        Some(error) => output.tone(Tone::Bad, error),
    };
    let ago = span(now.saturating_sub(last.at));
    Some(format!("{applied} applied, {refused} refused; the last {ago} ago, {}, by {}: {outcome}", last.from, last.by))
}

pub(crate) fn stats(client: &mut Client, watch: bool, output: &Output) -> Result<ExitCode, Failure> {
    let mut before: Option<(Instant, Stats)> = None;
    loop {
        let result = client.call("stats", &json!({}))?;
        let now = Instant::now();
        if output.json() {
            output.document(&result)?;
        } else {
            let stats: Stats = client::read(result)?;
            let last = before.as_ref().map(|(then, stats)| (now.duration_since(*then), stats));
            let clear = if watch && output.terminal() { CLEAR } else { "" };
            output.text(format!("{clear}{}", table(&stats, watch, last, output)))?;
            before = Some((now, stats));
        }
        if !watch {
            return Ok(ExitCode::SUCCESS);
        }
        std::thread::sleep(INTERVAL);
    }
}

/// The counters in columns: total, rate while watching, and each worker's where there are several.
fn table(stats: &Stats, watch: bool, last: Option<(Duration, &Stats)>, output: &Output) -> String {
    let workers = if stats.workers.len() > 1 { stats.workers.as_slice() } else { &[] };
    let mut head = vec![format!("generation {}", stats.generation), "total".to_owned()];
    head.extend(watch.then(|| "per second".to_owned()));
    head.extend(workers.iter().map(|worker| format!("worker {}", worker.worker)));
    let total = crate::replay::numbers(&stats.counters);
    let before = last.map(|(elapsed, stats)| (elapsed, crate::replay::numbers(&stats.counters)));
    let each: Vec<_> = workers.iter().map(|worker| crate::replay::numbers(&worker.counters)).collect();
    let mut rows = vec![head];
    for (index, (name, number)) in total.iter().enumerate() {
        if *number == 0 && name.starts_with("drop ") {
            continue;
        }
        let mut row = vec![name.clone(), number.to_string()];
        row.extend(watch.then(|| {
            let before = before.as_ref().and_then(|(elapsed, numbers)| Some((elapsed, numbers.get(index)?.1)));
            before.map_or_else(|| "-".to_owned(), |(elapsed, before)| rate(*number, before, *elapsed))
        }));
        row.extend(each.iter().map(|numbers| numbers.get(index).map_or(0, |(_, number)| *number).to_string()));
        rows.push(row);
    }
    format!(
        "{}{}\n{}",
        columns(&rows, |column| column > 0),
        kernel::table(&stats.kernel),
        crate::replay::conservation(stats.conservation.imbalance, output)
    )
}

fn rate(now: i128, before: i128, elapsed: Duration) -> String {
    format!("{:.0}", now.saturating_sub(before).max(0) as f64 / elapsed.as_secs_f64().max(0.001))
}
