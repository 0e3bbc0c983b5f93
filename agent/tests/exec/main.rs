// SPDX-License-Identifier: MIT OR Apache-2.0
//! Programs under exec, and where the other end sees their connections come from.

#![allow(clippy::panic, clippy::unwrap_used, reason = "a test may stop at the first surprise")]

mod command;
#[path = "../network/mod.rs"]
mod network;

use std::collections::HashSet;
use std::net::IpAddr;

use agent::exec::{Exec, Family, Filter, Settings, claim, default_cgroup};
use agent::view::View;
use network::{Client, FAR, FAR6, Network, OWN, SHARED, SHARED6, seen, unique, view};

/// An agent's part for one test: a cgroup of its own.
struct Agent {
    network: Network,
    settings: Settings,
    exec: Exec,
}

impl Agent {
    fn new(view: &View) -> Option<Self> {
        let network = Network::new()?;
        let cgroup = default_cgroup().with_file_name(format!("sluice-test-{}", unique()));
        let pins = std::env::temp_dir().join(format!("sluice-bpf-{}", unique()));
        let settings = Settings { cgroup, pins };
        let exec = Exec::start(settings.clone(), view).unwrap();
        Some(Self { network, settings, exec })
    }

    fn client(&mut self, tags: &[&str], family: Option<Family>) -> Client {
        let filter = Filter::new(tags.iter().copied(), family).unwrap();
        self.network.client(|pid| self.exec.admit(pid, &filter).unwrap())
    }
}

fn all_within(answers: &str, address: &str, ports: std::ops::RangeInclusive<u16>) -> HashSet<u16> {
    let mut used = HashSet::new();
    for answer in answers.split(',') {
        let (from, port) = seen(answer).unwrap_or_else(|| panic!("{answer}"));
        assert!(from == address.parse::<IpAddr>().unwrap() && ports.contains(&port), "{answer}");
        used.insert(port);
    }
    used
}

#[test]
fn connections_leave_from_the_slice_to_one_and_to_many() {
    let Some(mut agent) = Agent::new(&view(&[("198.51.100.1/32", "2048-4095"), ("2001:db8:e::1/128", "6144-8191")]))
    else {
        return;
    };
    let mut client = agent.client(&[], None);
    let used = all_within(&client.ask(&format!("many 1500 {}", FAR[0])), SHARED[0], 2048..=4095);
    assert_eq!(used.len(), 1500, "to one place, each has a port of its own");
    all_within(&client.ask(&format!("many 1500 {}", FAR[1])), SHARED[0], 2048..=4095);
    all_within(&client.ask(&format!("many 100 {FAR6}")), SHARED6, 6144..=8191);
    all_within(&client.ask(&format!("many 100 ::ffff:{}", FAR[1])), SHARED[0], 2048..=4095);
    assert_eq!(client.ask("alive"), "alive");
    let tally = agent.exec.counters()[&Filter::default()];
    assert_eq!((tally.connects4, tally.connects6, tally.refused, tally.exhausted), (3100, 100, 0, 0));
}

#[test]
fn a_full_slice_is_an_error_and_no_foreign_port() {
    let Some(mut agent) = Agent::new(&view(&[("198.51.100.1/32", "2048-2111")])) else { return };
    let mut client = agent.client(&[], None);
    let answers = client.ask(&format!("many 66 {}", FAR[0]));
    let (first, rest) = answers.rsplit_once(",EADDRNOTAVAIL,").unwrap();
    assert_eq!(all_within(first, SHARED[0], 2048..=2111).len(), 64);
    assert_eq!(rest, "EADDRNOTAVAIL");
    // The same ports, to somewhere else.
    assert_eq!(all_within(&client.ask(&format!("many 64 {}", FAR[1])), SHARED[0], 2048..=2111).len(), 64);
    assert_eq!(client.ask("close"), "closed");
    // A UDP port has one socket at a time, wherever that speaks to.
    let answers = client.ask(&format!("udps 65 {}", FAR[0]));
    let (first, last) = answers.rsplit_once(',').unwrap();
    assert_eq!((all_within(first, SHARED[0], 2048..=2111).len(), last), (64, "EADDRNOTAVAIL"));
    assert_eq!(agent.exec.counters()[&Filter::default()].exhausted, 3);
}

#[test]
fn tags_and_family_choose() {
    let mut view =
        view(&[("198.51.100.1/32", "2048-4095"), ("198.51.100.2/32", "2048-4095"), ("2001:db8:e::/64", "1-65535")]);
    view.held[1].tags = vec![("country".to_owned(), "GB".to_owned()), ("trust".to_owned(), "high".to_owned())];
    let Some(mut agent) = Agent::new(&view) else { return };
    let mut british = agent.client(&["country=GB"], None);
    all_within(&british.ask(&format!("many 50 {}", FAR[0])), SHARED[1], 2048..=4095);
    assert_eq!(british.ask(&format!("tcp {FAR6}")), "EPERM", "nothing British in IPv6");
    let mut six = agent.client(&[], Some(Family::V6));
    all_within(&six.ask(&format!("many 5 {FAR6}")), SHARED6, 1024..=65535);
    all_within(&six.ask(&format!("send {FAR6} :: 0")), SHARED6, 1024..=65535);
    assert_eq!(six.ask(&format!("tcp {}", FAR[0])), "EPERM");
    let error = agent.exec.admit(1, &Filter::new(["country=FR"], None).unwrap()).unwrap_err();
    assert_eq!(error.to_string(), "this server owns no address for country=FR: see `sluice-agent slices`");
    let counters = agent.exec.counters();
    assert_eq!(counters[&Filter::new(["country=GB"], None).unwrap()].refused, 1);
}

#[test]
fn any_address_of_a_prefix_is_chosen() {
    let Some(mut agent) = Agent::new(&view(&[("2001:db8:e::/64", "0-65535"), ("198.51.100.16/28", "64000-65535")]))
    else {
        return;
    };
    agent.network.ip(&["route", "add", "local", "2001:db8:e::/64", "dev", "lo"]);
    agent.network.ip(&["route", "add", "local", "198.51.100.16/28", "dev", "lo"]);
    agent.network.sysctl("net/ipv6/ip_nonlocal_bind", "1");
    let mut client = agent.client(&[], None);
    for (far, inside, least) in [(FAR6, "2001:db8:e::/64", 50), (FAR[0], "198.51.100.16/28", 10)] {
        let answers = client.ask(&format!("many 50 {far}"));
        let prefix: tables::Prefix = inside.parse().unwrap();
        let from: HashSet<_> =
            answers.split(',').map(|answer| seen(answer).unwrap_or_else(|| panic!("{answer}"))).collect();
        assert!(from.iter().all(|(address, port)| prefix.contains(*address) && *port >= 1024), "{answers}");
        assert!(from.iter().map(|(address, _)| address).collect::<HashSet<_>>().len() >= least, "{answers}");
    }
}

#[test]
fn a_slice_that_moves_away_is_left_alone_and_its_connections_live() {
    let Some(mut agent) = Agent::new(&view(&[("198.51.100.1/32", "2048-4095")])) else { return };
    let mut client = agent.client(&[], None);
    all_within(&client.ask(&format!("many 200 {}", FAR[0])), SHARED[0], 2048..=4095);
    let bound = client.ask("bind udp 198.51.100.1 0");
    agent.exec.publish(&view(&[("198.51.100.2/32", "8192-8255")])).unwrap();
    all_within(&client.ask(&format!("many 50 {}", FAR[0])), SHARED[1], 8192..=8255);
    assert_eq!(client.ask("alive"), "alive");
    let port = seen(&bound).unwrap().1;
    assert_eq!(client.ask(&format!("again {}", FAR[0])), "EPERM", "the port {port} is somebody else's");
    agent.exec.publish(&View::default()).unwrap();
    assert_eq!(client.ask(&format!("tcp {}", FAR[0])), "EPERM");
    assert_eq!(client.ask("alive"), "alive");
}

#[test]
fn binds_get_owned_ports_only() {
    let Some(mut agent) = Agent::new(&view(&[("198.51.100.1/32", "2048-4095"), ("2001:db8:e::1/128", "2048-4095")]))
    else {
        return;
    };
    let mut client = agent.client(&[], None);
    for kind in ["tcp", "udp"] {
        assert_eq!(client.ask(&format!("bind {kind} 198.51.100.1 2050")), "198.51.100.1 2050");
        assert_eq!(client.ask(&format!("bind {kind} 0.0.0.0 2051")), "198.51.100.1 2051");
        for far in ["198.51.100.1 5000", "198.51.100.2 2052", "0.0.0.0 5000", "10.9.0.1 2053", "10.9.0.1 0", ":: 5000"]
        {
            assert_eq!(client.ask(&format!("bind {kind} {far}")), "EPERM", "{far}");
        }
        for (wanted, address) in [("198.51.100.1 0", SHARED[0]), ("0.0.0.0 0", SHARED[0]), (":: 0", SHARED6)] {
            let answers: Vec<_> = (0..20).map(|_| client.ask(&format!("bind {kind} {wanted}"))).collect();
            assert_eq!(all_within(&answers.join(","), address, 2048..=4095).len(), 20);
        }
        assert!(client.ask(&format!("bind {kind} 127.0.0.1 0")).starts_with("127.0.0.1 "));
    }
    all_within(&client.ask(&format!("tcp {} 198.51.100.1 0", FAR[0])), SHARED[0], 2048..=4095);
    assert_eq!(client.ask(&format!("tcp {} 198.51.100.1 4000", FAR[0])), "198.51.100.1 4000");
    assert_eq!(client.ask("local"), "127.0.0.1");
}

#[test]
fn datagrams_of_unconnected_sockets_too() {
    let Some(mut agent) = Agent::new(&view(&[("198.51.100.1/32", "2048-4095"), ("2001:db8:e::1/128", "2048-4095")]))
    else {
        return;
    };
    let mut client = agent.client(&[], None);
    all_within(&client.ask(&format!("send {} 0.0.0.0 0", FAR[0])), SHARED[0], 2048..=4095);
    all_within(&client.ask(&format!("send {FAR6} :: 0")), SHARED6, 2048..=4095);
    // Never bound: the kernel chose the port before anybody was asked.
    assert_eq!(client.ask(&format!("send {}", FAR[0])), "EPERM");
    agent.network.sysctl("net/ipv4/ip_local_port_range", "2048 4095");
    all_within(&client.ask(&format!("send {}", FAR[0])), SHARED[0], 2048..=4095);
    all_within(&client.ask(&format!("send {FAR6}")), SHARED6, 2048..=4095);
}

#[test]
fn a_connected_socket_sends_from_nothing_else() {
    let slices = [("198.51.100.1/32", "2048-4095"), ("2001:db8:e::1/128", "2048-4095")];
    let Some(mut agent) = Agent::new(&view(&slices)) else { return };
    let mut client = agent.client(&[], None);
    all_within(&client.ask(&format!("told {} {}", FAR[0], SHARED[0])), SHARED[0], 2048..=4095);
    all_within(&client.ask(&format!("told {FAR6} {SHARED6}")), SHARED6, 2048..=4095);
    assert_eq!(client.ask(&format!("told {} {}", FAR[0], SHARED[1])), "EPERM");
    assert_eq!(client.ask(&format!("told {FAR6} {}", OWN[1])), "EPERM");
    agent.exec.publish(&View::default()).unwrap();
    assert!(client.ask("marked").starts_with(SHARED[0]), "what is connected goes on");
}

#[test]
fn a_cgroup_is_one_agents() {
    let Some(agent) = Agent::new(&view(&[("198.51.100.1/32", "2048-4095")])) else { return };
    let cgroup = &agent.settings.cgroup;
    let claimed = claim(cgroup).unwrap();
    let error = claim(cgroup).unwrap_err().to_string();
    assert!(error.ends_with("set exec.cgroup to another folder"), "{error}");
    drop(claimed);
    claim(cgroup).unwrap();
}

#[test]
fn whoever_removes_the_cgroup_sets_nobody_free() {
    let Some(mut agent) = Agent::new(&view(&[("198.51.100.1/32", "2048-4095")])) else { return };
    std::fs::remove_dir(&agent.settings.cgroup).unwrap();
    let mut client = agent.client(&[], None);
    all_within(&client.ask(&format!("many 20 {}", FAR[0])), SHARED[0], 2048..=4095);
}

#[test]
fn the_next_agent_takes_over_and_none_is_no_freedom() {
    let slices = view(&[("198.51.100.1/32", "2048-4095")]);
    let Some(mut agent) = Agent::new(&slices) else { return };
    let mut client = agent.client(&[], None);
    // Killed: its memory goes, and nothing is put in order.
    let next = Exec::start(agent.settings.clone(), &view(&[("198.51.100.1/32", "4096-6143")])).unwrap();
    std::mem::forget(std::mem::replace(&mut agent.exec, next));
    all_within(&client.ask(&format!("many 20 {}", FAR[0])), SHARED[0], 4096..=6143);
    assert_eq!(agent.exec.counters()[&Filter::default()].connects4, 20);
    // Stopped: whom it held is held on, with nothing to send from, until the next comes.
    let Agent { network, settings, exec } = agent;
    drop(exec);
    assert_eq!(client.ask(&format!("tcp {}", FAR[0])), "EPERM");
    let mut exec = Exec::start(settings.clone(), &slices).unwrap();
    all_within(&client.ask(&format!("many 20 {}", FAR[0])), SHARED[0], 2048..=4095);
    drop(client);
    assert_eq!(exec.counters()[&Filter::default()].connects4, 20, "what is gone counts on");
    drop(exec);
    assert!(!settings.cgroup.exists() && !settings.pins.exists());
    drop(network);
}
