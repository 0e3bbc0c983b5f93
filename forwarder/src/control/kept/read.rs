// SPDX-License-Identifier: MIT OR Apache-2.0
//! Reading kept generations.

use std::fs::{self, File};
use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::path::Path;
use std::sync::Arc;

use tables::Source;
use tables::patch::Patch;

use super::format::{self, Checksum, HEADER, Header, Records};
use super::journal::Journal;
use super::{Kept, Table};
use crate::control::generations::{lock, summary};

/// Large reads: a table may have hundreds of megabytes.
const BUFFER: usize = 1 << 20;

/// A kept generation, read.
#[derive(Debug)]
pub struct Restored {
    /// The number of its table.
    pub number: u64,
    /// The number of the table that it is a rollback to; its own if it is none.
    pub original: u64,
    /// What it says, with all its patches.
    pub source: Source,
    /// Its generation.
    pub generation: u64,
    /// Its revision.
    pub revision: u64,
    /// Bytes of the journal that those patches are.
    journal: u64,
}

/// The newest table, without its document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Newest {
    /// Its generation.
    pub generation: u64,
    /// Its revision.
    pub revision: u64,
    /// A table of a greater generation is newer.
    pub mark: u64,
}

impl Kept {
    /// What was accepted last.
    pub fn newest(&self) -> Option<Newest> {
        let inner = lock(&self.inner);
        let table = inner.tables.last()?;
        let Header { generation, mark, .. } = table.header;
        Some(Newest { generation, revision: table.revision, mark })
    }

    /// Reads a table and the patches of its journal, as far as they go. What is wrong with it, if it can't be used.
    pub fn read(&self, number: u64) -> Result<Restored, String> {
        let table = lock(&self.inner).tables.iter().find(|table| table.header.number == number).cloned();
        let Table { header, .. } = table.ok_or_else(|| format!("there is no kept generation of number {number}"))?;
        let path = format::path(&self.folder, number, "table");
        let mut source = document(&path, &header).map_err(|error| format!("{}: {error}", path.display()))?;
        let path = format::path(&self.folder, number, "journal");
        let (revision, journal) =
            replay(&path, &header, &mut source).map_err(|error| format!("{}: {error}", path.display()))?;
        let original = header.rolled_back_to.unwrap_or(number);
        Ok(Restored { number, original, source, generation: header.generation, revision, journal })
    }

    /// Goes on where `restored`, which is the newest, ended: what is behind that in its journal is cut off and reported.
    pub fn resume(&self, restored: &Restored) -> io::Result<()> {
        let Restored { number, journal, revision, .. } = *restored;
        self.go_on(number, journal, revision)
    }

    /// Goes on with the newest table, if that has no patches and the document that `source` would be kept as. Whether it
    /// does.
    pub fn resume_same(&self, source: &Source, generation: u64) -> bool {
        let Some(Table { header, revision }) = lock(&self.inner).tables.last().cloned() else { return false };
        let mut sum = Sum::default();
        (header.generation, revision) == (generation, 0)
            && source.write(generation, &mut sum).is_ok()
            && (sum.0.value(), sum.1) == (header.checksum, header.bytes)
            && self.go_on(header.number, 0, 0).is_ok()
    }

    fn go_on(&self, number: u64, journal: u64, revision: u64) -> io::Result<()> {
        let mut inner = lock(&self.inner);
        let opened = self.open_journal(number, journal, revision);
        self.note(&mut inner, &opened);
        inner.journal = Some(Arc::new(opened?));
        if let Some(table) = inner.tables.last_mut() {
            table.revision = revision;
        }
        Ok(())
    }

    fn open_journal(&self, number: u64, end: u64, revision: u64) -> io::Result<Journal> {
        let path = format::path(&self.folder, number, "journal");
        let length = match fs::metadata(&path) {
            Ok(metadata) => metadata.len(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                self.disk.create(&path)?.sync()?;
                self.disk.sync_folder(&self.folder)?;
                0
            }
            Err(error) => return Err(error),
        };
        let mut file = self.disk.open(&path)?;
        if let Some(torn) = length.checked_sub(end).filter(|&torn| torn > 0) {
            tracing::warn!(
                "{}: the last {torn} of {length} bytes are torn and were cut off; the patches before them, up to \
                 revision {}, are whole",
                path.display(),
                revision
            );
            file.truncate(end)?;
            file.sync()?;
        }
        Ok(Journal::new(number, file, end, revision))
    }

    /// The numbers of all tables, the newest first.
    pub fn numbers(&self) -> Vec<u64> {
        lock(&self.inner).tables.iter().rev().map(|table| table.header.number).collect()
    }
}

/// A checksum of what is written, and its length.
#[derive(Default)]
struct Sum(Checksum, u64);

impl io::Write for Sum {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.add(bytes);
        self.1 += bytes.len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Reads the document of a table; whether it is whole shows at its end.
fn document(path: &Path, header: &Header) -> Result<Source, String> {
    let text = |error: io::Error| error.to_string();
    let mut file = File::open(path).map_err(text)?;
    file.seek(SeekFrom::Start(HEADER as u64)).map_err(text)?;
    let mut checked = Checked { reader: file, sum: Sum::default() };
    let source = Source::from_reader(BufReader::with_capacity(BUFFER, &mut checked));
    if (checked.sum.0.value(), checked.sum.1) != (header.checksum, header.bytes) {
        return Err("is damaged: its checksum is wrong".to_owned());
    }
    source.map_err(|faults| summary(&faults))
}

struct Checked<R> {
    reader: R,
    sum: Sum,
}

impl<R: Read> Read for Checked<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = self.reader.read(buffer)?;
        self.sum.0.add(buffer.get(..length).unwrap_or_default());
        self.sum.1 += length as u64;
        Ok(length)
    }
}

/// Makes the patches of a journal; the revision that they lead to, and how many bytes they are.
fn replay(path: &Path, header: &Header, source: &mut Source) -> io::Result<(u64, u64)> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok((header.revision, 0)),
        Err(error) => return Err(error),
    };
    let mut records = Records::new(BufReader::with_capacity(BUFFER, file), header.number, header.revision);
    let mut done = (header.revision, 0);
    while let Some((revision, patch)) = records.next()? {
        let applied = Patch::from_slice(&patch).and_then(|patch| source.apply(&patch));
        if let Err(faults) = applied {
            tracing::error!("{}: revision {revision} does not fit: {}", path.display(), summary(&faults));
            break;
        }
        done = (revision, records.good);
    }
    Ok(done)
}
