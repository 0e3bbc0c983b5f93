// SPDX-License-Identifier: MIT OR Apache-2.0
//! What is announced, to whom and when: `sluiced` beside the real BIRD and FRR, and a BIRD that hears them over BGP.
//!
//! The BGP session goes over a wire of its own, not over the device that forwards: what a routing daemon is told, and what it
//! makes of it, does not depend on that.
use std::time::Duration;

use crate::lab::bird::Bird;
use crate::lab::frr::Frr;
use crate::lab::netns::Netns;
use crate::lab::sluiced::{Place, Sluiced, USER};
use crate::lab::{self, wait_for};
use rustix::process::Signal;
use serde_json::{Value, json};

/// Two halves of one prefix, one of them elsewhere, and IPv6.
pub(crate) fn table() -> Value {
    json!({
        "version": 1, "generation": 1,
        "datacenters": {"LHR": {"forwarders": ["10.0.0.1", "2001:db8:a::1"]}, "CDG": {"forwarders": ["10.1.0.1"]}},
        "servers": {"a": {"datacenter": "LHR", "address": "10.0.1.1"}, "b": {"datacenter": "CDG", "address": "10.1.1.1"}},
        "egress": [
            {"prefix": "198.51.100.0/25", "datacenter": "LHR", "server": "a"},
            {"prefix": "198.51.100.128/25", "datacenter": "CDG", "server": "b"},
            {"prefix": "203.0.113.0/24", "unassigned": true},
            {"prefix": "2001:db8:e::/64", "datacenter": "LHR", "server": "a"}
        ]
    })
}

/// What should be heard of it, and of the forwarder's own addresses.
pub(crate) const ALL: [&str; 5] =
    ["10.0.0.1/32", "198.51.100.0/24", "2001:db8:a::1/128", "2001:db8:e::/64", "203.0.113.0/24"];

/// Who hears it, in an autonomous system of its own.
fn upstream(asn: u32, own: &str, forwarder: &str, more: &str) -> String {
    format!(
        "log stderr all;
        router id {own};
        protocol device {{ }}
        protocol kernel {{ ipv4 {{ export where source = RTS_BGP; }}; }}
        protocol kernel {{ ipv6 {{ export where source = RTS_BGP; }}; }}
        protocol bgp sluice {{
            local {own} as {asn};
            neighbor {forwarder} as 65001;
            passive;
            ipv4 {{ import all; export where source = RTS_STATIC; }};
            ipv6 {{ import all; export none; }};
        }}
        {more}"
    )
}

/// What the first upstream tells: the way to another forwarder, and that another data centre announces the same prefix.
const ELSEWHERE: &str = "protocol static { ipv4; route 10.1.0.1/32 blackhole; route 198.51.100.0/24 blackhole; }";

pub(crate) const READINESS: &str = "
[readiness]
file = \"run/ready\"
interface = \"sluice-ready\"
settle = 0
linger = 2
";

/// The documentation's configuration for a routing daemon.
pub(crate) fn documented(info: &str) -> &'static str {
    documented_after("", info)
}

/// What the documentation adds to it behind a heading.
pub(crate) fn documented_after(heading: &str, info: &str) -> &'static str {
    let (_, page) = include_str!("../../../docs/announce.md").split_once(heading).unwrap();
    let block = page.split(&format!("```{info}\n")).nth(1).unwrap_or_else(|| panic!("no block {info}"));
    block.split("\n```").next().unwrap()
}

/// A forwarder's namespace and its upstreams'.
struct Network {
    forwarder: Netns,
    upstream: Netns,
    other: Netns,
}

impl Network {
    fn new() -> Self {
        let network = Self { forwarder: Netns::new(), upstream: Netns::new(), other: Netns::new() };
        let addresses: [&[&str]; 2] = [&["192.0.2.1/30", "2001:db8:f::1/64"], &["192.0.2.2/30", "2001:db8:f::2/64"]];
        network.forwarder.wire(&network.upstream, ["core0", "peer0"], addresses);
        let addresses: [&[&str]; 2] = [&["192.0.2.5/30"], &["192.0.2.6/30"]];
        network.forwarder.wire(&network.other, ["core1", "peer1"], addresses);
        make_interface(&network.forwarder, &format!("user {USER}"));
        // As docs/kernel-path.md has it.
        network.forwarder.ip("route add local 10.0.0.1 dev lo");
        network.forwarder.ip("-6 route add local 2001:db8:a::1 dev lo");
        network
    }

    fn upstreams(&self) -> [Bird; 2] {
        [
            Bird::start(&self.upstream, &upstream(65002, "192.0.2.2", "192.0.2.1", ELSEWHERE)),
            Bird::start(&self.other, &upstream(65003, "192.0.2.6", "192.0.2.5", "")),
        ]
    }
}

pub(crate) fn announcement(place: &Place, daemon: &str) -> String {
    let table = place.path("table.json");
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_sluice"));
    let own = ["--underlay", "10.0.0.1", "--underlay", "2001:db8:a::1"];
    lab::run(command.args(["table", "announce", "--daemon", daemon]).args(own).arg(table))
}

fn heard(upstream: &Bird) -> bool {
    upstream.received() == ALL
}

/// A route of the operator's own, which has nothing to do with what is announced.
const OWN: &str = "192.0.2.128/25";

/// The kernel of the forwarder has the ways that BGP tells, and the operator's own.
fn other_routes(forwarder: &Netns) {
    for prefix in ["10.1.0.1", OWN] {
        wait_for("the kernel has the other routes, as they are", || {
            forwarder.ip(&format!("route show {prefix}")).contains("via 192.0.2.2 dev core0")
        });
    }
}

/// The kernel of the forwarder sends nowhere what is announced, whether it is at this moment or not.
fn no_loop(forwarder: &Netns) {
    let covers = |family: &str, prefix: &str, alternatives: &[&str]| {
        let routes = forwarder.ip(&format!("-{family} route show {prefix}"));
        assert!(alternatives.iter().any(|route| routes.contains(route)), "{prefix}: {routes}");
    };
    for prefix in ["198.51.100.0/24", "203.0.113.0/24"] {
        covers("4", prefix, &["blackhole", "dev sluice-ready"]);
    }
    covers("6", "2001:db8:e::/64", &["blackhole", "dev sluice-ready"]);
}

/// The kernel of the upstream, which stands for a remote forwarder's, has a way to this forwarder, or none.
fn is_reached(network: &Network, reached: bool) {
    for (family, address, by) in [("4", "10.0.0.1", "via 192.0.2.1"), ("6", "2001:db8:a::1", "via 2001:db8:f::1")] {
        wait_for("the host route comes and goes with readiness", || {
            network.upstream.ip(&format!("-{family} route show {address}")).contains(by) == reached
        });
    }
}

/// From a start to a `kill -9` and on to a stop, whatever routing daemon tells the upstream.
fn follow(place: &Place, network: &Network, [upstream, other]: &[Bird; 2], leave: impl FnOnce(&Sluiced<'_>)) {
    for upstream in [upstream, other] {
        upstream.wait_for_session("sluice");
    }
    place.configure(READINESS);
    let ready = place.path("run/ready");
    assert_eq!(upstream.received(), [""; 0], "before there is a forwarder");
    other_routes(&network.forwarder);
    no_loop(&network.forwarder);
    let sluiced = place.start(&network.forwarder);
    wait_for("the health command says that it is in service", || sluiced.is_in_service());
    wait_for("what is ready is announced", || heard(upstream));
    assert!(ready.exists());
    is_reached(network, true);
    wait_for("the other upstream hears it", || other.received().iter().any(|prefix| prefix == "198.51.100.0/24"));
    let transit: Vec<_> = other.received().into_iter().filter(|prefix| !ALL.contains(&prefix.as_str())).collect();
    assert_eq!(transit, [""; 0], "told by one upstream and told to the other");
    no_loop(&network.forwarder);

    leave(&sluiced);

    assert!(sluiced.sluice(&["drain"]).status.success());
    assert!(!ready.exists(), "the file is gone with the answer");
    wait_for("what drains is withdrawn", || upstream.received().is_empty());
    is_reached(network, false);
    no_loop(&network.forwarder);
    let health = sluiced.ask(&["health"]);
    assert_eq!(
        (&health["state"], &health["in_service"], &health["announced"]),
        (&json!("draining"), &json!(false), &json!(false))
    );
    assert!(!sluiced.is_in_service());
    let rx = || sluiced.ask(&["stats"])["counters"]["rx"].as_u64().unwrap();
    let before = rx();
    wait_for("it goes on while it drains", || rx() > before);
    assert!(sluiced.sluice(&["undrain"]).status.success());
    wait_for("it is announced again", || heard(upstream));

    sluiced.signal(Signal::KILL);
    wait_for("what was killed is withdrawn", || upstream.received().is_empty());
    is_reached(network, false);
    drop(sluiced);
    no_loop(&network.forwarder);
    assert!(ready.exists(), "a file outlives a kill; nobody should rely on it alone");

    let mut sluiced = place.start(&network.forwarder);
    wait_for("the next one is announced", || heard(upstream));
    sluiced.signal(Signal::TERM);
    wait_for("what stops is withdrawn", || upstream.received().is_empty());
    assert!(sluiced.runs() && !ready.exists(), "withdrawn first, and then stopped:\n{}", place.log());
    assert!(sluiced.wait().success(), "{}", place.log());
}

#[test]
fn bird_announces_what_is_ready() {
    if !lab::possible(&["ip", "bird", "birdc"]) {
        return;
    }
    let (network, place) = (Network::new(), Place::new(&table()));
    let upstreams = network.upstreams();
    let upstream = &upstreams[0];
    let snippet = place.path("sluice.conf");
    std::fs::write(&snippet, announcement(&place, "bird")).unwrap();
    let config = documented("bird").replace("/etc/bird/sluice.conf", snippet.to_str().unwrap());
    let second = config.split_once("protocol bgp upstream").unwrap().1.replace("local 192.0.2.1", "local 192.0.2.5");
    let second = second.replace("192.0.2.2 as 65002", "192.0.2.6 as 65003");
    let config =
        format!("{config}\nprotocol bgp second{second}\nprotocol static {{ ipv4; route {OWN} via 192.0.2.2; }}");
    let bird = Bird::start(&network.forwarder, &config);
    follow(&place, &network, &upstreams, |_| {
        let communities = || upstream.ask("show route all 198.51.100.0/24");
        assert!(!communities().contains("(65535,0)"));
        bird.ask("disable \"sluice?\"");
        wait_for("it says that it shuts down gracefully", || communities().contains("(65535,0)"));
        bird.ask("enable \"sluice?\"");
        wait_for("it is as before", || heard(upstream) && !communities().contains("(65535,0)"));
    });
}

#[test]
fn frr_announces_what_is_ready() {
    if !lab::possible(&["ip", "bird", "birdc", "zebra", "vtysh"]) {
        return;
    }
    let (network, place) = (Network::new(), Place::new(&table()));
    let upstreams = network.upstreams();
    let upstream = &upstreams[0];
    // Each line of the neighbour once more, for the other one.
    let twice = |line: &str| {
        let other = line.replace("192.0.2.2", "192.0.2.6").replace("65002", "65003");
        if other == line { line.to_owned() } else { format!("{line}\n{other}") }
    };
    let config: Vec<_> = documented("frr").lines().map(twice).collect();
    let frr = Frr::start(&network.forwarder, &config.join("\n"));
    frr.configure(&format!("{}ip route {OWN} 192.0.2.2\n", announcement(&place, "frr")));
    follow(&place, &network, &upstreams, |_| {
        let communities = || upstream.ask("show route all 198.51.100.0/24");
        assert!(!communities().contains("(65535,0)"));
        frr.ask(&["configure", "router bgp 65001", "bgp graceful-shutdown"]);
        wait_for("it says that it shuts down gracefully", || communities().contains("(65535,0)"));
        frr.ask(&["configure", "router bgp 65001", "no bgp graceful-shutdown"]);
        wait_for("it is as before", || heard(upstream) && !communities().contains("(65535,0)"));
    });
}

/// The interface of the readiness signal, as a unit of systemd or a script makes it.
pub(crate) fn make_interface(netns: &Netns, owner: &str) {
    netns.ip(&format!("tuntap add dev sluice-ready mode tun {owner}"));
    netns.ip("link set sluice-ready up");
}

#[test]
fn an_interface_that_is_not_the_daemons_is_refused() {
    if !lab::possible(&["ip"]) {
        return;
    }
    let (netns, place) = (Netns::new(), Place::new(&table()));
    place.configure(READINESS);
    let refused = |words: &str| {
        let said = place.fail_to_start(&netns);
        assert!(said.last().unwrap().contains(words), "{said:?}");
    };
    refused("sluice-ready is not there; make it before");
    for (owner, words) in [("user 12345", "sluice-ready belongs to uid 12345"), ("", "sluice-ready belongs to uid -1")]
    {
        make_interface(&netns, owner);
        refused(words);
        netns.ip("link delete sluice-ready");
    }
    netns.ip("link add sluice-ready type veth peer name other");
    refused("sluice-ready is no TUN interface");
}

#[test]
fn there_is_no_carrier_before_all_has_settled() {
    if !lab::possible(&["ip"]) {
        return;
    }
    let (netns, place) = (Netns::new(), Place::new(&table()));
    make_interface(&netns, &format!("user {USER}"));
    place.configure(&READINESS.replace("settle = 0", "settle = 3600"));
    let sluiced = place.start(&netns);
    std::thread::sleep(Duration::from_millis(600));
    assert!(sluiced.is_in_service() && sluiced.ask(&["health"])["announced"] == json!(false));
    let link = netns.ip("link show sluice-ready");
    assert!(link.contains("NO-CARRIER") && link.contains(",UP"), "{link}");
}
