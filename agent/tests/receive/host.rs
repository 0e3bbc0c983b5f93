// SPDX-License-Identifier: MIT OR Apache-2.0
//! A server in a network namespace, and the view that it goes by.

use std::net::{IpAddr, SocketAddr};

use agent::config;
use agent::receive::{Receive, ReceiveCounters, Tried};
use agent::view::{Held, Keeper, Run, View};

use crate::frames::Gue;
use crate::network::{CABLE, Network};

/// Both of a kind: IPv4, IPv6.
pub(crate) const FORWARDERS: [&str; 2] = ["10.0.0.1", "2001:db8:a::1"];
pub(crate) const OWN: [&str; 2] = ["10.0.1.1", "2001:db8:a:1::1"];
pub(crate) const OTHERS: [&str; 2] = ["10.0.1.2", "2001:db8:a:1::2"];
/// A server that nobody has seen.
pub(crate) const GHOST: &str = "10.0.1.9";
/// Where else servers send from.
pub(crate) const PEERS: &str = "10.0.9.0/24";
pub(crate) const OTHER_MAC: [u8; 6] = [2, 0, 0, 0, 0, 2];
pub(crate) const OWN_MAC: [u8; 6] = [2, 0, 0, 0, 0, 1];
/// Shared addresses, by ports: see [`runs`].
pub(crate) const SHARED: [&str; 2] = ["198.51.100.1", "2001:db8:e::1"];
/// One that is this server's alone.
pub(crate) const WHOLE: [&str; 2] = ["198.51.100.2", "2001:db8:e:1::1"];
/// Ports of which are GHOST's.
pub(crate) const GHOSTLY: &str = "198.51.100.3";
/// Somebody out there.
pub(crate) const REMOTES: [&str; 2] = ["203.0.113.7", "2001:db8:c::7"];
/// Ports of the shared addresses.
pub(crate) const MINE: u16 = 2100;
pub(crate) const DRAINING: u16 = 5000;
pub(crate) const THEIRS: u16 = 7000;
pub(crate) const NOBODYS: u16 = 9000;

pub(crate) fn address(text: &str) -> IpAddr {
    text.parse().unwrap()
}

pub(crate) fn at(text: &str, port: u16) -> SocketAddr {
    SocketAddr::new(address(text), port)
}

/// Own ones, own ones that were another's, another's that were own.
fn runs(other: &str) -> Vec<Run> {
    let other = Some(address(other));
    [("2000-4095", true, None), ("4096-6143", true, other), ("6144-8191", false, other)]
        .map(|(ports, own, other)| Run { ports: ports.parse().unwrap(), keeper: Keeper { own, other } })
        .to_vec()
}

fn held(prefix: &str, runs: Vec<Run>, own: bool) -> Held {
    Held { prefix: prefix.parse().unwrap(), runs, portless: Keeper { own, other: None }, tags: Vec::new() }
}

pub(crate) fn view() -> View {
    let whole = || vec![Run { ports: "0-65535".parse().unwrap(), keeper: Keeper { own: true, other: None } }];
    View {
        generation: 1,
        held: vec![
            held("198.51.100.1/32", runs(OTHERS[0]), true),
            held("198.51.100.2/32", whole(), true),
            held("198.51.100.3/32", runs(GHOST), false),
            held("2001:db8:e::/64", runs(OTHERS[1]), true),
            held("2001:db8:e:1::/64", whole(), true),
        ],
        egress: vec!["198.51.100.0/24".parse().unwrap()],
        forwarders: FORWARDERS.map(address).to_vec(),
        servers: OTHERS.map(address).to_vec(),
        peers: vec![PEERS.parse().unwrap()],
    }
}

/// GUE from a forwarder to this server, by IPv4 (0) or IPv6 (1).
pub(crate) fn forwarded(version: usize) -> Gue {
    Gue::new(address(FORWARDERS[version]), address(OWN[version]))
}

/// GUE from the other server.
pub(crate) fn passed_on(version: usize) -> Gue {
    Gue::new(address(OTHERS[version]), address(OWN[version]))
}

pub(crate) struct Host {
    pub(crate) receive: Receive,
}

impl Host {
    /// What has become of one frame, by the name of the one counter that counted it; none if none did.
    pub(crate) fn fate(&mut self, frame: &[u8]) -> (Option<&'static str>, Tried) {
        let before = self.counters();
        let tried = self.receive.try_frame(frame, 1).unwrap();
        let after = self.counters();
        let changed: Vec<_> = names(&after).filter(|name| after.packets(name) != before.packets(name)).collect();
        let received = after.received().packets - before.received().packets;
        assert!(changed.len() <= 1 && received == changed.len() as u64, "{changed:?}: {received}");
        (changed.first().copied(), tried)
    }

    #[track_caller]
    pub(crate) fn expect(&mut self, what: &str, frame: &[u8], fate: &str) -> Tried {
        let (got, tried) = self.fate(frame);
        assert_eq!(got, Some(fate), "{what}");
        tried
    }

    pub(crate) fn counters(&self) -> ReceiveCounters {
        self.receive.counters().unwrap()
    }
}

fn names(counters: &ReceiveCounters) -> impl Iterator<Item = &'static str> {
    let named = counters.kept().chain(counters.passed_on()).chain(counters.drops());
    named.map(|(name, _)| name).collect::<Vec<_>>().into_iter()
}

/// The same, where the kernel's fou takes the headers off; nothing, and says so, where it has none.
pub(crate) fn on_host_with_fou(work: impl FnOnce(&mut Host) + Send + 'static) {
    let Some(network) = Network::new(1600) else { return };
    furnish(&network);
    network.boxed.inside(|| {
        let how = config::Receive { xdp: config::XdpMode::Generic, decapsulation: config::Decapsulation::Auto };
        let receive = Receive::start(&[CABLE.to_owned()], 6080, how, &view()).unwrap();
        match receive.why_not_fou() {
            Some(why) => eprintln!("skipped, without the kernel's fou: {why}"),
            None => work(&mut Host { receive }),
        }
    });
}

/// Does something on a server; nothing, and says so, where there can be none.
pub(crate) fn on_host(work: impl FnOnce(&mut Host) + Send + 'static) {
    let Some(network) = Network::new(1600) else { return };
    furnish(&network);
    network.boxed.inside(|| {
        let how = config::Receive { xdp: config::XdpMode::Generic, decapsulation: config::Decapsulation::Ebpf };
        let receive = Receive::start(&[CABLE.to_owned()], 6080, how, &view()).unwrap();
        work(&mut Host { receive });
    });
}

/// Addresses, and the other servers as neighbours.
pub(crate) fn furnish(network: &Network) {
    let ip = |words: &str| drop(network.boxed.ip(&words.split(' ').collect::<Vec<_>>()));
    ip(&format!("link set {CABLE} address 02:00:00:00:00:01 arp on"));
    ip(&format!("address add {}/24 dev {CABLE}", OWN[0]));
    ip(&format!("address add {}/64 dev {CABLE} nodad", OWN[1]));
    for other in OTHERS {
        ip(&format!("neighbour replace {other} lladdr 02:00:00:00:00:02 dev {CABLE}"));
    }
    for shared in SHARED.iter().chain(&WHOLE).chain(&REMOTES).chain([&GHOSTLY]) {
        let nodad = if shared.contains(':') { " nodad" } else { "" };
        ip(&format!("address add {shared} dev lo{nodad}"));
    }
}
