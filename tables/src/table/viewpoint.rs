// SPDX-License-Identifier: MIT OR Apache-2.0
//! One forwarder's place in the network: which data centre is its own, how it reaches the others, and what of the
//! document it could not work with (contract section 3, "Faults for one forwarder").

use std::net::IpAddr;
use std::sync::Arc;

use super::{Remote, RemoteId, Viewpoint};
use crate::fault::{Fault, Faults};
use crate::source::path::Path;
use crate::source::{Datacenter, DatacenterId, Source};

/// A viewpoint that fits its source.
pub(super) struct Place {
    own: Option<DatacenterId>,
    remotes: Arc<[Remote]>,
    /// By data centre; those that no entry has led to have none.
    remote_ids: Vec<Option<RemoteId>>,
}

impl Place {
    /// Finds the viewpoint in the source; all that is wrong, if anything is.
    pub(super) fn new(source: &Source, viewpoint: &Viewpoint) -> Result<Self, Faults> {
        let own = source.find_datacenter(&viewpoint.datacenter);
        let mut faults = Vec::new();
        if own.is_none() && !source.datacenters().is_empty() {
            let message = format!(
                "this forwarder's own data centre {:?} is missing: add it, or correct `datacenter` in the forwarder's \
                 config",
                viewpoint.datacenter
            );
            return Err(Faults(vec![Fault { path: "datacenters".into(), message }]));
        }
        let mut place = Self { own, remotes: Arc::default(), remote_ids: vec![None; source.datacenters().len()] };
        if let Some(own) = own.filter(|_| source.datacenters().len() > 1) {
            untrusted(source.datacenter(own), viewpoint, &mut faults);
        }
        let all = source.entries().iter().filter_map(|entry| entry.datacenter);
        place.find_remotes(source, viewpoint, all, &mut faults);
        unreachable_servers(source, own, viewpoint, &mut faults);
        if faults.is_empty() { Ok(place) } else { Err(Faults(faults)) }
    }

    /// This forwarder's own data centre; none if the source has none at all.
    pub(super) fn own(&self) -> Option<DatacenterId> {
        self.own
    }

    /// What an entry of that data centre leads to; none if it is this forwarder's own.
    pub(super) fn remote(&self, datacenter: DatacenterId) -> Option<RemoteId> {
        self.remote_ids.get(datacenter.0 as usize).copied().flatten()
    }

    /// All remotes, by id.
    pub(super) fn remotes(&self) -> Arc<[Remote]> {
        Arc::clone(&self.remotes)
    }

    /// Takes entries of these data centres in, which are those of the source that this was made for. On an error
    /// nothing has changed.
    pub(super) fn admit(
        &mut self,
        source: &Source,
        viewpoint: &Viewpoint,
        of: impl Iterator<Item = DatacenterId>,
    ) -> Result<(), Faults> {
        let mut faults = Vec::new();
        self.find_remotes(source, viewpoint, of, &mut faults);
        if faults.is_empty() { Ok(()) } else { Err(Faults(faults)) }
    }

    /// What is wrong with servers that have come or changed.
    pub(super) fn check_servers(&self, source: &Source, viewpoint: &Viewpoint) -> Result<(), Faults> {
        let mut faults = Vec::new();
        unreachable_servers(source, self.own, viewpoint, &mut faults);
        if faults.is_empty() { Ok(()) } else { Err(Faults(faults)) }
    }

    /// Gives a remote to each of these data centres that has none yet, unless there are faults.
    fn find_remotes(
        &mut self,
        source: &Source,
        viewpoint: &Viewpoint,
        of: impl Iterator<Item = DatacenterId>,
        faults: &mut Vec<Fault>,
    ) {
        let mut new = vec![false; source.datacenters().len()];
        for id in of.filter(|&id| Some(id) != self.own && self.remote(id).is_none()) {
            if let Some(new) = new.get_mut(id.0 as usize) {
                *new = true;
            }
        }
        if !new.contains(&true) {
            return;
        }
        let (before, mut remotes, mut ids) = (faults.len(), self.remotes.to_vec(), self.remote_ids.clone());
        let new = source.datacenters().iter().zip(&mut ids).zip(new).filter(|(_, new)| *new);
        for ((datacenter, remote_id), _) in new {
            let usable = |address: &IpAddr| viewpoint.reaches(*address);
            let forwarders: Vec<IpAddr> = datacenter.forwarders.iter().copied().filter(usable).collect();
            if forwarders.is_empty() {
                faults.push(fault(&["datacenters", &datacenter.name, "forwarders"], unusable(viewpoint)));
            }
            let Ok(id) = u16::try_from(remotes.len()) else {
                faults.push(fault(&["datacenters"], "more than 65536 data centres have egress entries".into()));
                break;
            };
            *remote_id = Some(RemoteId(id));
            remotes.push(Remote { name: datacenter.name.clone(), forwarders, mtu: datacenter.mtu });
        }
        if faults.len() == before {
            (self.remotes, self.remote_ids) = (remotes.into(), ids);
        }
    }
}

impl Viewpoint {
    /// Whether this forwarder has an underlay address of the family of `address`.
    fn reaches(&self, address: IpAddr) -> bool {
        if address.is_ipv4() { self.ipv4.is_some() } else { self.ipv6.is_some() }
    }

    /// The underlay addresses that this forwarder has.
    fn addresses(&self) -> impl Iterator<Item = IpAddr> + use<> {
        self.ipv4.map(IpAddr::from).into_iter().chain(self.ipv6.map(IpAddr::from))
    }
}

/// Peers trust what comes from the forwarders that the document lists.
fn untrusted(own: &Datacenter, viewpoint: &Viewpoint, faults: &mut Vec<Fault>) {
    for address in viewpoint.addresses().filter(|address| !own.forwarders.contains(address)) {
        let message = format!(
            "this forwarder's own address {address} is missing: other data centres would not trust its packets"
        );
        faults.push(fault(&["datacenters", &own.name, "forwarders"], message));
    }
}

fn unusable(viewpoint: &Viewpoint) -> String {
    let own: Vec<&str> = viewpoint.addresses().map(family).collect();
    match own.as_slice() {
        [] => "this forwarder has no underlay address to reach any of them from".into(),
        own => format!("none of them has an address of a family that this forwarder has too: {}", own.join(", ")),
    }
}

fn unreachable_servers(source: &Source, own: Option<DatacenterId>, viewpoint: &Viewpoint, faults: &mut Vec<Fault>) {
    let own_servers = source.servers().iter().filter(|server| Some(server.datacenter) == own);
    for server in own_servers.filter(|server| !viewpoint.reaches(server.address)) {
        let message = format!(
            "{} can't be reached: this forwarder has no {} underlay address",
            server.address,
            family(server.address)
        );
        faults.push(fault(&["servers", &server.name, "address"], message));
    }
}

fn family(address: IpAddr) -> &'static str {
    if address.is_ipv4() { "IPv4" } else { "IPv6" }
}

/// A fault at the member that `keys` lead to.
fn fault(keys: &[&str], message: String) -> Fault {
    fn path(outer: &Path<'_>, keys: &[&str]) -> String {
        match keys.split_first() {
            None => outer.to_string(),
            Some((key, keys)) => path(&outer.key(key), keys),
        }
    }
    Fault { path: path(&Path::Root, keys), message }
}
