// SPDX-License-Identifier: MIT OR Apache-2.0
//! A journal that is written in groups: whoever waits first writes for all that have come until then, and those that come
//! meanwhile are the next group.

use std::io;
use std::sync::{Condvar, Mutex, PoisonError};

use super::disk::DiskFile;
use super::format;
use crate::control::generations::lock;

/// Patches that could not be written and wait for a better time, in bytes.
const WAITING_MAX: usize = 64 << 20;

/// The journal of one table.
pub(super) struct Journal {
    number: u64,
    file: Mutex<Tail>,
    state: Mutex<State>,
    written: Condvar,
}

struct Tail {
    file: Box<dyn DiskFile>,
    /// Bytes that are written and synced.
    end: u64,
}

struct State {
    /// Records that are to be written.
    waiting: Vec<u8>,
    /// The revision of the last of them.
    last: u64,
    /// The last revision that is written and synced.
    synced: u64,
    /// Somebody writes.
    busy: bool,
    /// Why the last group was not written.
    error: Option<String>,
    /// Bytes of all records.
    length: u64,
}

impl Journal {
    /// Goes on behind `end` bytes, whose last record has that revision.
    pub(super) fn new(number: u64, file: Box<dyn DiskFile>, end: u64, revision: u64) -> Self {
        let state =
            State { waiting: Vec::new(), last: revision, synced: revision, busy: false, error: None, length: end };
        Self { number, file: Mutex::new(Tail { file, end }), state: Mutex::new(state), written: Condvar::new() }
    }

    /// Takes down a patch that led to `revision`, which is the next one. It lasts when [`Self::sync`] says so. False if
    /// there is no room, since earlier ones could not be written for long.
    pub(super) fn append(&self, revision: u64, patch: &[u8]) -> bool {
        let mut state = lock(&self.state);
        if state.waiting.len().saturating_add(patch.len()) > WAITING_MAX || state.last.checked_add(1) != Some(revision)
        {
            return false;
        }
        let before = state.waiting.len();
        format::record(self.number, revision, patch, &mut state.waiting);
        state.length += (state.waiting.len() - before) as u64;
        state.last = revision;
        true
    }

    /// Returns when `revision` is written and synced.
    pub(super) fn sync(&self, revision: u64) -> io::Result<()> {
        let mut state = lock(&self.state);
        loop {
            if state.synced >= revision {
                return Ok(());
            }
            if state.busy {
                state = self.written.wait(state).unwrap_or_else(PoisonError::into_inner);
                if let Some(error) = state.error.as_ref().filter(|_| !state.busy && state.synced < revision) {
                    return Err(io::Error::other(error.clone()));
                }
                continue;
            }
            state.busy = true;
            let (group, last) = (std::mem::take(&mut state.waiting), state.last);
            drop(state);
            let written = lock(&self.file).write(&group);
            state = lock(&self.state);
            state.busy = false;
            match &written {
                Ok(()) => (state.synced, state.error) = (last, None),
                Err(error) => {
                    let behind = std::mem::replace(&mut state.waiting, group);
                    state.waiting.extend(behind);
                    state.error = Some(error.to_string());
                }
            }
            self.written.notify_all();
            written?;
        }
    }

    /// Writes what waits; whether anything did.
    pub(super) fn retry(&self) -> io::Result<bool> {
        let State { last, synced, .. } = *lock(&self.state);
        self.sync(last).map(|()| last > synced)
    }

    /// Bytes of all records, written or not.
    pub(super) fn length(&self) -> u64 {
        lock(&self.state).length
    }

    /// The last revision that was taken down.
    pub(super) fn revision(&self) -> u64 {
        lock(&self.state).last
    }
}

impl Tail {
    /// Writes behind what is there. What a failure leaves there is written over by the next try, which begins with the
    /// same records.
    fn write(&mut self, group: &[u8]) -> io::Result<()> {
        self.file.write_at(self.end, group)?;
        self.file.sync()?;
        self.end += group.len() as u64;
        Ok(())
    }
}
