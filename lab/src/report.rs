// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the lab says while it runs, and at its end.

use std::fmt::Display;
use std::io::IsTerminal;
use std::time::Instant;

use serde_json::{Value, json};

/// Something that had to be so.
pub(crate) struct Check {
    step: &'static str,
    passed: bool,
    what: String,
    figures: String,
}

/// The commentary, and all checks so far.
pub(crate) struct Report {
    json: bool,
    colour: bool,
    start: Instant,
    step: &'static str,
    checks: Vec<Check>,
}

impl Report {
    /// Honours `NO_COLOR`; with `json` there is no commentary, and a document at the end.
    pub(crate) fn new(json: bool) -> Self {
        let wanted = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        let colour = wanted && std::io::stdout().is_terminal();
        Self { json, colour, start: Instant::now(), step: "start", checks: vec![] }
    }

    fn paint(&self, code: &str, text: impl Display) -> String {
        if self.colour { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_string() }
    }

    fn print(&self, line: impl Display) {
        if !self.json {
            println!("{line}");
        }
    }

    /// A step of the story begins.
    pub(crate) fn step(&mut self, name: &'static str, title: &str) {
        self.step = name;
        self.print(format_args!("\n{}", self.paint("1", format_args!("{name}: {title}"))));
    }

    /// A line of commentary.
    pub(crate) fn say(&self, text: impl Display) {
        self.print(format_args!("  {:>5.1} s  {text}", self.start.elapsed().as_secs_f64()));
    }

    /// Something that has to be so, and the figures that say whether it is.
    pub(crate) fn check(&mut self, passed: bool, what: &str, figures: impl Display) {
        let mark = if passed { self.paint("32", "PASS") } else { self.paint("1;31", "FAIL") };
        self.print(format_args!("     {mark}  {what}: {figures}"));
        let figures = figures.to_string();
        self.checks.push(Check { step: self.step, passed, what: what.to_owned(), figures });
    }

    pub(crate) fn all_passed(&self) -> bool {
        !self.checks.is_empty() && self.checks.iter().all(|check| check.passed)
    }

    /// Whether something that was broken on purpose was noticed, and not just everything fails.
    pub(crate) fn has_caught(&self) -> bool {
        let failed = self.checks.iter().filter(|check| !check.passed).count();
        (1..self.checks.len()).contains(&failed)
    }

    /// The table of results, or the document.
    pub(crate) fn end(&self, picture: Option<&std::path::Path>) {
        let (passed, seconds) = (self.all_passed(), self.start.elapsed().as_secs_f64());
        if self.json {
            let checks: Vec<_> = self.checks.iter().map(Check::to_json).collect();
            println!("{}", json!({ "ok": passed, "seconds": seconds, "picture": picture, "checks": checks }));
            return;
        }
        println!("\n{}", self.paint("1", "Results"));
        let mut step = "";
        for check in &self.checks {
            let name = if check.step == step { "" } else { check.step };
            step = check.step;
            let mark = if check.passed { self.paint("32", "PASS") } else { self.paint("1;31", "FAIL") };
            println!("  {name:<11} {mark}  {}: {}", check.what, check.figures);
        }
        if let Some(picture) = picture {
            println!("\nWho talked to whom: {}", picture.display());
        }
        let failed = self.checks.iter().filter(|check| !check.passed).count();
        println!("\n{} checks in {seconds:.0} s, {failed} failed.", self.checks.len());
    }
}

impl Check {
    fn to_json(&self) -> Value {
        json!({ "step": self.step, "passed": self.passed, "what": self.what, "figures": self.figures })
    }
}
