// SPDX-License-Identifier: MIT OR Apache-2.0
//! Next hops from the kernel: it has routes and neighbours, by whatever daemons keep them, and packets leave by those.
//!
//! ```text
//!  kernel ─ netlink ─► follower ─► resolver ─► generations ─► (published with the table) ─► workers
//!                         ▲                                                                    │
//!                         └───────────────── paths that are too narrow ◄───────────────────────┘
//! ```
//!
//! [`resolver`], [`kernel`] and [`path_mtu`] are pure. `netlink` talks to the kernel, and [`requests`] where it is not heard.

mod follower;
pub mod kernel;
mod netlink;
pub mod path_mtu;
pub mod requests;
pub mod resolver;
pub mod status;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::io;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex};

pub(super) use self::follower::{Follower, Following};
use self::resolver::{Needs, Port, Resolver};
use super::config::Config;
use super::generations::lock;
use crate::hops::NextHops;
use crate::io::DeviceIndex;
use crate::pipeline::narrow::{REPORTS, TooNarrow};
use crate::settings::Settings;
use crate::state::{Destinations, ForwardingState};

/// The underlay as the kernel has it.
pub struct Underlay {
    resolver: Mutex<Resolver>,
    counts: Counts,
    /// Of a state that is only looked at, until something changes: while there is a shadow, every `explain` asks.
    would_be: Mutex<Option<(Destinations, Arc<NextHops>)>>,
    /// For the workers, until they take them.
    reports: Mutex<Vec<Option<rtrb::Producer<TooNarrow>>>>,
}

/// What has happened since the daemon started.
#[derive(Debug, Default)]
struct Counts {
    published: AtomicU64,
    requests: AtomicU64,
    lowered: AtomicU64,
    ignored: AtomicU64,
    lost: AtomicU64,
}

/// [`Underlay`]'s numbers, as of one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Events {
    /// Next hops published apart from a table.
    pub published: u64,
    /// Neighbours that the kernel was asked to look for.
    pub requests: u64,
    /// Path MTUs lowered.
    pub lowered: u64,
    /// Reports of narrow paths that lowered none.
    pub ignored: u64,
    /// Times that notifications were lost, and everything was read anew.
    pub lost: u64,
}

impl Underlay {
    /// Reads everything once. With it comes what follows the kernel from then on.
    pub(super) fn open(config: &Config, settings: &Settings, workers: usize) -> io::Result<(Self, Follower)> {
        let (producers, consumers) = (0..workers).map(|_| rtrb::RingBuffer::new(REPORTS)).unzip::<_, _, Vec<_>, _>();
        let underlay = Self {
            resolver: Mutex::new(Resolver::new(ports(config, settings))),
            counts: Counts::default(),
            would_be: Mutex::default(),
            reports: Mutex::new(producers.into_iter().map(Some).collect()),
        };
        let mut follower = Follower::open(consumers)?;
        match follower.read(&underlay) {
            // Something has changed meanwhile. The follower begins with reading it again.
            Err(error) if error.kind() == io::ErrorKind::ResourceBusy => {}
            read => {
                read?;
            }
        }
        Ok((underlay, follower))
    }

    /// By what the worker of that number reports narrow paths; once.
    pub fn reports(&self, worker: usize) -> Option<rtrb::Producer<TooNarrow>> {
        lock(&self.reports).get_mut(worker)?.take()
    }

    /// The next hops of a state that is about to be published: from now on they are looked after.
    pub fn next_hops(&self, state: &ForwardingState) -> NextHops {
        let mut resolver = lock(&self.resolver);
        let (hops, needs) = resolve(&resolver, state);
        resolver.serve(needs);
        hops
    }

    /// Those that a state would have that is only looked at.
    pub fn would_be(&self, state: &ForwardingState) -> Arc<NextHops> {
        // Kept meanwhile: what is found before a change is forgotten after it.
        let mut known = lock(&self.would_be);
        if let Some((_, hops)) = known.as_ref().filter(|(destinations, _)| destinations.are_those_of(state)) {
            return Arc::clone(hops);
        }
        let hops = Arc::new(resolve(&lock(&self.resolver), state).0);
        *known = Some((state.destinations(), Arc::clone(&hops)));
        hops
    }

    /// Something else may be found from now on.
    fn has_changed(&self) {
        lock(&self.would_be).take();
    }

    /// Addresses whose paths take less than their devices do, and how much, in bytes.
    pub fn lowered(&self) -> BTreeMap<IpAddr, u16> {
        lock(&self.resolver).lowered()
    }

    /// What has happened so far.
    pub fn events(&self) -> Events {
        let Counts { published, requests, lowered, ignored, lost } = &self.counts;
        let read = |count: &AtomicU64| count.load(Relaxed);
        Events {
            published: read(published),
            requests: read(requests),
            lowered: read(lowered),
            ignored: read(ignored),
            lost: read(lost),
        }
    }
}

fn resolve(resolver: &Resolver, state: &ForwardingState) -> (NextHops, Needs) {
    let servers = state.table.targets().iter().map(|target| (!target.is_gone).then_some(target.address));
    let datacenters = state.table.remotes().iter().map(|remote| remote.forwarders.as_slice());
    resolver.resolve(servers, datacenters)
}

/// The devices that the kernel has interfaces for.
fn ports(config: &Config, settings: &Settings) -> Vec<Port> {
    let devices = (0..=u8::MAX).zip(&config.devices).zip(&settings.devices);
    let port = |((index, config), device): ((u8, &super::config::Device), &crate::settings::Device)| {
        let interface = config.kernel.clone()?;
        Some(Port { interface, index: DeviceIndex(index), device: device.clone(), has_link: true })
    };
    devices.filter_map(port).collect()
}
