// SPDX-License-Identifier: MIT OR Apache-2.0
//! Reading from a stream at the speed of memory.
//!
//! serde_json takes a stream byte by byte and counts its lines, which costs four times as much as reading the same from
//! memory. So a stream comes through a window: an object that is all in it can be read from there, and the parser of the
//! stream sees no more of it than its braces. Whatever is odd is left to that parser, to say what and where.
//!
//! That works because the parser looks no further ahead than it must: behind a brace that it has taken, not at all.

use std::cell::RefCell;
use std::io::{self, ErrorKind, Read};

use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Deserializer, Error};

use super::shape::Shape;

/// A stream, and what has been read of it ahead of its parser.
pub(super) struct Window<'r>(RefCell<State<'r>>);

struct State<'r> {
    reader: &'r mut dyn Read,
    /// What the reader failed with, once it is due.
    failed: Option<io::Error>,
    buffer: Vec<u8>,
    /// Where the parser is in the buffer, never at its beginning: the byte that it took last is there, too.
    at: usize,
    end: usize,
    /// Where the parser believes to be, and where it is.
    told: Spot,
    real: Spot,
    skipped: Skipped,
    /// Of what the parser takes byte by byte. What is skipped ends where it began.
    shape: Shape,
}

/// A place as serde_json counts it.
#[derive(Debug, Clone, Copy)]
struct Spot {
    line: usize,
    column: usize,
}

/// What the parser does not know of.
#[derive(Debug, Clone, Copy, Default)]
struct Skipped {
    bytes: usize,
    lines: usize,
    /// In one of the parser's lines; from the next on, its columns are right again.
    columns: usize,
    line: usize,
}

impl<'r> Window<'r> {
    /// Of `size` bytes; objects that are longer are read byte by byte.
    pub(super) fn new(reader: &'r mut dyn Read, size: usize) -> Self {
        let start = Spot { line: 1, column: 0 };
        Self(RefCell::new(State {
            reader,
            failed: None,
            buffer: vec![0; size],
            at: 1,
            end: 1,
            told: start,
            real: start,
            skipped: Skipped::default(),
            shape: Shape::default(),
        }))
    }

    /// Hands an object to `read`, with its braces, when the parser has just taken the first one; false, and nothing has
    /// happened, if it is not all in the window or `read` gives up. The parser finds only the last brace then.
    pub(super) fn object(&self, mut read: impl FnMut(&str) -> bool) -> bool {
        let state = &mut *self.0.borrow_mut();
        let mut length = state.object(&mut read);
        if length.as_ref().is_err_and(Error::is_eof) && state.fill() {
            length = state.object(&mut read);
        }
        let Ok(Some(length)) = length else { return false };
        // All but the braces.
        state.skip(length.saturating_sub(2));
        true
    }

    /// Where the parser was when it believed to be at that line and column.
    pub(super) fn place(&self, line: usize, column: usize) -> (usize, usize) {
        let skipped = self.0.borrow().skipped;
        let columns = if line == skipped.line { skipped.columns } else { 0 };
        (line + skipped.lines, column.wrapping_add(columns))
    }
}

impl State<'_> {
    /// Hands over the object whose first byte was taken last; how many bytes it has, if `read` took it.
    fn object(&self, read: &mut impl FnMut(&str) -> bool) -> Result<Option<usize>, Error> {
        let json = self.buffer.get(self.at.saturating_sub(1)..self.end).unwrap_or_default();
        let text = <&RawValue>::deserialize(&mut Deserializer::from_slice(json))?.get();
        Ok((text.starts_with('{') && read(text)).then_some(text.len()))
    }

    /// What the parser has not taken yet.
    fn rest(&self) -> &[u8] {
        self.buffer.get(self.at..self.end).unwrap_or_default()
    }

    /// Reads until the window is full, or the stream ends or fails; false if that brings nothing.
    fn fill(&mut self) -> bool {
        let kept = self.at.saturating_sub(1);
        self.buffer.copy_within(kept..self.end, 0);
        (self.at, self.end) = (1, self.end - kept);
        let before = self.end;
        while let Some(room @ [_, ..]) = self.buffer.get_mut(self.end..)
            && self.failed.is_none()
        {
            match self.reader.read(room) {
                Ok(0) => break,
                Ok(count) => self.end += count,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => self.failed = Some(error),
            }
        }
        self.end > before
    }

    /// Passes what the parser shall not see.
    fn skip(&mut self, count: usize) {
        let Self { buffer, at, told, real, skipped, .. } = self;
        real.pass(buffer.get(*at..*at + count).unwrap_or_default());
        *at += count;
        *skipped = Skipped {
            bytes: skipped.bytes + count,
            lines: real.line - told.line,
            // Less than none, if the last line that was skipped is the shorter one.
            columns: real.column.wrapping_sub(told.column),
            line: told.line,
        };
    }
}

/// What the parser reads.
impl Read for &Window<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let state = &mut *self.0.borrow_mut();
        if state.rest().is_empty() && !state.fill() {
            return state.failed.take().map_or(Ok(0), Err);
        }
        let count = state.rest().read(out)?;
        let taken = out.get(..count).unwrap_or_default();
        state.shape.pass(taken)?;
        state.told.pass(taken);
        state.real.pass(taken);
        state.at += count;
        Ok(count)
    }
}

impl Spot {
    /// Goes on behind `bytes`.
    fn pass(&mut self, bytes: &[u8]) {
        if !bytes.contains(&b'\n') {
            self.column += bytes.len();
            return;
        }
        self.line += bytes.iter().filter(|&&byte| byte == b'\n').count();
        self.column = bytes.iter().rev().take_while(|&&byte| byte != b'\n').count();
    }
}

#[cfg(test)]
mod tests;
