// SPDX-License-Identifier: MIT OR Apache-2.0
//! The appliance as a whole, in network namespaces: a router with BIRD, the box with `sluiced` and BIRD, and who gets the
//! packets. `make lab-appliance` runs it, as root. All it has made goes at its end, however that comes.
//!
//! The one wire of the box carries everything: packets to forward, GUE, and by the TAP interface the kernel's ARP, pings and BGP.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "the report is the point, and it stops at the first surprise"
)]

#[path = "../../tests/lab/mod.rs"]
mod lab;
mod network;
#[path = "../demo/packet.rs"]
mod packet;
#[path = "../demo/paper.rs"]
mod paper;
mod rounds;
mod servers;
mod traffic;

use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::json;

use lab::bird::Bird;
use lab::sluiced::{Place, Sluiced};
use lab::{INTERRUPTED, run, wait_for};
use network::{BFD, BOX, BOX_MAC, HOLD_TIME, Network, PLACES, PREFIX, ROUTER, UNDERLAY};
use paper::{Paper, grouped};
use rounds::{Plan, Round};
use servers::Servers;

fn main() -> ExitCode {
    if !lab::possible(&["ip", "bird", "birdc", "ethtool", "ping"]) {
        return ExitCode::SUCCESS;
    }
    for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM] {
        signal_hook::flag::register(signal, Arc::clone(&INTERRUPTED)).unwrap();
    }
    let interrupted = || INTERRUPTED.load(Ordering::Relaxed);
    std::panic::set_hook(Box::new(move |panic| {
        if !interrupted() {
            eprintln!("lab: {panic}");
        }
    }));
    match std::panic::catch_unwind(story) {
        Ok(true) => ExitCode::SUCCESS,
        _ if interrupted() => {
            eprintln!("lab: interrupted; everything is removed");
            ExitCode::from(130)
        }
        _ => {
            println!("\nThe lab FAILED: see above.");
            ExitCode::FAILURE
        }
    }
}

/// What has been shown so far.
struct Story {
    paper: Paper,
    good: bool,
}

impl Story {
    /// Something that has to be so.
    fn check(&mut self, passed: bool, what: &str, found: impl std::fmt::Display) {
        self.good &= self.paper.check(passed, what, found);
    }

    /// Something that has to become so.
    fn wait(&self, what: &str, is_so: impl FnMut() -> bool) {
        let start = Instant::now();
        wait_for(what, is_so);
        self.paper.check(true, &format!("{what} ({:.1} s)", start.elapsed().as_secs_f64()), "");
    }
}

fn story() -> bool {
    let mut story = Story { paper: Paper::new(), good: true };
    let (network, place) = (Network::new(), Place::new(&network::table()));
    network::configure(&place);
    story.paper.heading("Sluice lab: the appliance in network namespaces");
    story.paper.line("box", format_args!("sluiced on net_af_packet, TAP wan0-k, BIRD; {BOX}, underlay {UNDERLAY}"));
    story.paper.line(
        "router",
        format_args!("BIRD; {ROUTER}; hold time {HOLD_TIME} s, BFD {BFD} the Internet sends from here"),
    );
    story.paper.line("behind it", PLACES.map(|(name, address, _)| format!("{name} {address}")).join(", "));

    story.paper.heading("Start");
    let servers = Servers::new(&network);
    let router = Bird::start(&network.internet, &network::router_bird());
    let bird = Bird::start(&network.forwarder, &network::box_bird(&place));
    let sluiced = place.start(&network.forwarder);
    come_up(&mut story, &network, &sluiced, [&router, &bird]);

    story.paper.heading("Traffic");
    let seconds = Duration::from_secs;
    let calm = Plan { name: "calm", rate: Some(3000), flood: false, time: seconds(4) };
    let plans = [
        calm,
        Plan { name: "flood", flood: true, time: seconds(10), ..calm },
        Plan { name: "full load", rate: None, time: seconds(10), ..calm },
    ];
    let sessions = || (router.session("sluice"), router.bfd());
    let before = sessions();
    let mut rounds = Vec::new();
    for plan in plans {
        let round = rounds::run(plan, &network, &sluiced, &servers);
        judge(&mut story, &plan, &round);
        let now = sessions();
        let same = now == before && now.1.is_some();
        story.check(
            same,
            "the sessions of BGP and BFD are the same as before",
            format_args!("{now:?}, before {before:?}"),
        );
        rounds.push(round);
    }

    story.paper.heading("Drain");
    let drained = Plan { name: "drained", time: seconds(3), ..calm };
    assert!(sluiced.sluice(&["drain"]).status.success(), "sluice drain");
    story.wait(&format!("{PREFIX} is withdrawn"), || router.received().is_empty());
    let round = rounds::run(drained, &network, &sluiced, &servers);
    judge(&mut story, &drained, &round);
    story.check(router.received().is_empty(), "nothing is announced meanwhile", router.received().join(" "));
    rounds.push(round);
    assert!(sluiced.sluice(&["undrain"]).status.success(), "sluice undrain");
    story.wait(&format!("undrain announces {PREFIX} again"), || router.received() == [PREFIX]);

    story.paper.heading("kill -9");
    sluiced.signal(Signal::KILL);
    story.wait(&format!("{PREFIX} is withdrawn"), || router.received().is_empty());
    drop(sluiced);
    let _sluiced = place.start(&network.forwarder);
    story.wait("the next sluiced is announced", || router.received() == [PREFIX]);

    let (wrong, first) = servers.wrong();
    story.check(
        wrong == 0,
        "nobody got anything else in all that time",
        format_args!("{wrong} packets, first: {first}"),
    );
    rounds::print(&story.paper, &rounds);
    story.good
}

/// From a daemon that answers to one that is announced.
fn come_up(story: &mut Story, network: &Network, sluiced: &Sluiced<'_>, [router, bird]: [&Bird; 2]) {
    let Network { internet, forwarder, .. } = network;
    let link = forwarder.ip("link show wan0-k");
    story.check(
        link.contains("LOWER_UP") && link.contains(BOX_MAC),
        "the TAP is up and has the device's MAC address",
        &link,
    );
    run(internet.command("ping").args(["-c", "3", "-i", "0.2", "-W", "5", BOX]));
    let neighbour = internet.ip(&format!("neighbour show {BOX}"));
    story.check(
        neighbour.contains(BOX_MAC),
        "the router has found the box by ARP, and the box answers its pings",
        &neighbour,
    );
    story.wait("BGP is established over the TAP, both sides", || {
        router.is_established("sluice") && bird.is_established("upstream")
    });
    story.wait("so is BFD", || router.bfd().is_some() && bird.bfd().is_some());
    let health = sluiced.ask(&["health"]);
    let silent = router.received().is_empty() && health["announced"] == json!(false);
    story.check(silent, "nothing is announced: no server has a next hop", &health);
    router.ask("enable underlay");
    story.wait("BGP brings routes, and every next hop resolves", || {
        let hops = &sluiced.ask(&["status"])["next_hops"];
        hops["servers_unresolved"] == 0 && hops["datacenters_unresolved"] == 0
    });
    story.wait(&format!("{PREFIX} is announced"), || router.received() == [PREFIX]);
    story.wait("and the router's kernel sends there", || internet.ip("route show proto bird").contains(PREFIX));
    story.paper.quote(internet.ip(&format!("route show {PREFIX} proto bird")).trim_end());
}

/// Of a hundred packets, how many may be lost beside those that the packet socket's ring loses of all frames alike.
const TOLERATED: f64 = 5.0;

/// What has to be so after any round.
fn judge(story: &mut Story, plan: &Plan, round: &Round) {
    let counted = &round.counted;
    let what = format!(
        "{}: {} of {} packets at their owners, byte for byte; {:.2} % lost",
        plan.name,
        grouped(round.received),
        grouped(round.sent),
        round.loss()
    );
    story.check(round.received > 0 && round.loss() <= TOLERATED + counted.lost_in_ring(), &what, "too few");
    if plan.flood {
        let rate = grouped(round.flood_rate());
        let what = format!(
            "flood of {rate} exceptions a second: {} policed, {} pings answered",
            grouped(counted.policed),
            round.pings()
        );
        story.check(counted.policed > 0, &what, "no flood");
    }
    let what = "sluiced lost none: it sent all that it received but the kernel's";
    let lost_none = counted.dropped == 0 && counted.tx >= round.received;
    story.check(lost_none, what, format_args!("{} dropped", counted.dropped));
}
