// SPDX-License-Identifier: MIT OR Apache-2.0
//! What runs, in the words of [`crate::report`].

use std::time::SystemTime;

use forwarder::control::report::timestamp;

use crate::agent::{Agent, State};
use crate::parts::Parts;
use crate::receive::Attached;
use crate::report::{Address, Choice, Device, GuardReport, Health, Role, Slices, Status};

impl Agent {
    /// All but the slices.
    pub fn status(&self) -> Status {
        let state = self.look();
        let choice = state.holding.choice().map(|choice| {
            let (first, last) = choice.range;
            Choice { range: format!("{first}-{last}"), reserved: choice.reserved }
        });
        Status {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            server: self.config().server.clone(),
            generation: state.view.generation,
            table: self.config().table.display().to_string(),
            since: timestamp(state.since),
            uptime_seconds: self.started().elapsed().as_secs(),
            health: state.health(),
            warnings: state.warnings(),
            devices: state.devices(),
            addresses: state.addresses(),
            ports: choice,
            draining: state.usage.draining(),
            guard: GuardReport {
                action: self.config().guard.name().to_owned(),
                caught: state.parts.as_ref().map(Parts::caught).unwrap_or_default(),
            },
        }
    }

    /// Whether all is well.
    pub fn health(&self) -> Health {
        self.look().health()
    }

    /// What is owned, by slice, and what uses it.
    pub fn slices(&self) -> Slices {
        let state = self.look();
        let (server, generation) = (self.config().server.clone(), state.view.generation);
        Slices { server, generation, slices: state.usage.slices.clone() }
    }
}

impl State {
    fn health(&self) -> Health {
        let parts = self.parts.iter().flat_map(Parts::problems);
        let own = [&self.missing, &self.blind, &self.refused].into_iter().flatten();
        let problems = parts.chain(self.holding.problems()).chain(own);
        let reasons: Vec<String> = problems.cloned().collect();
        let state = if reasons.is_empty() { "ok" } else { "degraded" };
        Health { state: state.to_owned(), reasons }
    }

    fn warnings(&self) -> Vec<String> {
        let parts = self.parts.iter().filter_map(Parts::warning);
        self.holding.warnings().iter().cloned().chain(parts).collect()
    }

    fn devices(&self) -> Vec<Device> {
        let attached = self.parts.iter().flat_map(Parts::attached);
        let device = |attached: &Attached| Device {
            device: attached.device.clone(),
            xdp: if attached.is_native { "native" } else { "generic" }.to_owned(),
            why: attached.why.clone(),
        };
        attached.map(device).collect()
    }

    /// All prefixes that are held, in their order.
    pub(crate) fn addresses(&self) -> Vec<Address> {
        let mut held: Vec<_> = self.view.held.iter().collect();
        held.sort_by_key(|held| held.prefix);
        let address = |held: &&crate::view::Held| Address {
            prefix: held.prefix.to_string(),
            role: if held.is_owned() {
                Role::Owned
            } else if self.lingering.contains(&held.prefix) {
                Role::Lingering
            } else {
                Role::Draining
            },
            sockets: self.usage.by_prefix.get(&held.prefix).copied().unwrap_or(0),
            foreign: self.holding.is_foreign(held.prefix),
        };
        held.iter().map(address).collect()
    }
}

/// For metrics: when the table that runs was taken.
pub(crate) fn seconds(time: SystemTime) -> f64 {
    time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs_f64()
}
