// SPDX-License-Identifier: MIT OR Apache-2.0
//! The egress guard, before a server with a slice of an address that it shares.

#![allow(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test may stop at the first surprise"
)]

mod frames;
#[path = "../network/mod.rs"]
mod network;

use std::time::{Duration, Instant};

use agent::config::GuardAction;
use agent::guard::{Caught, Guard, GuardCounters, Verdict};
use agent::view::View;
use network::{Client, DEVICE, FAR, FAR6, Network, SHARED, SHARED6, view};

struct Rig {
    network: Network,
    guard: Guard,
}

/// Egress space around the shared addresses.
pub(crate) fn sharing(owned: &[(&str, &str)]) -> View {
    let egress = ["198.51.100.0/24", "2001:db8:e::/48"].map(|prefix| prefix.parse().unwrap());
    View { egress: egress.to_vec(), ..view(owned) }
}

impl Rig {
    fn new(action: GuardAction, view: &View) -> Option<Self> {
        let network = Network::new()?;
        let guard = network.inside(|| Guard::start(&[DEVICE.to_owned()], action, view)).unwrap();
        Some(Self { network, guard })
    }

    fn client(&self) -> Client {
        self.network.client(|_| ())
    }

    fn counters(&self) -> GuardCounters {
        self.guard.counters().unwrap()
    }

    /// The latest that was caught, once it is told.
    fn caught(&self, is_it: impl Fn(&Caught) -> bool) -> Caught {
        let begun = Instant::now();
        loop {
            if let Some(caught) = self.guard.events().into_iter().rev().find(|caught| is_it(caught)) {
                return caught;
            }
            assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", self.guard.events());
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

const SLICE: [(&str, &str); 2] = [("198.51.100.1/32", "2048-4095"), ("2001:db8:e::1/128", "2048-4095")];

#[test]
fn who_sends_from_a_foreign_port_is_caught_and_named() {
    let Some(rig) = Rig::new(GuardAction::Drop, &sharing(&SLICE)) else { return };
    let mut client = rig.client();
    assert_eq!(client.ask(&format!("tcp {} 198.51.100.1 2050", FAR[0])), "198.51.100.1 2050");
    assert_eq!(client.ask(&format!("send {FAR6} {SHARED6} 4095")), format!("{SHARED6} 4095"));
    assert_eq!(client.ask("tcp 10.9.0.2"), format!("10.9.0.1 {}", client.ask("port")), "no egress space");
    assert_eq!(rig.counters().caught().map(|(_, packets)| packets), [0; 4]);
    for (protocol, command) in [(6, "tcp"), (17, "send"), (17, "udp")] {
        for (far, address) in [(FAR[0], SHARED[0]), (FAR6, SHARED6)] {
            assert_eq!(client.ask(&format!("{command} {far} {address} 5000")), "timed out");
            let caught = rig.caught(|caught| caught.protocol == protocol && caught.source.to_string() == address);
            assert_eq!((caught.verdict, caught.source_port), (Verdict::ForeignPort, 5000));
            assert_eq!(caught.destination.to_string(), far);
            let process = caught.process.unwrap();
            assert_eq!((process.pid, caught.uid), (client.pid(), Some(0)));
            assert!(process.name.starts_with("python"), "{process}");
        }
    }
    assert_eq!(client.ask(&format!("tcp {} 198.51.100.2 2050", FAR[0])), "timed out");
    assert_eq!(rig.caught(|caught| caught.verdict == Verdict::ForeignAddress).process.unwrap().pid, client.pid());
    let counters = rig.counters();
    assert!(counters.foreign_port >= 6 && counters.foreign_address >= 1, "{counters:?}");
    assert!(counters.own > 0 && counters.draining == 0, "{counters:?}");
}

#[test]
fn what_is_only_counted_arrives() {
    let Some(rig) = Rig::new(GuardAction::Count, &sharing(&SLICE)) else { return };
    let mut client = rig.client();
    assert_eq!(client.ask(&format!("tcp {} 198.51.100.1 5000", FAR[0])), "198.51.100.1 5000");
    assert_eq!(rig.caught(|_| true).process.unwrap().pid, client.pid());
    assert!(rig.counters().foreign_port >= 1);
}

#[test]
fn connections_outlive_the_slice_and_new_ones_do_not_begin() {
    let Some(mut rig) = Rig::new(GuardAction::Drop, &sharing(&SLICE)) else { return };
    let mut client = rig.client();
    for port in 3000..3020 {
        assert_eq!(client.ask(&format!("tcp {} 198.51.100.1 {port}", FAR[0])), format!("198.51.100.1 {port}"));
    }
    assert_eq!(client.ask(&format!("udp {} 198.51.100.1 3000", FAR[0])), "198.51.100.1 3000");
    rig.guard.publish(&sharing(&[("198.51.100.1/32", "4096-6143")])).unwrap();
    assert_eq!(client.ask("alive"), "alive");
    assert_eq!(client.ask(&format!("again {}", FAR[0])), "198.51.100.1 3000");
    let counters = rig.counters();
    assert!(counters.draining > 20 && counters.foreign_port == 0, "{counters:?}");
    assert_eq!(client.ask(&format!("tcp {} 198.51.100.1 3100", FAR[0])), "timed out");
    assert_eq!(client.ask(&format!("send {} 198.51.100.1 3101", FAR[0])), "timed out");
    assert_eq!(client.ask(&format!("tcp {} 198.51.100.1 4096", FAR[0])), "198.51.100.1 4096");
    rig.guard.publish(&sharing(&[])).unwrap();
    assert_eq!(client.ask("alive"), "broken or silent", "of the address, nothing is held any more");
}

#[test]
fn what_the_stack_answers_is_only_for_own_ports() {
    let Some(rig) = Rig::new(GuardAction::Drop, &sharing(&SLICE)) else { return };
    let mut far = rig.network.stranger();
    for (command, own) in [("knock", "ECONNREFUSED"), ("poke", "ECONNREFUSED")] {
        for address in [SHARED[0], SHARED6] {
            assert_eq!(far.ask(&format!("{command} {address} 2050")), own, "{command}");
            assert_eq!(far.ask(&format!("{command} {address} 5000")), "timed out", "{command}");
        }
    }
    let counters = rig.counters();
    assert!(counters.foreign_port >= 4 && counters.own >= 4, "{counters:?}");
}

#[test]
fn ping_goes_by_its_identifier() {
    let Some(rig) = Rig::new(GuardAction::Drop, &sharing(&SLICE)) else { return };
    let ping = |identifier: &str, far: &str, address: &str| {
        let words = ["ping", "-c", "1", "-W", "1", "-I", address, "-e", identifier, far];
        rig.network.command(&words).output().unwrap().status.success()
    };
    for (far, address) in [(FAR[0], SHARED[0]), (FAR6, SHARED6)] {
        assert!(ping("2050", far, address));
        assert!(!ping("5000", far, address));
        assert_eq!(rig.caught(|caught| caught.source.to_string() == address).source_port, 5000);
    }
}

#[test]
fn large_datagrams_go_by_their_first_fragment() {
    let Some(rig) = Rig::new(GuardAction::Drop, &sharing(&SLICE)) else { return };
    let mut client = rig.client();
    for (far, address) in [(FAR[0], SHARED[0]), (FAR6, SHARED6)] {
        assert_eq!(client.ask(&format!("large {far} {address} 2050")), format!("{address} 2050"));
        assert_eq!(client.ask(&format!("large {far} {address} 5000")), "timed out");
    }
    assert!(rig.counters().own > 4);
}
