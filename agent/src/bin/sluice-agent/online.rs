// SPDX-License-Identifier: MIT OR Apache-2.0
//! Commands that ask the agent by its socket.

use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::ExitCode;

use agent::report::{Address, Choice, Device, Health, Reloaded, Role, Slices, Status};
use agent::sockets::Slice;
use forwarder::cli::client::{self, Client};
use forwarder::cli::failure::Failure;
use forwarder::cli::output::{Output, Tone, columns, count, span};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::args::ExecArgs;

/// Of those who were caught, the latest.
const SHOWN: usize = 3;

pub(crate) fn status(client: &mut Client, output: &Output) -> Result<ExitCode, Failure> {
    ask(client, "status", &json!({}), output, |status: Status| describe(&status, output))
}

pub(crate) fn slices(client: &mut Client, output: &Output) -> Result<ExitCode, Failure> {
    ask(client, "slices", &json!({}), output, |slices: Slices| list(&slices, output))
}

pub(crate) fn health(client: &mut Client, output: &Output) -> Result<ExitCode, Failure> {
    let result = client.call("health", &json!({}))?;
    let health: Health = client::read(result.clone())?;
    if output.json() {
        output.document(&result)?;
    } else {
        output.text(well(&health, output))?;
    }
    Ok(if health.reasons.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

pub(crate) fn reload(client: &mut Client, file: Option<&Path>, output: &Output) -> Result<ExitCode, Failure> {
    let params = match file {
        Some(file) => {
            let path = std::path::absolute(file).map_err(|error| Failure::file("find", file, error))?;
            json!({ "path": path })
        }
        None => json!({}),
    };
    ask(client, "reload", &params, output, |Reloaded { previous, generation, changed }: Reloaded| {
        let same = if changed { "" } else { "; nothing is another for this server" };
        format!("generation {generation}, before it {previous}{same}")
    })
}

pub(crate) fn metrics(client: &mut Client, output: &Output) -> Result<ExitCode, Failure> {
    let result = client.call("metrics", &json!({}))?;
    if output.json() {
        output.document(&result)?;
    } else {
        output.text(result.get("text").and_then(Value::as_str).unwrap_or_default().trim_end())?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Becomes the program, which the agent holds to what this server owns from now on.
pub(crate) fn exec(client: &mut Client, args: &ExecArgs) -> Result<ExitCode, Failure> {
    let mut params = json!({ "tags": args.tags });
    if let (Some(params), Some(family)) = (params.as_object_mut(), args.family) {
        params.insert("family".to_owned(), family.into());
    }
    client.call("exec", &params)?;
    let Some((program, words)) = args.command.split_first() else { return Ok(ExitCode::from(2)) };
    let error = std::process::Command::new(program).args(words).exec();
    Err(Failure::file("run", Path::new(program), error))
}

/// Calls a method; its result as it came for programs, or what `words` makes of it.
fn ask<T: DeserializeOwned>(
    client: &mut Client,
    method: &str,
    params: &Value,
    output: &Output,
    words: impl FnOnce(T) -> String,
) -> Result<ExitCode, Failure> {
    let result = client.call(method, params)?;
    if output.json() {
        output.document(&result)?;
    } else {
        output.text(words(client::read(result)?))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn well(health: &Health, output: &Output) -> String {
    let tone = if health.reasons.is_empty() { Tone::Good } else { Tone::Bad };
    let reasons = health.reasons.iter().map(|reason| format!("\n{reason}"));
    format!("{}{}", output.tone(tone, &health.state), reasons.collect::<String>())
}

fn describe(status: &Status, output: &Output) -> String {
    let Status { server, generation, table, uptime_seconds, health, addresses, ports, draining, .. } = status;
    let mut lines = vec![
        format!("{}: {}", output.tone(Tone::Strong, server), well(health, output)),
        format!("generation {generation} of {table}, up {}", span(*uptime_seconds)),
    ];
    lines.extend(status.devices.iter().map(|Device { device, xdp, why }| {
        let why = why.as_ref().map(|why| format!(" ({why})")).unwrap_or_default();
        format!("receives by {device}, {xdp}{why}")
    }));
    if let Some(Choice { range, reserved }) = ports {
        let without = if reserved.is_empty() { String::new() } else { format!(" without {reserved}") };
        lines.push(format!("the kernel chooses ports {range}{without}"));
    }
    if *draining > 0 {
        lines.push(format!("{} on ports that are not this server's", count(*draining as usize, "socket")));
    }
    lines.extend(status.guard.caught.iter().rev().take(SHOWN).map(|caught| format!("caught: {caught}")));
    lines.extend(status.warnings.iter().map(|warning| format!("warning: {warning}")));
    let row = |Address { prefix, role, sockets, foreign }: &Address| {
        let role = match role {
            Role::Owned => "owned",
            Role::Draining => "draining: another server owns it now",
            Role::Lingering => "lingering: held for its sockets alone",
        };
        let foreign = if *foreign { ", not put by the agent" } else { "" };
        vec![prefix.clone(), count(*sockets as usize, "socket"), format!("{role}{foreign}")]
    };
    let rows: Vec<_> = addresses.iter().map(row).collect();
    lines.push(if rows.is_empty() { "no addresses".to_owned() } else { columns(&rows, |column| column == 1) });
    lines.join("\n")
}

fn list(slices: &Slices, output: &Output) -> String {
    let head = ["PREFIX", "PORTS", "TCP", "LISTEN", "OVER", "UDP", "IN USE", ""].map(str::to_owned).to_vec();
    let row = |slice: &Slice| {
        let note = match (slice.own, slice.nearly_exhausted) {
            (false, _) => "not this server's",
            (true, true) => "nearly exhausted",
            (true, false) => "",
        };
        vec![
            slice.prefix.clone(),
            slice.ports.clone(),
            slice.connections.to_string(),
            slice.listening.to_string(),
            slice.time_wait.to_string(),
            slice.udp.to_string(),
            format!("{:.1} %", slice.share() * 100.0),
            note.to_owned(),
        ]
    };
    let rows: Vec<_> = [head].into_iter().chain(slices.slices.iter().map(row)).collect();
    let title = format!("{}, generation {}", output.tone(Tone::Strong, &slices.server), slices.generation);
    format!("{title}\n{}", columns(&rows, |column| (2..7).contains(&column)))
}
