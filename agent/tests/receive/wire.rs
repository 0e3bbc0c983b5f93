// SPDX-License-Identifier: MIT OR Apache-2.0
//! Attached for real: frames go in by a cable whose other end the test holds, in the driver and behind it.

use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use agent::config::{self, Decapsulation, XdpMode};
use agent::receive::{self, Receive};
use agent::view::View;
use tun_rs::{DeviceBuilder, Layer, SyncDevice};

use crate::frames::{ACK, Gue, SYN, ethernet, tcp, udp};
use crate::host::{
    MINE, OTHER_MAC, OTHERS, OWN, OWN_MAC, REMOTES, SHARED, THEIRS, address, at, forwarded, furnish, view,
};
use crate::network::{CABLE, Namespace, Network};

pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// A device of the namespace; what it sends is read from here, and the other way round.
pub(crate) fn tap(namespace: &Namespace, name: &'static str, words: &[&str]) -> SyncDevice {
    let tap = namespace
        .inside(move || DeviceBuilder::new().name(name).layer(Layer::L2).inherit_enable_state().build_sync().unwrap());
    tap.set_nonblocking(true).unwrap();
    ip(namespace, &format!("link set {name} mtu 1600 up"));
    words.iter().for_each(|words| ip(namespace, words));
    tap
}

pub(crate) fn ip(namespace: &Namespace, words: &str) {
    namespace.ip(&words.split(' ').collect::<Vec<_>>());
}

/// A server whose underlay is the returned cable, and the other end of the world.
pub(crate) fn server() -> Option<(Network, SyncDevice)> {
    let network = Network::new(1600)?;
    furnish(&network);
    // The addresses move from the cable to the other device.
    let own = [format!("address add {}/24 dev wan", OWN[0]), format!("address add {}/64 dev wan nodad", OWN[1])];
    ip(&network.boxed, &format!("link set {CABLE} down"));
    ip(&network.boxed, &format!("address flush dev {CABLE}"));
    let mut words = vec!["link set wan address 02:00:00:00:00:01"];
    words.extend(own.iter().map(String::as_str));
    words.extend([
        "neighbour replace 10.0.1.2 lladdr 02:00:00:00:00:02 dev wan",
        "neighbour replace 2001:db8:a:1::2 lladdr 02:00:00:00:00:02 dev wan",
        "neighbour replace 10.0.1.254 lladdr 02:00:00:00:00:fe dev wan",
        "neighbour replace 2001:db8:a:1::fe lladdr 02:00:00:00:00:fe dev wan",
        "route add default via 10.0.1.254",
        "-6 route add default via 2001:db8:a:1::fe",
        "address del 203.0.113.7 dev lo",
        "address del 2001:db8:c::7 dev lo",
    ]);
    let wan = tap(&network.boxed, "wan", &words);
    Some((network, wan))
}

pub(crate) fn start(network: &Network, xdp: XdpMode) -> Receive {
    start_with(network, xdp, Decapsulation::Ebpf).unwrap()
}

pub(crate) fn start_with(
    network: &Network,
    xdp: XdpMode,
    decapsulation: Decapsulation,
) -> Result<Receive, receive::Error> {
    let how = config::Receive { xdp, decapsulation };
    network.boxed.inside(move || Receive::start(&["wan".to_owned()], 6080, how, &view()))
}

pub(crate) fn is_attached(network: &Network) -> bool {
    network.boxed.ip(&["link", "show", "wan"]).contains("xdp")
}

/// The next frame that `wanted` takes.
pub(crate) fn next(tap: &SyncDevice, wanted: impl Fn(&[u8]) -> bool) -> Vec<u8> {
    let end = Instant::now() + PATIENCE;
    let mut frame = [0; 2048];
    while Instant::now() < end {
        match tap.recv(&mut frame) {
            Ok(len) if wanted(&frame[..len]) => return frame[..len].to_vec(),
            Ok(_) => {}
            Err(_) => thread::sleep(Duration::from_millis(1)),
        }
    }
    panic!("waited in vain for a frame");
}

#[test]
fn what_is_passed_on_leaves() {
    let Some((network, wan)) = server() else { return };
    let side = tap(&network.boxed, "side", &["link set side address 02:00:00:00:00:05"]);
    ip(&network.boxed, "address add 10.0.2.1/24 dev side");
    ip(&network.boxed, "neighbour replace 10.0.2.2 lladdr 02:00:00:00:00:06 dev side");
    let packet = tcp(at(REMOTES[0], 443), at(SHARED[0], THEIRS), SYN);
    let going = |to: &str, macs: [[u8; 6]; 2]| {
        let gue = Gue::new(address(OWN[0]), address(to));
        [&macs.concat()[..], &gue.wrap(&packet)[12..]].concat()
    };
    for xdp in [XdpMode::Native, XdpMode::Generic] {
        let mut receive = start(&network, xdp);
        wan.send(&forwarded(0).wrap(&packet)).unwrap();
        let expected = going(OTHERS[0], [OTHER_MAC, OWN_MAC]);
        next(&wan, |frame| frame == expected);
        let mut elsewhere: View = view();
        for run in &mut elsewhere.held[0].runs {
            run.keeper.other = run.keeper.other.map(|_| address("10.0.2.2"));
        }
        receive.publish(&elsewhere).unwrap();
        // The receiving end of a redirection must be a native one too, or the frame is not taken.
        wan.send(&forwarded(0).wrap(&packet)).unwrap();
        let expected = going("10.0.2.2", [[2, 0, 0, 0, 0, 6], [2, 0, 0, 0, 0, 5]]);
        next(&side, |frame| frame == expected);
        assert_eq!(receive.counters().unwrap().packets("passed_on_owner"), 2);
    }
}

/// The listener remembers nothing of the call: its cookie is in the SYN-ACK, and what brings it back is its own.
#[test]
fn an_ack_with_a_cookie_reaches_the_listener() {
    let Some((network, wan)) = server() else { return };
    let receive = start(&network, XdpMode::Native);
    let listener = network.boxed.inside(|| {
        std::fs::write("/proc/sys/net/ipv4/tcp_syncookies", "2").unwrap();
        SHARED.map(|shared| TcpListener::bind(at(shared, MINE)).unwrap())
    });
    for (version, header) in [(0, 20), (1, 40)] {
        let (remote, shared) = (at(REMOTES[version], 40000), at(SHARED[version], MINE));
        wan.send(&forwarded(0).wrap(&tcp(remote, shared, SYN))).unwrap();
        let flags = 14 + header + 13;
        let l4 = 14 + header;
        let is_answer = |frame: &[u8]| {
            frame.len() > flags && frame[flags] == SYN | ACK && frame[l4 + 2..l4 + 4] == 40000_u16.to_be_bytes()
        };
        let answer = next(&wan, is_answer);
        let mut ack = tcp(remote, shared, ACK);
        let cookie = u32::from_be_bytes(answer[l4 + 4..l4 + 8].try_into().unwrap()).wrapping_add(1);
        let numbers = &mut ack[header + 4..header + 12];
        numbers[..4].copy_from_slice(&2_u32.to_be_bytes());
        numbers[4..].copy_from_slice(&cookie.to_be_bytes());
        let kept = || receive.counters().unwrap().packets("kept_socket");
        let before = kept();
        // The table says that the port is its own, so what is not taken as the listener's is kept as the owner's.
        wan.send(&forwarded(0).wrap(&ack)).unwrap();
        wait_for("the ACK is the listener's", || kept() == before + 1);
        ack[header + 8] ^= 0x55;
        wan.send(&forwarded(0).wrap(&ack)).unwrap();
        wait_for("another is not", || receive.counters().unwrap().packets("kept_own") == version as u64 + 1);
        assert_eq!(kept(), before + 1);
    }
    drop(listener);
}

#[test]
fn addresses_and_next_hops_are_followed() {
    let Some((network, wan)) = server() else { return };
    ip(&network.boxed, "neighbour del 10.0.1.2 dev wan");
    let receive = start(&network, XdpMode::Native);
    // It asks for the other server by itself.
    let is_request = |frame: &[u8]| frame[12..14] == [8, 6] && frame.ends_with(&[10, 0, 1, 2]);
    let request = next(&wan, is_request);
    let reply = [
        &request[6..12],
        &OTHER_MAC,
        &[8, 6, 0, 1, 8, 0, 6, 4, 0, 2],
        &OTHER_MAC,
        &[10, 0, 1, 2],
        &request[22..28],
        &request[28..32],
    ];
    wan.send(&reply.concat()).unwrap();
    let packet = tcp(at(REMOTES[0], 443), at(SHARED[0], THEIRS), SYN);
    wait_for("the other server is known", || {
        wan.send(&forwarded(0).wrap(&packet)).unwrap();
        receive.counters().unwrap().packets("passed_on_owner") > 0
    });
    ip(&network.boxed, "address add 10.0.1.33/24 dev wan");
    let mut gue = forwarded(0);
    gue.to = address("10.0.1.33");
    let packet = udp(at(REMOTES[0], 443), at(SHARED[0], MINE), b"");
    let kept = || receive.counters().unwrap().packets("kept_own");
    wait_for("the new address is known", || {
        wan.send(&gue.wrap(&packet)).unwrap();
        kept() > 0
    });
    ip(&network.boxed, "address del 10.0.1.33/24 dev wan");
    wait_for("the old address is forgotten", || {
        let before = kept();
        wan.send(&gue.wrap(&packet)).unwrap();
        thread::sleep(Duration::from_millis(100));
        kept() == before
    });
}

#[test]
fn each_packet_sees_one_whole_view() {
    let Some((network, wan)) = server() else { return };
    let mut receive = start(&network, XdpMode::Native);
    // By one view it is kept; by the other a stranger sends it, to an address that is not held. By parts of both it would
    // be not ours, or not owned.
    let kept = view();
    let mut other = View { servers: kept.servers.clone(), ..View::default() };
    other.held = kept.held.iter().filter(|held| held.prefix.address() != address(SHARED[0])).cloned().collect();
    let packet = forwarded(0).wrap(&udp(at(REMOTES[0], 443), at(SHARED[0], MINE), b""));
    let stop = Arc::new(AtomicBool::new(false));
    let sending = {
        let stop = Arc::clone(&stop);
        thread::spawn(move || {
            while !stop.load(Ordering::Relaxed) {
                wan.send(&packet).unwrap();
            }
            wan
        })
    };
    for _ in 0..50 {
        receive.publish(&other).unwrap();
        receive.publish(&kept).unwrap();
    }
    stop.store(true, Ordering::Relaxed);
    let wan = sending.join().unwrap();
    let counters = receive.counters().unwrap();
    let seen: Vec<_> = counters.kept().chain(counters.drops()).filter(|(_, of)| of.packets > 0).collect();
    assert_eq!(seen.iter().map(|(name, _)| *name).collect::<Vec<_>>(), ["kept_own", "gue_untrusted"], "{seen:?}");
    drop(wan);
}

#[test]
fn it_leaves_no_trace() {
    let Some((network, wan)) = server() else { return };
    let forwarding =
        || network.boxed.inside(|| std::fs::read_to_string("/proc/sys/net/ipv4/conf/lo/forwarding").unwrap());
    assert_eq!((forwarding().as_str(), is_attached(&network)), ("0\n", false));
    let receive = start(&network, XdpMode::Auto);
    assert!(receive.attached()[0].is_native, "{:?}", receive.attached());
    assert_eq!((forwarding().as_str(), is_attached(&network)), ("1\n", true));
    drop(receive);
    // Not at once while another test starts a program, which holds all that is open until it runs.
    wait_for("it is gone", || !is_attached(&network));
    assert_eq!(forwarding(), "0\n");
    // What is not encapsulated was never its business.
    wan.send(&ethernet(&udp(at(REMOTES[0], 443), at(OWN[0], 53), b""))).unwrap();
}

#[test]
fn a_cable_between_namespaces_gets_it_behind_the_driver() {
    let Some(network) = Network::new(1600) else { return };
    furnish(&network);
    let attached = |xdp| {
        network.boxed.inside(move || {
            let how = config::Receive { xdp, ..config::Receive::default() };
            Receive::start(&[CABLE.to_owned()], 6080, how, &view()).map(|receive| receive.attached()[0].clone())
        })
    };
    let auto = attached(XdpMode::Auto).unwrap();
    assert!(!auto.is_native && auto.why.unwrap().contains("veth"));
    assert!(attached(XdpMode::Native).unwrap().is_native);
    let error = network.boxed.inside(|| {
        let how = config::Receive { xdp: XdpMode::Native, ..config::Receive::default() };
        Receive::start(&["lo".to_owned()], 6080, how, &view()).err().unwrap().to_string()
    });
    assert!(error.contains("to lo:") && error.contains("receive.xdp = \"generic\""), "{error}");
    let error = network.boxed.inside(|| {
        Receive::start(&["wan7".to_owned()], 6080, config::Receive::default(), &view()).err().unwrap().to_string()
    });
    assert!(error.contains("underlay.devices: there is no device wan7"), "{error}");
}

pub(crate) fn wait_for(what: &str, mut is_so: impl FnMut() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < end, "waited in vain: {what}");
        thread::sleep(Duration::from_millis(50));
    }
}
