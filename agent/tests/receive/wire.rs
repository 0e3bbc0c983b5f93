// SPDX-License-Identifier: MIT OR Apache-2.0
//! Attached for real: frames go in by a cable whose other end the test holds, in the driver and behind it.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
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

const PATIENCE: Duration = Duration::from_secs(20);

/// A device of the namespace; what it sends is read from here, and the other way round.
fn tap(namespace: &Namespace, name: &'static str, words: &[&str]) -> SyncDevice {
    let tap = namespace
        .inside(move || DeviceBuilder::new().name(name).layer(Layer::L2).inherit_enable_state().build_sync().unwrap());
    tap.set_nonblocking(true).unwrap();
    ip(namespace, &format!("link set {name} mtu 1600 up"));
    words.iter().for_each(|words| ip(namespace, words));
    tap
}

fn ip(namespace: &Namespace, words: &str) {
    namespace.ip(&words.split(' ').collect::<Vec<_>>());
}

/// A server whose underlay is the returned cable, and the other end of the world.
fn server() -> Option<(Network, SyncDevice)> {
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

fn start(network: &Network, xdp: XdpMode) -> Receive {
    start_with(network, xdp, Decapsulation::Ebpf).unwrap()
}

fn start_with(network: &Network, xdp: XdpMode, decapsulation: Decapsulation) -> Result<Receive, receive::Error> {
    let how = config::Receive { xdp, decapsulation };
    network.boxed.inside(move || Receive::start(&["wan".to_owned()], 6080, how, &view()))
}

fn is_attached(network: &Network) -> bool {
    network.boxed.ip(&["link", "show", "wan"]).contains("xdp")
}

/// The next frame that `wanted` takes.
fn next(tap: &SyncDevice, wanted: impl Fn(&[u8]) -> bool) -> Vec<u8> {
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

/// A forwarder, and the router beside it: what the server sends goes out as it is, and answers come back in GUE.
fn relay(wan: &SyncDevice, net: &SyncDevice, gue: &Gue, stop: &AtomicBool) {
    let mut frame = [0; 2048];
    while !stop.load(Ordering::Relaxed) {
        let out = wan.recv(&mut frame).ok();
        if let Some(len) = out.filter(|len| *len > 14 && frame[..6] == [2, 0, 0, 0, 0, 0xfe]) {
            frame[..6].copy_from_slice(&OTHER_MAC);
            net.send(&frame[..len]).unwrap();
        }
        let back = net.recv(&mut frame).ok();
        if let Some(len) = back.filter(|len| *len > 14 && frame[..6] == [2, 0, 0, 0, 0, 0xfd]) {
            wan.send(&gue.wrap(&frame[14..len])).unwrap();
        }
        if out.is_none() && back.is_none() {
            thread::sleep(Duration::from_micros(200));
        }
    }
}

#[test]
fn tcp_connects_and_carries_data() {
    let Some((network, wan)) = server() else { return };
    let ends = world(&network, wan);
    for xdp in [XdpMode::Native, XdpMode::Generic] {
        let receive = start(&network, xdp);
        assert_eq!(receive.attached()[0].is_native, xdp == XdpMode::Native);
        carry(&network, &ends, MINE + 10 * u16::from(xdp == XdpMode::Native));
        let counters = receive.counters().unwrap();
        assert!(counters.packets("kept_socket") > 4 * 3, "{counters:?}");
        assert_eq!(counters.drops().map(|(_, figures)| figures.packets).sum::<u64>(), 0, "{counters:?}");
    }
}

/// The program says what may come in, and the kernel takes the headers off; where the kernel has it, which it says.
#[test]
fn the_kernels_own_fou_is_used_where_it_is() {
    let Some((network, wan)) = server() else { return };
    let ends = world(&network, wan);
    let receive = start_with(&network, XdpMode::Native, Decapsulation::Auto).unwrap();
    if let Some(why) = receive.why_not_fou().map(str::to_owned) {
        eprintln!("without the kernel's fou: {why}");
        carry(&network, &ends, MINE);
        drop(receive);
        wait_for("it is gone", || !is_attached(&network));
        // Who asks for it is told that it does not work.
        let error = start_with(&network, XdpMode::Native, Decapsulation::Fou).err().unwrap().to_string();
        assert!(error.contains(&why) && error.contains("receive.decapsulation = \"ebpf\""), "{error}");
        return;
    }
    carry(&network, &ends, MINE);
    let stranger = Gue::new(address("10.0.0.2"), address(OWN[0]));
    ends.0.send(&stranger.wrap(&udp(at(REMOTES[0], 443), at(SHARED[0], MINE), b""))).unwrap();
    wait_for("a stranger is dropped", || receive.counters().unwrap().packets("gue_untrusted") == 1);
    let flags = |name: &str| network.boxed.ip(&["-o", "link", "show", name]).contains(",UP");
    assert!(["tunl0", "sit0", "ip6tnl0"].into_iter().all(flags));
    drop(receive);
    assert!(!["tunl0", "sit0", "ip6tnl0"].into_iter().any(flags), "it leaves no trace");
    wait_for("it is gone", || !is_attached(&network));
    // The ports are free again.
    drop(start_with(&network, XdpMode::Native, Decapsulation::Fou).unwrap());
}

/// The server's cable, and that of the origin of all that it asks for.
fn world(network: &Network, wan: SyncDevice) -> Arc<(SyncDevice, SyncDevice)> {
    let words = [
        "link set net address 02:00:00:00:00:02 mtu 1500",
        "address add 203.0.113.7/24 dev net",
        "address add 2001:db8:c::7/64 dev net nodad",
        "neighbour replace 203.0.113.1 lladdr 02:00:00:00:00:fd dev net",
        "neighbour replace 2001:db8:c::fd lladdr 02:00:00:00:00:fd dev net",
        "route add default via 203.0.113.1",
        "-6 route add default via 2001:db8:c::fd",
    ];
    let net = tap(&network.peer, "net", &words);
    Arc::new((wan, net))
}

/// A connection for each pair of versions outside and inside, from ports from `first` on.
fn carry(network: &Network, ends: &Arc<(SyncDevice, SyncDevice)>, first: u16) {
    for (port, (outer, inner)) in (first..).zip([(0, 0), (0, 1), (1, 0), (1, 1)]) {
        let (stop, ends) = (Arc::new(AtomicBool::new(false)), Arc::clone(ends));
        let relaying = {
            let stop = Arc::clone(&stop);
            thread::spawn(move || relay(&ends.0, &ends.1, &forwarded(outer), &stop))
        };
        let listener = network.peer.inside(move || TcpListener::bind(at(REMOTES[inner], 443)).unwrap());
        let origin = thread::spawn(move || {
            let (mut stream, from) = listener.accept().unwrap();
            let mut sent = vec![0; 200_000];
            stream.read_exact(&mut sent).unwrap();
            stream.write_all(&sent).unwrap();
            from
        });
        network.boxed.inside(move || exchange(inner, port));
        assert_eq!(origin.join().unwrap(), at(SHARED[inner], port));
        stop.store(true, Ordering::Relaxed);
        relaying.join().unwrap();
    }
}

/// Calls from a shared address, and gets back what it sends.
fn exchange(version: usize, port: u16) {
    use rustix::net::{AddressFamily, SocketType, bind, connect, socket};
    let family = [AddressFamily::INET, AddressFamily::INET6][version];
    let socket = socket(family, SocketType::STREAM, None).unwrap();
    bind(&socket, &at(SHARED[version], port)).unwrap();
    connect(&socket, &at(REMOTES[version], 443)).unwrap();
    let mut stream = TcpStream::from(socket);
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let sent: Vec<u8> = (0..200_000_u32).map(|n| (n.wrapping_mul(n) >> 7) as u8).collect();
    let mut writer = stream.try_clone().unwrap();
    let writing = {
        let sent = sent.clone();
        thread::spawn(move || writer.write_all(&sent).unwrap())
    };
    let mut got = vec![0; sent.len()];
    stream.read_exact(&mut got).unwrap();
    writing.join().unwrap();
    assert!(got == sent);
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

fn wait_for(what: &str, mut is_so: impl FnMut() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < end, "waited in vain: {what}");
        thread::sleep(Duration::from_millis(50));
    }
}
