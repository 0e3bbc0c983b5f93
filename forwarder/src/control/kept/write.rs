// SPDX-License-Identifier: MIT OR Apache-2.0
//! Writing tables into the folder.

use std::io::{self, BufWriter, Write};
use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

use tables::Source;

use super::disk::DiskFile;
use super::format::{self, Checksum, HEADER, Header};
use super::journal::Journal;
use super::{Accepted, How, Inner, Kept, Table};
use crate::control::generations::lock;
use crate::control::report;

/// Large writes: a table may have hundreds of megabytes.
const BUFFER: usize = 1 << 20;

impl Kept {
    /// Keeps `source` as the newest table: when this returns well, it lasts. Nobody who looks waits for it.
    pub fn keep(&self, source: &Source, accepted: &Accepted) -> io::Result<()> {
        let writing = lock(&self.writing);
        let entered = self.enter(&mut lock(&self.inner));
        let kept = entered.and_then(|()| self.add(source, accepted));
        self.note(&mut lock(&self.inner), &kept);
        drop(writing);
        kept
    }

    fn add(&self, source: &Source, accepted: &Accepted) -> io::Result<()> {
        let (number, header) = self.header(accepted);
        let new = format::path(&self.folder, number, "new");
        let written = self.write_new(&new, header, source);
        let (header, journal) = written.inspect_err(|_| {
            // What is left there takes room that may be missing; the next start looks for it as well.
            let _ = self.disk.remove(&new);
            let _ = self.disk.remove(&format::path(&self.folder, number, "journal"));
        })?;
        let named = self.disk.rename(&new, &format::path(&self.folder, number, "table"));
        let lasts = named.and_then(|()| self.disk.sync_folder(&self.folder));
        // It is refused, so a restart should not find it; or else what runs has to be written behind it.
        let stray = lasts.is_err() && self.forget(number).is_err();

        let mut inner = lock(&self.inner);
        inner.next = number.saturating_add(1);
        if stray {
            inner.journal = None;
            inner.strays.push(number);
        }
        lasts?;
        let old = inner.put(Table { revision: accepted.revision, header }, accepted.how, self.limit);
        inner.journal = Some(Arc::new(Journal::new(number, journal, 0, accepted.revision)));
        drop(inner);
        self.prune(old);
        Ok(())
    }

    /// The number of the next table, and its header as far as it is known before it is written.
    fn header(&self, accepted: &Accepted) -> (u64, Header) {
        let inner = lock(&self.inner);
        let before = inner.tables.last().map(|table| &table.header);
        let mark = before.map_or(0, |header| header.mark);
        let header = Header {
            format: 1,
            number: inner.next,
            generation: accepted.generation,
            revision: accepted.revision,
            mark: match accepted.how {
                How::Newer | How::Again => mark.max(accepted.generation),
                How::Forced => accepted.generation,
                How::RolledBack(_) => mark,
            },
            rolled_back_to: match accepted.how {
                How::RolledBack(to) => Some(to),
                How::Again => before.filter(|_| inner.journal.is_some()).and_then(|header| header.rolled_back_to),
                How::Newer | How::Forced => None,
            },
            accepted: report::timestamp(SystemTime::now()),
            by: accepted.by.clone(),
            from: accepted.from.clone(),
            bytes: 0,
            checksum: 0,
        };
        (inner.next, header)
    }

    /// Writes the table under another name, and its journal, which is empty.
    fn write_new(&self, new: &Path, header: Header, source: &Source) -> io::Result<(Header, Box<dyn DiskFile>)> {
        let mut document = Document { file: self.disk.create(new)?, end: HEADER as u64, checksum: Checksum::default() };
        let mut buffer = BufWriter::with_capacity(BUFFER, &mut document);
        source.write(header.generation, &mut buffer)?;
        buffer.flush()?;
        drop(buffer);
        let (bytes, checksum) = (document.end - HEADER as u64, document.checksum.value());
        let header = Header { bytes, checksum, ..header };
        document.file.write_at(0, &header.line()?)?;
        document.file.sync()?;
        let mut journal = self.disk.create(&format::path(&self.folder, header.number, "journal"))?;
        journal.sync()?;
        Ok((header, journal))
    }

    /// Removes old tables. One that can't be removed only takes room, until a restart finds it.
    fn prune(&self, old: Vec<u64>) {
        for number in old {
            if let Err(error) = self.forget(number) {
                tracing::warn!("cannot remove an old generation from {}: {error}", self.folder.display());
            }
        }
    }
}

impl Inner {
    /// Puts the newest table behind the others. The numbers of those that are to go: the oldest beyond the limit, those
    /// that were refused, and the one that this one replaces.
    fn put(&mut self, table: Table, how: How, limit: usize) -> Vec<u64> {
        let mut old = std::mem::take(&mut self.strays);
        if let (Some(journal), Some(last)) = (&self.journal, self.tables.last_mut()) {
            last.revision = journal.revision();
            if how == How::Again {
                old.extend(self.tables.pop().map(|table| table.header.number));
            }
        }
        self.tables.push(table);
        let surplus = self.tables.len().saturating_sub(limit);
        old.extend(self.tables.drain(..surplus).map(|table| table.header.number));
        old
    }
}

/// A document on its way into a file, behind the room for the header.
struct Document {
    file: Box<dyn DiskFile>,
    end: u64,
    checksum: Checksum,
}

impl Write for Document {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write_at(self.end, bytes)?;
        self.end += bytes.len() as u64;
        self.checksum.add(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
