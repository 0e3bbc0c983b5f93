// SPDX-License-Identifier: MIT OR Apache-2.0
//! Whether a machine is fit to forward: what was found, why it matters, the command that mends it.

mod cores;
mod devices;
mod memory;
mod process;
mod routes;

use serde::{Deserialize, Serialize};

use super::config::Config;
use super::machine::Machine;

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// As it should be.
    Ok,
    /// It forwards, but slower or less evenly than it could.
    Warn,
    /// It does not start, or does not forward.
    Fail,
}

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// What was looked at; always the same word.
    pub check: String,
    /// How bad it is.
    pub level: Level,
    /// What was found.
    pub what: String,
    /// Why that matters, unless it is as it should be.
    pub why: Option<String>,
    /// The command to mend it, likewise.
    pub fix: Option<String>,
}

/// Everything that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// Whether nothing fails.
    pub ok: bool,
    /// In the order of looking.
    pub findings: Vec<Finding>,
}

/// Looks at `machine`, for a forwarder of `config` if there is one; else only at what matters to any.
pub fn examine(machine: &Machine, config: Option<&Config>) -> Report {
    let mut findings = Findings::default();
    memory::examine(machine, config, &mut findings);
    cores::examine(machine, config, &mut findings);
    devices::examine(machine, config, &mut findings);
    process::examine(machine, config, &mut findings);
    routes::examine(machine, config, &mut findings);
    let Findings(findings) = findings;
    Report { ok: findings.iter().all(|finding| finding.level < Level::Fail), findings }
}

/// What was found so far.
#[derive(Default)]
struct Findings(Vec<Finding>);

impl Findings {
    fn ok(&mut self, check: &str, what: impl Into<String>) {
        let (check, what) = (check.to_owned(), what.into());
        self.0.push(Finding { check, level: Level::Ok, what, why: None, fix: None });
    }

    fn warn(&mut self, check: &str, what: impl Into<String>, why: &str, fix: impl Into<String>) {
        self.add(Level::Warn, check, what, why, fix);
    }

    fn fail(&mut self, check: &str, what: impl Into<String>, why: &str, fix: impl Into<String>) {
        self.add(Level::Fail, check, what, why, fix);
    }

    fn add(&mut self, level: Level, check: &str, what: impl Into<String>, why: &str, fix: impl Into<String>) {
        let (what, why, fix) = (what.into(), Some(why.to_owned()), Some(fix.into()));
        self.0.push(Finding { check: check.to_owned(), level, what, why, fix });
    }
}
