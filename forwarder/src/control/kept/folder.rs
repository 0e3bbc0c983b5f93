// SPDX-License-Identifier: MIT OR Apache-2.0
//! Finding out what is in the folder, and tidying it.

use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufReader, Read};
use std::path::Path;

use rustix::fs::{FlockOperation, flock};

use super::format::{self, HEADER, Header, Records};
use super::{Inner, Kept, Table};

impl Kept {
    /// Takes the folder for this daemon alone, and looks what is in it.
    pub(super) fn enter(&self, inner: &mut Inner) -> io::Result<()> {
        if inner.lock.is_some() {
            return Ok(());
        }
        self.disk.create_folder(&self.folder)?;
        let lock = OpenOptions::new().write(true).create(true).truncate(false).open(self.folder.join("lock"));
        if lock.is_err()
            && inner.tables.is_empty()
            && let Ok((tables, _)) = self.look(false)
        {
            // What can't be written can be read all the same, and a start needs no more.
            inner.tables = tables;
        }
        let lock = lock?;
        if flock(&lock, FlockOperation::NonBlockingLockExclusive).is_err() {
            let text = "another daemon keeps its state there; give each a state.folder of its own";
            return Err(io::Error::new(io::ErrorKind::ResourceBusy, text));
        }
        (inner.tables, inner.next) = self.look(true)?;
        inner.lock = Some(lock);
        Ok(())
    }

    /// The tables, and the next number. To tidy is to remove what a stop in the middle has left behind.
    fn look(&self, tidy: bool) -> io::Result<(Vec<Table>, u64)> {
        let (mut tables, mut journals, mut next) = (Vec::new(), BTreeSet::new(), 1);
        for entry in fs::read_dir(&self.folder)? {
            let path = entry?.path();
            let Some((number, kind)) = format::name(&path) else { continue };
            next = next.max(number.saturating_add(1));
            match kind {
                "new" if tidy => self.disk.remove(&path)?,
                "journal" => drop(journals.insert(number)),
                "table" => match header(&path)?.filter(|header| header.number == number) {
                    Some(header) => tables.push(Table { revision: header.revision, header }),
                    None => tracing::error!("{} is damaged and is left alone", path.display()),
                },
                _ => {}
            }
        }
        tables.sort_unstable_by_key(|table| table.header.number);
        for table in &mut tables {
            let Header { number, revision, .. } = table.header;
            table.revision = last_revision(&format::path(&self.folder, number, "journal"), number, revision)?;
            journals.remove(&number);
        }
        for number in journals {
            // A damaged table keeps its journal.
            if tidy && !format::path(&self.folder, number, "table").exists() {
                self.disk.remove(&format::path(&self.folder, number, "journal"))?;
            }
        }
        Ok((tables, next))
    }

    /// Removes a table; its journal last, or there would be a time at which it seems to have had no patches.
    pub(super) fn forget(&self, number: u64) -> io::Result<()> {
        for kind in ["table", "journal"] {
            match self.disk.remove(&format::path(&self.folder, number, kind)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        Ok(())
    }
}

/// Whether another daemon has the folder.
pub(super) fn is_taken(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::ResourceBusy
}

/// The header of a table; none if there is no sound one.
fn header(path: &Path) -> io::Result<Option<Header>> {
    let mut line = [0; HEADER];
    match File::open(path)?.read_exact(&mut line) {
        Ok(()) => Ok(Header::read(&line)),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(None),
        Err(error) => Err(error),
    }
}

/// The last revision in a journal; that of its table if it has none.
fn last_revision(journal: &Path, number: u64, revision: u64) -> io::Result<u64> {
    let file = match File::open(journal) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(revision),
        Err(error) => return Err(error),
    };
    let mut records = Records::new(BufReader::new(file), number, revision);
    let mut last = revision;
    while let Some((revision, _)) = records.next()? {
        last = revision;
    }
    Ok(last)
}
