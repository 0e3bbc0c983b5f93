// SPDX-License-Identifier: MIT OR Apache-2.0
//! A pipeline on plain memory, set up from one of the folders of `vectors/`.

#![allow(dead_code, reason = "each test binary uses its own part")]

pub(crate) mod vectors;

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use forwarder::control::config::{Config, Purpose};
use forwarder::counters::Counters;
use forwarder::io::memory::VecBuf;
use forwarder::io::offload::Unfinished;
use forwarder::io::{Allocator, DeviceIndex, Nanos, PacketBuf};
use forwarder::pipeline::fragments::Member;
use forwarder::pipeline::{Arrival, Output, Pipeline};
use forwarder::settings::Settings;
use forwarder::state::ForwardingState;
use tables::Source;

/// What became of a frame.
#[derive(Clone, PartialEq, Eq)]
pub(crate) enum Fate {
    /// The kernel got it as it was.
    Kernel,
    /// It was dropped, and nothing came of it; the counters say why.
    Drop,
    /// It waits for its first fragment.
    Held,
    /// These frames left, by the devices named: itself, its pieces, or an error about it.
    Transmit(Vec<(String, Vec<u8>)>),
}

/// With the bytes as the vectors show them.
impl fmt::Debug for Fate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sent = match self {
            Self::Kernel => return f.write_str("kernel"),
            Self::Drop => return f.write_str("drop"),
            Self::Held => return f.write_str("held"),
            Self::Transmit(sent) => sent,
        };
        for (device, frame) in sent {
            write!(f, "\n  tx {device} ({} bytes) ", frame.len())?;
            frame.iter().try_for_each(|byte| write!(f, "{byte:02x}"))?;
        }
        Ok(())
    }
}

/// A forwarder without its worker.
pub(crate) struct World {
    pub(crate) settings: Arc<Settings>,
    pub(crate) state: ForwardingState,
    pub(crate) counters: Counters,
    /// The time of the next burst.
    pub(crate) now: Nanos,
    pub(crate) spare: Spare,
    pipeline: Pipeline<Numbered>,
    output: Output<Numbered>,
    /// How many frames have come.
    numbered: usize,
    /// Frames of which something was left to the device.
    pub(crate) unfinished: usize,
    /// What became of frames of earlier bursts in the last one.
    pub(crate) released: Vec<Fate>,
}

impl World {
    /// The forwarder that `config.toml` and `table.json` in `vectors/NAME` describe.
    pub(crate) fn load(name: &str) -> Self {
        Self::load_with(name, |_| {})
    }

    /// The same after `change` has been made to the settings.
    pub(crate) fn load_with(name: &str, change: impl FnOnce(&mut Settings)) -> Self {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors").join(name);
        let config = Config::load(&folder.join("config.toml"), Purpose::Daemon).unwrap();
        let source = Source::from_slice(&std::fs::read(&config.table).unwrap()).unwrap();
        Self::build(&config, &source, change)
    }

    /// The forwarder of this configuration, after `change` has been made to its settings, with this table.
    pub(crate) fn build(config: &Config, source: &Source, change: impl FnOnce(&mut Settings)) -> Self {
        let mut settings = config.settings(&[]);
        for (device, configured) in settings.devices.iter_mut().zip(&config.devices) {
            device.kernel_path = configured.kernel.is_some();
        }
        change(&mut settings);
        let generation = source.generation().unwrap();
        let state = ForwardingState::build(source, generation, &config.viewpoint(), &settings).unwrap();
        let settings = Arc::new(settings);
        Self {
            pipeline: Pipeline::new(Arc::clone(&settings), 64, Member::alone()),
            output: Output::new(&settings, 64),
            counters: Counters::default(),
            now: Nanos(0),
            spare: Spare { buffers: Vec::new(), left: usize::MAX },
            settings,
            state,
            numbered: 0,
            unfinished: 0,
            released: Vec::new(),
        }
    }

    /// Gives the pipeline one burst, received on the first device; what became of each frame, in their order. What earlier
    /// bursts had left is in [`Self::released`].
    pub(crate) fn process(&mut self, frames: &[Vec<u8>]) -> Vec<Fate> {
        self.process_buffers(frames.iter().map(|frame| VecBuf::new(frame)).collect())
    }

    /// The same with frames in buffers.
    pub(crate) fn process_buffers(&mut self, buffers: Vec<VecBuf>) -> Vec<Fate> {
        let (base, count) = (self.numbered, buffers.len());
        self.numbered += count;
        let mut burst: Vec<_> = (base..).zip(buffers).map(|(number, buf)| Numbered::new(number, buf)).collect();
        let before = self.counters;
        self.run(&mut burst);
        assert!(burst.is_empty(), "a frame stayed where it was");

        let mut fates: Vec<Option<Fate>> = vec![None; count];
        let mut came_out = 0;
        self.released.clear();
        for (number, fate) in self.outcomes() {
            came_out += match &fate {
                Fate::Transmit(frames) => frames.len(),
                Fate::Kernel => 1,
                Fate::Drop | Fate::Held => 0,
            };
            match number.checked_sub(base) {
                Some(index) => {
                    assert!(fates[index].is_none(), "frame {index} came out twice");
                    fates[index] = Some(fate);
                }
                None => self.released.push(fate),
            }
        }
        let added = self.counters.originated - before.originated;
        let dropped = self.counters.dropped_total() - before.dropped_total();
        let (held_before, held) = (before.held, self.counters.held);
        let came = count as u64 + added + held_before;
        assert_eq!(came, came_out as u64 + dropped + held, "every frame is accounted for");
        fates.into_iter().map(|fate| fate.unwrap_or(Fate::Held)).collect()
    }

    /// Takes the frames that came out last, in their order, device by device; which they are, and what became of them.
    pub(crate) fn outcomes(&mut self) -> Vec<(usize, Fate)> {
        let mut outcomes = Vec::new();
        for (device, sent) in self.settings.devices.iter().zip(&mut self.output.transmit) {
            // what was added stands behind what it was added to
            for group in sent.chunk_by(|_, next| next.number == ADDED) {
                self.unfinished += group.iter().filter(|frame| !frame.rest.is_nothing()).count();
                let frames = group.iter().map(|frame| (device.name.clone(), frame.sent()));
                outcomes.push((group[0].number, Fate::Transmit(frames.collect())));
            }
            sent.clear();
        }
        for frame in self.output.kernel.drain(..) {
            assert_eq!(frame.data(), frame.received, "the kernel gets a frame as received");
            outcomes.push((frame.number, Fate::Kernel));
        }
        outcomes.extend(self.output.dropped.drain(..).map(|frame| (frame.number, Fate::Drop)));
        outcomes
    }

    /// Lets the pipeline see what time it is, without a burst.
    pub(crate) fn tick(&mut self) {
        self.pipeline.tick(self.now, &mut self.output, &mut self.counters);
    }

    /// Ends it all.
    pub(crate) fn finish(&mut self) {
        self.pipeline.finish(&mut self.output, &mut self.counters);
    }

    /// The pipeline's part alone; frames stay in [`Self::output`].
    pub(crate) fn run(&mut self, burst: &mut Vec<Numbered>) {
        let arrival = Arrival { device: DeviceIndex(0), now: self.now };
        self.pipeline.process(&self.state, arrival, burst, &mut self.output, &mut self.counters, &mut self.spare);
    }

    /// Takes the frames of the last burst, and keeps the buffers for what is added.
    pub(crate) fn recycle(&mut self) {
        let Output { transmit, kernel, dropped, .. } = &mut self.output;
        let frames = transmit.iter_mut().flat_map(|frames| frames.drain(..));
        self.spare.buffers.extend(frames.chain(kernel.drain(..)).chain(dropped.drain(..)));
    }

    /// Where the frames of the last burst are.
    pub(crate) fn output(&mut self) -> &mut Output<Numbered> {
        &mut self.output
    }
}

/// The number of frames that the forwarder adds, which have no place in the burst.
pub(crate) const ADDED: usize = usize::MAX;

/// Gives out the frames that the forwarder adds.
pub(crate) struct Spare {
    /// Used first.
    pub(crate) buffers: Vec<Numbered>,
    /// How many more there are.
    pub(crate) left: usize,
}

impl Allocator<Numbered> for Spare {
    fn allocate(&mut self, len: usize) -> Option<Numbered> {
        self.left = self.left.checked_sub(1)?;
        let mut frame = self.buffers.pop().unwrap_or_else(|| Numbered::new(ADDED, VecBuf::default()));
        (frame.number, frame.rest) = (ADDED, Unfinished::default());
        frame.buf.resize(len);
        Some(frame)
    }
}

/// A frame that knows its number, and what of it is left to the device.
pub(crate) struct Numbered {
    pub(crate) number: usize,
    pub(crate) buf: VecBuf,
    rest: Unfinished,
    /// Its bytes when it came.
    received: Vec<u8>,
}

impl Numbered {
    pub(crate) fn new(number: usize, buf: VecBuf) -> Self {
        Self { number, received: buf.data().to_vec(), buf, rest: Unfinished::default() }
    }

    /// Its bytes when the device has sent it.
    fn sent(&self) -> Vec<u8> {
        let mut sent = self.data().to_vec();
        self.rest.finish(&mut sent);
        sent
    }
}

impl PacketBuf for Numbered {
    fn data(&self) -> &[u8] {
        self.buf.data()
    }

    fn data_mut(&mut self) -> &mut [u8] {
        self.buf.data_mut()
    }

    fn prepend(&mut self, len: usize) -> Option<&mut [u8]> {
        self.buf.prepend(len)
    }

    fn trim_front(&mut self, len: usize) {
        self.buf.trim_front(len);
    }

    fn truncate(&mut self, len: usize) {
        self.buf.truncate(len);
    }

    fn identity(&self) -> usize {
        self.buf.identity()
    }

    const CAN_BE_UNFINISHED: bool = true;

    fn leave_unfinished(&mut self, rest: Unfinished) {
        assert!(self.rest.is_nothing() && !rest.is_nothing(), "{:?}, then {rest:?}", self.rest);
        self.rest = rest;
    }

    fn unfinished(&self) -> Unfinished {
        self.rest
    }
}
