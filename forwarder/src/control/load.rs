// SPDX-License-Identifier: MIT OR Apache-2.0
//! Reads table documents from files and from the socket.

use std::fmt;
use std::fs::File;
use std::io::{BufReader, Error, ErrorKind};
use std::path::Path;

use tables::{Fault, Faults, Source};

/// Large reads: a table may have hundreds of megabytes.
const BUFFER: usize = 1 << 20;

/// Where a table document is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Document<'a> {
    /// In this file.
    File(&'a Path),
    /// Here, as text.
    Text(&'a str),
}

impl Document<'_> {
    /// Reads and validates the document. A file that can't be read is a fault of the whole document; its name, as with
    /// every fault, is for the caller to say.
    pub fn read(self) -> Result<Source, Faults> {
        match self {
            Self::Text(json) => Source::from_slice(json.as_bytes()),
            Self::File(path) => match open(path) {
                Ok(file) => Source::from_reader(BufReader::with_capacity(BUFFER, file)),
                Err(error) => {
                    Err(Faults(vec![Fault { path: String::new(), message: format!("cannot be read: {error}") }]))
                }
            },
        }
    }
}

/// For the beginning of a sentence.
impl fmt::Display for Document<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(f, "the table {}", path.display()),
            Self::Text(_) => f.write_str("the table"),
        }
    }
}

/// Opens a regular file. Opening a pipe would wait for a writer, and reading a terminal for a user.
fn open(path: &Path) -> Result<File, Error> {
    if !std::fs::metadata(path)?.is_file() {
        return Err(Error::new(ErrorKind::InvalidInput, "not a regular file"));
    }
    File::open(path)
}
