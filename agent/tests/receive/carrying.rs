// SPDX-License-Identifier: MIT OR Apache-2.0
//! Real TCP through GUE, between two kernels, with the headers taken off by the program or by fou.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use agent::config::{Decapsulation, XdpMode};
use tun_rs::SyncDevice;

use crate::frames::{Gue, udp};
use crate::host::{MINE, OTHER_MAC, OWN, REMOTES, SHARED, address, at, forwarded};
use crate::network::Network;
use crate::wire::{PATIENCE, is_attached, server, start, start_with, tap, wait_for};

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
