// SPDX-License-Identifier: MIT OR Apache-2.0
//! `sluice patch`.

use std::io::{self, Read};
use std::path::Path;
use std::process::ExitCode;

use forwarder::control::generations;
use forwarder::control::methods::DOCUMENT_MAX;
use forwarder::control::report::PatchReport;
use forwarder::control::rpc::{self, RpcError};
use serde_json::{Value, json};
use tables::Faults;
use tables::patch::Patch;

use crate::args::PatchArgs;
use crate::client::{self, Client};
use crate::failure::Failure;
use crate::online;
use crate::output::{Output, count};
use crate::preview;

pub(crate) fn patch(
    client: impl FnOnce() -> Result<Client, Failure>,
    args: &PatchArgs,
    output: &Output,
) -> Result<ExitCode, Failure> {
    let mut params = if args.file == Path::new("-") {
        standard_input()?
    } else {
        json!({ "path": online::absolute(&args.file, "read the patch")? })
    };
    if let Some(params) = params.as_object_mut() {
        params.insert("dry_run".to_owned(), args.dry_run.into());
        params.insert("force".to_owned(), args.force.into());
    }
    let result = client()?.call("patch", &params)?;
    if output.json() {
        output.document(&result)?;
    } else {
        let done: PatchReport = client::read(result)?;
        if let Some(preview) = &done.preview {
            output.text(preview::describe(preview, output))?;
        }
        output.text(describe(&done))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// A patch from standard input. What is wrong with it by itself is told here: a key that comes twice would be lost on the
/// way to the daemon, and line breaks would cut the message.
fn standard_input() -> Result<Value, Failure> {
    let cannot =
        |error: &dyn std::fmt::Display| Failure::new(format!("cannot read the patch from standard input: {error}"));
    let mut json = Vec::new();
    io::stdin().lock().take(DOCUMENT_MAX as u64 + 1).read_to_end(&mut json).map_err(|error| cannot(&error))?;
    if json.len() > DOCUMENT_MAX {
        return Err(cannot(&format!("it has more than {DOCUMENT_MAX} bytes; make several of it, or reload the table")));
    }
    Patch::from_slice(&json).map_err(|faults| refused(&faults))?;
    serde_json::from_slice(&json).map_err(|error| cannot(&error))
}

/// As the daemon would say it, without what it alone knows.
fn refused(faults: &Faults) -> Failure {
    let message = format!("the patch was refused: {}", generations::summary(faults));
    Failure::rpc(&RpcError::with_data(rpc::REFUSED, message, json!({ "faults": faults })))
}

fn describe(done: &PatchReport) -> String {
    let PatchReport { generation, revision, prefixes, parse_ms, build_ms, swap_us, .. } = done;
    let times = format!("read in {parse_ms:.1} ms, built in {build_ms:.1} ms");
    let prefixes = count(*prefixes, "prefix");
    match (done.changed, done.dry_run) {
        (false, _) => format!("revision {revision} of generation {generation} says so already; nothing done"),
        (true, true) => {
            format!("revision {revision} of generation {generation} would change {prefixes}; {times}, not published")
        }
        (true, false) => {
            format!(
                "revision {revision} of generation {generation}, {prefixes} changed; {times}, at every worker in {swap_us} µs"
            )
        }
    }
}
