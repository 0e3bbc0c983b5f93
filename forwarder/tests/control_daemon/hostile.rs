// SPDX-License-Identifier: MIT OR Apache-2.0
//! Clients that try every bound at once, while traffic runs.

use std::io::{ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::control_support::{Client, Place, Running};
use super::traffic::{Endless, Seen};
use super::wait_for;

const STATS: &[u8] = b"{\"jsonrpc\":\"2.0\",\"method\":\"stats\",\"id\":1}\n";

/// A daemon with traffic, and how much of that there has been.
pub(super) fn busy() -> (Running, Arc<Seen>) {
    let seen = Arc::new(Seen::default());
    let running = Running::with(Place::new(), Endless::new(&seen));
    (running, seen)
}

/// Traffic goes on, every packet is accounted for, and whoever asks is answered soon.
pub(super) fn unharmed(running: &Running, seen: &Seen) {
    let before = seen.received.load(Ordering::Relaxed);
    wait_for(|| seen.received.load(Ordering::Relaxed) > before + 10_000);
    let start = Instant::now();
    assert_eq!(running.client().result("stats", json!({}))["conservation"]["ok"], true);
    assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
    assert_eq!(running.generation(), 42);
}

/// Sends until the daemon takes no more for a while, and never reads.
fn stuff(mut peer: &UnixStream) {
    peer.set_write_timeout(Some(Duration::from_millis(200))).unwrap();
    loop {
        match peer.write(STATS) {
            Ok(_) => {}
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => return,
            Err(error) => panic!("{error}"),
        }
    }
}

#[test]
fn who_never_reads_is_hung_up_on_and_others_are_served() {
    let (running, seen) = busy();
    let peers: Vec<_> = (0..20).map(|_| UnixStream::connect(running.place.socket()).unwrap()).collect();
    std::thread::scope(|scope| peers.iter().for_each(|peer| drop(scope.spawn(|| stuff(peer)))));
    unharmed(&running, &seen);
    for peer in peers {
        // The daemon has waited for a reader long enough.
        wait_for(|| (&peer).write(b"\n").is_err_and(|error| error.kind() == ErrorKind::BrokenPipe));
        let mut answered = [0; 20];
        (&peer).read_exact(&mut answered).unwrap();
        assert!(answered.starts_with(b"{\"jsonrpc\":\"2.0\""));
    }
    unharmed(&running, &seen);
}

#[test]
fn an_endless_line_ends_at_its_bound() {
    let (running, seen) = busy();
    let mut peer = UnixStream::connect(running.place.socket()).unwrap();
    let chunk = vec![b'x'; 1 << 20];
    let mut sent = 0_usize;
    while peer.write_all(&chunk).is_ok() {
        sent += chunk.len();
        assert!(sent < 1 << 30, "there is no bound");
    }
    assert!(sent >= 63 << 20, "{sent}");
    let mut answer = String::new();
    let _ = peer.read_to_string(&mut answer);
    let answer: Value = serde_json::from_str(&answer).unwrap();
    assert_eq!(answer["error"]["code"], -32600, "{answer}");
    unharmed(&running, &seen);
}

#[test]
fn nesting_costs_no_stack() {
    let (running, seen) = busy();
    let mut client = running.client();
    let (open, close) = ("[".repeat(2_000_000), "]".repeat(2_000_000));
    let within = |method: &str, key: &str| {
        format!(r#"{{"jsonrpc":"2.0","method":"{method}","params":{{"{key}":{open}{close}}},"id":1}}"#)
    };
    let messages = [
        (open.clone(), -32700),
        (format!("{open}{close}"), -32600),
        (within("explain", "address"), -32602),
        (within("reload", "table"), -32000),
        (within("patch", "ports"), -32000),
    ];
    for (message, code) in messages {
        client.send(format!("{message}\n").as_bytes());
        let answer = client.receive().unwrap();
        let answer = if answer.is_array() { &answer[0] } else { &answer };
        assert_eq!(answer["error"]["code"], code);
    }
    unharmed(&running, &seen);
}

#[test]
fn thousands_of_connects_wear_nothing_out() {
    let (running, seen) = busy();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for n in 0..1_000 {
                    let mut peer = UnixStream::connect(running.place.socket()).unwrap();
                    if n % 2 == 0 {
                        let _ = peer.write_all(STATS);
                    }
                }
            });
        }
    });
    unharmed(&running, &seen);
    // Threads of those that have gone end as soon as they are noticed.
    let threads = || std::fs::read_dir("/proc/self/task").unwrap().count();
    wait_for(|| threads() < 100);
}

#[test]
fn long_messages_are_few_at_a_time() {
    let (running, seen) = busy();
    let long = vec![b' '; 100 << 10];
    let mut peers: Vec<_> = (0..8).map(|_| UnixStream::connect(running.place.socket()).unwrap()).collect();
    for peer in &mut peers {
        peer.write_all(&long).unwrap();
    }
    let refused = || {
        let mut late = Client::new(&running.place.socket());
        late.send(&long);
        late.send(STATS);
        late.receive().unwrap()["error"]["code"] == -32005
    };
    // The eight are read one by one.
    wait_for(refused);
    unharmed(&running, &seen);
    for peer in &mut peers {
        peer.write_all(STATS).unwrap();
        peer.read_exact(&mut [0; 20]).unwrap();
    }
    wait_for(|| !refused());
}
