// SPDX-License-Identifier: MIT OR Apache-2.0
//! All of it: the network with what runs in it.

use std::net::IpAddr;
use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::{Value, json};

use crate::bird;
use crate::breakage::{self, Breakage};
use crate::forwarder::{Counts, Forwarder};
use crate::network::Network;
use crate::origin::Origin;
use crate::plan::{self, EGRESS, INTERNET, ORIGIN, SITES, Site};
use crate::report::Report;
use crate::run::wait_for;
use crate::server::{SETTLE, Server};

/// The lab, up and running.
pub(crate) struct Lab {
    pub(crate) network: Network,
    pub(crate) origin: Origin,
    pub(crate) forwarders: Vec<Forwarder>,
    pub(crate) servers: Vec<Server>,
    /// The table that all have.
    pub(crate) table: Value,
    /// What is broken on purpose: then a step is to fail, and is told with little patience.
    pub(crate) broken: Option<&'static Breakage>,
    /// What the forwarders counted while everybody downloaded.
    pub(crate) talk: Option<Vec<Counts>>,
}

impl Lab {
    pub(crate) fn start(report: &mut Report, broken: Option<&'static Breakage>) -> Result<Self> {
        let network = Network::new()?;
        report.say(format_args!("{} network namespaces are wired", network.names().count()));
        let origin = Origin::start(network.named(ORIGIN)?)?;
        report.say("the origin serves HTTP, HTTPS, DNS, iperf3 and datagrams");
        bird::start(network.named(INTERNET)?, &bird::internet())?;
        for site in SITES {
            bird::start(network.named(site.short)?, &bird::router(site))?;
        }
        let table = plan::table();
        let mut forwarders = vec![];
        for place in plan::forwarders() {
            forwarders.push(Forwarder::start(place, network.named(&place.forwarder())?, &table)?);
        }
        report.say("four sluiced and seven BIRDs run");
        let mut servers = vec![];
        for place in plan::servers() {
            let guard = if broken.is_some_and(|broken| broken.name == breakage::GUARD) { "count" } else { "drop" };
            servers.push(Server::start(place, network.server(place)?, &table, guard)?);
        }
        report.say("six sluice-agents run");
        let lab = Self { network, origin, forwarders, servers, table, broken, talk: None };
        let time = lab.wait_until_announced()?;
        report.say(format_args!("everything is announced and has a next hop ({time:.1} s)"));
        if let Some(broken) = broken {
            report.say(format_args!("broken on purpose: {}", broken.what));
            (broken.apply)(&lab)?;
        }
        Ok(lab)
    }

    /// Whether this is what is broken on purpose.
    pub(crate) fn is_broken(&self, name: &str) -> bool {
        self.broken.is_some_and(|broken| broken.name == name)
    }

    /// Waits until all forwarders that run are well, and both data centres get packets from the Internet; the seconds.
    pub(crate) fn wait_until_announced(&self) -> Result<f64> {
        let mut troubles = String::new();
        let time = wait_for("all forwarders are announced", || {
            let running = self.forwarders.iter().filter(|forwarder| forwarder.runs());
            let mut wrong = running
                .filter_map(|forwarder| Some(format!("{}: {}", forwarder.place.forwarder(), forwarder.troubles()?)));
            troubles = wrong.next().unwrap_or_default();
            troubles.is_empty() && self.ways_in().is_ok_and(|ways| ways)
        });
        Ok(time.with_context(|| format!("the Internet's routes or a forwarder: {troubles}"))?.as_secs_f64())
    }

    /// Whether the Internet has a way by each data centre, and each of those by each forwarder of its own that runs.
    fn ways_in(&self) -> Result<bool> {
        let ways = |name: &str| -> Result<[usize; 2]> {
            let netns = self.network.named(name)?;
            let [four, six] = [("", EGRESS[0]), ("-6", EGRESS[1])].map(|(family, prefix)| {
                Ok::<_, anyhow::Error>(netns.ip(&format!("{family} route show {prefix}"))?.matches(" via ").count())
            });
            Ok([four?, six?])
        };
        let running = |site: Site| self.forwarders.iter().filter(|f| f.runs() && f.place.site == site).count();
        let mut all = ways(INTERNET)? == [2; 2];
        for site in SITES {
            all &= ways(site.short)? == [running(site); 2];
        }
        Ok(all)
    }

    /// Gives all a changed table under the next generation; returns when every worker forwards by it, and servers use what they
    /// have gained.
    pub(crate) fn change(&mut self, change: impl FnOnce(&mut Value) -> Result<()>) -> Result<()> {
        let mut table = self.table.clone();
        change(&mut table)?;
        let generation = table["generation"].as_u64().context("a generation")? + 1;
        table["generation"] = json!(generation);
        // Who is to receive more hears of it before packets come.
        for server in &self.servers {
            server.follow(&table)?;
        }
        for forwarder in self.forwarders.iter().filter(|forwarder| forwarder.runs()) {
            forwarder.reload(&table)?;
        }
        self.table = table;
        std::thread::sleep(SETTLE + Duration::from_millis(300));
        Ok(())
    }

    /// What every forwarder that runs has counted, in their order.
    pub(crate) fn counts(&self) -> Result<Vec<Counts>> {
        self.forwarders
            .iter()
            .map(|forwarder| if forwarder.runs() { forwarder.counts() } else { Ok(Counts::default()) })
            .collect()
    }

    /// A forwarder by its name.
    pub(crate) fn forwarder(&mut self, name: &str) -> Result<&mut Forwarder> {
        let found = self.forwarders.iter_mut().find(|forwarder| forwarder.place.forwarder() == name);
        found.with_context(|| format!("there is no forwarder {name}"))
    }

    /// A server by its name.
    pub(crate) fn server(&self, name: &str) -> Result<&Server> {
        self.servers.iter().find(|server| server.name == name).with_context(|| format!("there is no server {name}"))
    }

    /// A port in the middle of what a server has of an address.
    pub(crate) fn port_of(&self, address: IpAddr, server: &str) -> Result<u16> {
        let slices = (0..=u16::MAX).step_by(plan::SLICE as usize);
        let mut own = slices.filter(|first| self.owner(address, *first) == Some(server));
        Ok(own.next().with_context(|| format!("{server} owns nothing of {address}"))? + 1000)
    }

    /// Who owns a port of an address, by the table's own document.
    pub(crate) fn owner(&self, address: IpAddr, port: u16) -> Option<&str> {
        let entry = self.table["egress"].as_array()?.iter().find(|entry| {
            let prefix = entry["prefix"].as_str().and_then(|prefix| prefix.split_once('/'));
            // The entries that servers use are whole addresses.
            prefix.is_some_and(|(place, _)| place.parse() == Ok(address))
        })?;
        match &entry["slices"] {
            Value::Null => entry["server"].as_str(),
            slices => slices["owners"][u64::from(port).checked_div(slices["ports"].as_u64()?)? as usize].as_str(),
        }
    }
}
