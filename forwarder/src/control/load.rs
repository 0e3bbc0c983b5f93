// SPDX-License-Identifier: MIT OR Apache-2.0
//! Reads table documents and patches from files and from the socket.

use std::borrow::Cow;
use std::fmt;
use std::fs::File;
use std::io::{BufReader, Error, ErrorKind, Read};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use serde::Deserialize;
use tables::source::Bounded;
use tables::{Fault, Faults, Source};

use crate::io::counted::Counted;

/// Large reads: a table may have hundreds of megabytes.
const BUFFER: usize = 1 << 20;

/// Longest patch, and longest document on the socket (contract section 4), in bytes.
pub const DOCUMENT_MAX: usize = 64 << 20;

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
        self.read_and_tell(&Loading::default())
    }

    /// The same, telling how far it is.
    pub fn read_and_tell(self, loading: &Loading) -> Result<Source, Faults> {
        let path = match self {
            Self::Text(json) => return Source::from_slice(json.as_bytes()),
            Self::File(path) => path,
        };
        let file = open(path).map_err(|error| unreadable(&error))?;
        let _told = loading.begin(&file);
        Source::from_reader(BufReader::with_capacity(BUFFER, Counted(file, Arc::clone(&loading.read))))
    }

    /// The generation that it gives itself, by a glance that validates nothing; an error if it is no JSON object at all.
    pub fn generation(self) -> Result<Option<u64>, Faults> {
        #[derive(Deserialize)]
        struct Number {
            generation: Option<u64>,
        }
        let number: Result<Number, _> = match self {
            Self::Text(json) => serde_json::from_str(json),
            Self::File(path) => {
                let file = open(path).map_err(|error| unreadable(&error))?;
                serde_json::from_reader(Bounded::new(BufReader::with_capacity(BUFFER, file)))
            }
        };
        number.map(|number| number.generation).map_err(|error| whole(format!("cannot be used: {error}")))
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

/// How much of a file has been read; of a table that is read, one at a time.
#[derive(Debug, Default)]
pub struct Loading {
    read: Arc<AtomicU64>,
    /// Bytes that there are; 0 while nothing is read.
    total: AtomicU64,
}

impl Loading {
    fn begin(&self, file: &File) -> Told<'_> {
        self.read.store(0, Ordering::Relaxed);
        self.total.store(file.metadata().map_or(0, |metadata| metadata.len()), Ordering::Relaxed);
        Told(self)
    }

    /// Bytes read so far, and bytes that there are; none while nothing is read.
    pub fn so_far(&self) -> Option<(u64, u64)> {
        let total = self.total.load(Ordering::Relaxed);
        (total > 0).then(|| (self.read.load(Ordering::Relaxed).min(total), total))
    }
}

/// Nothing is read any more when this is dropped.
struct Told<'l>(&'l Loading);

impl Drop for Told<'_> {
    fn drop(&mut self) {
        self.0.total.store(0, Ordering::Relaxed);
    }
}

/// Where a patch is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PatchDocument<'a> {
    /// In this file.
    File(&'a Path),
    /// Here, as text.
    Text(String),
}

impl PatchDocument<'_> {
    /// Reads the patch, which is all in memory then: a longer one should be a table.
    pub fn load(&self) -> Result<Cow<'_, [u8]>, Faults> {
        match self {
            Self::Text(json) => Ok(Cow::Borrowed(json.as_bytes())),
            Self::File(path) => {
                let mut json = Vec::new();
                let read = open(path).and_then(|file| file.take(DOCUMENT_MAX as u64 + 1).read_to_end(&mut json));
                match read {
                    Err(error) => Err(unreadable(&error)),
                    Ok(_) if json.len() > DOCUMENT_MAX => Err(whole(format!(
                        "has more than {DOCUMENT_MAX} bytes; make several patches of it, or reload the table"
                    ))),
                    Ok(_) => Ok(Cow::Owned(json)),
                }
            }
        }
    }
}

/// For the beginning of a sentence.
impl fmt::Display for PatchDocument<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(f, "the patch {}", path.display()),
            Self::Text(_) => f.write_str("the patch"),
        }
    }
}

fn unreadable(error: &Error) -> Faults {
    whole(format!("cannot be read: {error}"))
}

/// A fault of the whole document.
fn whole(message: String) -> Faults {
    Faults(vec![Fault { path: String::new(), message }])
}

/// Opens a regular file. Opening a pipe would wait for a writer, and reading a terminal for a user.
fn open(path: &Path) -> Result<File, Error> {
    if !std::fs::metadata(path)?.is_file() {
        return Err(Error::new(ErrorKind::InvalidInput, "not a regular file"));
    }
    File::open(path)
}
