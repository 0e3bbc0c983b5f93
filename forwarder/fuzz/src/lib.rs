// SPDX-License-Identifier: MIT OR Apache-2.0
//! A forwarder on plain memory for the packet targets, with what must hold whatever arrives.

#[path = "../../tests/decode/mod.rs"]
mod decode;

use std::path::Path;
use std::sync::Arc;

use forwarder::control::config::{Config, Purpose};
use forwarder::counters::Counters;
use forwarder::io::memory::MemoryIo;
use forwarder::io::{DeviceIndex, Nanos, PacketBuf};
use forwarder::state::ForwardingState;
use forwarder::worker::handoff::Handoff;
use forwarder::worker::{Shared, Worker};
use tables::{Publisher, Source};

use decode::Encapsulated;

/// The world of the golden vectors.
pub const CONFIG: &str = include_str!("../../tests/vectors/plain/config.toml");
/// Its table.
pub const TABLE: &str = include_str!("../../tests/vectors/plain/table.json");

/// Longer than any fragment is held or remembered.
const LONG: u64 = 60 * SECOND;
const SECOND: u64 = 1_000_000_000;
const WAN: DeviceIndex = DeviceIndex(0);
const MTU: usize = 1600;

/// The configuration that [`CONFIG`] is.
pub fn config() -> Config {
    Config::parse(CONFIG.as_bytes(), Path::new("config.toml"), Purpose::Replay).expect("the vectors' configuration")
}

/// The table that [`TABLE`] is.
pub fn source() -> Source {
    Source::from_slice(TABLE.as_bytes()).expect("the vectors' table")
}

/// One worker, used for input after input.
pub struct Forwarder {
    worker: Worker<MemoryIo>,
    shared: Arc<Shared>,
    _publisher: Publisher<ForwardingState>,
}

impl Default for Forwarder {
    fn default() -> Self {
        let (config, source) = (config(), source());
        let mut settings = config.settings(&[]);
        settings.devices.iter_mut().for_each(|device| device.kernel_path = true);
        let state = ForwardingState::build(&source, 42, &config.viewpoint(), &settings).expect("it compiles");
        let (publisher, mut readers) = Publisher::new(Box::new(state), 1);
        let shared = Arc::new(Shared::default());
        let reader = readers.pop().expect("one reader");
        let worker =
            Worker::new(MemoryIo::new(1), Arc::new(settings), 16, reader, Arc::clone(&shared), Handoff::alone());
        Self { worker, shared, _publisher: publisher }
    }
}

impl Forwarder {
    /// Takes one frame all the way. Whatever leaves encapsulated is part of it, unless it was cut.
    pub fn frame(&mut self, frame: &[u8]) {
        let before = self.counters();
        self.receive(&[frame]);
        let is_cut = self.counters().originated > before.originated;
        for (_, sent) in &self.worker.io_mut().sent {
            if let Some(sent) = encapsulated(sent.data()) {
                let found = (0..frame.len()).any(|at| frame[at..].starts_with(sent.inner));
                assert!(is_cut || found, "what leaves has not arrived");
            }
        }
        self.forget();
    }

    /// Takes a burst all the way, `later` nanoseconds after what came before.
    pub fn burst(&mut self, frames: &[Vec<u8>], later: u64) {
        self.worker.io_mut().clock.0 += later;
        let frames: Vec<_> = frames.iter().map(Vec::as_slice).collect();
        self.receive(&frames);
        self.worker.io_mut().recycle();
    }

    /// Lets so much time pass that nothing is left of what came before.
    pub fn forget(&mut self) {
        let io = self.worker.io_mut();
        io.recycle();
        io.clock = Nanos(io.clock.0 + LONG);
        self.receive(&[&[]]); // time passes with the frames
        self.worker.io_mut().recycle();
        assert_eq!(self.counters().held, 0, "held for ever");
    }

    fn receive(&mut self, frames: &[&[u8]]) {
        let before = self.counters();
        for frame in frames {
            self.worker.io_mut().push(WAN, frame);
        }
        while !self.worker.io_mut().is_drained() {
            self.worker.poll();
        }
        let after = self.counters();
        assert_eq!(after.rx - before.rx, frames.len() as u64);
        assert_eq!(after.imbalance(), 0, "a packet is lost or doubled: {after:?}");
        for (_, sent) in &self.worker.io_mut().sent {
            if let Some(sent) = encapsulated(sent.data()) {
                assert!(sent.len <= MTU, "an outer packet of {} bytes", sent.len);
            }
        }
    }

    fn counters(&self) -> Counters {
        self.shared.counters.read()
    }
}

/// What an encapsulated frame shows, by the tests' decoder, which panics at anything wrong; `None` for what the forwarder
/// sends in its own name.
fn encapsulated(frame: &[u8]) -> Option<Encapsulated<'_>> {
    const OWN_V4: [u8; 4] = [10, 0, 0, 1];
    const OWN_V6: [u8; 16] = [0x20, 1, 0x0d, 0xb8, 0, 0x0a, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1];
    let is_own = match frame[12..14] {
        [0x08, 0x00] => frame[26..30] == OWN_V4,
        [0x86, 0xdd] => frame[22..38] == OWN_V6,
        _ => false,
    };
    is_own.then(|| Encapsulated::read(frame))
}

/// By RFC 1071's definition.
pub fn ones_complement_sum(bytes: &[u8]) -> u16 {
    decode::ones_complement_sum(bytes)
}

/// Puts the checksum of the IPv4 header at the front of `packet` right, if there is one.
pub fn repair(packet: &mut [u8]) {
    let len = packet.first().map_or(0, |first| usize::from(first & 15) * 4);
    if let Some(header) = packet.get_mut(..len).filter(|header| header.len() >= 20 && header[0] >> 4 == 4) {
        header[10..12].fill(0);
        let checksum = !ones_complement_sum(header);
        header[10..12].copy_from_slice(&checksum.to_be_bytes());
    }
}
