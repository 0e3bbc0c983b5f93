// SPDX-License-Identifier: MIT OR Apache-2.0
//! Plays the capture to `sluiced`, over and over, through a named pipe that its pcap device reads as a file.
//!
//! DPDK's own way to loop a capture (`infinite_rx=1`) sends as fast as it can until it is stopped. Through the pipe the
//! demo knows to the packet what went in, so it can ask for every single one afterwards, and the size of the output is
//! bounded on fast machines and slow disks alike.

use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant};

use rustix::fs::{CWD, FileType, Mode, OFlags, mknodat};

use crate::daemon::{Daemon, PATIENCE};
use crate::traffic::{PACKETS, Traffic};

const PAUSE: Duration = Duration::from_micros(200);

/// The writing end of the pipe.
pub(crate) struct Feeder<'a> {
    traffic: &'a Traffic,
    path: PathBuf,
    pipe: Option<File>,
    fed: u64,
}

impl<'a> Feeder<'a> {
    /// Makes the pipe, which has no reader yet.
    pub(crate) fn new(path: &Path, traffic: &'a Traffic) -> Result<Self, String> {
        mknodat(CWD, path, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0)
            .map_err(|error| format!("{}: {error}", path.display()))?;
        Ok(Self { traffic, path: path.to_owned(), pipe: None, fed: 0 })
    }

    /// Waits until `daemon` opens its end, and sends the header of the file.
    pub(crate) fn open(&mut self, daemon: &mut Daemon<'_>) -> Result<(), String> {
        let deadline = Instant::now() + PATIENCE;
        let mut options = OpenOptions::new();
        options.write(true).custom_flags(OFlags::NONBLOCK.bits() as i32);
        let pipe = loop {
            match options.open(&self.path) {
                Ok(pipe) => break pipe,
                // Nobody reads yet: ENXIO (fifo(7)).
                Err(_) if Instant::now() < deadline => {
                    daemon.check()?;
                    sleep(PAUSE);
                }
                Err(error) => return Err(format!("sluiced does not open its device: {error}")),
            }
        };
        self.pipe = Some(pipe);
        let header = self.traffic.ends.first().copied().unwrap_or(0);
        self.write(0, header, daemon)
    }

    /// Sends the next `packets` packets; waits where the daemon is slower. Nothing once closed.
    pub(crate) fn feed(&mut self, packets: u64, daemon: &mut Daemon<'_>) -> Result<(), String> {
        let target = self.fed + if self.pipe.is_some() { packets } else { 0 };
        while self.fed < target {
            let first = (self.fed % PACKETS as u64) as usize;
            let count = (PACKETS - first).min((target - self.fed) as usize);
            let end = |index: usize| self.traffic.ends.get(index).copied().unwrap_or(0);
            self.write(end(first), end(first + count), daemon)?;
            self.fed += count as u64;
        }
        Ok(())
    }

    /// Packets sent so far.
    pub(crate) fn fed(&self) -> u64 {
        self.fed
    }

    /// The end of the traffic.
    pub(crate) fn close(&mut self) {
        self.pipe = None;
    }

    fn write(&mut self, from: usize, to: usize, daemon: &mut Daemon<'_>) -> Result<(), String> {
        let mut rest = self.traffic.file.get(from..to).unwrap_or_default();
        let Some(pipe) = &mut self.pipe else { return Ok(()) };
        let mut deadline = Instant::now() + PATIENCE;
        while !rest.is_empty() {
            match pipe.write(rest) {
                Ok(written) => {
                    rest = rest.get(written..).unwrap_or_default();
                    deadline = Instant::now() + PATIENCE;
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock && Instant::now() < deadline => {
                    daemon.check()?;
                    sleep(PAUSE);
                }
                Err(error) => {
                    daemon.check()?;
                    return Err(format!("sluiced does not read its device any more: {error}"));
                }
            }
        }
        Ok(())
    }
}

impl Drop for Feeder<'_> {
    fn drop(&mut self) {
        // Who runs the daemon by hand afterwards would wait for a writer for ever.
        let _ = std::fs::remove_file(&self.path);
    }
}
