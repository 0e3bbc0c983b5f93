// SPDX-License-Identifier: MIT OR Apache-2.0
//! A daemon on plain memory, and the kernel beside it, with real TAP interfaces in a network namespace.
//!
//! Not proved: anything of DPDK's devices; `e2e` does that.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    clippy::print_stdout,
    clippy::indexing_slicing,
    reason = "a test may stop at the first surprise"
)]

mod control_support;
#[allow(dead_code, reason = "other tests wait for what they fed")]
mod feed;
mod network;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use control_support::{Memory, Place, Running, frame, frame_to};
use feed::{Feed, Feeder};
use forwarder::control::config::Config;
use forwarder::control::daemon::{Backend, Daemon};
use forwarder::control::report::{KernelReport, Stats};
use forwarder::io::DeviceIndex;
use forwarder::io::hardware::{DeviceHealth, Hardware, Probe};
use forwarder::io::memory::MemoryIo;
use forwarder::wire::MacAddr;
use network::{CABLE, Network};
use rustix::thread::{CapabilitySet, CapabilitySets, set_capabilities};
use serde_json::json;

const TAP: &str = "wan0-k";
const LARGE: u16 = 9000;

/// A place whose device has a kernel's side; so many workers.
fn place(workers: usize) -> Place {
    let place = Place::new();
    let config = std::fs::read_to_string(place.path("sluice.toml")).unwrap();
    let cores: Vec<_> = core_affinity::get_core_ids().unwrap().into_iter().map(|core| core.id).take(workers).collect();
    let config = config
        .replace(&format!("cores = [{}]", control_support::core()), &format!("cores = {cores:?}"))
        .replace("mtu = 1600", &format!("mtu = {LARGE}\nmac = \"02:00:00:00:00:01\"\nkernel = \"{TAP}\""));
    place.write("sluice.toml", &config);
    place
}

fn arp() -> Vec<u8> {
    let mut frame = vec![0xff; 6];
    frame.extend([2, 0, 0, 0, 0, 9, 8, 6, 0, 1, 8, 0, 6, 4, 0, 1, 2, 0, 0, 0, 0, 9, 192, 0, 2, 9]);
    frame.extend([0, 0, 0, 0, 0, 0, 192, 0, 2, 1]);
    frame
}

fn wait_for(mut what: impl FnMut() -> bool) {
    let give_up = Instant::now() + Duration::from_secs(30);
    while !what() {
        assert!(Instant::now() < give_up, "it did not happen");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// A number of the interface's own.
fn statistic(network: &Network, way: &str, what: &str) -> u64 {
    network.boxed.interface(TAP).unwrap()["stats64"][way][what].as_u64().unwrap()
}

fn side(stats: &Stats) -> &KernelReport {
    assert!(stats.conservation.ok, "{stats:?}");
    &stats.kernel[0]
}

/// A daemon in the box, with as many workers as feeders.
fn start<const N: usize>(network: &Network) -> Option<(Running, [Feeder; N])> {
    if core_affinity::get_core_ids().unwrap().len() < N {
        eprintln!("skipped: {N} workers need as many cores");
        return None;
    }
    Some(network.boxed.inside(|| {
        let (feeds, feeders): (Vec<_>, Vec<_>) = (0..N).map(|_| Feed::new()).unzip();
        let running = Running::start(place(N), Memory(feeds));
        (running, feeders.try_into().unwrap_or_else(|_| panic!("{N} feeders")))
    }))
}

#[test]
fn frames_of_every_worker_come_to_the_interface_whatever_their_size() {
    let Some(network) = Network::new(1500) else { return };
    let Some((mut running, feeders)) = start::<2>(&network) else { return };
    let interface = network.boxed.interface(TAP).unwrap();
    assert_eq!((interface["mtu"].as_u64(), interface["address"].as_str()), (Some(9000), Some("02:00:00:00:00:01")));
    assert!(interface["flags"].as_array().unwrap().contains(&"UP".into()), "{interface}");

    let before = statistic(&network, "rx", "packets");
    let mut large = frame_to([192, 0, 2, 1], 22);
    large[16..18].copy_from_slice(&LARGE.to_be_bytes());
    // What the length of 28 has become more comes off the checksum, in ones' complement.
    let sum = u32::from(u16::from_be_bytes([large[24], large[25]])) + 0xffff - u32::from(LARGE - 28);
    large[24..26].copy_from_slice(&(((sum & 0xffff) + (sum >> 16)) as u16).to_be_bytes());
    large.resize(14 + usize::from(LARGE), 7);
    for feeder in &feeders {
        (0..20).for_each(|_| feeder.feed(arp()));
        (0..20).for_each(|_| feeder.feed(large.clone()));
        feeder.feed(frame(3000));
    }
    wait_for(|| statistic(&network, "rx", "packets") - before == 80);
    assert!(statistic(&network, "rx", "bytes") >= 40 * u64::from(LARGE));

    let stats = running.forwarder.stats();
    assert_eq!((stats.counters.rx, stats.counters.tx, stats.counters.exception), (82, 2, 80));
    assert_eq!((side(&stats).to["neighbours"].passed, side(&stats).to["unicast"].passed), (40, 40));
    assert_eq!(side(&stats).unwritten, 0);
    running.stop().unwrap();
    assert!(network.boxed.interface(TAP).is_none(), "the interface goes with the daemon");
}

#[test]
fn what_the_kernel_sends_leaves_by_a_worker() {
    let Some(network) = Network::new(1500) else { return };
    let Some((running, [_feeder])) = start::<1>(&network) else { return };
    // The kernel has a route and a neighbour there, and so something to send.
    network.boxed.ip(&["address", "add", "192.0.2.1/24", "dev", TAP]);
    network.boxed.ip(&["neigh", "add", "192.0.2.2", "lladdr", "02:00:00:00:00:02", "dev", TAP]);
    network.boxed.inside(|| {
        let socket = std::net::UdpSocket::bind("192.0.2.1:0").unwrap();
        for len in [1, 1400, 8900] {
            socket.send_to(&vec![0; len], "192.0.2.2:9").unwrap();
        }
    });
    wait_for(|| side(&running.forwarder.stats()).from["unicast"].passed == 3);
    wait_for(|| {
        let stats = running.forwarder.stats();
        let passed: u64 = stats.kernel[0].from.values().map(|class| class.passed).sum();
        stats.counters.kernel_tx == passed
    });
    let counters = running.forwarder.stats().counters;
    assert_eq!((counters.kernel_drops, counters.tx), (0, 0));
}

#[test]
fn an_interface_that_is_down_or_gone_costs_its_frames_and_nothing_else() {
    let Some(network) = Network::new(1500) else { return };
    let Some((mut running, [feeder])) = start::<1>(&network) else { return };
    network.boxed.ip(&["link", "set", TAP, "down"]);
    (0..5).for_each(|_| feeder.feed(arp()));
    wait_for(|| side(&running.forwarder.stats()).unwritten == 5);
    network.boxed.ip(&["link", "set", TAP, "up"]);
    feeder.feed(arp());
    wait_for(|| statistic(&network, "rx", "packets") == 1);

    let before = network.boxed.interface(TAP).unwrap()["ifindex"].clone();
    assert!(side(&running.forwarder.stats()).open);
    network.boxed.ip(&["link", "delete", TAP]);
    wait_for(|| !side(&running.forwarder.stats()).open);
    wait_for(|| network.boxed.interface(TAP).is_some_and(|now| now["ifindex"] != before));
    wait_for(|| {
        feeder.feed(arp());
        statistic(&network, "rx", "packets") > 0
    });
    feeder.feed(frame(3000));
    wait_for(|| running.forwarder.stats().counters.tx == 1);
    assert!(side(&running.forwarder.stats()).unwritten >= 5);
    running.stop().unwrap();
}

/// An interface that a daemon without rights may take.
fn make_by_hand(network: &Network) {
    network.boxed.ip(&["tuntap", "add", "dev", TAP, "mode", "tap", "user", "0"]);
    let mtu = LARGE.to_string();
    network.boxed.ip(&["link", "set", TAP, "address", "02:00:00:00:00:01", "mtu", &mtu, "up"]);
}

/// This thread's, and with them those of the daemon that it starts: as when it has become another user.
fn give_up_rights() {
    let none = CapabilitySet::empty();
    set_capabilities(None, CapabilitySets { effective: none, permitted: none, inheritable: none }).unwrap();
}

#[test]
fn an_interface_that_is_gone_shows_and_can_be_made_by_hand_where_the_daemon_may_not() {
    let Some(network) = Network::new(1500) else { return };
    let by_hand = || make_by_hand(&network);
    by_hand();
    let (mut running, feeder) = network.boxed.inside(|| {
        give_up_rights();
        let (feed, feeder) = Feed::new();
        (Running::start(place(1), Memory(vec![feed])), feeder)
    });
    let health = || running.client().result("status", json!({}))["health"].clone();
    let reasons = || health()["reasons"].clone();
    assert_eq!(reasons(), json!([]));

    network.boxed.ip(&["link", "delete", TAP]);
    wait_for(|| reasons() != json!([]));
    assert_eq!(reasons()[0]["code"], "kernel_path_gone", "{}", reasons());
    assert_eq!((&health()["state"], &health()["in_service"]), (&json!("degraded"), &json!(true)));
    std::thread::sleep(Duration::from_secs(2));
    assert!(network.boxed.interface(TAP).is_none(), "it may not make one");

    by_hand();
    wait_for(|| reasons() == json!([]));
    let before = statistic(&network, "rx", "packets");
    feeder.feed(arp());
    wait_for(|| statistic(&network, "rx", "packets") > before);
    running.stop().unwrap();
}

#[test]
fn an_interface_that_was_made_before_is_taken_and_stays() {
    let Some(network) = Network::new(1500) else { return };
    network.boxed.ip(&["tuntap", "add", "dev", TAP, "mode", "tap"]);
    network.boxed.ip(&["address", "add", "192.0.2.1/24", "dev", TAP]);
    let Some((mut running, [feeder])) = start::<1>(&network) else { return };
    feeder.feed(arp());
    wait_for(|| side(&running.forwarder.stats()).to["neighbours"].passed == 1);
    // The kernel answers: nobody had to give it an address anew.
    wait_for(|| side(&running.forwarder.stats()).from["neighbours"].passed > 0);
    running.stop().unwrap();
    assert!(network.boxed.ip(&["address", "show", "dev", TAP]).contains("192.0.2.1/24"));
}

#[test]
fn a_name_that_is_taken_is_an_error_in_one_line() {
    let Some(network) = Network::new(1500) else { return };
    let fail = |name: &'static str| {
        network.boxed.inside(move || {
            let place = place(1);
            let config = std::fs::read_to_string(place.path("sluice.toml")).unwrap();
            place.write("sluice.toml", &config.replace(TAP, name));
            let backend = Memory(vec![MemoryIo::new(1)]);
            let failed = Daemon::start(place.config(), |_: &Config| Ok::<_, String>(backend)).err().unwrap();
            failed.to_string()
        })
    };
    let error = fail(CABLE);
    assert!(error.starts_with("device \"wan0\": cannot open the TAP interface cable: "), "{error}");
    assert!(error.contains("choose another name") && !error.contains('\n'), "{error}");

    let Some((_running, [_feeder])) = start::<1>(&network) else { return };
    let error = fail(TAP);
    assert!(error.contains("another program has it open"), "{error}");
}

/// A device that says whether it has a link.
struct Linked(Memory<MemoryIo>, Arc<AtomicBool>);

impl Backend for Linked {
    type Io = MemoryIo;

    fn mac(&self, device: DeviceIndex) -> MacAddr {
        self.0.mac(device)
    }

    fn probe(&self) -> Probe {
        let link = Arc::clone(&self.1);
        let health = move || DeviceHealth { link_up: link.load(Ordering::Relaxed), ..DeviceHealth::default() };
        Box::new(move || Hardware { devices: vec![health()], pools: Vec::new() })
    }

    fn queues(&mut self) -> Vec<MemoryIo> {
        self.0.queues()
    }
}

#[test]
fn the_carrier_follows_the_devices_link_without_any_rights() {
    let Some(network) = Network::new(1500) else { return };
    make_by_hand(&network);
    let link = Arc::new(AtomicBool::new(false));
    let backend = Linked(Memory(vec![MemoryIo::new(1)]), Arc::clone(&link));
    let mut running = network.boxed.inside(|| {
        give_up_rights();
        Running::start(place(1), backend)
    });
    // A daemon of routes takes either for the other.
    let has_carrier = || {
        let interface = network.boxed.interface(TAP).unwrap();
        let flags = interface["flags"].as_array().unwrap();
        assert!(flags.contains(&json!("UP")), "switched off: {interface}");
        match (flags.contains(&json!("LOWER_UP")), interface["operstate"].as_str().unwrap()) {
            (true, "UP") => Some(true),
            (false, "DOWN") => Some(false),
            // The kernel tells what has changed a little later than it shows.
            _ => None,
        }
    };
    wait_for(|| has_carrier() == Some(false));
    for has_link in [true, false, true, false] {
        link.store(has_link, Ordering::Relaxed);
        let start = Instant::now();
        wait_for(|| has_carrier() == Some(has_link));
        println!("link {has_link}: carrier after {:?}", start.elapsed());
    }
    // One that is made anew has a carrier as it is opened, which its device has not.
    network.boxed.ip(&["link", "delete", TAP]);
    make_by_hand(&network);
    wait_for(|| side(&running.forwarder.stats()).open && has_carrier() == Some(false));
    link.store(true, Ordering::Relaxed);
    wait_for(|| has_carrier() == Some(true));
    running.stop().unwrap();
}
