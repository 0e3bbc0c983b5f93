// SPDX-License-Identifier: MIT OR Apache-2.0
//! Names of those that packets go to, for what workers tell of packets.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use super::generations::Generations;
use crate::state::ForwardingState;

/// Names are looked up anew at most so often: there may be a thousand patches a second.
const FRESH: Duration = Duration::from_millis(250);

/// The names of servers and data centres, by the addresses that packets to them go to. A packet does not say what they were called
/// when it was decided, so they are those of about then.
pub(super) struct Names {
    servers: HashMap<IpAddr, Box<str>>,
    datacenters: HashMap<IpAddr, Box<str>>,
    /// Generation and revision that they are of.
    of: (u64, u64),
    since: Instant,
}

impl Names {
    /// Those of what runs.
    pub(super) fn new(generations: &Generations) -> Self {
        generations.look(Self::of)
    }

    /// Those of `state`.
    pub(super) fn of(state: &ForwardingState) -> Self {
        let servers = state.table.targets().iter().map(|target| (target.address, target.name.clone()));
        let remotes = state.table.remotes().iter();
        let datacenters =
            remotes.flat_map(|remote| remote.forwarders.iter().map(|&forwarder| (forwarder, remote.name.clone())));
        Self {
            servers: servers.collect(),
            datacenters: datacenters.collect(),
            of: (state.generation, state.revision),
            since: Instant::now(),
        }
    }

    /// Reads them again if they are of something else than `now`, generation and revision of what runs or ran.
    pub(super) fn refresh(&mut self, generations: &Generations, now: (u64, u64)) {
        if self.of != now && self.since.elapsed() >= FRESH {
            *self = Self::new(generations);
        }
    }

    /// The server at `address`.
    pub(super) fn server(&self, address: IpAddr) -> Option<&str> {
        self.servers.get(&address).map(|name| &**name)
    }

    /// The data centre that the forwarder at `address` is of.
    pub(super) fn datacenter(&self, address: IpAddr) -> Option<&str> {
        self.datacenters.get(&address).map(|name| &**name)
    }
}
