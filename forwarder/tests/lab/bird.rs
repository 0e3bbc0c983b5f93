// SPDX-License-Identifier: MIT OR Apache-2.0
//! BIRD 2 in a namespace.

use std::process::{Command, Stdio};

use tempfile::TempDir;

use super::netns::Netns;
use super::{Process, run, wait_for};

/// A time of the day, in seconds. BIRD counts back from now when it is asked, so one moment has several of them, some milliseconds
/// apart; a session that has ended meanwhile and come back is further off.
#[derive(Debug)]
pub struct Since(f64);

impl Since {
    fn read(word: &str) -> Option<Self> {
        let mut parts = word.splitn(3, ':').map(|part| part.parse::<f64>().ok());
        let (hours, minutes, seconds) = (parts.next()??, parts.next()??, parts.next()??);
        Some(Self((hours * 60.0 + minutes) * 60.0 + seconds))
    }
}

impl PartialEq for Since {
    fn eq(&self, other: &Self) -> bool {
        (self.0 - other.0).abs() < 0.25
    }
}

pub struct Bird {
    folder: TempDir,
    _process: Process,
}

impl Bird {
    /// Starts it and waits until it can be asked.
    pub fn start(netns: &Netns, config: &str) -> Self {
        let folder = TempDir::new().unwrap();
        let path = |name| folder.path().join(name);
        std::fs::write(path("bird.conf"), config).unwrap();
        let log = std::fs::File::create(path("log")).unwrap();
        let mut command = netns.command("bird");
        command.arg("-f").arg("-c").arg(path("bird.conf")).arg("-s").arg(path("ctl")).arg("-P").arg(path("pid"));
        let child = command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log).spawn().unwrap();
        let bird = Self { folder, _process: Process(child) };
        wait_for("BIRD answers", || bird.command("show status").output().unwrap().status.success());
        bird
    }

    /// What it has said.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    fn command(&self, words: &str) -> Command {
        let mut command = Command::new("birdc");
        command.arg("-s").arg(self.folder.path().join("ctl")).args(words.split_whitespace());
        command
    }

    /// What `birdc WORDS` prints.
    pub fn ask(&self, words: &str) -> String {
        run(&mut self.command(words))
    }

    /// Waits until a BGP session is up.
    pub fn wait_for_session(&self, protocol: &str) {
        wait_for("a BGP session", || self.is_established(protocol));
    }

    /// Whether a BGP session is up.
    pub fn is_established(&self, protocol: &str) -> bool {
        self.ask(&format!("show protocols {protocol}")).contains("Established")
    }

    /// Since when a BGP session is up.
    pub fn session(&self, protocol: &str) -> Option<Since> {
        self.since(&format!("show protocols {protocol}"), "Established")
    }

    /// Since when BFD's only session is up.
    pub fn bfd(&self) -> Option<Since> {
        self.since("show bfd sessions", " Up ")
    }

    /// The time in the line that has these words.
    fn since(&self, question: &str, words: &str) -> Option<Since> {
        let said = self.ask(question);
        let line = said.lines().find(|line| line.contains(words))?;
        line.split_whitespace().find_map(Since::read)
    }

    /// The prefixes that came by BGP, in order.
    pub fn received(&self) -> Vec<String> {
        let said = self.ask("show route where source = RTS_BGP");
        let mut prefixes: Vec<_> =
            said.lines().filter_map(|line| line.split_whitespace().next()).filter(|word| word.contains('/')).collect();
        prefixes.sort_unstable();
        prefixes.iter().map(|prefix| (*prefix).to_owned()).collect()
    }
}
