// SPDX-License-Identifier: MIT OR Apache-2.0
//! The files of the state folder.
//!
//! | file | content |
//! |---|---|
//! | `N.table` | one line of 1,024 bytes, [`Header`] as JSON, filled up with spaces, and its checksum; then a table document |
//! | `N.journal` | the patches since, records end to end |
//! | `N.new` | a table that is being written |
//!
//! `N` counts up, so the newest is what was accepted last, whatever its generation. Checksums are SipHash-1-3, 64 bits.

use std::hash::Hasher;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use siphasher::sip::SipHasher13;

/// Bytes before the document.
pub(super) const HEADER: usize = 1024;

/// Of a checksum in hexadecimal, and the end of the line.
const TAIL: usize = 16 + 1;

/// Of a header, how much room each of its texts has at most.
const TEXT: usize = 200;

/// A longer patch is none of ours: see `DOCUMENT_MAX`, and some room for what a later version may add.
const PATCH_MAX: usize = 1 << 28;

/// What is kept of a table beside its document.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Header {
    /// 1.
    pub(super) format: u32,
    /// Its number, as in the file's name.
    pub(super) number: u64,
    pub(super) generation: u64,
    /// Of the document; the journal has those after it.
    pub(super) revision: u64,
    /// The greatest generation that a configured table may have without being newer than this.
    pub(super) mark: u64,
    /// The number of the table that was rolled back to.
    pub(super) rolled_back_to: Option<u64>,
    /// Seconds since 1970.
    pub(super) accepted: u64,
    pub(super) by: String,
    pub(super) from: String,
    /// Of the document.
    pub(super) bytes: u64,
    pub(super) checksum: u64,
}

/// A checksum of what comes piece by piece.
#[derive(Clone, Default)]
pub(super) struct Checksum(SipHasher13);

impl Checksum {
    pub(super) fn add(&mut self, bytes: &[u8]) {
        self.0.write(bytes);
    }

    pub(super) fn value(&self) -> u64 {
        self.0.finish()
    }

    fn of(bytes: &[u8]) -> u64 {
        let mut checksum = Self::default();
        checksum.add(bytes);
        checksum.value()
    }
}

impl Header {
    /// The line; texts that are too long are cut.
    pub(super) fn line(&self) -> io::Result<Vec<u8>> {
        let cut = |text: &str| text.chars().take(TEXT).collect::<String>();
        let short = Self { by: cut(&self.by), from: cut(&self.from), ..self.clone() };
        let mut line = serde_json::to_vec(&short)?;
        if line.len() > HEADER - TAIL {
            // Letters of many bytes. What is left out is only told.
            line = serde_json::to_vec(&Self { by: String::new(), from: String::new(), ..short })?;
        }
        line.resize(HEADER - TAIL, b' ');
        let checksum = Checksum::of(&line);
        line.extend_from_slice(format!("{checksum:016x}\n").as_bytes());
        Ok(line)
    }

    /// Reads a line; none if it is not what was written.
    pub(super) fn read(line: &[u8; HEADER]) -> Option<Self> {
        let (text, tail) = line.split_at_checked(HEADER - TAIL)?;
        let checksum = u64::from_str_radix(std::str::from_utf8(tail).ok()?.strip_suffix('\n')?, 16).ok()?;
        let header: Self = serde_json::from_slice(text).ok().filter(|_| checksum == Checksum::of(text))?;
        (header.format == 1).then_some(header)
    }
}

/// Puts a patch behind others in a journal: its length, the revision that it led to, a checksum of all that and of
/// which journal it is, each in 8 bytes, least first; then the patch as it came.
pub(super) fn record(number: u64, revision: u64, patch: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(&(patch.len() as u64).to_le_bytes());
    out.extend_from_slice(&revision.to_le_bytes());
    out.extend_from_slice(&record_checksum(number, revision, patch).to_le_bytes());
    out.extend_from_slice(patch);
}

fn record_checksum(number: u64, revision: u64, patch: &[u8]) -> u64 {
    let mut checksum = Checksum::default();
    for word in [number, revision, patch.len() as u64] {
        checksum.add(&word.to_le_bytes());
    }
    checksum.add(patch);
    checksum.value()
}

/// The patches of a journal.
pub(super) struct Records<R> {
    reader: R,
    number: u64,
    /// The revision of the last one.
    revision: u64,
    /// Bytes of those that were read.
    pub(super) good: u64,
}

impl<R: Read> Records<R> {
    /// Of the journal of that number, whose table has that revision.
    pub(super) fn new(reader: R, number: u64, revision: u64) -> Self {
        Self { reader, number, revision, good: 0 }
    }

    /// The next patch with its revision; none where the journal ends, or goes on with something else. An error only if
    /// it can't be read.
    pub(super) fn next(&mut self) -> io::Result<Option<(u64, Vec<u8>)>> {
        let (mut words, mut patch) = ([[0_u8; 8]; 3], Vec::new());
        for word in &mut words {
            match self.reader.read_exact(word) {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
                Err(error) => return Err(error),
            }
        }
        let [length, revision, checksum] = words.map(u64::from_le_bytes);
        if length > PATCH_MAX as u64 || Some(revision) != self.revision.checked_add(1) {
            return Ok(None);
        }
        // Not as much memory as the length says, which may be wrong, but as the file has.
        (&mut self.reader).take(length).read_to_end(&mut patch)?;
        if patch.len() as u64 != length || checksum != record_checksum(self.number, revision, &patch) {
            return Ok(None);
        }
        (self.revision, self.good) = (revision, self.good + 24 + length);
        Ok(Some((revision, patch)))
    }
}

/// The file of this number and kind.
pub(super) fn path(folder: &Path, number: u64, kind: &str) -> PathBuf {
    folder.join(format!("{number:010}.{kind}"))
}

/// Number and kind of a file of ours.
pub(super) fn name(path: &Path) -> Option<(u64, &str)> {
    let number = path.file_stem()?.to_str()?;
    let digits = number.len() == 10 && number.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| Some((number.parse().ok()?, path.extension()?.to_str()?))).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(by: &str) -> Header {
        Header {
            format: 1,
            number: 7,
            generation: u64::MAX,
            revision: u64::MAX,
            mark: u64::MAX,
            rolled_back_to: Some(u64::MAX),
            accepted: u64::MAX,
            by: by.to_owned(),
            from: by.to_owned(),
            bytes: u64::MAX,
            checksum: u64::MAX,
        }
    }

    #[test]
    fn a_header_has_its_length_whatever_it_says() {
        for by in ["uid 0", &"long ".repeat(1000), &"\u{1}".repeat(1000)] {
            let line: [u8; HEADER] = header(by).line().unwrap().try_into().unwrap();
            assert_eq!(line[HEADER - 1], b'\n');
            let read = Header::read(&line).unwrap();
            assert_eq!((read.number, read.bytes), (7, u64::MAX));
            for byte in [0, 20, HEADER - 18, HEADER - 17, HEADER - 2, HEADER - 1] {
                let mut torn = line;
                torn[byte] ^= 1;
                assert_eq!(Header::read(&torn), None, "{byte}");
            }
        }
    }

    fn read(journal: &[u8]) -> (Vec<u64>, u64) {
        let mut records = Records::new(journal, 7, 2);
        let mut revisions = Vec::new();
        while let Some((revision, _)) = records.next().unwrap() {
            revisions.push(revision);
        }
        (revisions, records.good)
    }

    #[test]
    fn a_journal_ends_where_it_is_torn() {
        let mut journal = Vec::new();
        let ends: Vec<usize> = [b"{}".as_slice(), b"", b"third"]
            .into_iter()
            .zip(3..)
            .map(|(patch, revision)| {
                record(7, revision, patch, &mut journal);
                journal.len()
            })
            .collect();
        assert_eq!(read(&journal), (vec![3, 4, 5], journal.len() as u64));
        for length in 0..journal.len() {
            let whole = ends.iter().filter(|&&end| end <= length).count();
            assert_eq!(read(&journal[..length]).0.len(), whole, "{length}");
            let mut flipped = journal.clone();
            flipped[length] ^= 0x80;
            assert_eq!(read(&flipped).0.len(), ends.iter().filter(|&&end| end <= length).count(), "{length}");
        }
        // Records of another journal, or of other revisions, are no continuation.
        assert_eq!(Records::new(journal.as_slice(), 8, 2).next().unwrap(), None);
        assert_eq!(Records::new(journal.as_slice(), 7, 3).next().unwrap(), None);
    }
}
