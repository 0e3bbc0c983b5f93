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

/// Whose a local address is, as `bpf/outer.h` has it.
const PROGRAMS: u8 = 1;
const FOUS: u8 = 2;
/// The program's, while fou has others.
const LATER: u8 = 3;

enum Order {
    Targets(Vec<IpAddr>),
    LeaveToFou(Vec<IpAddr>),
}

/// Looks, each second, on a thread of its own, until it is dropped.
pub(super) struct Follower {
    orders: Option<Sender<Order>>,
    thread: Option<JoinHandle<()>>,
}

impl Follower {
    /// Looks for the first time before it returns.
    pub(super) fn start(devices: Vec<u32>, maps: AddressMaps, targets: Vec<IpAddr>) -> io::Result<Self> {
        let (sender, receiver) = channel();
        let mut look = Look {
            surroundings: Surroundings::open()?,
            devices,
            maps,
            put: BTreeSet::new(),
            targets,
            newcomers: PROGRAMS,
        };
        // A host that is just getting its addresses may change them while it tells of them.
        look.follow_addresses().or_else(|_| look.follow_addresses())?;
        look.resolve();
        let thread = thread::Builder::new().name("underlay".to_owned()).spawn(move || look.run(&receiver))?;
        Ok(Self { orders: Some(sender), thread: Some(thread) })
    }

    /// The servers that packets may be passed on to.
    pub(super) fn publish(&self, targets: Vec<IpAddr>) {
        self.order(Order::Targets(targets));
    }

    /// From now on the kernel's fou takes the headers off what is for these.
    pub(super) fn leave_to_fou(&self, addresses: Vec<IpAddr>) {
        self.order(Order::LeaveToFou(addresses));
    }

    fn order(&self, order: Order) {
        if let Some(orders) = &self.orders {
            // It has gone only when it has panicked; then what is known stays.
            let _ = orders.send(order);
        }
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        drop(self.orders.take());
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
    /// Whose addresses are that come.
    newcomers: u8,
}

impl Look {
    fn run(mut self, orders: &Receiver<Order>) {
        loop {
            match orders.recv_timeout(LOOK) {
                Ok(Order::Targets(targets)) => self.targets = targets,
                Ok(Order::LeaveToFou(addresses)) => self.leave_to_fou(&addresses),
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
            self.maps.local.insert(mapped(*address).octets(), self.newcomers, 0).map_err(refused)?;
            self.put.insert(*address);
        }
        for address in self.put.clone().difference(&addresses) {
            self.maps.local.remove(&mapped(*address).octets()).map_err(refused)?;
            self.put.remove(address);
        }
        Ok(())
    }

    /// One that has gone meanwhile and comes again is the program's.
    fn leave_to_fou(&mut self, addresses: &[IpAddr]) {
        self.newcomers = LATER;
        for address in &self.put {
            let whose = if addresses.contains(address) { FOUS } else { LATER };
            if let Err(error) = self.maps.local.insert(mapped(*address).octets(), whose, 0) {
                tracing::warn!("cannot leave {address} to the kernel's fou: {error}");
            }
        }
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
