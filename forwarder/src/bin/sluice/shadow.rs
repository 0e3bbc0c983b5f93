// SPDX-License-Identifier: MIT OR Apache-2.0
//! `sluice shadow`: a table held against live packets.

use std::process::ExitCode;
use std::time::SystemTime;

use forwarder::control::report::{self, ShadowExample, ShadowPair, ShadowParty, ShadowReport, ShadowStatus};
use forwarder::explain::Verdict;
use forwarder::shadow::Kind;
use serde_json::{Value, json};

use crate::args::ShadowArgs;
use crate::client::{self, Client};
use crate::failure::Failure;
use crate::online::{CLEAR, INTERVAL, absolute, looking_on, told};
use crate::output::{Output, Tone, columns, span};
use crate::preview;
use crate::progress::Progress;

pub(crate) fn shadow(
    client: impl FnOnce() -> Result<Client, Failure>,
    args: &ShadowArgs,
    output: &Output,
) -> Result<ExitCode, Failure> {
    let result = if let Some(file) = &args.file {
        let path = absolute(file, "read the table")?;
        let mut client = client()?;
        let progress = Progress::start(format!("sluiced loads {path}"), looking_on(client.socket().to_owned()));
        let result = client.call("shadow_begin", &json!({ "path": path, "sample": args.sample }));
        drop(progress);
        result?
    } else if args.commit {
        return told(client()?.call("shadow_commit", &json!({ "force": args.force }))?, output);
    } else if args.discard {
        client()?.call("shadow_discard", &json!({}))?
    } else {
        return look(&mut client()?, args.watch, output);
    };
    let over = if args.discard { "discarded" } else { "beside what runs" };
    print(result, over, output)
}

fn look(client: &mut Client, watch: bool, output: &Output) -> Result<ExitCode, Failure> {
    loop {
        let result = client.call("shadow", &json!({}))?;
        if watch && output.terminal() && !output.json() {
            output.text(CLEAR)?;
        }
        print(result, "beside what runs", output)?;
        if !watch {
            return Ok(ExitCode::SUCCESS);
        }
        std::thread::sleep(INTERVAL);
    }
}

fn print(result: Value, state: &str, output: &Output) -> Result<ExitCode, Failure> {
    if output.json() {
        output.document(&result)?;
        return Ok(ExitCode::SUCCESS);
    }
    match client::read::<ShadowStatus>(result)?.shadow {
        Some(shadow) => output.text(describe(&shadow, state, output))?,
        None => output.text("there is no shadow; sluice shadow FILE begins one")?,
    }
    Ok(ExitCode::SUCCESS)
}

fn describe(shadow: &ShadowReport, state: &str, output: &Output) -> String {
    let ShadowReport { generation, from, by, since, sample, packets, pairs, more_pairs, unpaired, .. } = shadow;
    let ago = span(report::timestamp(SystemTime::now()).saturating_sub(*since));
    let mut lines = vec![
        output.tone(Tone::Strong, format!("generation {generation} {state}, from {from}")),
        format!("by {by}, for {ago}; {packets} packets seen, one in {sample}"),
    ];
    lines.extend(
        shadow.obstacle.iter().map(|why| output.tone(Tone::Bad, format!("to publish it takes --force: {why}"))),
    );
    if let Some(preview) = &shadow.preview {
        lines.extend(preview::lines(preview));
    } else if *packets > 0 {
        lines.push(kinds(shadow));
    }
    if !pairs.is_empty() {
        lines.push(columns(&pairs.iter().map(|pair| row(pair, *packets)).collect::<Vec<_>>(), |column| column > 3));
    }
    if *more_pairs > 0 {
        lines.push(format!("… and {more_pairs} more pairs"));
    }
    if *unpaired > 0 {
        lines.push(format!("{unpaired} packets that differ are in no pair: there were too many at once"));
    }
    lines.join("\n")
}

/// How fates differ: a line for each kind that there is.
fn kinds(shadow: &ShadowReport) -> String {
    let words = |kind| match kind {
        Kind::Same => "as now",
        Kind::Moved => "from one owner to another",
        Kind::NewlyDropped => "newly dropped",
        Kind::NewlyForwarded => "newly forwarded",
        Kind::NewlyRemote => "newly across the backbone",
        Kind::NewlyLocal => "newly served here",
        Kind::NewlyKernel => "newly for the kernel",
        Kind::NewlyAnswered => "newly answered here",
        Kind::Unknown => "not known: later fragments",
    };
    let row = |kind: Kind| {
        let traffic = shadow.kinds.get(kind.name()).filter(|traffic| traffic.packets > 0)?;
        let packets = format!("{} packets", traffic.packets);
        Some(vec!["  ".to_owned() + words(kind), share(traffic.packets, shadow.packets), packets])
    };
    columns(&Kind::ALL.into_iter().filter_map(row).collect::<Vec<_>>(), |column| column > 0)
}

fn row(pair: &ShadowPair, all: u64) -> Vec<String> {
    let example = pair.examples.first().map(example).unwrap_or_default();
    let packets = format!("{} packets", pair.packets);
    vec![
        "  ".to_owned() + &name(&pair.from),
        "→".to_owned(),
        name(&pair.to),
        example,
        share(pair.packets, all),
        packets,
    ]
}

fn name(party: &ShadowParty) -> String {
    match party.verdict {
        Verdict::Datacenter => format!("data centre {}", party.name()),
        Verdict::Drop => format!("drop {}", party.name()),
        _ => party.name().to_owned(),
    }
}

fn example(packet: &ShadowExample) -> String {
    let ShadowExample { source, destination, protocol, port, .. } = packet;
    let (Some(source), Some(destination)) = (source, destination) else { return String::new() };
    match port {
        Some(port) => format!("{source} to {destination} port {port}, protocol {protocol}"),
        None => format!("{source} to {destination}, protocol {protocol}"),
    }
}

fn share(packets: u64, all: u64) -> String {
    format!("{:.2} %", 100.0 * packets as f64 / all.max(1) as f64)
}
