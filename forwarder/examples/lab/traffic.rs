// SPDX-License-Identifier: MIT OR Apache-2.0
//! What is sent from the Internet: packets for the servers, and frames that the box's kernel has to deal with.

use std::net::{IpAddr, Ipv4Addr, SocketAddrV4};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rustix::net::{AddressFamily, SendFlags, SocketFlags, SocketType, ipproto, sendto, socket_with};

use crate::lab::netns::Netns;
use crate::network::UNDERLAY;
use crate::packet::{self, Flow, Protocol, Random};

/// Different packets for each place.
const PACKETS: u16 = 1024;
/// IP bytes of each.
const LENGTH: usize = 128;

/// All packets: those of the first place, of the second, and so on.
pub(crate) fn packets() -> Vec<Vec<u8>> {
    let mut random = Random(0x5eed);
    let flows = [([198, 51, 100, 1], 2048), ([198, 51, 100, 1], 4096), ([198, 51, 100, 3], 1024)];
    let mut packet = |address: [u8; 4], destination_port| {
        let (source, destination) = (IpAddr::from([198, 18, 0, 7]), IpAddr::from(address));
        let protocol = if random.one_in(2) { Protocol::Tcp } else { Protocol::Udp };
        let flow =
            Flow { source, destination, protocol, source_port: random.between(1024, u16::MAX), destination_port };
        packet::packet(&flow, LENGTH, &mut random)
    };
    let mut all = Vec::new();
    for (address, first) in flows {
        all.extend((first..first + PACKETS).map(|port| packet(address, port)));
    }
    all
}

/// A packet for the first place that is none of these.
pub(crate) fn probe() -> Vec<u8> {
    let (source, destination) = (IpAddr::from([198, 18, 0, 8]), IpAddr::from([198, 51, 100, 1]));
    let flow = Flow { source, destination, protocol: Protocol::Udp, source_port: 53, destination_port: 4095 };
    packet::packet(&flow, LENGTH, &mut Random(7))
}

/// Which place a packet of [`packets`] is for, by its index there.
pub(crate) fn place_of(index: usize) -> usize {
    index / usize::from(PACKETS)
}

/// Something that is sent again and again until it is stopped.
pub(crate) struct Sending {
    stop: Arc<AtomicBool>,
    sent: Arc<AtomicU64>,
    thread: Option<JoinHandle<()>>,
}

impl Sending {
    /// Ends it; how many frames or packets were sent.
    pub(crate) fn end(mut self) -> u64 {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap();
        }
        self.sent.load(Ordering::Relaxed)
    }

    /// `send` sends the next one, in `netns`; whether that was taken.
    fn start<F: FnMut(u64) -> bool>(netns: &Netns, prepare: impl FnOnce() -> F + Send + 'static) -> Self {
        let (stop, sent) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let (until, count) = (Arc::clone(&stop), Arc::clone(&sent));
        let work = move || {
            let mut send = prepare();
            while !until.load(Ordering::Relaxed) {
                if send(count.load(Ordering::Relaxed)) {
                    count.fetch_add(1, Ordering::Relaxed);
                }
            }
        };
        Self { stop, sent, thread: Some(netns.spawn(work)) }
    }
}

impl Drop for Sending {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        // It has nothing to say any more.
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

/// Sends every packet in turn to wherever the router's kernel finds its destination: so many a second, or as many as the
/// forwarder takes. `received` says how many have come to their owners.
pub(crate) fn forwarded(
    internet: &Netns,
    a_second: Option<u32>,
    received: impl Fn() -> u64 + Send + 'static,
) -> Sending {
    Sending::start(internet, move || {
        let flags = SocketFlags::CLOEXEC;
        let socket = socket_with(AddressFamily::INET, SocketType::RAW, flags, Some(ipproto::RAW)).unwrap();
        let packets: Vec<_> = packets().into_iter().map(|packet| (destination(&packet), packet)).collect();
        // Of every place in turn.
        let order = |n: usize| n / 3 + n % 3 * usize::from(PACKETS);
        let mut next = (0..packets.len()).map(order).cycle();
        let (start, mut window) = (Instant::now(), Window::new(FULL, received));
        move |sent| {
            match a_second {
                Some(rate) => {
                    let due = start + Duration::from_secs_f64(sent as f64 / f64::from(rate));
                    thread::sleep(due.saturating_duration_since(Instant::now()));
                }
                None => window.wait(sent),
            }
            let (to, packet) = &packets[next.next().unwrap()];
            sendto(&socket, packet, SendFlags::empty(), to).is_ok()
        }
    })
}

/// Frames under way at full load; the box's ring holds twice as many.
const FULL: u64 = 2048;
/// Of so many frames of a flood, one is a probe for a server, which tells how far the box is.
const PROBE_EVERY: u64 = 64;

/// There is never more under way than fits into the box's ring. More would drown the virtual device, in which BGP's packets
/// have no more right than others.
struct Window<F> {
    size: u64,
    received: F,
    /// Received before the first was sent, less those that are taken for lost: may be below zero, hence wraps.
    base: u64,
}

impl<F: Fn() -> u64> Window<F> {
    /// What has not come by then is lost.
    const LOST: Duration = Duration::from_millis(200);

    fn new(size: u64, received: F) -> Self {
        let base = received();
        Self { size, received, base }
    }

    /// Waits until there is room for one more.
    fn wait(&mut self, sent: u64) {
        let start = Instant::now();
        while sent.wrapping_sub((self.received)().wrapping_sub(self.base)) >= self.size {
            thread::sleep(Duration::from_micros(50));
            if start.elapsed() > Self::LOST {
                self.base = (self.received)().wrapping_sub(sent);
            }
        }
    }
}

fn destination(packet: &[u8]) -> SocketAddrV4 {
    let address: [u8; 4] = packet[16..20].try_into().unwrap();
    SocketAddrV4::new(address.into(), 0)
}

/// Sends, as fast as one thread can and the box takes it, what is for the box's kernel: ARP requests and packets to its own
/// address by turns. `probes` says how many probes have come to their owner.
pub(crate) fn flood(internet: &Netns, probes: impl Fn() -> u64 + Send + 'static) -> Sending {
    Sending::start(internet, move || {
        let mut capture = pcap::Capture::from_device("wan").unwrap().snaplen(64).open().unwrap();
        // Nothing is to be read.
        capture.filter("less 1", true).unwrap();
        let (probe, frames) = (packet::frame(&probe()), [who_has_the_box(), own_address()]);
        let mut window = Window::new(FULL / PROBE_EVERY, probes);
        move |sent| {
            if sent % PROBE_EVERY == 0 {
                window.wait(sent / PROBE_EVERY);
                return capture.sendpacket(&*probe).is_ok();
            }
            capture.sendpacket(&*frames[sent as usize % 2]).is_ok()
        }
    })
}

/// An ARP request of somebody who is not there.
fn who_has_the_box() -> Vec<u8> {
    let mut frame = vec![0xff; 6];
    frame.extend([2, 0, 0, 0, 0, 9, 8, 6, 0, 1, 8, 0, 6, 4, 0, 1, 2, 0, 0, 0, 0, 9, 192, 0, 2, 9]);
    frame.extend([0, 0, 0, 0, 0, 0, 192, 0, 2, 1]);
    frame
}

/// A UDP packet to the box's underlay address, not to GUE's port.
fn own_address() -> Vec<u8> {
    let destination = UNDERLAY.parse::<Ipv4Addr>().unwrap().into();
    let source = IpAddr::from([198, 18, 0, 9]);
    let flow = Flow { source, destination, protocol: Protocol::Udp, source_port: 9, destination_port: 9 };
    packet::frame(&packet::packet(&flow, 60, &mut Random(1)))
}
