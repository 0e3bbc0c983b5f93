// SPDX-License-Identifier: MIT OR Apache-2.0
//! The thread of a capture: from the workers' rings, through the filter, into the bytes of a file.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use super::words;
use super::{Request, Session};
use crate::capture::Fate;
use crate::capture::drain::{Drain, Frame, Packet};
use crate::capture::filter::Filter;
use crate::capture::pcapng::{self, Direction};
use crate::control::forwarder::Forwarder;
use crate::control::generations::Generations;
use crate::control::names::Names;
use crate::leaving::Leaving;
use crate::settings::Settings;
use crate::wire::ethernet;
use crate::worker::Shared;

/// Between two looks at empty rings. A ring of some megabytes takes longer to fill.
const REST: Duration = Duration::from_millis(2);
/// Packets from one worker before it is the next one's turn.
const TURN: usize = 256;
/// How long a worker may take to give up its tap. It looks every few hundred bursts.
const PATIENCE: Duration = Duration::from_secs(5);

pub(super) struct Recorder {
    session: Arc<Session>,
    generations: Arc<Generations>,
    settings: Arc<Settings>,
    workers: Vec<Arc<Shared>>,
    drains: Vec<Drain>,
    filter: Option<Filter>,
    count: u64,
    names: Names,
    file: Vec<u8>,
    packets: u64,
}

impl Recorder {
    pub(super) fn new(forwarder: &Forwarder, session: Arc<Session>, request: Request, drains: Vec<Drain>) -> Self {
        let generations = Arc::clone(forwarder.generations());
        let settings = Arc::clone(forwarder.settings());
        let mut file = Vec::new();
        pcapng::begin(&mut file, settings.devices.iter().map(|device| device.name.as_str()));
        Self {
            names: Names::new(&generations),
            workers: forwarder.workers().to_vec(),
            count: request.count.unwrap_or(u64::MAX),
            filter: request.filter,
            packets: 0,
            session,
            generations,
            settings,
            drains,
            file,
        }
    }

    /// Records until there is enough, or nobody wants more.
    pub(super) fn run(mut self) {
        let started = Instant::now();
        loop {
            let has_come = self.turn();
            let lost = self.lost();
            let goes_on = self.session.record(&mut self.file, self.packets, lost);
            if !goes_on || self.packets >= self.count || self.drains.iter().all(Drain::is_ended) {
                break;
            }
            if !has_come {
                std::thread::sleep(REST);
            }
        }
        self.end(started);
    }

    /// Takes what there is from each worker, up to a bound; whether there was anything.
    fn turn(&mut self) -> bool {
        let mut has_come = false;
        for worker in 0..self.drains.len() {
            for _ in 0..TURN {
                let Some(packet) = self.drains.get_mut(worker).and_then(Drain::packet) else { break };
                has_come = true;
                if self.packets < self.count {
                    self.keep(worker, &packet);
                }
            }
        }
        has_come
    }

    /// Writes a packet down if it is wanted.
    fn keep(&mut self, worker: usize, packet: &Packet) {
        // Another worker shows it once more, with its fate.
        if packet.fate == Fate::Handed || !self.passes(packet) {
            return;
        }
        self.packets += 1;
        self.names.refresh(&self.generations, (packet.generation, packet.revision));
        let comment = words::comment(&self.names, worker, packet, self.settings.underlay.gue_port);
        let both = [(&packet.came, Direction::In), (&packet.left, Direction::Out)];
        for (frame, direction) in both.into_iter().filter_map(|(frame, way)| Some((frame.as_ref()?, way))) {
            pcapng::packet(&mut self.file, frame, direction, &comment);
        }
    }

    /// Whether the filter lets a packet pass: as it came, or the inner packet of what the forwarder made.
    fn passes(&self, packet: &Packet) -> bool {
        let (Some(filter), Some(frame)) = (&self.filter, packet.came.as_ref().or(packet.left.as_ref())) else {
            return true;
        };
        let Frame { length, bytes, .. } = frame;
        match (&packet.came, Leaving::read(bytes, self.settings.underlay.gue_port)) {
            (None, Some(Leaving::Gue(tunnel))) => {
                let plain = framed(tunnel.inner);
                let outside = bytes.len().saturating_sub(tunnel.inner.len()) as u32;
                filter.passes(&plain, length.saturating_sub(outside) + ethernet::HEADER_LEN as u32)
            }
            _ => filter.passes(bytes, *length),
        }
    }

    fn lost(&self) -> u64 {
        self.drains.iter().map(Drain::lost).sum()
    }

    /// Takes the taps away from the workers, and ends the file.
    fn end(mut self, started: Instant) {
        self.drains.iter().for_each(Drain::end);
        self.workers.iter().for_each(|worker| worker.tap.withdraw());
        let deadline = Instant::now() + PATIENCE;
        loop {
            // Before the last look, so that nothing comes behind it.
            let is_ended = self.drains.iter().all(Drain::is_ended);
            let has_come = self.turn();
            if is_ended && !has_come || Instant::now() >= deadline {
                break;
            }
            if !has_come {
                std::thread::sleep(REST);
            }
        }
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let lost = self.lost();
        pcapng::lost(&mut self.file, u64::try_from(now.as_nanos()).unwrap_or(u64::MAX), lost);
        self.session.record(&mut self.file, self.packets, lost);
        let abandoned = self.session.end();
        let (peer, packets, took) = (self.session.peer(), self.packets, started.elapsed());
        tracing::info!(%peer, packets, lost, abandoned, ?took, "capture ended");
    }
}

/// An IP packet behind an Ethernet header of no addresses.
fn framed(packet: &[u8]) -> Vec<u8> {
    let ethertype = if packet.first().is_some_and(|byte| byte >> 4 == 6) { ethernet::IPV6 } else { ethernet::IPV4 };
    [&[0; 12][..], &ethertype.to_be_bytes(), packet].concat()
}
