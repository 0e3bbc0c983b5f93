// SPDX-License-Identifier: MIT OR Apache-2.0
//! Lines over a socket, bounded in length and in time: a peer that sends for ever, stalls, or never reads what it
//! is sent, costs one thread for a bounded while.

use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// How long we wait for a peer.
#[derive(Debug, Clone, Copy)]
struct Patience {
    /// For its next message.
    idle: Duration,
    /// For a message, from its first byte to its last.
    message: Duration,
}

const PATIENCE: Patience = Patience { idle: Duration::from_secs(60), message: Duration::from_secs(30) };
/// How long a peer may take to read an answer.
const ANSWER: Duration = Duration::from_secs(10);
const CHUNK: usize = 64 << 10;

/// Messages up to this length, in bytes, need no room of their own. No question is longer.
pub(super) const SHORT: usize = 64 << 10;
/// Long messages at a time: what all peers together can make us hold is this often the longest of them.
const LONG: usize = 8;

/// Room for long messages.
#[derive(Debug, Default)]
pub(super) struct Room(AtomicUsize);

/// Room for one of them; given back when dropped.
#[derive(Debug)]
struct Taken<'r>(&'r Room);

impl Room {
    fn take(&self) -> Option<Taken<'_>> {
        let more = |taken| (taken < LONG).then_some(taken + 1);
        self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).ok().map(|_| Taken(self))
    }
}

impl Drop for Taken<'_> {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// One attempt to read a line.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Line {
    /// A line, without its end.
    Whole(Vec<u8>),
    /// More bytes than allowed, and no end.
    TooLong,
    /// A long line, and others take all the room for such.
    NoRoom,
    /// The peer has gone, or has taken too long.
    End,
}

/// The lines of one peer.
pub(super) struct Lines<'s> {
    stream: &'s UnixStream,
    room: &'s Room,
    /// Read, and not yet handed out.
    pending: Vec<u8>,
    limit: usize,
    patience: Patience,
    /// Of the line handed out last, or the one that is coming.
    taken: Option<Taken<'s>>,
}

impl<'s> Lines<'s> {
    /// Lines of at most `limit` bytes. The room of a long one is kept until the next is asked for.
    pub(super) fn new(stream: &'s UnixStream, room: &'s Room, limit: usize) -> Self {
        Self { stream, room, pending: Vec::new(), limit, patience: PATIENCE, taken: None }
    }

    /// The next line. What a peer leaves unfinished is never handed out.
    pub(super) fn next(&mut self) -> Line {
        self.taken = None;
        let mut searched = 0;
        let Patience { idle, message } = self.patience;
        let mut deadline = Instant::now() + if self.pending.is_empty() { idle } else { message };
        loop {
            let unsearched = self.pending.get(searched..).unwrap_or_default();
            if let Some(end) = unsearched.iter().position(|byte| *byte == b'\n') {
                let rest = self.pending.split_off(searched + end + 1);
                let mut line = std::mem::replace(&mut self.pending, rest);
                line.pop();
                return if line.len() > self.limit { Line::TooLong } else { Line::Whole(line) };
            }
            searched = self.pending.len();
            if searched > self.limit {
                return Line::TooLong;
            }
            if searched > SHORT && self.taken.is_none() {
                self.taken = self.room.take();
                if self.taken.is_none() {
                    return Line::NoRoom;
                }
            }
            match self.read(deadline) {
                Ok(0) | Err(_) => return Line::End,
                Ok(_) if searched == 0 => deadline = Instant::now() + message,
                Ok(_) => {}
            }
        }
    }

    /// Reads what there is, waiting until `deadline` at most.
    fn read(&mut self, deadline: Instant) -> io::Result<usize> {
        self.stream.set_read_timeout(Some(until(deadline)?))?;
        loop {
            let start = self.pending.len();
            self.pending.resize(start + CHUNK, 0);
            let read = self.stream.read(self.pending.get_mut(start..).unwrap_or_default());
            self.pending.truncate(start + read.as_ref().map_or(0, |read| *read));
            match read {
                Err(error) if error.kind() == ErrorKind::Interrupted => until(deadline)?,
                read => return read,
            };
        }
    }
}

/// Sends a line.
pub(super) fn send(mut stream: &UnixStream, mut line: Vec<u8>) -> io::Result<()> {
    let deadline = Instant::now() + ANSWER;
    line.push(b'\n');
    let mut rest = line.as_slice();
    while !rest.is_empty() {
        stream.set_write_timeout(Some(until(deadline)?))?;
        match stream.write(rest) {
            Ok(0) => return Err(ErrorKind::WriteZero.into()),
            Ok(sent) => rest = rest.get(sent..).unwrap_or_default(),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// What is left until `deadline`; an error if nothing is.
fn until(deadline: Instant) -> io::Result<Duration> {
    let left = deadline.saturating_duration_since(Instant::now());
    if left.is_zero() { Err(ErrorKind::TimedOut.into()) } else { Ok(left) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(bytes: &[u8], limit: usize) -> Vec<Line> {
        let (mut peer, own) = UnixStream::pair().unwrap();
        let bytes = bytes.to_vec();
        let writer = std::thread::spawn(move || peer.write_all(&bytes));
        let room = Room::default();
        let mut lines = Lines::new(&own, &room, limit);
        let mut all = Vec::new();
        while !matches!(all.last(), Some(Line::End | Line::TooLong)) {
            all.push(lines.next());
        }
        drop(lines);
        drop(own);
        let _ = writer.join().unwrap();
        all
    }

    #[test]
    fn lines_come_whole_and_a_torn_one_not_at_all() {
        let whole = |text: &str| Line::Whole(text.as_bytes().to_vec());
        assert_eq!(lines(b"one\n\ntwo\nthr", 10), [whole("one"), whole(""), whole("two"), Line::End]);
        assert_eq!(lines(b"", 10), [Line::End]);
    }

    #[test]
    fn the_limit_is_exact() {
        assert_eq!(lines(b"12345\n", 5), [Line::Whole(b"12345".to_vec()), Line::End]);
        assert_eq!(lines(b"123456\n", 5), [Line::TooLong]);
        assert_eq!(lines(&[b'x'; 1_000_000], 200_000), [Line::TooLong]);
        let mut long = vec![b'x'; 1_000_000];
        long.push(b'\n');
        assert_eq!(lines(&long, 1_000_000), [Line::Whole(vec![b'x'; 1_000_000]), Line::End]);
    }

    #[test]
    fn who_is_silent_or_sends_byte_by_byte_is_not_waited_for() {
        let (mut peer, own) = UnixStream::pair().unwrap();
        let room = Room::default();
        let mut lines = Lines::new(&own, &room, 1 << 20);
        lines.patience = Patience { idle: Duration::from_millis(50), message: Duration::from_millis(300) };
        let start = Instant::now();
        assert_eq!(lines.next(), Line::End);
        assert!(start.elapsed() >= Duration::from_millis(50));
        // Never silent for long, and never at an end.
        let writer = std::thread::spawn(move || {
            while peer.write_all(b"x").is_ok() {
                std::thread::sleep(Duration::from_millis(5));
            }
        });
        lines.patience.idle = Duration::from_secs(60);
        let start = Instant::now();
        assert_eq!(lines.next(), Line::End);
        assert!(start.elapsed() >= Duration::from_millis(300) && start.elapsed() < Duration::from_secs(60));
        drop(lines);
        drop(own);
        writer.join().unwrap();
    }

    #[test]
    fn long_lines_need_room_and_give_it_back() {
        let room = Room::default();
        let others: Vec<_> = std::iter::from_fn(|| room.take()).collect();
        assert_eq!(others.len(), LONG);
        let (mut peer, own) = UnixStream::pair().unwrap();
        let writer = std::thread::spawn(move || {
            let mut line = vec![b'x'; 3 * SHORT];
            line.push(b'\n');
            peer.write_all(b"short\n").and_then(|()| peer.write_all(&line)).map(|()| peer)
        });
        let mut lines = Lines::new(&own, &room, 4 * SHORT);
        assert_eq!(lines.next(), Line::Whole(b"short".to_vec()));
        assert_eq!(lines.next(), Line::NoRoom);
        drop(others);
        // As if the peer had tried again: nothing of it was handed out.
        assert_eq!(lines.next(), Line::Whole(vec![b'x'; 3 * SHORT]));
        assert_eq!(room.0.load(Ordering::Relaxed), 1);
        drop(writer.join().unwrap().unwrap());
        assert_eq!(lines.next(), Line::End);
        assert_eq!(room.0.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn an_answer_reaches_a_peer_that_reads_late() {
        let (mut peer, own) = UnixStream::pair().unwrap();
        let sender = std::thread::spawn(move || send(&own, vec![b'x'; 3_000_000]));
        let mut read = Vec::new();
        peer.read_to_end(&mut read).unwrap();
        sender.join().unwrap().unwrap();
        assert_eq!((read.len(), read.last()), (3_000_001, Some(&b'\n')));
    }
}
