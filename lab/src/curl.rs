// SPDX-License-Identifier: MIT OR Apache-2.0
//! Downloads by curl: many at once, each into a file of its own, compared with the origin's checksums afterwards.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;
use std::process::{Child, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::{Context, Result};

use crate::origin::{self, SLOWLY, certificate, file};
use crate::plan::DOMAIN;
use crate::run::{run, words};
use crate::server::Server;

/// What a server is to download.
pub(crate) struct Order {
    /// Numbers of files, one a download.
    pub(crate) files: Vec<u64>,
    /// Of one address family alone: `4` or `6`.
    pub(crate) family: char,
    /// Whether each is to take its time: ten seconds for the large file.
    pub(crate) slow: bool,
    /// More of curl's options.
    pub(crate) options: &'static str,
    /// Options of `sluice-agent exec`.
    pub(crate) agent: &'static [&'static str],
}

/// Downloads of one server under way.
pub(crate) struct Downloads {
    order: Order,
    folder: PathBuf,
    process: Child,
}

/// What came of downloads.
#[derive(Clone, Debug, Default)]
pub(crate) struct Outcome {
    pub(crate) wanted: usize,
    /// Complete, with the right checksum.
    pub(crate) right: usize,
    pub(crate) bytes: u64,
    /// What curl complained of first.
    pub(crate) complaint: String,
}

static COUNT: AtomicU32 = AtomicU32::new(0);

impl Order {
    /// Starts it: each download has a connection of its own, and every tenth is by HTTPS.
    pub(crate) fn start(self, server: &Server) -> Result<Downloads> {
        let folder = server.folder.join(format!("downloads-{}", COUNT.fetch_add(1, Ordering::Relaxed)));
        fs::create_dir(&folder)?;
        let mut list = String::new();
        for (index, number) in self.files.iter().enumerate() {
            let scheme = if index % 10 == 9 { "https" } else { "http" };
            let url = if self.slow {
                format!("http://{DOMAIN}/{SLOWLY}/{}", file(*number))
            } else {
                format!("{scheme}://{DOMAIN}/{}", file(*number))
            };
            writeln!(list, "url = \"{url}\"\noutput = \"{}\"", folder.join(index.to_string()).display())?;
        }
        let config = folder.join("curl.conf");
        fs::write(&config, list)?;
        let mut command = server.command(self.agent, "curl")?;
        command.args(["--parallel", "--parallel-immediate", "--fail", "--no-progress-meter"]);
        command.arg("--cacert").arg(certificate()).arg(format!("-{}", self.family));
        command.args(["--header", "Connection: close", "--header", &format!("X-Server: {}", server.name)]);
        command.args(self.options.split_whitespace()).arg("--config").arg(&config);
        let complaints = fs::File::create(folder.join("complaints"))?;
        let process = command.stdout(Stdio::null()).stderr(complaints).spawn().context("curl")?;
        Ok(Downloads { order: self, folder, process })
    }
}

impl Downloads {
    /// Whether it still runs.
    pub(crate) fn runs(&mut self) -> bool {
        matches!(self.process.try_wait(), Ok(None))
    }

    /// Waits for its end, compares what came, and removes it.
    pub(crate) fn end(mut self, checksums: &Checksums) -> Result<Outcome> {
        self.process.wait()?;
        let complaints = fs::read_to_string(self.folder.join("complaints"))?;
        let mut outcome = Outcome { wanted: self.order.files.len(), ..Outcome::default() };
        outcome.complaint = complaints.lines().find(|line| !line.is_empty()).unwrap_or_default().to_owned();
        let there = |index: &usize| self.folder.join(index.to_string()).exists();
        let got: Vec<_> = (0..outcome.wanted).filter(there).map(|index| index.to_string()).collect();
        if got.is_empty() {
            return Ok(outcome);
        }
        let sums = run(words("sha256sum").current_dir(&self.folder).args(&got))?;
        for (sum, index) in sums.lines().filter_map(|line| line.split_once("  ")) {
            let number = self.order.files.get(index.parse::<usize>()?).context("a file that nobody wanted")?;
            if checksums.0.get(number).is_some_and(|right| right == sum) {
                outcome.right += 1;
                outcome.bytes += fs::metadata(self.folder.join(index))?.len();
            }
        }
        fs::remove_dir_all(&self.folder)?;
        Ok(outcome)
    }
}

/// The checksum of each of the origin's files.
pub(crate) struct Checksums(HashMap<u64, String>);

impl Checksums {
    pub(crate) fn new() -> Result<Self> {
        let lines = origin::checksums()?;
        let parse = |line: &str| {
            let (sum, name) = line.split_once("  ")?;
            Some((name.strip_suffix(".bin")?.parse().ok()?, sum.to_owned()))
        };
        Ok(Self(lines.lines().filter_map(parse).collect()))
    }
}

impl Outcome {
    /// All of it: every byte right.
    pub(crate) fn is_right(&self) -> bool {
        self.wanted > 0 && self.right == self.wanted
    }

    pub(crate) fn add(&mut self, other: &Self) {
        self.wanted += other.wanted;
        self.right += other.right;
        self.bytes += other.bytes;
        if self.complaint.is_empty() {
            self.complaint.clone_from(&other.complaint);
        }
    }
}

impl std::fmt::Display for Outcome {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} of {} right, {:.1} MB", self.right, self.wanted, self.bytes as f64 / 1e6)?;
        if self.complaint.is_empty() { Ok(()) } else { write!(f, "; {}", self.complaint) }
    }
}
