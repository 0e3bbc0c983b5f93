// SPDX-License-Identifier: MIT OR Apache-2.0
//! The state folder: the last accepted generations, on disk, so that a restart forwards by what ran and a rollback has
//! something to go back to.
//!
//! A table is written whole under another name, synced, and then named; what is there under its name is whole. The newest
//! one and the patches in its journal are what runs, or the folder says that it is behind ([`Kept::problem`]).

pub mod disk;
mod folder;
mod format;
mod journal;
mod read;
mod write;

use std::fmt;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use tables::Source;

use self::disk::Disk;
use self::format::Header;
use self::journal::Journal;
pub use self::read::{Newest, Restored};
use super::generations::lock;

/// How long a start waits for another daemon to leave the folder.
const PATIENCE: Duration = Duration::from_secs(2);

/// A journal is not made shorter below this many bytes.
const JOURNAL_MIN: u64 = 16 << 20;

/// The state folder and what is in it.
pub struct Kept {
    disk: Arc<dyn Disk>,
    folder: PathBuf,
    limit: usize,
    /// Held while a table is written, which takes long.
    writing: Mutex<()>,
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    /// Keeps other daemons out. None as long as the folder can't be used.
    lock: Option<File>,
    /// The oldest first.
    tables: Vec<Table>,
    /// Of the newest table; none if what runs is not that and its journal.
    journal: Option<Arc<Journal>>,
    /// Tables that were refused and could not be removed again.
    strays: Vec<u64>,
    /// Why something could not be kept at last.
    problem: Option<String>,
    /// The number of the next table.
    next: u64,
}

/// A table in the folder.
#[derive(Debug, Clone)]
struct Table {
    header: Header,
    /// With the patches of its journal.
    revision: u64,
}

/// A kept generation, as `generations` lists it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeptGeneration {
    /// Counts up with each that is accepted.
    pub number: u64,
    /// The generation.
    pub generation: u64,
    /// With as many patches as it had at last.
    pub revision: u64,
    /// When it was accepted, in seconds since 1970.
    pub accepted: u64,
    /// On whose behalf.
    pub by: String,
    /// From where.
    pub from: String,
    /// Of its document.
    pub bytes: u64,
    /// Whether it runs.
    pub running: bool,
}

/// How the folder is doing, for `status`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeptStatus {
    /// The folder.
    pub folder: String,
    /// How many generations are in it.
    pub generations: usize,
    /// Bytes of the newest one's journal.
    pub journal_bytes: u64,
    /// Why something could not be kept at last; none if all is well.
    pub problem: Option<String>,
}

/// What makes a table an accepted one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Accepted {
    /// Its generation.
    pub generation: u64,
    /// Patches that are in it.
    pub revision: u64,
    /// On whose behalf.
    pub by: String,
    /// From where.
    pub from: String,
    /// How.
    pub how: How,
}

/// How a table was accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum How {
    /// As newer than all before it.
    Newer,
    /// Whatever was before it.
    Forced,
    /// As the kept one of that number once more.
    RolledBack(u64),
    /// It ran already.
    Again,
}

/// A patch that is on its way to the journal.
#[must_use = "a patch is kept when its ticket says so"]
pub struct Ticket {
    journal: Arc<Journal>,
    revision: u64,
}

impl Kept {
    /// Opens a folder for `limit` generations. One that can't be used is a [problem](Self::problem), which a later
    /// change may find gone.
    pub fn open(disk: Arc<dyn Disk>, folder: &Path, limit: usize) -> Self {
        let kept = Self {
            disk,
            folder: folder.to_owned(),
            limit: limit.max(1),
            writing: Mutex::default(),
            inner: Mutex::default(),
        };
        let mut inner = lock(&kept.inner);
        let begin = Instant::now();
        let mut opened = kept.enter(&mut inner);
        // The daemon before this one may still be ending, and to start without what it kept would be worse than late.
        while opened.as_ref().is_err_and(folder::is_taken) && begin.elapsed() < PATIENCE {
            thread::sleep(PATIENCE / 50);
            opened = kept.enter(&mut inner);
        }
        kept.note(&mut inner, &opened);
        drop(inner);
        kept
    }

    /// Why something could not be kept at last; none if all is well.
    pub fn problem(&self) -> Option<String> {
        lock(&self.inner).problem.clone()
    }

    /// How the folder is doing.
    pub fn status(&self) -> KeptStatus {
        let inner = lock(&self.inner);
        KeptStatus {
            folder: self.folder.display().to_string(),
            generations: inner.tables.len(),
            journal_bytes: inner.journal.as_ref().map_or(0, |journal| journal.length()),
            problem: inner.problem.clone(),
        }
    }

    /// What is kept, the newest first.
    pub fn list(&self) -> Vec<KeptGeneration> {
        let inner = lock(&self.inner);
        let newest = inner.tables.len().saturating_sub(1);
        let row = |(index, Table { header, revision }): (usize, &Table)| {
            let journal = inner.journal.as_ref().filter(|_| index == newest);
            KeptGeneration {
                number: header.number,
                generation: header.generation,
                revision: journal.map_or(*revision, |journal| journal.revision()),
                accepted: header.accepted,
                by: header.by.clone(),
                from: header.from.clone(),
                bytes: header.bytes,
                running: journal.is_some(),
            }
        };
        inner.tables.iter().enumerate().map(row).rev().collect()
    }

    /// The number of the table that a rollback goes to: the newest of that generation besides what runs, or without a
    /// generation the one before: before a rollback is what was before the table that it went back to.
    pub fn before(&self, generation: Option<u64>) -> Option<u64> {
        let inner = lock(&self.inner);
        // If what runs is not kept, the newest table is one before it.
        let running = inner.journal.as_ref().and_then(|_| inner.tables.last()).map(|table| &table.header);
        let place = running.map_or(u64::MAX, |header| header.rolled_back_to.unwrap_or(header.number));
        let other = |header: &&Header| running.is_none_or(|running| running.number != header.number);
        let mut headers = inner.tables.iter().rev().map(|table| &table.header).filter(other);
        let found = match generation {
            Some(generation) => headers.find(|header| header.generation == generation),
            None => headers.find(|header| header.number < place),
        };
        found.map(|header| header.number)
    }

    /// Whether the journal is long enough that another [`Self::keep`] is better than one more patch in it.
    pub fn is_long(&self) -> bool {
        let inner = lock(&self.inner);
        let document = inner.tables.last().map_or(0, |table| table.header.bytes);
        inner.journal.as_ref().is_some_and(|journal| journal.length() > JOURNAL_MIN.max(document))
    }

    /// Takes down a patch that led to `revision`. None if what runs is not kept anyway.
    pub fn append(&self, revision: u64, patch: &[u8]) -> Option<Ticket> {
        let mut inner = lock(&self.inner);
        let journal = inner.journal.clone()?;
        if journal.append(revision, patch) {
            return Some(Ticket { journal, revision });
        }
        // There is a gap now, so that nothing can follow in this journal.
        inner.journal = None;
        None
    }

    /// Returns when a patch lasts, with all that have come meanwhile.
    pub fn sync(&self, ticket: Ticket) -> io::Result<()> {
        let synced = ticket.journal.sync(ticket.revision);
        self.note(&mut lock(&self.inner), &synced);
        synced
    }

    /// Makes good what failed before, now that something is to be changed: what runs, `source`, is kept again.
    pub fn mend(&self, source: &Source, generation: u64, revision: u64) -> io::Result<()> {
        let journal = {
            let inner = lock(&self.inner);
            if inner.problem.is_none() && inner.journal.is_some() {
                return Ok(());
            }
            inner.journal.clone()
        };
        let Some(journal) = journal else {
            let (by, from) = ("sluiced".to_owned(), "what runs".to_owned());
            return self.keep(source, &Accepted { generation, revision, by, from, how: How::Again });
        };
        let retried = journal.retry();
        // Where nothing waited, the change will show whether the folder can be written again.
        if retried.as_ref().is_ok_and(|written| !written) {
            return Ok(());
        }
        self.note(&mut lock(&self.inner), &retried);
        retried.map(drop)
    }

    /// Something else runs now, which was forced although it can't be kept.
    pub fn fall_behind(&self) {
        lock(&self.inner).journal = None;
    }

    /// The outcome of what was tried last is how the folder is doing.
    fn note<T>(&self, inner: &mut Inner, outcome: &io::Result<T>) {
        let problem = outcome.as_ref().err().map(|error| format!("{}: {error}", self.folder.display()));
        match (&problem, &inner.problem) {
            (Some(problem), None) => tracing::error!("generations can't be kept: {problem}"),
            (None, Some(_)) => tracing::info!(folder = %self.folder.display(), "generations are kept again"),
            _ => {}
        }
        inner.problem = problem;
    }
}

impl fmt::Debug for Kept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Kept").field("folder", &self.folder).finish_non_exhaustive()
    }
}
