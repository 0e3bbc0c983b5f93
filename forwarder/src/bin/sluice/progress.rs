// SPDX-License-Identifier: MIT OR Apache-2.0
//! How far something has come that takes a while: a line on stderr that comes and goes, where stderr is a terminal, and
//! nothing elsewhere.

use std::io::{self, IsTerminal, Write};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crate::output::memory;

/// What takes less needs no line.
const DELAY: Duration = Duration::from_millis(300);
const INTERVAL: Duration = Duration::from_millis(100);
const BAR: usize = 24;
/// Of a terminal that does not tell.
const WIDTH: usize = 80;

/// How far it is, in bytes. Zero is not known.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Far {
    pub(crate) done: u64,
    pub(crate) total: u64,
}

/// A line that goes when this is dropped.
#[derive(Debug)]
pub(crate) struct Progress(Option<(Sender<()>, JoinHandle<()>)>);

impl Progress {
    /// Tells that `what` goes on, as far as `far` says from time to time.
    pub(crate) fn start(what: String, mut far: impl FnMut() -> Far + Send + 'static) -> Self {
        let dumb = std::env::var_os("TERM").is_none_or(|terminal| terminal == "dumb");
        if dumb || !io::stderr().is_terminal() {
            return Self(None);
        }
        let start = Instant::now();
        let (end, ended) = channel();
        let draw = move || {
            let mut wait = DELAY;
            while let Err(RecvTimeoutError::Timeout) = ended.recv_timeout(wait) {
                wait = INTERVAL;
                show(&line(&what, far(), start.elapsed(), width()));
            }
            if wait == INTERVAL {
                show("");
            }
        };
        // Without a thread it goes on in silence.
        let thread = thread::Builder::new().name("progress".to_owned()).spawn(draw);
        Self(thread.ok().map(|thread| (end, thread)))
    }

    /// Tells how much of a file has been read; the counter is for whoever reads it.
    pub(crate) fn reading(path: &Path) -> (Self, Arc<AtomicU64>) {
        let read = Arc::new(AtomicU64::new(0));
        let counter = Arc::clone(&read);
        let total = path.metadata().ok().filter(|metadata| metadata.is_file()).map_or(0, |metadata| metadata.len());
        let far = move || Far { done: counter.load(Ordering::Relaxed), total };
        (Self::start(format!("reading {}", path.display()), far), read)
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some((end, thread)) = self.0.take() {
            drop(end);
            let _ = thread.join();
        }
    }
}

/// In the place of the line before. Where it can't be written, nobody misses it.
fn show(line: &str) {
    let _ = write!(io::stderr(), "\r\x1b[K{line}");
}

fn width() -> usize {
    let size = rustix::termios::tcgetwinsize(io::stderr()).map_or(0, |size| usize::from(size.ws_col));
    if size == 0 { WIDTH } else { size }
}

/// The line, which leaves the last column of the terminal free so that it never wraps.
fn line(what: &str, far: Far, elapsed: Duration, width: usize) -> String {
    let Far { done, total } = far;
    let bytes = |bytes: u64| memory(usize::try_from(bytes).unwrap_or(usize::MAX));
    let seconds = elapsed.as_secs();
    let mut line = if total > 0 {
        let done = done.min(total);
        let part = done as f64 / total as f64;
        let filled = (part * BAR as f64) as usize;
        let bar = format!("{}{}", "#".repeat(filled), ".".repeat(BAR - filled));
        format!("[{bar}] {:3.0} % of {}, {seconds} s: {what}", (part * 100.0).floor(), bytes(total))
    } else if done > 0 {
        format!("{}, {seconds} s: {what}", bytes(done))
    } else {
        format!("{seconds} s: {what}")
    };
    line = line.chars().map(|c| if c.is_control() { '?' } else { c }).take(width.saturating_sub(1)).collect();
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_tells_what_is_known_and_fits() {
        let second = Duration::from_millis(1_900);
        let at = |done, total, width| line("reading a\nb", Far { done, total }, second, width);
        assert_eq!(at(0, 0, 80), "1 s: reading a?b");
        assert_eq!(at(2048, 0, 80), "2.0 KiB, 1 s: reading a?b");
        assert_eq!(at(1024, 2048, 80), "[############............]  50 % of 2.0 KiB, 1 s: reading a?b");
        assert_eq!(at(2047, 2048, 30), "[#######################.]  9");
        assert_eq!(at(9999, 2048, 80), "[########################] 100 % of 2.0 KiB, 1 s: reading a?b");
    }
}
