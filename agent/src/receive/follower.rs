// SPDX-License-Identifier: MIT OR Apache-2.0
//! Keeps up with the host: which addresses the underlay devices have, and that the next hops to other servers are known
//! before a packet needs them.

use std::collections::BTreeSet;
use std::io;
use std::net::IpAddr;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use aya::maps::{Array, HashMap, MapData, MapError};

use super::surroundings::Surroundings;
use crate::maps::mapped;

/// Between two looks. What lapses meanwhile costs the packets of that time, which are counted.
const LOOK: Duration = Duration::from_secs(1);

/// The maps that say which addresses are this host's.
pub(super) struct AddressMaps {
    pub(super) local: HashMap<MapData, [u8; 16], u8>,
    pub(super) own: Array<MapData, [u8; 16]>,
}

/// Looks, each second, on a thread of its own, until it is dropped.
pub(super) struct Follower {
    targets: Option<Sender<Vec<IpAddr>>>,
    thread: Option<JoinHandle<()>>,
}

impl Follower {
    /// Looks for the first time before it returns.
    pub(super) fn start(devices: Vec<u32>, maps: AddressMaps, targets: Vec<IpAddr>) -> io::Result<Self> {
        let (sender, receiver) = channel();
        let mut look = Look { surroundings: Surroundings::open()?, devices, maps, put: BTreeSet::new(), targets };
        look.follow_addresses()?;
        look.resolve();
        let thread = thread::Builder::new().name("underlay".to_owned()).spawn(move || look.run(&receiver))?;
        Ok(Self { targets: Some(sender), thread: Some(thread) })
    }

    /// The servers that packets may be passed on to.
    pub(super) fn publish(&self, targets: Vec<IpAddr>) {
        if let Some(sender) = &self.targets {
            // It has gone only when it has panicked; then what is known stays.
            let _ = sender.send(targets);
        }
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        drop(self.targets.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

struct Look {
    surroundings: Surroundings,
    devices: Vec<u32>,
    maps: AddressMaps,
    /// What the map has.
    put: BTreeSet<IpAddr>,
    targets: Vec<IpAddr>,
}

impl Look {
    fn run(mut self, published: &Receiver<Vec<IpAddr>>) {
        loop {
            match published.recv_timeout(LOOK) {
                Ok(targets) => self.targets = targets,
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
            if let Err(error) = self.follow_addresses() {
                tracing::warn!("cannot follow the addresses of the underlay devices: {error}");
            }
            self.resolve();
        }
    }

    fn follow_addresses(&mut self) -> io::Result<()> {
        let addresses = self.surroundings.addresses(&self.devices)?;
        for (version, key) in [(addresses.iter().find(|a| a.is_ipv4()), 0), (addresses.iter().find(|a| a.is_ipv6()), 1)]
        {
            let own = version.map_or([0; 16], |address| mapped(*address).octets());
            self.maps.own.set(key, own, 0).map_err(refused)?;
        }
        let addresses: BTreeSet<IpAddr> = addresses.into_iter().collect();
        for address in addresses.difference(&self.put.clone()) {
            self.maps.local.insert(mapped(*address).octets(), 1, 0).map_err(refused)?;
            self.put.insert(*address);
        }
        for address in self.put.clone().difference(&addresses) {
            self.maps.local.remove(&mapped(*address).octets()).map_err(refused)?;
            self.put.remove(address);
        }
        Ok(())
    }

    fn resolve(&mut self) {
        if let Err(error) = self.surroundings.resolve(&self.targets) {
            tracing::warn!("cannot resolve the next hops to other servers: {error}");
        }
    }
}

fn refused(error: MapError) -> io::Error {
    io::Error::other(error)
}
