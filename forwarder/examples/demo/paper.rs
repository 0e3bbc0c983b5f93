// SPDX-License-Identifier: MIT OR Apache-2.0
//! How a run is printed: headings, lines, checks.

use std::fmt::Display;
use std::io::IsTerminal;

/// Prints with colour on a terminal, without it elsewhere.
pub(crate) struct Paper {
    colour: bool,
}

/// Width of the report's first column.
const LABEL: usize = 12;

impl Paper {
    /// For standard output; honours `NO_COLOR`.
    pub(crate) fn new() -> Self {
        let wanted = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        Self { colour: wanted && std::io::stdout().is_terminal() }
    }

    /// Text in a colour (SGR parameters).
    pub(crate) fn paint(&self, code: &str, text: impl Display) -> String {
        if self.colour { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_string() }
    }

    /// A heading with an empty line before it.
    pub(crate) fn heading(&self, text: &str) {
        println!("\n{}", self.paint("1", text));
    }

    /// A line of the story.
    pub(crate) fn line(&self, label: &str, text: impl Display) {
        println!("  {label:<LABEL$} {text}");
    }

    /// Something quoted, indented.
    pub(crate) fn quote(&self, text: &str) {
        for line in text.lines() {
            println!("  {line}");
        }
    }

    /// A check; what it found when it fails. Returns whether it passed.
    pub(crate) fn check(&self, passed: bool, what: &str, found: impl Display) -> bool {
        let mark = if passed { self.paint("32", "ok  ") } else { self.paint("1;31", "FAIL") };
        if passed {
            println!("  {mark} {what}")
        } else {
            println!("  {mark} {what}: {found}")
        }
        passed
    }
}

/// A number with a comma for each three digits.
pub(crate) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}
