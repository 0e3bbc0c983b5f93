// SPDX-License-Identifier: MIT OR Apache-2.0
//! `sluiced` in the namespaces of the forwarders.

use std::collections::HashMap;
use std::fs;
use std::path::PathBuf;
use std::process::{Child, Command};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::bird;
use crate::netns::Netns;
use crate::plan::Place;
use crate::run::{self, FOLDER, beside, daemon, run, wait_for, words};

/// What may be on the wires of a data centre; packets with outer headers are no longer than that.
pub(crate) const MTU: u32 = 1500;

/// A forwarder: its daemon, and its BIRD.
pub(crate) struct Forwarder {
    pub(crate) place: Place,
    netns: Netns,
    folder: PathBuf,
    process: Option<Child>,
}

impl Forwarder {
    /// Starts both; waits until the daemon answers.
    pub(crate) fn start(place: Place, netns: &Netns, table: &Value) -> Result<Self> {
        let folder = PathBuf::from(FOLDER).join(place.forwarder());
        fs::create_dir(&folder)?;
        // The daemon becomes a user of its own.
        run(words("chown nobody").arg(&folder))?;
        fs::write(folder.join("table.json"), table.to_string())?;
        fs::write(folder.join("sluice.toml"), config(place)?)?;
        let own = [place.site.underlay4(place.number).to_string(), place.site.underlay6(place.number).to_string()];
        let mut announce = Command::new(beside("sluice")?);
        announce.args(["table", "announce", "--daemon", "bird", "--underlay", &own[0], "--underlay", &own[1]]);
        let announced = run(announce.arg(folder.join("table.json")))?;
        bird::start(netns, &bird::forwarder(place, &announced))?;
        let mut forwarder = Self { place, netns: netns.clone(), folder, process: None };
        forwarder.launch()?;
        Ok(forwarder)
    }

    /// Starts the daemon and waits until it answers.
    pub(crate) fn launch(&mut self) -> Result<()> {
        let mut command = self.netns.first(beside("sluiced")?);
        command.arg("--config").arg(self.folder.join("sluice.toml"));
        let mut process = daemon(&mut command, &format!("{}/log", self.place.forwarder()))?;
        let name = self.place.forwarder();
        let answers = wait_for(&format!("sluiced of {name} answers"), || {
            !matches!(process.try_wait(), Ok(None)) || self.ask(&["status"]).is_ok()
        });
        let log = || run::log(&format!("{name}/log"));
        answers.with_context(|| format!("its log:{}", log()))?;
        ensure!(process.try_wait()?.is_none(), "sluiced of {name} ended; its log:{}", log());
        self.process = Some(process);
        Ok(())
    }

    /// Ends the daemon as hard as can be.
    pub(crate) fn kill(&mut self) -> Result<()> {
        let mut process = self.process.take().context("no sluiced runs")?;
        process.kill()?;
        process.wait()?;
        Ok(())
    }

    pub(crate) fn runs(&self) -> bool {
        self.process.is_some()
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.folder.join("control.sock")
    }

    /// The JSON answer of `sluice WORDS`.
    ///
    /// # Errors
    /// The command fails.
    pub(crate) fn ask(&self, words: &[&str]) -> Result<Value> {
        let mut command = Command::new(beside("sluice")?);
        command.args(words).arg("--json").arg("--socket").arg(self.socket());
        Ok(serde_json::from_str(&run(&mut command)?)?)
    }

    /// Gives it another table, which a restart finds as well; returns when every worker forwards by it.
    pub(crate) fn reload(&self, table: &Value) -> Result<()> {
        let file = self.folder.join("table.json");
        fs::write(&file, table.to_string())?;
        let path = file.to_str().context("a path in UTF-8")?;
        self.ask(&["reload", path]).with_context(|| self.place.forwarder()).map(drop)
    }

    /// Why it is not in service, or what it is not well with; nothing if all is well.
    pub(crate) fn troubles(&self) -> Option<String> {
        match self.ask(&["health"]) {
            Ok(health) if health["announced"] == true && health["state"] == "ready" => None,
            Ok(health) => Some(health.to_string()),
            Err(error) => Some(error.to_string()),
        }
    }

    /// Packets sent to each server and data centre, and drops by reason, since the daemon started.
    pub(crate) fn counts(&self) -> Result<Counts> {
        let page = self.netns.run("curl --silent --fail --max-time 10 http://127.0.0.1:9465/metrics")?;
        let mut counts = Counts::default();
        for (name, value) in page.lines().filter_map(|line| line.rsplit_once(' ')) {
            let value = value.parse::<f64>().unwrap_or_default() as u64;
            let label = |key: &str| Some(name.split_once(&format!("{key}=\""))?.1.split_once('"')?.0.to_owned());
            if name.starts_with("sluice_target_packets_total") {
                counts.targets.insert(label("target").unwrap_or_default(), value);
            } else if name.starts_with("sluice_drops_total") {
                *counts.drops.entry(label("reason").unwrap_or_default()).or_default() += value;
            } else if name.starts_with("sluice_originated_packets_total") {
                counts.originated += value;
            }
        }
        Ok(counts)
    }
}

/// What a forwarder has counted.
#[derive(Clone, Debug, Default)]
pub(crate) struct Counts {
    /// Packets by server or data centre.
    pub(crate) targets: HashMap<String, u64>,
    /// Packets by reason.
    pub(crate) drops: HashMap<String, u64>,
    /// ICMP errors, and pieces of packets that were cut.
    pub(crate) originated: u64,
}

impl Counts {
    pub(crate) fn to(&self, target: &str) -> u64 {
        self.targets.get(target).copied().unwrap_or_default()
    }

    pub(crate) fn dropped(&self, reason: &str) -> u64 {
        self.drops.get(reason).copied().unwrap_or_default()
    }

    /// What was counted since.
    pub(crate) fn since(&self, before: &Self) -> Self {
        let less = |now: &HashMap<String, u64>, then: &HashMap<String, u64>| {
            now.iter()
                .map(|(name, count)| (name.clone(), count.saturating_sub(then.get(name).copied().unwrap_or_default())))
                .collect()
        };
        Self {
            targets: less(&self.targets, &before.targets),
            drops: less(&self.drops, &before.drops),
            originated: self.originated.saturating_sub(before.originated),
        }
    }
}

fn config(place: Place) -> Result<String> {
    let cores = core_affinity::get_core_ids().context("which cores are there")?;
    // Forwarders of a data centre on different cores, where there are several.
    let core = cores.get(usize::from(place.number) % cores.len().max(1)).context("no core")?.id;
    let site = place.site;
    Ok(format!(
        r#"
datacenter = "{name}"
table = "table.json"
[underlay]
ipv4 = "{ipv4}"
ipv6 = "{ipv6}"
flow_key = "5eed5eed5eed5eed5eed5eed5eed5eed"
[[device]]
name = "wan0"
vdev = "net_af_xdp0,iface=wan0"
mac = "02:00:00:00:{site_number:02x}:{number:02x}"
mtu = {MTU}
kernel = "wan0-k"
[workers]
cores = [{core}]
idle = "sleep"
[eal]
args = ["--no-huge", "-m", "512", "--no-pci", "--no-shconf", "--no-telemetry"]
[daemon]
user = "nobody"
[control]
socket = "control.sock"
[state]
folder = "state"
[metrics]
listen = "127.0.0.1:9465"
[readiness]
interface = "sluice-ready"
settle = 0
"#,
        name = site.name,
        ipv4 = site.underlay4(place.number),
        ipv6 = site.underlay6(place.number),
        site_number = site.number,
        number = place.number,
    ))
}
