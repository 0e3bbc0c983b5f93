// SPDX-License-Identifier: MIT OR Apache-2.0
//! BGP and BFD over the wire that forwards: BIRD or FRR beside `sluiced` in one namespace, and a router's BIRD at the other end.
//!
//! Between them are the TAP interface, a virtual device and a veth, no NIC; what is measured is in docs/announce.md.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::Value;

use crate::announce::{ALL, READINESS, announcement, documented, documented_after, make_interface, table};
use crate::lab::bird::Bird;
use crate::lab::frr::Frr;
use crate::lab::netns::Netns;
use crate::lab::sluiced::{Place, Sluiced, USER};
use crate::lab::{self, pause, run, wait_for};

/// The router's address, and the box's.
const ROUTER: &str = "192.0.2.2";
const BOX: &str = "192.0.2.1";
const BOX_MAC: &str = "02:00:00:00:00:01";
const ROUTER_MAC: &str = "02:00:00:00:00:02";
const TAP: &str = "wan0-k";
/// Where docs/announce.md says what to add on such a wire.
const HEADING: &str = "## On the forwarder's own wire";
/// Seconds of silence after which BGP itself gives up, in the documentation's configurations.
const HOLD_TIME: Duration = Duration::from_secs(9);

/// The box, with a TAP interface that outlives `sluiced`, and the router.
struct Wire {
    boxed: Netns,
    router: Netns,
    place: Place,
}

impl Wire {
    /// A cable, `wan0` in the box; its device is a packet socket.
    fn new() -> Self {
        let wire = Self::without_device();
        wire.boxed.wire(&wire.router, ["wan0", "wan"], [&[], &[]]);
        wire.finish(&["wan0"]);
        let more = format!("{READINESS}[kernel]\nto = {{ neighbours = 1000, unicast = 1000 }}\n");
        wire.place.configure_device(&device("net_af_packet0,iface=wan0,framecnt=4096"), &more);
        wire
    }

    fn without_device() -> Self {
        Self { boxed: Netns::new(), router: Netns::new(), place: Place::new(&table()) }
    }

    /// Addresses at both ends; the box's kernel keeps away from these interfaces of its own.
    fn finish(&self, outside: &[&str]) {
        let Self { boxed, router, .. } = self;
        router.ip(&format!("link set wan address {ROUTER_MAC}"));
        boxed.ip(&format!("tuntap add dev {TAP} mode tap"));
        boxed.ip(&format!("link set {TAP} address {BOX_MAC} mtu 1500 up"));
        for (netns, interface, v4, v6) in [(boxed, TAP, BOX, "2001:db8:f::1"), (router, "wan", ROUTER, "2001:db8:f::2")]
        {
            netns.ip(&format!("address add {v4}/30 dev {interface}"));
            netns.ip(&format!("address add {v6}/64 dev {interface} nodad"));
        }
        for (netns, interface) in outside.iter().map(|interface| (boxed, *interface)).chain([(router, "wan")]) {
            // A device that knows nothing of offloads must get frames with checksums.
            let offloads = "tx off rx off tso off gso off gro off".split(' ');
            run(netns.command("ethtool").args(["-K", interface]).args(offloads));
        }
        for interface in outside {
            boxed.ip(&format!("link set {interface} arp off"));
            boxed.ip(&format!("-6 address flush dev {interface}"));
        }
        make_interface(boxed, &format!("user {USER}"));
        boxed.ip("route add local 10.0.0.1 dev lo");
        boxed.ip("-6 route add local 2001:db8:a::1 dev lo");
    }

    /// The documentation's BIRD for the box, as on such a wire.
    fn bird(&self) -> Bird {
        let snippet = self.place.path("sluice.conf");
        std::fs::write(&snippet, announcement(&self.place, "bird")).unwrap();
        let config = documented("bird").replace("/etc/bird/sluice.conf", snippet.to_str().unwrap());
        let (bfd, inside) = documented_after(HEADING, "bird").split_once("# in protocol bgp:\n").unwrap();
        let bgp = "protocol bgp upstream {\n";
        let (before, after) = config.split_once(bgp).unwrap();
        Bird::start(&self.boxed, &format!("{before}{bfd}{bgp}{inside}\n{after}"))
    }

    /// The documentation's FRR for the box, as on such a wire.
    fn frr(&self) -> Frr {
        let frr = Frr::start(&self.boxed, documented("frr"));
        frr.configure(documented_after(HEADING, "frr"));
        frr.configure(&announcement(&self.place, "frr"));
        frr
    }

    /// The router's BIRD, which hears what is announced.
    fn hears(&self, with_bfd: bool) -> Bird {
        let bfd = if with_bfd { "protocol bfd { interface \"wan\" { interval 300 ms; multiplier 3; }; }" } else { "" };
        let config = format!(
            "log stderr all;
            router id {ROUTER};
            protocol device {{ }}
            {bfd}
            protocol bgp sluice {{
                local {ROUTER} as 65002;
                neighbor {BOX} as 65001;
                passive;
                graceful restart off;
                error wait time 1, 2;
                hold time {};
                {}
                ipv4 {{ import all; export none; }};
                ipv6 {{ import all; export none; }};
            }}",
            HOLD_TIME.as_secs(),
            if with_bfd { "bfd yes;" } else { "" }
        );
        Bird::start(&self.router, &config)
    }
}

fn device(vdev: &str) -> String {
    format!("vdev = \"{vdev}\"\nmac = \"{BOX_MAC}\"\nmtu = 1500\nkernel = \"{TAP}\"")
}

/// How long after `start` something was first so.
fn measure(what: &str, start: Instant, is_so: impl FnMut() -> bool) -> Duration {
    wait_for(what, is_so);
    let took = start.elapsed();
    eprintln!("{what}: after {took:.2?}");
    took
}

/// Starts `sluiced` and waits until the router hears all of it, over a session of the box's daemon.
fn come_up<'a>(wire: &'a Wire, router: &Bird) -> Sluiced<'a> {
    let sluiced = wire.place.start(&wire.boxed);
    router.wait_for_session("sluice");
    wait_for("what is ready is announced", || router.received() == ALL);
    // FRR 8.4 does not withdraw what goes within the first second of a session, while it gathers updates.
    pause(Duration::from_secs(2));
    sluiced
}

/// A drain withdraws and leaves the session alone.
fn drain(sluiced: &Sluiced<'_>, router: &Bird) {
    let before = router.session("sluice");
    assert!(sluiced.sluice(&["drain"]).status.success());
    wait_for("what drains is withdrawn", || router.received().is_empty());
    assert!(sluiced.sluice(&["undrain"]).status.success());
    wait_for("it is announced again", || router.received() == ALL);
    assert_eq!(router.session("sluice"), before, "flapped:\n{}", router.log());
}

/// From the kill of `sluiced` to what either end makes of it.
fn kill(sluiced: &Sluiced<'_>, router: &Bird, is_established: impl Fn() -> bool + Sync) -> [Duration; 2] {
    let start = Instant::now();
    sluiced.signal(Signal::KILL);
    std::thread::scope(|scope| {
        let near = scope.spawn(|| measure("the box's own daemon knows", start, || !is_established()));
        let far = measure("kill -9: withdrawn at the router", start, || router.received().is_empty());
        [near.join().unwrap(), far]
    })
}

/// Floods the box's kernel with ARP requests and packets to its own address for so long; BFD and BGP stay as they are.
fn flood(wire: &Wire, sluiced: &Sluiced<'_>, router: &Bird, time: Duration) {
    let sessions = || (router.bfd().unwrap(), router.session("sluice").unwrap());
    let side = || sluiced.ask(&["stats"])["kernel"][0]["to"].clone();
    let count = |side: &Value, class: &str, fate: &str| side[class][fate].as_u64().unwrap();
    let (before, side_before) = (sessions(), side());
    let stop = Arc::new(AtomicBool::new(false));
    let stopped = Arc::clone(&stop);
    let flooding = wire.router.spawn(move || {
        let mut capture = pcap::Capture::from_device("wan").unwrap().open().unwrap();
        let frames = [who_has_the_box(), own_address()];
        let mut sent = 0_u64;
        while !stopped.load(Ordering::Relaxed) {
            // What the cable does not take is as good as sent. Without a pause it is the virtual device that drowns, which comes
            // before any budget.
            (0..20).flat_map(|_| &frames).for_each(|frame| drop(capture.sendpacket(&**frame)));
            sent += 40;
            std::thread::sleep(Duration::from_millis(4));
        }
        sent
    });
    pause(time);
    stop.store(true, Ordering::Relaxed);
    let sent = flooding.join().unwrap();
    let side = side();
    eprintln!("flood: {:.0} frames a second", sent as f64 / time.as_secs_f64());
    for class in ["neighbours", "unicast"] {
        assert!(count(&side, class, "policed") > count(&side_before, class, "policed") + 1000, "no flood: {side}");
    }
    assert_eq!(sessions(), before, "flapped:\n{}", router.log());
    let (policed, full) = (count(&side, "routing", "policed"), count(&side, "routing", "full"));
    assert_eq!((policed, full), (0, 0), "{side}");
    // BFD alone says more than two words a second, and all of them count as routing.
    let heard = count(&side, "routing", "passed") - count(&side_before, "routing", "passed");
    assert!(heard > 2 * time.as_secs(), "{side}");
}

fn frame(destination: [u8; 6], ethertype: [u8; 2], payload: &[u8]) -> Vec<u8> {
    [&destination[..], &[2, 0, 0, 0, 0, 9], &ethertype, payload].concat()
}

/// An ARP request of somebody who is not there.
fn who_has_the_box() -> Vec<u8> {
    let question = [0, 1, 8, 0, 6, 4, 0, 1, 2, 0, 0, 0, 0, 9, 192, 0, 2, 9, 0, 0, 0, 0, 0, 0, 192, 0, 2, 1];
    frame([0xff; 6], [8, 6], &question)
}

/// A UDP packet to the discard port of the box.
fn own_address() -> Vec<u8> {
    let packet =
        [0x45, 0, 0, 28, 0, 0, 0x40, 0, 64, 17, 0xb6, 0xcd, 192, 0, 2, 2, 192, 0, 2, 1, 0, 9, 0, 9, 0, 8, 0, 0];
    frame([2, 0, 0, 0, 0, 1], [8, 0], &packet)
}

const PROGRAMS: [&str; 4] = ["ip", "bird", "birdc", "ethtool"];
const WITH_FRR: [&str; 7] = ["ip", "bird", "birdc", "ethtool", "zebra", "bfdd", "vtysh"];
/// More than BFD's 900 ms, since the machine may be busy, and less than any hold time leaves.
const BY_BFD: Duration = Duration::from_secs(3);
/// The kernel may take a second to say that a carrier is gone, and the machine may be busy.
const AT_ONCE: Duration = Duration::from_secs(2);

/// Drained, flooded, killed, and killed again.
fn with_bfd(wire: &Wire, is_established: impl Fn() -> bool + Sync) {
    let router = wire.hears(true);
    let sluiced = come_up(wire, &router);
    wait_for("BFD is up", || router.bfd().is_some() && is_established());
    drain(&sluiced, &router);
    flood(wire, &sluiced, &router, Duration::from_secs(6));
    let [near, far] = kill(&sluiced, &router, &is_established);
    drop(sluiced);
    assert!(near < AT_ONCE && far < BY_BFD, "{near:?} {far:?}");
    let sluiced = come_up(wire, &router);
    wait_for("BFD is up again", || router.bfd().is_some() && is_established());
    let [near, far] = kill(&sluiced, &router, &is_established);
    drop(sluiced);
    assert!(near < AT_ONCE && far < BY_BFD, "{near:?} {far:?}");
}

#[test]
fn bird_with_bfd_withdraws_a_killed_forwarder_within_a_second_or_so() {
    if lab::possible(&PROGRAMS) {
        let wire = Wire::new();
        let bird = wire.bird();
        with_bfd(&wire, || bird.is_established("upstream"));
    }
}

#[test]
fn frr_with_bfd_withdraws_a_killed_forwarder_within_a_second_or_so() {
    if lab::possible(&WITH_FRR) {
        let wire = Wire::new();
        let frr = wire.frr();
        with_bfd(&wire, || frr.is_established(ROUTER));
    }
}

#[test]
fn frr_without_bfd_withdraws_a_killed_forwarder_by_the_hold_time() {
    if !lab::possible(&WITH_FRR) {
        return;
    }
    let wire = Wire::new();
    let frr = wire.frr();
    frr.ask(&["configure", "router bgp 65001", &format!("no neighbor {ROUTER} bfd")]);
    let router = wire.hears(false);
    let sluiced = come_up(&wire, &router);
    drain(&sluiced, &router);
    let [near, far] = kill(&sluiced, &router, || frr.is_established(ROUTER));
    // The neighbour has heard something within the last third of that time, and nobody can tell it more.
    assert!(near < AT_ONCE && far > HOLD_TIME / 2 && far < HOLD_TIME + AT_ONCE, "{near:?} {far:?}");
}

/// A device that loses its link: its end of the cable is a TAP interface of DPDK's own, on a bridge.
#[test]
fn a_session_ends_with_the_devices_link_and_comes_back_with_it() {
    if !lab::possible(&WITH_FRR) {
        return;
    }
    let wire = Wire::without_device();
    wire.boxed.ip("link add bridge type bridge");
    wire.boxed.ip("link set bridge up");
    wire.boxed.wire(&wire.router, ["core", "wan"], [&[], &[]]);
    wire.finish(&["core"]);
    wire.boxed.ip("link set core master bridge");
    wire.place.configure_device(&device("net_tap0,iface=wan0"), READINESS);
    let _sluiced = wire.place.start(&wire.boxed);
    wire.boxed.ip("link set wan0 address 02:00:00:00:00:11 master bridge up");

    let loses = |router: &Bird, is_established: &(dyn Fn() -> bool + Sync)| {
        for _ in 0..2 {
            wait_for("BGP is up at both ends", || router.is_established("sluice") && is_established());
            let start = Instant::now();
            wire.boxed.ip("link set wan0 down");
            wait_for("the interface has no carrier", || {
                wire.boxed.ip(&format!("link show {TAP}")).contains("NO-CARRIER")
            });
            let took = measure("the link is gone: the box's own daemon knows", start, || !is_established());
            assert!(took < AT_ONCE, "{took:?}");
            wire.boxed.ip("link set wan0 up");
        }
    };
    {
        let (router, bird) = (wire.hears(false), wire.bird());
        loses(&router, &|| bird.is_established("upstream"));
    }
    let (router, frr) = (wire.hears(false), wire.frr());
    frr.ask(&["configure", "router bgp 65001", &format!("no neighbor {ROUTER} bfd")]);
    loses(&router, &|| frr.is_established(ROUTER));
}
