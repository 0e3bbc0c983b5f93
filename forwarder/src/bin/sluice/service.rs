// SPDX-License-Identifier: MIT OR Apache-2.0
//! `sluice health`, `sluice drain` and `sluice undrain`.

use std::process::ExitCode;
use std::time::Duration;

use forwarder::control::report::{Health, Status};
use serde_json::json;

use crate::client::{self, Client};
use crate::failure::Failure;
use crate::output::{Output, Tone};

/// A daemon that takes longer to say that it is well is not. It gives a stuck worker half a second.
const PATIENCE: Duration = Duration::from_secs(3);

pub(crate) fn health(client: Client, output: &Output) -> Result<ExitCode, Failure> {
    let status: Status = client::read(client.impatient(PATIENCE)?.call("status", &json!({}))?)?;
    let Status { health, announced, .. } = status;
    if output.json() {
        let Health { state, in_service, reasons } = &health;
        let document = json!({
            "state": state, "in_service": in_service, "announced": announced, "reasons": reasons
        });
        output.document(&document)?;
    } else {
        output.text(describe(&health, announced, output))?;
    }
    Ok(if health.in_service { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn describe(health: &Health, announced: Option<bool>, output: &Output) -> String {
    let service = if health.in_service {
        output.tone(Tone::Good, "in service")
    } else {
        output.tone(Tone::Bad, "out of service")
    };
    let signals = match announced {
        Some(true) => ", may be announced",
        Some(false) if health.in_service => ", not announced yet",
        Some(false) => ", not announced",
        None => "",
    };
    let reasons = health.reasons.iter().map(|reason| format!("\n{}", reason.message));
    format!("{}, {service}{signals}{}", health.state, reasons.collect::<String>())
}

pub(crate) fn drain(client: &mut Client, output: &Output) -> Result<ExitCode, Failure> {
    change(client, "drain", "drains: not announced, and forwards on", "drained already", output)
}

pub(crate) fn undrain(client: &mut Client, output: &Output) -> Result<ExitCode, Failure> {
    change(
        client,
        "undrain",
        "drains no longer: announced when all has been well for a while",
        "was not drained",
        output,
    )
}

fn change(client: &mut Client, method: &str, done: &str, already: &str, output: &Output) -> Result<ExitCode, Failure> {
    let result = client.call(method, &json!({}))?;
    if output.json() {
        output.document(&result)?;
    } else {
        let changed = result.get("changed").and_then(serde_json::Value::as_bool).unwrap_or(true);
        output.text(if changed { done } else { already })?;
    }
    Ok(ExitCode::SUCCESS)
}
