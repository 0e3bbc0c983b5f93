// SPDX-License-Identifier: MIT OR Apache-2.0
//! Those who handle packets and connections in the kernel: each is told a view before anything else follows it.

use std::collections::BTreeMap;
use std::fs::File;

use crate::config::Config;
use crate::exec::{self, Exec, Filter, Tally};
use crate::guard::{self, Caught, Guard, GuardCounters};
use crate::receive::{self, Attached, Receive, ReceiveCounters};
use crate::view::View;

/// All of them. Dropped, their programs are gone.
pub struct Parts {
    receive: Receive,
    guard: Guard,
    /// Without control groups there is none, and a server receives all the same.
    exec: Result<Exec, String>,
    /// No other agent's, as long as it is open.
    _cgroup: Option<File>,
    /// What the kernel refused, at the last attempt.
    problems: Vec<String>,
}

/// Why there are none.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// This server can't receive.
    #[error(transparent)]
    Receive(#[from] receive::Error),
    /// Nobody would stop what is sent from others' ports.
    #[error(transparent)]
    Guard(#[from] guard::Error),
}

/// What they counted.
#[derive(Debug, Default)]
pub struct Counters {
    /// Packets that came; none if the kernel does not tell.
    pub receive: Option<ReceiveCounters>,
    /// Packets that left, or were to leave, from egress space; none if the kernel does not tell.
    pub guard: Option<GuardCounters>,
    /// Connections of programs under `exec`, by what these asked for.
    pub exec: BTreeMap<Filter, Tally>,
}

impl Parts {
    /// Starts all by `view`.
    ///
    /// # Errors
    ///
    /// The first that can't be.
    pub fn start(config: &Config, view: &View) -> Result<Self, Error> {
        let receive = Receive::start(&config.devices, config.gue_port, config.receive, view)?;
        for Attached { device, is_native, why } in receive.attached() {
            tracing::info!(device, native = is_native, why, "receiving");
        }
        match receive.why_not_fou() {
            Some(why) => tracing::info!(why, "the program takes the outer headers off"),
            None => tracing::info!("the kernel's fou takes the outer headers off"),
        }
        let guard = Guard::start(&config.devices, config.guard, view)?;
        let cgroup = config.cgroup.clone().unwrap_or_else(exec::default_cgroup);
        let claim = exec::claim(&cgroup);
        let settings = exec::Settings { pins: exec::default_pins(&cgroup), cgroup };
        let (cgroup, exec) = match claim {
            Ok(claim) => (Some(claim), Exec::start(settings, view)),
            Err(error) => (None, Err(error)),
        };
        let avoiding = |mut exec: Exec| exec.avoid(receive.elsewhere()).map(|()| exec);
        let exec = exec.and_then(avoiding).map_err(|error| error.to_string());
        if let Err(error) = &exec {
            tracing::warn!("sluice-agent exec does not work here: {error}");
        }
        Ok(Self { receive, guard, exec, _cgroup: cgroup, problems: Vec::new() })
    }

    /// Tells all of another view, and that connections may begin from what `begin` owns. One that does not take it stays at
    /// the one before.
    pub fn publish(&mut self, view: &View, begin: &View) {
        let received = self.receive.publish(view).map_err(|error| error.to_string());
        let sent = self.exec.as_mut().map_or(Ok(()), |exec| exec.publish(begin).map_err(|error| error.to_string()));
        let guarded = self.guard.publish(view).map_err(|error| error.to_string());
        self.problems = [received.err(), sent.err(), guarded.err()].into_iter().flatten().collect();
        self.problems.iter().for_each(|problem| tracing::error!("{problem}"));
    }

    /// Whether the devices of the underlay are still those that the programs hang on.
    pub fn have_their_devices(&self) -> bool {
        self.receive.has_its_devices()
    }

    /// Gives back what nobody uses any more.
    pub fn look_after(&mut self) {
        if let Ok(exec) = &mut self.exec {
            exec.sweep();
        }
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

    /// Who was caught lately sending from what others own, the latest last.
    pub fn caught(&self) -> Vec<Caught> {
        self.guard.events()
    }

    /// What they counted so far.
    pub fn counters(&mut self) -> Counters {
        let told = self.receive.counters().inspect_err(|error| tracing::warn!("{error}"));
        let guard = self.guard.counters().inspect_err(|error| tracing::warn!("{error}")).ok();
        Counters { receive: told.ok(), guard, exec: self.exec.as_mut().map(Exec::counters).unwrap_or_default() }
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
