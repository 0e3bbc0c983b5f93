// SPDX-License-Identifier: MIT OR Apache-2.0
//! What is wrong with a configuration file, and where.

use std::fmt;
use std::path::PathBuf;

/// One thing wrong with a configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Line of the file, from 1.
    pub line: usize,
    /// The key with its table path, such as `device[0].mtu`; empty for the whole file.
    pub place: String,
    /// What is wrong there, and what would be right.
    pub message: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let separator = if self.place.is_empty() { "" } else { ": " };
        write!(f, "{}: {}{separator}{}", self.line, self.place, self.message)
    }
}

/// Why a configuration can't be used. Shown, it is one line: the first problem and the number of others.
#[derive(Debug)]
pub enum ConfigError {
    /// The file can't be read.
    Read {
        /// Which file.
        file: PathBuf,
        /// Why not.
        error: std::io::Error,
    },
    /// Its content is wrong; never empty.
    Content {
        /// Which file.
        file: PathBuf,
        /// Unknown keys first, then wrong values, then what is missing; each in the order of the file.
        problems: Vec<Problem>,
    },
}

impl ConfigError {
    /// One line for each problem, with file and line number.
    pub fn lines(&self) -> Vec<String> {
        match self {
            Self::Read { file, error } => vec![format!("cannot read the configuration {}: {error}", file.display())],
            Self::Content { file, problems } => {
                problems.iter().map(|problem| format!("{}:{problem}", file.display())).collect()
            }
        }
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines = self.lines();
        f.write_str(lines.first().map_or("", String::as_str))?;
        match lines.len() {
            0 | 1 => Ok(()),
            2 => f.write_str(" (and 1 more problem)"),
            n => write!(f, " (and {} more problems)", n - 1),
        }
    }
}

impl std::error::Error for ConfigError {}
