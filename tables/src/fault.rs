// SPDX-License-Identifier: MIT OR Apache-2.0
//! What is wrong with a table, and where.

use std::fmt;

use serde::Serialize;

/// One thing wrong with a table document.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Fault {
    /// The place as a JSON path: `egress[0].slices.owners[3]`, `servers["lhr 1"]`; empty for the whole document.
    pub path: String,
    /// What is wrong there, and what would be right.
    pub message: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.path.is_empty() { f.write_str(&self.message) } else { write!(f, "{}: {}", self.path, self.message) }
    }
}

/// Everything wrong with a table document, in the order of the document; never empty as an error.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, thiserror::Error)]
#[error("{} fault{} in the table", .0.len(), if .0.len() == 1 { "" } else { "s" })]
pub struct Faults(pub Vec<Fault>);
