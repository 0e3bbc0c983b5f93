// SPDX-License-Identifier: MIT OR Apache-2.0
//! Those who handle packets and connections in the kernel: each is told a view before anything else follows it.

use std::collections::BTreeMap;

use crate::config::Config;
use crate::exec::{self, Exec, Filter, Tally};
use crate::receive::{self, Attached, Receive, ReceiveCounters};
use crate::view::View;

/// All of them. Dropped, their programs are gone.
pub struct Parts {
    receive: Receive,
    /// Without control groups there is none, and a server receives all the same.
    exec: Result<Exec, String>,
    /// What the kernel refused, at the last attempt.
    problems: Vec<String>,
}

/// What they counted.
#[derive(Debug, Default)]
pub struct Counters {
    /// Packets that came; none if the kernel does not tell.
    pub receive: Option<ReceiveCounters>,
    /// Connections of programs under `exec`, by what these asked for.
    pub exec: BTreeMap<Filter, Tally>,
}

impl Parts {
    /// Starts all by `view`.
    ///
    /// # Errors
    ///
    /// This server can't receive.
    pub fn start(config: &Config, view: &View) -> Result<Self, receive::Error> {
        let receive = Receive::start(&config.devices, config.gue_port, config.receive, view)?;
        for Attached { device, is_native, why } in receive.attached() {
            tracing::info!(device, native = is_native, why, "receiving");
        }
        let cgroup = config.cgroup.clone().unwrap_or_else(exec::default_cgroup);
        let settings = exec::Settings { pins: exec::default_pins(&cgroup), cgroup };
        let exec = Exec::start(settings, view).map_err(|error| error.to_string());
        if let Err(error) = &exec {
            tracing::warn!("sluice-agent exec does not work here: {error}");
        }
        Ok(Self { receive, exec, problems: Vec::new() })
    }

    /// Tells all of another view. One that does not take it stays at the one before.
    pub fn publish(&mut self, view: &View) {
        let received = self.receive.publish(view).map_err(|error| error.to_string());
        let sent = self.exec.as_mut().map_or(Ok(()), |exec| exec.publish(view).map_err(|error| error.to_string()));
        self.problems = [received.err(), sent.err()].into_iter().flatten().collect();
        self.problems.iter().for_each(|problem| tracing::error!("{problem}"));
    }

    /// Lets a process connect only from what `filter` takes, from now on.
    ///
    /// # Errors
    ///
    /// Why not, in a line.
    pub fn admit(&mut self, pid: u32, filter: &Filter) -> Result<(), String> {
        let exec = self.exec.as_mut().map_err(|error| error.clone())?;
        exec.admit(pid, filter).map_err(|error| error.to_string())
    }

    /// How the program that receives is attached, device by device.
    pub fn attached(&self) -> &[Attached] {
        self.receive.attached()
    }

    /// What they counted so far.
    pub fn counters(&mut self) -> Counters {
        let told = self.receive.counters().inspect_err(|error| tracing::warn!("{error}"));
        Counters { receive: told.ok(), exec: self.exec.as_mut().map(Exec::counters).unwrap_or_default() }
    }

    /// What the kernel refused at the last attempt, a line each.
    pub fn problems(&self) -> &[String] {
        &self.problems
    }

    /// Why there is no exec, if there is none.
    pub fn warning(&self) -> Option<String> {
        self.exec.as_ref().err().map(|error| format!("sluice-agent exec does not work here: {error}"))
    }
}
