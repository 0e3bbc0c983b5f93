// SPDX-License-Identifier: MIT OR Apache-2.0
//! `sluice-agent` in the namespaces of the servers, and programs that it lets use shared addresses.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::house;
use crate::netns::Netns;
use crate::plan::Place;
use crate::run::{self, FOLDER, beside, daemon, run, wait_for};

/// How long a server waits, before it begins connections from what it has gained, for all others to hear of that.
pub(crate) const SETTLE: Duration = Duration::from_secs(1);

/// A server, and its agent.
pub(crate) struct Server {
    pub(crate) place: Place,
    pub(crate) name: String,
    pub(crate) netns: Netns,
    /// Where its agent and its clients have their files.
    pub(crate) folder: PathBuf,
}

impl Server {
    /// Starts the agent and waits until it answers. What leaves from others' ports it is to `drop`, or to `count`.
    pub(crate) fn start(place: Place, netns: &Netns, table: &Value, guard: &str) -> Result<Self> {
        let name = place.server();
        let folder = Path::new(FOLDER).join(&name);
        fs::create_dir(&folder)?;
        fs::write(folder.join("table.json"), table.to_string())?;
        fs::write(folder.join("agent.toml"), config(&name, guard)?)?;
        let mut command = netns.command(beside("sluice-agent")?);
        command.args(["run", "--config"]).arg(folder.join("agent.toml"));
        let log = format!("{name}/log");
        let mut process = daemon(&mut command, &log)?;
        let answers = wait_for(&format!("sluice-agent of {name} answers"), || {
            !matches!(process.try_wait(), Ok(None)) || ask(&folder, &["status"]).is_ok()
        });
        answers.with_context(|| format!("its log:{}", run::log(&log)))?;
        ensure!(process.try_wait()?.is_none(), "sluice-agent of {name} ended; its log:{}", run::log(&log));
        Ok(Self { place, name, netns: netns.clone(), folder })
    }

    /// Puts a table into the place of the one that the agent follows; returns when the agent has it.
    pub(crate) fn follow(&self, table: &Value) -> Result<()> {
        let (new, old) = (self.folder.join("table.new"), self.folder.join("table.json"));
        fs::write(&new, table.to_string())?;
        fs::rename(new, old)?;
        wait_for(&format!("the agent of {} has the table", self.name), || {
            self.ask(&["status"]).is_ok_and(|status| status["generation"] == table["generation"])
        })
        .with_context(|| format!("its log:{}", run::log(&format!("{}/log", self.name))))?;
        Ok(())
    }

    /// The JSON answer of `sluice-agent WORDS`.
    pub(crate) fn ask(&self, words: &[&str]) -> Result<Value> {
        ask(&self.folder, words)
    }

    /// The sum of all samples of metrics whose name begins so and whose labels have a word.
    pub(crate) fn metric(&self, name: &str, word: &str) -> Result<u64> {
        let page = self.netns.run("curl --silent --fail --max-time 10 http://127.0.0.1:9466/metrics")?;
        let lines: Vec<_> = page.lines().filter(|line| line.starts_with(name) && line.contains(word)).collect();
        ensure!(!lines.is_empty(), "the agent of {} has no metric {name} with {word}", self.name);
        Ok(lines.iter().filter_map(|line| line.rsplit_once(' ')?.1.parse::<f64>().ok()).sum::<f64>() as u64)
    }

    /// A command that the agent lets use what the server owns and `options` of the agent choose.
    pub(crate) fn command(&self, options: &[&str], program: impl AsRef<OsStr>) -> Result<Command> {
        let mut command = self.netns.command(beside("sluice-agent")?);
        command.arg("exec").arg("--socket").arg(socket(&self.folder)).args(options).arg("--").arg(program);
        command.stdin(Stdio::null());
        Ok(command)
    }
}

/// Has a program use what the servers share.
pub(crate) const WEB: &[&str] = &["--tag", "use=web"];

fn socket(folder: &Path) -> PathBuf {
    folder.join("agent.sock")
}

fn ask(folder: &Path, words: &[&str]) -> Result<Value> {
    let mut command = Command::new(beside("sluice-agent")?);
    command.args(words).arg("--json").arg("--socket").arg(socket(folder));
    Ok(serde_json::from_str(&run(&mut command)?)?)
}

fn config(name: &str, guard: &str) -> Result<String> {
    Ok(format!(
        r#"
server = "{name}"
table = "table.json"
[underlay]
devices = ["eth0"]
[receive]
# All servers, by whichever of their addresses they pass something on.
peers = ["10.0.0.0/8", "2001:db8:a::/48", "2001:db8:b::/48"]
[ports]
settle = {settle}
[guard]
action = "{guard}"
[exec]
cgroup = "{cgroup}"
[control]
socket = "agent.sock"
[metrics]
listen = "127.0.0.1:9466"
"#,
        settle = SETTLE.as_secs(),
        cgroup = house::cgroup()?.join(name).display(),
    ))
}
