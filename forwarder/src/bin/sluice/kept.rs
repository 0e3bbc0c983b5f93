// SPDX-License-Identifier: MIT OR Apache-2.0
//! `sluice generations` and `sluice rollback`.

use std::process::ExitCode;
use std::time::SystemTime;

use forwarder::control::kept::KeptGeneration;
use forwarder::control::report::{self, KeptGenerations};
use serde_json::json;

use crate::args::RollbackArgs;
use crate::client::{self, Client};
use crate::failure::Failure;
use crate::online;
use crate::output::{Output, Tone, columns, memory, span};

pub(crate) fn rollback(
    client: impl FnOnce() -> Result<Client, Failure>,
    args: &RollbackArgs,
    output: &Output,
) -> Result<ExitCode, Failure> {
    let params = json!({ "generation": args.generation, "dry_run": args.dry_run, "force": args.force });
    online::told(client()?.call("rollback", &params)?, output)
}

pub(crate) fn generations(client: &mut Client, output: &Output) -> Result<ExitCode, Failure> {
    let result = client.call("generations", &json!({}))?;
    if output.json() {
        output.document(&result)?;
        return Ok(ExitCode::SUCCESS);
    }
    let KeptGenerations { kept, generations } = client::read(result)?;
    let Some(kept) = kept else {
        output.text("no generation is kept; set state.generations in the configuration")?;
        return Ok(ExitCode::SUCCESS);
    };
    let now = report::timestamp(SystemTime::now());
    let head = ["", "generation", "revision", "accepted", "size", "by", "from"].map(str::to_owned).to_vec();
    let rows = generations.iter().map(|kept| {
        let KeptGeneration { generation, revision, accepted, by, from, bytes, running, .. } = kept;
        let ago = format!("{} ago", span(now.saturating_sub(*accepted)));
        let mark = if *running { "*" } else { "" }.to_owned();
        let size = memory(usize::try_from(*bytes).unwrap_or(usize::MAX));
        vec![mark, generation.to_string(), revision.to_string(), ago, size, by.clone(), from.clone()]
    });
    let rows: Vec<_> = std::iter::once(head).chain(rows).collect();
    output.text(columns(&rows, |column| (1..=4).contains(&column)))?;
    if let Some(problem) = kept.problem {
        output.text(format!("{}: {problem}", output.tone(Tone::Bad, "degraded")))?;
    }
    Ok(ExitCode::SUCCESS)
}
