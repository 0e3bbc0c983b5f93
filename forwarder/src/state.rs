// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a worker forwards by: one immutable generation of the table with the outer headers made for it.

use std::net::IpAddr;
use std::sync::{Arc, Weak};

use tables::source::Source;
use tables::table::{Compiler, Remote, RemoteId, Target, TargetId, Viewpoint};
use tables::{Fault, Faults, Table};

use crate::counters::DestinationTallies;
use crate::hops::{Link, NextHops};
use crate::settings::{Settings, Underlay};
use crate::wire::gue;
use crate::wire::outer::{Endpoints, OuterHeaders, PrivateData};

/// Where a packet goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Destination {
    /// To a server of this data centre.
    Server(TargetId),
    /// To another data centre.
    Datacenter(RemoteId),
}

/// One generation, ready for the datapath: published as a whole, never changed. A clone shares everything large with it.
#[derive(Clone)]
pub struct ForwardingState {
    /// The table's generation.
    pub generation: u64,
    /// Patches applied since that generation was loaded.
    pub revision: u64,
    /// The compiled table.
    pub table: Table,
    /// Toward each server, by `TargetId`.
    servers: Arc<[OuterHeaders]>,
    /// Toward each usable forwarder of each data centre, by `RemoteId`.
    datacenters: Arc<[Box<[OuterHeaders]>]>,
    /// What was sent to each target, by this and the states before it whose ids mean the same.
    tallies: Arc<DestinationTallies>,
    /// Where frames go next; none where the configuration says it.
    hops: Option<Arc<NextHops>>,
}

/// What next hops are found for. Keeps nothing of a state alive.
pub struct Destinations {
    servers: Weak<[OuterHeaders]>,
    datacenters: Weak<[Box<[OuterHeaders]>]>,
}

impl Destinations {
    /// Whether next hops found for these are those for `state`.
    pub fn are_those_of(&self, state: &ForwardingState) -> bool {
        let Self { servers, datacenters } = state.destinations();
        self.servers.ptr_eq(&servers) && self.datacenters.ptr_eq(&datacenters)
    }
}

/// How one packet leaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hop<'a> {
    /// The outer headers.
    pub headers: &'a OuterHeaders,
    /// The neighbour.
    pub link: &'a Link,
    /// Largest outer IP packet that may take this way, unless the headers say less.
    pub mtu: u16,
}

impl ForwardingState {
    /// Compiles `source` and prepares the header of every target.
    pub fn build(source: &Source, generation: u64, viewpoint: &Viewpoint, settings: &Settings) -> Result<Self, Faults> {
        Self::first(source, generation, viewpoint, settings).map(|(_, state)| state)
    }

    /// The same, with what makes the tables that follow by patches.
    pub fn first(
        source: &Source,
        generation: u64,
        viewpoint: &Viewpoint,
        settings: &Settings,
    ) -> Result<(Compiler, Self), Faults> {
        let (compiler, table) = Compiler::new(source, viewpoint)?;
        let maker = HeaderMaker::new(settings, generation);
        let servers = maker.servers(table.targets().iter()).collect::<Result<_, _>>().map_err(only)?;
        let datacenters = maker.datacenters(table.remotes()).map_err(only)?;
        let tallies = tallies(&table, settings);
        Ok((compiler, Self { generation, revision: 0, table, servers, datacenters, tallies, hops: None }))
    }

    /// The state after one more patch, which led to `table`. Headers are made for what this state has none for.
    pub fn after(&self, table: Table, settings: &Settings) -> Result<Self, Faults> {
        let maker = HeaderMaker::new(settings, self.generation);
        let (old, new) = (self.table.targets(), table.targets());
        let servers = if !new.continues(old) {
            maker.servers(new.iter()).collect::<Result<_, _>>().map_err(only)?
        } else if new.len() == old.len() {
            Arc::clone(&self.servers)
        } else {
            let known = self.servers.iter().copied().map(Ok);
            known.chain(maker.servers(new.iter().skip(old.len()))).collect::<Result<_, _>>().map_err(only)?
        };
        // The old table lives, so an address that is the same is that of the same list.
        let same_remotes = std::ptr::eq(table.remotes(), self.table.remotes());
        let datacenters = if same_remotes {
            Arc::clone(&self.datacenters)
        } else {
            maker.datacenters(table.remotes()).map_err(only)?
        };
        let tallies = if same_remotes && new.continues(old) && new.len() <= self.tallies.servers() {
            Arc::clone(&self.tallies)
        } else {
            tallies(&table, settings)
        };
        let revision = self.revision + 1;
        Ok(Self { generation: self.generation, revision, table, servers, datacenters, tallies, hops: None })
    }

    /// What was sent to each target: the same as long as ids mean the same, anew otherwise.
    pub fn tallies(&self) -> &Arc<DestinationTallies> {
        &self.tallies
    }

    /// The headers toward a destination; of a data centre's forwarders toward that one which the flow hash `flow` chooses.
    #[inline(always)]
    pub fn headers(&self, destination: Destination, flow: u64) -> Option<&OuterHeaders> {
        match destination {
            Destination::Server(target) => self.servers.get(usize::from(target.0)),
            Destination::Datacenter(remote) => self.datacenter(remote, flow),
        }
    }

    /// The same with other next hops.
    #[must_use]
    pub fn with_hops(self, hops: Option<Arc<NextHops>>) -> Self {
        Self { hops, ..self }
    }

    /// Where frames go next; none where the configuration says it.
    #[inline(always)]
    pub fn hops(&self) -> Option<&Arc<NextHops>> {
        self.hops.as_ref()
    }

    /// Whether next hops found for `other` are those for this one: both lead to the same addresses.
    pub fn has_destinations_of(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.servers, &other.servers) && Arc::ptr_eq(&self.datacenters, &other.datacenters)
    }

    /// Where this one leads.
    pub fn destinations(&self) -> Destinations {
        Destinations { servers: Arc::downgrade(&self.servers), datacenters: Arc::downgrade(&self.datacenters) }
    }

    /// How a packet leaves to a destination by `hops`, which are this state's; to a data centre by one of the forwarders that can be
    /// reached. `None` if there is no way.
    #[inline(always)]
    pub fn hop<'a>(&'a self, hops: &'a NextHops, destination: Destination, flow: u64) -> Option<Hop<'a>> {
        let (headers, way) = match destination {
            Destination::Server(TargetId(id)) => {
                (self.servers.get(usize::from(id))?, *hops.servers.get(usize::from(id))?)
            }
            Destination::Datacenter(RemoteId(id)) => {
                let usable = choose(hops.datacenters.get(usize::from(id))?, flow)?;
                let forwarders = self.datacenters.get(usize::from(id))?;
                (forwarders.get(usize::from(usable.forwarder))?, usable.way)
            }
        };
        Some(Hop { headers, link: hops.link(way, flow)?, mtu: way.mtu })
    }

    #[inline(always)]
    fn datacenter(&self, remote: RemoteId, flow: u64) -> Option<&OuterHeaders> {
        choose(self.datacenters.get(usize::from(remote.0))?, flow)
    }
}

/// The one of a data centre's forwarders that the flow hash chooses.
#[inline(always)]
pub(crate) fn choose<T>(forwarders: &[T], flow: u64) -> Option<&T> {
    let choice = ((flow >> 32) * forwarders.len() as u64) >> 32;
    forwarders.get(choice as usize)
}

/// Room for more servers, so that not every patch that adds one starts anew.
fn tallies(table: &Table, settings: &Settings) -> Arc<DestinationTallies> {
    let servers = (table.targets().len() + 1).next_power_of_two();
    Arc::new(DestinationTallies::new(settings.workers, servers, table.remotes().len()))
}

/// Makes outer headers for one generation.
struct HeaderMaker<'a> {
    underlay: &'a Underlay,
    generation: u64,
    /// Of the device that forwarded packets leave by.
    mtu: u16,
}

impl<'a> HeaderMaker<'a> {
    fn new(settings: &'a Settings, generation: u64) -> Self {
        let mtu = settings.egress().map_or(u16::MAX, |(_, device, _)| device.mtu);
        Self { underlay: &settings.underlay, generation, mtu }
    }

    fn servers<'b>(
        &self,
        targets: impl Iterator<Item = &'b Target>,
    ) -> impl Iterator<Item = Result<OuterHeaders, Fault>> {
        targets.map(|target| self.server(target))
    }

    fn datacenters(&self, remotes: &[Remote]) -> Result<Arc<[Box<[OuterHeaders]>]>, Fault> {
        remotes.iter().map(|remote| self.datacenter(remote)).collect()
    }

    fn server(&self, target: &Target) -> Result<OuterHeaders, Fault> {
        let private = match (target.address, &target.previous) {
            (IpAddr::V4(_), Some((_, IpAddr::V4(previous)))) => {
                PrivateData::PreviousOwner(gue::previous_owner(*previous))
            }
            _ => PrivateData::None,
        };
        self.headers(target.address, private, target.mtu)
    }

    fn datacenter(&self, remote: &Remote) -> Result<Box<[OuterHeaders]>, Fault> {
        let private = PrivateData::Datacenter(gue::datacenter(1, self.generation));
        remote.forwarders.iter().map(|&forwarder| self.headers(forwarder, private, remote.mtu)).collect()
    }

    fn headers(&self, to: IpAddr, private: PrivateData, mtu: Option<u16>) -> Result<OuterHeaders, Fault> {
        let endpoints = match (self.underlay.ipv4, self.underlay.ipv6, to) {
            (Some(own), _, IpAddr::V4(to)) => Endpoints::V4(own, to),
            (_, Some(own), IpAddr::V6(to)) => Endpoints::V6(own, to),
            _ => return Err(unreachable_target(to)),
        };
        let mtu = mtu.map_or(self.mtu, |mtu| mtu.min(self.mtu));
        Ok(OuterHeaders::new(endpoints, self.underlay.gue_port, private, mtu))
    }
}

/// The table was compiled for a viewpoint that has an address which the settings lack.
fn unreachable_target(to: IpAddr) -> Fault {
    let family = if to.is_ipv4() { "ipv4" } else { "ipv6" };
    Fault { path: String::new(), message: format!("{to} can't be reached: set underlay.{family} in the configuration") }
}

fn only(fault: Fault) -> Faults {
    Faults(vec![fault])
}
