// SPDX-License-Identifier: MIT OR Apache-2.0
//! What went wrong: one line on stderr; on stdout a document with `--json`, and what one line can't hold without.

use std::fmt::Display;
use std::io::{self, ErrorKind, Write};
use std::path::Path;
use std::process::ExitCode;

use crate::control::config::ConfigError;
use crate::control::generations;
use crate::control::rpc::RpcError;
use serde_json::{Value, json};
use tables::Faults;

use super::output::Output;
use super::preview;

/// Why a command failed.
#[derive(Debug)]
pub enum Failure {
    /// It can be told.
    Told {
        /// In one line.
        message: String,
        /// Everything that is wrong, each in a line.
        list: Vec<String>,
        /// What the JSON document says of it; none if stdout has its document already.
        error: Option<Value>,
    },
    /// Whoever read our output has gone: no reason to complain.
    BrokenPipe,
}

impl Failure {
    /// One that a line tells.
    pub fn new(message: impl Into<String>) -> Self {
        let message = message.into();
        let error = Some(json!({ "message": message }));
        Self::Told { message, list: Vec::new(), error }
    }

    /// A failure of which stdout has been `shown` what there is to see; where it can't be written, that comes first.
    /// A reader that has seen enough does not make it a success.
    pub fn after(shown: io::Result<()>, message: impl Into<String>) -> Self {
        match shown {
            Err(error) if error.kind() != ErrorKind::BrokenPipe => error.into(),
            _ => Self::Told { message: message.into(), list: Vec::new(), error: None },
        }
    }

    /// The file can't be read or written.
    pub fn file(what: &str, path: &Path, error: impl Display) -> Self {
        Self::new(format!("cannot {what} {}: {error}", path.display()))
    }

    /// The daemon has refused.
    pub fn rpc(error: &RpcError) -> Self {
        let faults = error.data.as_ref().and_then(|data| data.get("faults")).and_then(Value::as_array);
        let mut list: Vec<String> = faults.into_iter().flatten().map(fault).collect();
        let preview = error.data.as_ref().and_then(|data| data.get("preview")).cloned();
        let preview = preview.and_then(|preview| serde_json::from_value(preview).ok());
        list.extend(preview.iter().flat_map(preview::lines));
        Self::Told { message: error.message.clone(), list, error: Some(json!(error)) }
    }

    /// Several lines, the last of which says it all.
    pub fn lines(mut lines: Vec<String>) -> Self {
        let message = lines.last().cloned().unwrap_or_default();
        if lines.len() > 1 {
            lines.pop();
        }
        let error = Some(json!({ "message": message, "data": { "problems": lines } }));
        Self::Told { message, list: lines, error }
    }

    /// The configuration can't be used.
    pub fn config(error: &ConfigError) -> Self {
        let (message, list) = (error.to_string(), error.lines());
        let error = Some(json!({ "message": message, "data": { "problems": list } }));
        Self::Told { message, list, error }
    }

    /// A valid table that does not suit the forwarder it is compiled for: nothing else lists such faults.
    pub fn unsuited(path: &Path, faults: &Faults) -> Self {
        let message = format!("{}: {}", path.display(), generations::summary(faults));
        let error = Some(json!({ "message": message, "data": { "faults": faults } }));
        Self::Told { message, list: faults.0.iter().map(ToString::to_string).collect(), error }
    }

    /// A table file that is no valid table, where one is needed.
    pub fn table(path: &Path, faults: &Faults) -> Self {
        let first = faults.0.first().map(ToString::to_string).unwrap_or_default();
        let more = match faults.0.len() {
            0 | 1 => String::new(),
            n => format!(" (and {} more; sluice table check {} lists them)", n - 1, path.display()),
        };
        let message = format!("{}: {first}{more}", path.display());
        let error = Some(json!({ "message": message, "data": { "faults": faults } }));
        Self::Told { message, list: Vec::new(), error }
    }

    /// Tells it, and gives the exit status.
    pub fn report(self, output: &Output) -> ExitCode {
        let Self::Told { message, list, error } = self else { return ExitCode::SUCCESS };
        // Whoever can't read this has the status and the line.
        let _ = match error {
            Some(error) if output.json() => output.document(&json!({ "error": error })),
            _ if !output.json() && list.len() > 1 => output.text(list.join("\n")),
            _ => Ok(()),
        };
        let line = message.replace('\n', "; ");
        let _ = writeln!(io::stderr(), "{}: {line}", output.program());
        ExitCode::FAILURE
    }
}

impl Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Told { message, .. } => message,
            Self::BrokenPipe => "nobody reads on",
        })
    }
}

/// A fault, as the daemon's answer has it, in a line.
fn fault(fault: &Value) -> String {
    let text = |key| fault.get(key).and_then(Value::as_str).unwrap_or_default();
    let separator = if text("path").is_empty() { "" } else { ": " };
    format!("{}{separator}{}", text("path"), text("message"))
}

/// Of writing to stdout.
impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        if error.kind() == ErrorKind::BrokenPipe {
            Self::BrokenPipe
        } else {
            Self::new(format!("cannot write to standard output: {error}"))
        }
    }
}
