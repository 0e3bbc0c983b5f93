// SPDX-License-Identifier: MIT OR Apache-2.0
//! What somebody here waits for is kept, whoever owns the port now.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::OwnedFd;
use std::process::{Command, Stdio};

use agent::exec::{Exec, Filter, Settings, default_cgroup};
use agent::view::{Held, Keeper, Run, View};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType, bind, connect, socket_with, sockopt};

use crate::frames::{ACK, Gue, RST, SYN, tcp, udp, unreachable};
use crate::host::{
    DRAINING, Host, MINE, OTHERS, OWN, REMOTES, SHARED, THEIRS, address, at, forwarded, on_host, passed_on, view,
};

/// From a forwarder, with and without a previous owner, and from another server.
fn ways() -> [Gue; 4] {
    [forwarded(0), forwarded(1), forwarded(0).hop(OTHERS[0].parse().unwrap(), 0), passed_on(0)]
}

#[track_caller]
fn kept(host: &mut Host, what: &str, packet: &[u8]) {
    for gue in ways() {
        host.expect(what, &gue.wrap(packet), "kept_socket");
    }
}

#[track_caller]
fn lost(host: &mut Host, what: &str, packet: &[u8]) {
    let [forwarded, _, hop, passed_on] = ways();
    for gue in [forwarded, hop] {
        let (fate, _) = host.fate(&gue.wrap(packet));
        assert!(
            fate.unwrap().starts_with("passed_on_") && fate != Some("passed_on_without_socket"),
            "{what}: {fate:?}"
        );
    }
    host.expect(what, &passed_on.wrap(packet), "passed_on_without_socket");
}

/// A call that nobody has answered yet.
fn calling(from: SocketAddr, to: SocketAddr) -> OwnedFd {
    let family = if from.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let socket = socket_with(family, SocketType::STREAM, SocketFlags::NONBLOCK, None).unwrap();
    sockopt::set_socket_reuseaddr(&socket, true).unwrap();
    bind(&socket, &from).unwrap();
    assert_eq!(connect(&socket, &to), Err(Errno::INPROGRESS));
    socket
}

#[test]
fn answers_to_calls() {
    on_host(|host| {
        for version in [0, 1] {
            for port in [MINE, DRAINING, THEIRS] {
                // Nobody listens there, and nobody is asked: the way leads out.
                let (from, to) = (at(SHARED[version], port), at(["10.0.1.2", "2001:db8:a:1::2"][version], 443));
                let answer = tcp(to, from, SYN | ACK);
                let error = unreachable(address(REMOTES[version]), from.ip(), &tcp(from, to, SYN));
                if port != MINE {
                    lost(host, "before the call", &answer);
                }
                let call = calling(from, to);
                kept(host, "SYN-ACK", &answer);
                kept(host, "error", &error);
                kept(host, "RST", &tcp(to, from, RST | ACK));
                if port != MINE {
                    lost(host, "another's", &tcp(at(REMOTES[version], 444), from, SYN | ACK));
                    lost(host, "of another owner's connection between the same", &tcp(to, from, ACK));
                }
                drop(call);
                if port != MINE {
                    lost(host, "after the call", &answer);
                }
            }
        }
    });
}

#[test]
fn connections_in_every_state() {
    on_host(|host| {
        for version in [0, 1] {
            let listener = TcpListener::bind(at(REMOTES[version], 443)).unwrap();
            let call = calling(at(SHARED[version], THEIRS), at(REMOTES[version], 443));
            let (accepted, _) = listener.accept().unwrap();
            let data = tcp(at(REMOTES[version], 443), at(SHARED[version], THEIRS), ACK);
            kept(host, "open", &data);
            drop(call);
            kept(host, "half closed", &data);
            drop(accepted);
            kept(host, "closed, for the time that it lingers", &data);
        }
    });
}

#[test]
fn a_listener_takes_what_opens_a_connection() {
    on_host(|host| {
        for version in [0, 1] {
            let packet = |port, flags| tcp(at(REMOTES[version], 40000), at(SHARED[version], port), flags);
            let bound: Vec<_> =
                [DRAINING, THEIRS].map(|port| TcpListener::bind(at(SHARED[version], port)).unwrap()).into();
            for port in [DRAINING, THEIRS] {
                kept(host, "SYN", &packet(port, SYN));
                lost(host, "SYN-ACK", &packet(port, SYN | ACK));
                lost(host, "ACK of nothing", &packet(port, ACK));
                let quote = tcp(at(SHARED[version], port), at(REMOTES[version], 40000), SYN);
                lost(host, "error", &unreachable(address(REMOTES[version]), address(SHARED[version]), &quote));
            }
            drop(bound);
            let any = ["0.0.0.0", "::"][version];
            let _wild = [DRAINING, THEIRS].map(|port| TcpListener::bind(at(any, port)).unwrap());
            kept(host, "SYN for an own port", &packet(DRAINING, SYN));
            lost(host, "SYN for another's", &packet(THEIRS, SYN));
        }
    });
}

#[test]
fn a_listener_knows_its_cookies() {
    on_host(|host| {
        std::fs::write("/proc/sys/net/ipv4/tcp_syncookies", "2").unwrap();
        let listener = TcpListener::bind(at(SHARED[0], THEIRS)).unwrap();
        // Once a cookie has been sent, ACKs are looked at; a made-up one is none.
        let client = TcpStream::connect(at(SHARED[0], THEIRS)).unwrap();
        drop((client, listener.accept().unwrap()));
        lost(host, "not a cookie", &tcp(at(REMOTES[0], 40000), at(SHARED[0], THEIRS), ACK));
    });
}

#[test]
fn udp_connected_or_not() {
    on_host(|host| {
        for version in [0, 1] {
            let answer = |port| udp(at(REMOTES[version], 53), at(SHARED[version], port), b"answer");
            for port in [MINE, DRAINING, THEIRS] {
                let socket = UdpSocket::bind(at(SHARED[version], port)).unwrap();
                kept(host, "unconnected", &answer(port));
                socket.connect(at(REMOTES[version], 53)).unwrap();
                kept(host, "connected", &answer(port));
                let query = udp(at(SHARED[version], port), at(REMOTES[version], 53), b"query");
                kept(host, "error", &unreachable(address(OWN[version]), address(SHARED[version]), &query));
                if port != MINE {
                    lost(host, "from elsewhere", &udp(at(REMOTES[version], 54), at(SHARED[version], port), b""));
                }
            }
            let any = ["0.0.0.0", "::"][version];
            let _wild = [DRAINING, THEIRS].map(|port| UdpSocket::bind(at(any, port)).unwrap());
            kept(host, "an own port", &answer(DRAINING));
            lost(host, "another's", &answer(THEIRS));
        }
    });
}

/// Connects to a port of 203.0.113.7 for each line that it reads, and says from which port it did.
const CALLER: &str = r#"
import socket, sys
for line in sys.stdin:
    try:
        with socket.create_connection(("203.0.113.7", int(line))) as call:
            print(call.getsockname()[1], flush=True)
    except OSError as error:
        print(error.errno, flush=True)
"#;

#[test]
fn a_new_owner_calls_nobody_whom_the_old_one_talks_to_from_the_same_port() {
    on_host(|host| {
        let port = DRAINING.to_string();
        let run = Run { ports: format!("{port}-{port}").parse().unwrap(), keeper: Keeper { own: true, other: None } };
        let held = Held { prefix: "198.51.100.1/32".parse().unwrap(), runs: vec![run], ..view().held[0].clone() };
        let only = View { held: vec![held], ..View::default() };
        let name = format!("sluice-test-elsewhere-{}", std::process::id());
        let settings =
            Settings { cgroup: default_cgroup().with_file_name(&name), pins: std::env::temp_dir().join(&name) };
        let mut exec = Exec::start(settings, &only).unwrap();
        exec.avoid(host.receive.elsewhere()).unwrap();
        let _listening = [443, 444, 445].map(|port| TcpListener::bind(at(REMOTES[0], port)).unwrap());

        let mut caller = Command::new("python3");
        let mut caller = caller.args(["-c", CALLER]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        exec.admit(caller.id(), &Filter::default()).unwrap();
        let (mut to, mut from) = (caller.stdin.take().unwrap(), BufReader::new(caller.stdout.take().unwrap()));
        let mut call = |port: u16| {
            writeln!(to, "{port}").unwrap();
            let mut answer = String::new();
            from.read_line(&mut answer).unwrap();
            answer.trim().to_owned()
        };
        assert_eq!(call(444), port);

        let old = tcp(at(REMOTES[0], 443), at(SHARED[0], DRAINING), SYN | ACK);
        host.expect("the old owner's", &forwarded(0).wrap(&old), "passed_on_previous");
        assert_eq!(call(443), Errno::ADDRNOTAVAIL.raw_os_error().to_string(), "there is no other port");
        assert_eq!(call(445), port, "to another end it may");
        drop(to);
        caller.wait().unwrap();
    });
}
