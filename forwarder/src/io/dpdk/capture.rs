// SPDX-License-Identifier: MIT OR Apache-2.0
//! What DPDK says while it starts, caught so that an error is one line that holds the cause.
//!
//! DPDK reports why a device or an argument failed only as text on standard error, some of it around its own log (getopt,
//! EAL's alerts), and answers a bad argument with pages of usage on standard output. So both descriptors are turned away
//! while it starts. That is the whole process's doing: whatever another thread writes meanwhile ends up in the log as
//! well, and a message of a process that dies meanwhile is lost. Both are bearable in the first second of a daemon only.

use std::fs::File;
use std::io::{self, Read, Seek};
use std::os::fd::OwnedFd;

use rustix::fs::{MemfdFlags, memfd_create};
use rustix::io::{dup, fcntl_dupfd_cloexec};
use rustix::stdio::{dup2_stderr, dup2_stdout, stderr, stdout};

/// Runs `work` with standard output turned off; returns what it returned, and the lines of standard error.
pub(super) fn captured<R>(work: impl FnOnce() -> R) -> (R, Vec<String>) {
    let capture = Capture::begin();
    let result = work();
    let lines = match capture {
        Ok(capture) => capture.end().unwrap_or_default(),
        // Out of descriptors or memory: then the text goes where it always went.
        Err(_) => Vec::new(),
    };
    (result, lines)
}

struct Capture {
    stdout: OwnedFd,
    stderr: OwnedFd,
    text: File,
}

impl Capture {
    fn begin() -> io::Result<Self> {
        let text = memfd_create("dpdk-log", MemfdFlags::CLOEXEC)?;
        let nowhere = File::options().write(true).open("/dev/null")?;
        let capture = Self {
            stdout: fcntl_dupfd_cloexec(stdout(), 3)?,
            stderr: fcntl_dupfd_cloexec(stderr(), 3)?,
            text: File::from(dup(&text)?),
        };
        dup2_stdout(&nowhere)?;
        dup2_stderr(&text)?;
        Ok(capture)
    }

    fn end(mut self) -> io::Result<Vec<String>> {
        // C buffers standard output when it is no terminal: what is left of the usage must not come out later.
        // SAFETY: no precondition.
        unsafe { dpdk_sys::shim_flush_stdout() };
        let mut text = Vec::new();
        self.text.rewind()?;
        self.text.read_to_end(&mut text)?;
        Ok(tidy(&String::from_utf8_lossy(&text)))
    }
}

impl Drop for Capture {
    fn drop(&mut self) {
        // Nothing is left to do for a process that can't have its own descriptors back.
        let _ = dup2_stdout(&self.stdout);
        let _ = dup2_stderr(&self.stderr);
    }
}

/// The lines of a log without their origin (`EAL:`, a function's name) and without repetitions: alerts come twice.
fn tidy(text: &str) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for line in text.lines() {
        let mut line = line.trim();
        while let Some((origin, rest)) = line.split_once(": ") {
            if !is_origin(origin) {
                break;
            }
            line = rest.trim_start();
        }
        let line = line.trim_end_matches('.');
        if !line.is_empty() && !lines.iter().any(|seen| seen == line) {
            lines.push(line.to_owned());
        }
    }
    lines
}

/// `EAL`, `FATAL`, a library's name, `function()` or this program: all that DPDK puts before a message.
fn is_origin(word: &str) -> bool {
    word == super::PROGRAM || word.ends_with("()") || word.chars().all(|c| c.is_ascii_uppercase() || c == '_')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_lose_their_origin_and_their_repetitions() {
        let log = "sluiced: unrecognized option '--no-hug'\n\
                   EAL: FATAL: Invalid 'command line' arguments.\n\
                   EAL: Invalid 'command line' arguments.\n\n\
                   open_single_rx_pcap(): Couldn't open a.pcap: No such file or directory\n";
        let expected = [
            "unrecognized option '--no-hug'",
            "Invalid 'command line' arguments",
            "Couldn't open a.pcap: No such file or directory",
        ];
        assert_eq!(tidy(log), expected);
    }

    #[test]
    fn a_message_with_a_colon_stays_whole() {
        assert_eq!(tidy("vdev_probe(): failed: net_x: no\n"), ["failed: net_x: no"]);
    }
}
