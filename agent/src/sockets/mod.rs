// SPDX-License-Identifier: MIT OR Apache-2.0
//! Which sockets use the shared addresses, by slice.

mod kernel;

use std::collections::{HashMap, HashSet};
use std::net::IpAddr;

use serde::{Deserialize, Serialize};
use tables::{Ports, Prefix};

pub use self::kernel::Sockets;
use crate::sets::merged;
use crate::view::{Held, View};

/// Of a hundred ports of an address, how many in use are nearly all: then connections fail soon.
pub const NEARLY_ALL: u32 = 90;

/// A protocol with ports.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Protocol {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
}

/// A socket with an address.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Socket {
    /// Its protocol.
    pub protocol: Protocol,
    /// Its own address.
    pub address: IpAddr,
    /// Its own port, in host byte order.
    pub port: u16,
    /// What it does.
    pub state: State,
}

/// What a socket does.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum State {
    /// It has a peer, or looks for one; UDP with or without one.
    Open,
    /// It waits for connections.
    Listening,
    /// Its connection is over, and what was sent on it may yet arrive. No program has it any more.
    TimeWait,
}

/// Ports on each address of a prefix, and what uses them.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Slice {
    /// The addresses.
    pub prefix: String,
    /// The ports, LO-HI.
    pub ports: String,
    /// Whether this server owns them. If not, connections from before drain, or have no business here.
    pub own: bool,
    /// TCP connections, those that are being made or ended included.
    pub connections: u64,
    /// TCP sockets that wait for connections.
    pub listening: u64,
    /// TCP connections that are over, whose ports the kernel still keeps.
    pub time_wait: u64,
    /// UDP sockets.
    pub udp: u64,
    /// Ports with a TCP socket, on the address that has most.
    pub tcp_ports: u32,
    /// Ports with a UDP socket, on the address that has most.
    pub udp_ports: u32,
    /// All ports of each address.
    pub count: u32,
    /// Whether nearly all ports of an address are in use.
    pub nearly_exhausted: bool,
}

impl Slice {
    /// Sockets that programs have.
    pub fn sockets(&self) -> u64 {
        self.connections + self.listening + self.udp
    }

    /// The share of ports in use on the address that has most, 0 to 1.
    pub fn share(&self) -> f64 {
        f64::from(self.tcp_ports.max(self.udp_ports)) / f64::from(self.count.max(1))
    }
}

/// All slices that are owned, and those others that have sockets.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Usage {
    /// By prefix and port.
    pub slices: Vec<Slice>,
    /// Sockets that programs have, by prefix; only those that have any.
    pub by_prefix: HashMap<Prefix, u64>,
}

impl Usage {
    /// What `sockets` use of a view.
    pub fn new(view: &View, sockets: impl IntoIterator<Item = Socket>) -> Self {
        let mut slices: Vec<Counted> = view.held.iter().flat_map(slices_of).collect();
        slices.sort_by_key(|slice| (slice.prefix, slice.ports));
        let index = Index::new(view, &slices);
        let mut by_prefix = HashMap::new();
        for socket in sockets {
            let Some(prefix) = index.prefix(socket.address) else { continue };
            if socket.state != State::TimeWait {
                *by_prefix.entry(prefix).or_default() += 1;
            }
            if let Some(slice) = index.slice(prefix, socket.port).and_then(|index| slices.get_mut(index)) {
                slice.count(socket);
            }
        }
        let slices = slices.into_iter().filter(|slice| slice.own || slice.is_used()).map(Counted::finish);
        Self { slices: slices.collect(), by_prefix }
    }

    /// Tells of slices whose ports are nearly all in use, and were not `before`.
    pub fn warn_of_new(&self, before: &Self) {
        let key = |slice: &&Slice| (slice.prefix.clone(), slice.ports.clone());
        let near = |usage: &Self| usage.slices.iter().filter(|slice| slice.nearly_exhausted).map(|s| key(&s)).collect();
        let known: HashSet<_> = near(before);
        for (prefix, ports) in near(self).difference(&known) {
            tracing::warn!("nearly all of ports {ports} of {prefix} are in use: new connections fail soon");
        }
    }

    /// Connections and UDP sockets on ports that this server does not own: what drains.
    pub fn draining(&self) -> u64 {
        self.slices.iter().filter(|slice| !slice.own).map(Slice::sockets).sum()
    }
}

/// The runs of a prefix as slices: those of the own server merged, and so those of others.
fn slices_of(held: &Held) -> impl Iterator<Item = Counted> + '_ {
    [true, false].into_iter().flat_map(move |own| {
        let runs = held.runs.iter().filter(|run| run.keeper.own == own).map(|run| run.ports);
        merged(runs.collect()).into_iter().map(move |ports| Counted::new(held.prefix, ports, own))
    })
}

struct Counted {
    prefix: Prefix,
    ports: Ports,
    own: bool,
    connections: u64,
    listening: u64,
    time_wait: u64,
    udp: u64,
    in_use: HashMap<(Protocol, IpAddr), HashSet<u16>>,
}

impl Counted {
    fn new(prefix: Prefix, ports: Ports, own: bool) -> Self {
        let in_use = HashMap::new();
        Self { prefix, ports, own, connections: 0, listening: 0, time_wait: 0, udp: 0, in_use }
    }

    fn count(&mut self, socket: Socket) {
        *match (socket.protocol, socket.state) {
            (Protocol::Udp, _) => &mut self.udp,
            (Protocol::Tcp, State::Open) => &mut self.connections,
            (Protocol::Tcp, State::Listening) => &mut self.listening,
            (Protocol::Tcp, State::TimeWait) => &mut self.time_wait,
        } += 1;
        self.in_use.entry((socket.protocol, socket.address)).or_default().insert(socket.port);
    }

    fn is_used(&self) -> bool {
        !self.in_use.is_empty()
    }

    fn finish(self) -> Slice {
        let most = |protocol| {
            let ports = self.in_use.iter().filter(|((of, _), _)| *of == protocol).map(|(_, ports)| ports.len());
            ports.max().unwrap_or(0) as u32
        };
        let (tcp_ports, udp_ports, count) = (most(Protocol::Tcp), most(Protocol::Udp), self.ports.count());
        Slice {
            prefix: self.prefix.to_string(),
            ports: self.ports.to_string(),
            own: self.own,
            connections: self.connections,
            listening: self.listening,
            time_wait: self.time_wait,
            udp: self.udp,
            tcp_ports,
            udp_ports,
            count,
            nearly_exhausted: self.own && tcp_ports.max(udp_ports) * 100 >= count * NEARLY_ALL,
        }
    }
}

/// Finds the slice of an address and a port.
struct Index {
    /// Lengths of prefixes by IP version, the longest first.
    lengths: [Vec<u8>; 2],
    /// The slices of a prefix, by their first ports.
    slices: HashMap<Prefix, Vec<(Ports, usize)>>,
}

impl Index {
    fn new(view: &View, slices: &[Counted]) -> Self {
        let mut all = Self { lengths: Default::default(), slices: HashMap::new() };
        for held in &view.held {
            let [v4, v6] = &mut all.lengths;
            let lengths = if held.prefix.address().is_ipv4() { v4 } else { v6 };
            if !lengths.contains(&held.prefix.length()) {
                lengths.push(held.prefix.length());
            }
            all.slices.insert(held.prefix, Vec::new());
        }
        for (index, slice) in slices.iter().enumerate() {
            all.slices.entry(slice.prefix).or_default().push((slice.ports, index));
        }
        all.lengths.iter_mut().for_each(|lengths| lengths.sort_unstable_by(|a, b| b.cmp(a)));
        all
    }

    fn prefix(&self, address: IpAddr) -> Option<Prefix> {
        let [v4, v6] = &self.lengths;
        let lengths = if address.is_ipv4() { v4 } else { v6 };
        let around = lengths.iter().filter_map(|&length| Prefix::around(address, length));
        around.into_iter().find(|prefix| self.slices.contains_key(prefix))
    }

    fn slice(&self, prefix: Prefix, port: u16) -> Option<usize> {
        let slices = self.slices.get(&prefix)?;
        let behind = slices.partition_point(|(ports, _)| ports.first() <= port);
        let (ports, index) = slices.get(behind.checked_sub(1)?)?;
        (port <= ports.last()).then_some(*index)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::view::{Keeper, Run};

    fn view() -> View {
        let run = |ports: &str, own| Run { ports: ports.parse().unwrap(), keeper: Keeper { own, other: None } };
        let held = |prefix: &str, runs| Held {
            prefix: prefix.parse().unwrap(),
            runs,
            portless: Keeper::default(),
            tags: Vec::new(),
        };
        let runs =
            vec![run("1000-1009", true), run("1010-1019", true), run("1020-1029", false), run("2000-2004", true)];
        let held = vec![held("127.0.0.9/32", runs), held("127.0.0.0/8", vec![run("0-65535", true)])];
        View { held, ..View::default() }
    }

    fn socket(protocol: Protocol, address: &str, port: u16, state: State) -> Socket {
        Socket { protocol, address: address.parse().unwrap(), port, state }
    }

    #[test]
    fn sockets_are_counted_by_slice() {
        use Protocol::{Tcp, Udp};
        use State::{Listening, Open, TimeWait};
        let tcp = |port, state| socket(Tcp, "127.0.0.9", port, state);
        let sockets = [
            tcp(1000, Open),
            tcp(1000, Open),
            tcp(1019, Open),
            tcp(1001, TimeWait),
            tcp(1002, Listening),
            tcp(1020, Open),
            tcp(3000, Open),
            socket(Udp, "127.0.0.9", 2000, Open),
            socket(Udp, "127.0.0.9", 2001, Open),
            socket(Udp, "127.0.0.9", 2002, Open),
            socket(Udp, "127.0.0.9", 2003, Open),
            socket(Udp, "127.0.0.9", 2004, Open),
            socket(Tcp, "127.9.9.9", 5, Open),
            socket(Tcp, "10.0.0.1", 1000, Open),
        ];
        let usage = Usage::new(&view(), sockets);
        let row = |slice: &Slice| {
            let Slice { prefix, ports, own, connections, listening, time_wait, udp, .. } = slice;
            let counts = [*connections, *listening, *time_wait, *udp];
            (format!("{prefix} {ports} {own}"), counts, [slice.tcp_ports, slice.udp_ports, slice.count])
        };
        let rows: Vec<_> = usage.slices.iter().map(row).collect();
        let row = |text: &str, counts, ports| (text.to_owned(), counts, ports);
        let expected = [
            row("127.0.0.0/8 0-65535 true", [1, 0, 0, 0], [1, 0, 65536]),
            row("127.0.0.9/32 1000-1019 true", [3, 1, 1, 0], [4, 0, 20]),
            row("127.0.0.9/32 1020-1029 false", [1, 0, 0, 0], [1, 0, 10]),
            row("127.0.0.9/32 2000-2004 true", [0, 0, 0, 5], [0, 5, 5]),
        ];
        assert_eq!(rows, expected);
        let near: Vec<_> = usage.slices.iter().map(|slice| slice.nearly_exhausted).collect();
        assert_eq!((near, usage.draining()), (vec![false, false, false, true], 1));
        let count = |prefix: &str| usage.by_prefix.get(&prefix.parse().unwrap()).copied();
        assert_eq!((count("127.0.0.9/32"), count("127.0.0.0/8")), (Some(11), Some(1)));
    }
}
