// SPDX-License-Identifier: MIT OR Apache-2.0
//! BIRD 2 in a namespace.

use std::process::{Command, Stdio};

use tempfile::TempDir;

use super::netns::Netns;
use super::{Process, run, wait_for};

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
        wait_for("a BGP session", || self.ask(&format!("show protocols {protocol}")).contains("Established"));
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
