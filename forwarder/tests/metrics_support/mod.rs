// SPDX-License-Identifier: MIT OR Apache-2.0
//! A daemon on plain memory that serves metrics while packets come without an end, and a client that asks for them.
#![allow(dead_code, unreachable_pub, reason = "each test uses its part")]

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use forwarder::control::daemon::Backend;
use forwarder::io::hardware::{DeviceHealth, Hardware, PoolReport, Probe};
use forwarder::io::memory::{MemoryIo, VecBuf};
use forwarder::io::{Allocator, DeviceIndex, Nanos, PacketIo, Received};
use forwarder::wire::MacAddr;

use crate::control_support::{Place, Running};

/// An address that nobody listens on.
pub fn free_address() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

/// A daemon with metrics, for whose one worker the same frames come again and again.
pub fn serving(frames: &[Vec<u8>], more: &str) -> (Running, SocketAddr) {
    let (running, address, _) = serving_on_hardware(frames, more);
    (running, address)
}

/// The same, and what its hardware says, to be changed.
pub fn serving_on_hardware(frames: &[Vec<u8>], more: &str) -> (Running, SocketAddr, Arc<Mutex<Hardware>>) {
    let (place, address) = (Place::new(), free_address());
    let config = std::fs::read_to_string(place.path("sluice.toml")).unwrap();
    place.write("sluice.toml", &format!("{config}\n[metrics]\nlisten = \"{address}\"\n{more}"));
    let io = Endless { io: MemoryIo::new(1), frames: frames.to_vec(), polls: 0, start: Instant::now() };
    let device = DeviceHealth { link_up: true, ..DeviceHealth::default() };
    let pool = PoolReport { name: "frames".to_owned(), size: 1000, in_use: 100 };
    let hardware = Arc::new(Mutex::new(Hardware { devices: vec![device], pools: vec![pool] }));
    (Running::start(place, Probed(Some(io), Arc::clone(&hardware))), address, hardware)
}

/// One worker's queues, and hardware that says what it is told to.
pub struct Probed(Option<Endless>, Arc<Mutex<Hardware>>);

impl Backend for Probed {
    type Io = Endless;

    fn mac(&self, _: DeviceIndex) -> MacAddr {
        MacAddr([2, 0, 0, 0, 0, 1])
    }

    fn probe(&self) -> Probe {
        let hardware = Arc::clone(&self.1);
        Box::new(move || hardware.lock().unwrap().clone())
    }

    fn queues(&mut self) -> Vec<Endless> {
        self.0.take().into_iter().collect()
    }
}

/// The same frames again and again, one burst in sixteen polls; what leaves is forgotten.
pub struct Endless {
    io: MemoryIo,
    frames: Vec<Vec<u8>>,
    polls: u64,
    start: Instant,
}

impl Allocator<VecBuf> for Endless {
    fn allocate(&mut self, len: usize) -> Option<VecBuf> {
        self.io.allocate(len)
    }
}

impl PacketIo for Endless {
    type Buf = VecBuf;

    fn receive(&mut self, device: DeviceIndex, frames: &mut Vec<VecBuf>, max: usize) -> Received {
        self.io.recycle();
        self.polls += 1;
        // Mostly idle, so that other threads get their turn on a small machine.
        if self.polls.is_multiple_of(16) {
            std::thread::sleep(Duration::from_micros(50));
            self.frames.iter().for_each(|frame| self.io.push(device, frame));
        }
        self.io.receive(device, frames, max)
    }

    fn transmit(&mut self, device: DeviceIndex, frames: &mut Vec<VecBuf>) {
        self.io.transmit(device, frames);
    }

    fn to_kernel(&mut self, device: DeviceIndex, frames: &mut Vec<VecBuf>) {
        self.io.to_kernel(device, frames);
    }

    fn now(&self) -> Nanos {
        Nanos(u64::try_from(self.start.elapsed().as_nanos()).unwrap())
    }
}

/// A UDP packet to a port of 198.51.100.1, `payload` zero bytes long.
pub fn udp(port: u16, payload: u16) -> Vec<u8> {
    let mut frame = b"\x02\0\0\0\0\x01\x02\0\0\0\0\x09\x08\0".to_vec();
    let mut header = *b"\x45\0\0\0\0\0\x40\0\x40\x11\0\0\xc0\0\x02\x01\xc6\x33\x64\x01";
    header[2..4].copy_from_slice(&(28 + payload).to_be_bytes());
    let sum: u32 = header.chunks(2).map(|pair| u32::from(u16::from_be_bytes([pair[0], pair[1]]))).sum();
    header[10..12].copy_from_slice(&(!((sum & 0xffff) + (sum >> 16)) as u16).to_be_bytes());
    frame.extend(header);
    frame.extend(b"\0\x35");
    frame.extend(port.to_be_bytes());
    frame.extend((8 + payload).to_be_bytes());
    frame.extend([0, 0]);
    frame.resize(14 + 28 + usize::from(payload), 0);
    frame
}

/// Sends `request` and reads to the end.
pub fn ask(address: SocketAddr, request: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

/// The body of the answer to a GET.
pub fn get(address: SocketAddr, path: &str) -> String {
    let answer = ask(address, &format!("GET {path} HTTP/1.1\r\nHost: {address}\r\n\r\n"));
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
    body.to_owned()
}

/// Every sample of a page, by name and labels as written.
pub fn samples(page: &str) -> BTreeMap<String, f64> {
    let lines = page.lines().filter(|line| !line.starts_with('#') && !line.is_empty());
    lines
        .map(|line| {
            let (series, value) = line.rsplit_once(' ').unwrap();
            (series.to_owned(), value.parse().unwrap())
        })
        .collect()
}

/// The sum over all labels.
pub fn sum(samples: &BTreeMap<String, f64>, name: &str) -> f64 {
    let family = |series: &str| series.split('{').next() == Some(name);
    samples.iter().filter(|(series, _)| family(series)).map(|(_, value)| value).sum()
}

/// What the counters say came, less what they say became of it.
pub fn imbalance(samples: &BTreeMap<String, f64>) -> f64 {
    let sum = |name| sum(samples, name);
    sum("sluice_rx_packets_total") + sum("sluice_originated_packets_total")
        - sum("sluice_tx_packets_total")
        - sum("sluice_exception_packets_total")
        - sum("sluice_held_packets")
        - sum("sluice_drops_total")
}
