// SPDX-License-Identifier: MIT OR Apache-2.0
//! Who gets the packets: a socket on GUE's port of each server and of the other data centre's forwarder, in their
//! namespaces. Their kernels have checked the outer headers; the rest is checked here, byte for byte.

use std::collections::HashMap;
use std::io::ErrorKind;
use std::net::{SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use rustix::net::sockopt::set_socket_recv_buffer_size_force;

use crate::lab::netns::Netns;
use crate::network::{Network, PLACES, UNDERLAY};
use crate::traffic;

/// GUE before an IPv4 packet to a server, and to another data centre (hop 1, generation 1).
const TO_SERVER: &[u8] = &[0, 4, 0, 0];
const TO_DATACENTER: &[u8] = &[2, 4, 0, 0, 0x53, 1, 1, 0, 0, 0, 0, 1];

/// All of them; they end with their owner.
pub(crate) struct Servers {
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
    seen: Arc<Seen>,
}

#[derive(Default)]
struct Seen {
    /// Packets that were as they should be, but for the probes.
    good: AtomicU64,
    probes: AtomicU64,
    wrong: AtomicU64,
    first_wrong: Mutex<String>,
}

impl Servers {
    pub(crate) fn new(network: &Network) -> Self {
        let expected: HashMap<_, _> = traffic::packets()
            .into_iter()
            .enumerate()
            .map(|(index, packet)| (packet, traffic::place_of(index)))
            .chain([(traffic::probe(), 0)])
            .collect();
        let (expected, seen, stop) = (Arc::new(expected), Arc::<Seen>::default(), Arc::new(AtomicBool::new(false)));
        let start = |(place, netns): (usize, &Netns)| {
            let (expected, seen, stop) = (Arc::clone(&expected), Arc::clone(&seen), Arc::clone(&stop));
            netns.spawn(move || receive(place, &expected, &seen, &stop))
        };
        let threads = network.places.iter().enumerate().map(start).collect();
        Self { stop, threads, seen }
    }

    /// A function that says how many packets have come to their owners so far, unchanged.
    pub(crate) fn counter(&self) -> impl Fn() -> u64 + Send + 'static {
        let seen = Arc::clone(&self.seen);
        move || seen.good.load(Ordering::Relaxed)
    }

    /// The same of probes.
    pub(crate) fn probes(&self) -> impl Fn() -> u64 + Send + 'static {
        let seen = Arc::clone(&self.seen);
        move || seen.probes.load(Ordering::Relaxed)
    }

    /// How many others came anywhere, and the first of them.
    pub(crate) fn wrong(&self) -> (u64, String) {
        (self.seen.wrong.load(Ordering::Relaxed), self.seen.first_wrong.lock().unwrap().clone())
    }
}

impl Drop for Servers {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            // What one of them has to say is in `seen`.
            let _ = thread.join();
        }
    }
}

fn receive(place: usize, expected: &HashMap<Vec<u8>, usize>, seen: &Seen, stop: &AtomicBool) {
    let socket = UdpSocket::bind("0.0.0.0:6080").unwrap();
    // Seconds of packets: this thread is not to be what loses them.
    set_socket_recv_buffer_size_force(&socket, 64 << 20).unwrap();
    socket.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
    let (mut buffer, probe) = ([0; 2048], traffic::probe());
    while !stop.load(Ordering::Relaxed) {
        match socket.recv_from(&mut buffer) {
            Ok((length, from)) => match fault(place, &buffer[..length], from, expected) {
                None => {
                    let count = if buffer[..length].ends_with(&probe) { &seen.probes } else { &seen.good };
                    count.fetch_add(1, Ordering::Relaxed);
                }
                Some(fault) => {
                    if seen.wrong.fetch_add(1, Ordering::Relaxed) == 0 {
                        *seen.first_wrong.lock().unwrap() = fault;
                    }
                }
            },
            // Time to look whether it is over.
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => (),
            Err(error) => panic!("{error}"),
        }
    }
}

/// What is wrong with what came to a place, if anything.
fn fault(place: usize, bytes: &[u8], from: SocketAddr, expected: &HashMap<Vec<u8>, usize>) -> Option<String> {
    let (name, ..) = PLACES[place];
    let header = if name == "CDG" { TO_DATACENTER } else { TO_SERVER };
    if from.ip().to_string() != UNDERLAY || from.port() < 49152 {
        return Some(format!("{name} got GUE from {from}"));
    }
    let Some(inner) = bytes.strip_prefix(header) else {
        return Some(format!("{name} got another GUE header: {:02x?}", &bytes[..bytes.len().min(16)]));
    };
    match expected.get(inner) {
        None => Some(format!("{name} got a packet that nobody sent: {inner:02x?}")),
        Some(owner) if *owner != place => Some(format!("{name} got a packet of {}", PLACES[*owner].0)),
        Some(_) => None,
    }
}
