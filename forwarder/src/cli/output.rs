// SPDX-License-Identifier: MIT OR Apache-2.0
//! Text for people and JSON for programs, on stdout.

use std::fmt::Display;
use std::io::{self, IsTerminal, Write};

use serde::Serialize;

/// How to write.
#[derive(Debug, Clone, Copy)]
pub struct Output {
    program: &'static str,
    json: bool,
    terminal: bool,
    color: bool,
}

/// What a piece of text means; a terminal shows it by colour.
#[derive(Debug, Clone, Copy)]
pub enum Tone {
    /// All is well.
    Good,
    /// It is not.
    Bad,
    /// What matters most.
    Strong,
}

impl Output {
    /// Of `program` to stdout; colour only on a terminal, and not if NO_COLOR is set to anything (no-color.org).
    pub fn new(program: &'static str, json: bool) -> Self {
        let terminal = io::stdout().is_terminal();
        let unwanted = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        Self { program, json, terminal, color: terminal && !unwanted }
    }

    /// Who writes.
    pub fn program(&self) -> &'static str {
        self.program
    }

    /// Whether programs are to read it.
    pub fn json(&self) -> bool {
        self.json
    }

    /// Whether it is written to a terminal.
    pub fn terminal(&self) -> bool {
        self.terminal
    }

    /// One JSON document, as one line.
    pub fn document(&self, document: &impl Serialize) -> io::Result<()> {
        let mut line = serde_json::to_vec(document)?;
        line.push(b'\n');
        write(&line)
    }

    /// Text; a line break is added.
    pub fn text(&self, text: impl Display) -> io::Result<()> {
        write(format!("{text}\n").as_bytes())
    }

    /// `text`, coloured where that is wanted.
    pub fn tone(&self, tone: Tone, text: impl Display) -> String {
        let code = match tone {
            Tone::Good => "32",
            Tone::Bad => "31",
            Tone::Strong => "1",
        };
        if self.color { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_string() }
    }
}

fn write(bytes: &[u8]) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(bytes)?;
    stdout.flush()
}

/// Columns as wide as their widest cell, two spaces apart. A column is aligned to the right if `right` says so.
pub fn columns(rows: &[Vec<String>], right: impl Fn(usize) -> bool) -> String {
    let count = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width =
        |column: usize| rows.iter().filter_map(|row| row.get(column)).map(|cell: &String| cell.chars().count()).max();
    let widths: Vec<usize> = (0..count).map(|column| width(column).unwrap_or(0)).collect();
    let line = |row: &Vec<String>| {
        let cells = row.iter().zip(&widths).enumerate().map(|(column, (cell, &width))| {
            if right(column) { format!("{cell:>width$}") } else { format!("{cell:<width$}") }
        });
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    rows.iter().map(line).collect::<Vec<_>>().join("\n")
}

/// A span of time, to its largest unit.
pub fn span(seconds: u64) -> String {
    match seconds {
        0..120 => format!("{seconds} s"),
        120..7_200 => format!("{} min", seconds / 60),
        7_200..172_800 => format!("{} h", seconds / 3_600),
        _ => format!("{} days", seconds / 86_400),
    }
}

/// An amount of memory.
pub fn memory(bytes: usize) -> String {
    const UNITS: [&str; 4] = ["KiB", "MiB", "GiB", "TiB"];
    let mut amount = bytes as f64;
    let mut unit = "bytes";
    for next in UNITS {
        if amount < 1024.0 {
            break;
        }
        (amount, unit) = (amount / 1024.0, next);
    }
    if unit == "bytes" { format!("{bytes} bytes") } else { format!("{amount:.1} {unit}") }
}

/// `1 server`, `2 servers`.
pub fn count(number: usize, one: &str) -> String {
    if number == 1 { format!("1 {one}") } else { format!("{number} {}", plural(one)) }
}

fn plural(one: &str) -> String {
    if one.ends_with('x') { format!("{one}es") } else { format!("{one}s") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_align() {
        let row = |cells: [&str; 2]| cells.map(str::to_owned).to_vec();
        let text = columns(&[row(["a", "1"]), row(["long", "22"])], |column| column == 1);
        assert_eq!(text, "a      1\nlong  22");
    }

    #[test]
    fn amounts_read_well() {
        assert_eq!(
            [span(0), span(119), span(120), span(7_200), span(172_800)],
            ["0 s", "119 s", "2 min", "2 h", "2 days"]
        );
        assert_eq!(
            [memory(1), memory(1023), memory(1024), memory(1 << 20)],
            ["1 bytes", "1023 bytes", "1.0 KiB", "1.0 MiB"]
        );
        assert_eq!(
            [count(1, "prefix"), count(2, "prefix"), count(0, "server")],
            ["1 prefix", "2 prefixes", "0 servers"]
        );
    }
}
