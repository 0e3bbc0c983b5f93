// SPDX-License-Identifier: MIT OR Apache-2.0
//! A device in memory that is fed while a daemon runs.

use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::Duration;

use forwarder::io::memory::{MemoryIo, VecBuf};
use forwarder::io::{Allocator, DeviceIndex, Nanos, PacketIo, Received};

/// One worker's queues: what is fed arrives, what leaves is gone.
pub(crate) struct Feed {
    frames: Receiver<Vec<u8>>,
    /// Taken from the feeder; how many frames that were.
    taken: Sender<usize>,
    memory: MemoryIo,
}

/// The other end.
pub(crate) struct Feeder {
    frames: Sender<Vec<u8>>,
    taken: Receiver<usize>,
    fed: std::cell::Cell<usize>,
}

impl Feed {
    pub(crate) fn new() -> (Self, Feeder) {
        let ((sender, frames), (taken, seen)) = (channel(), channel());
        let feeder = Feeder { frames: sender, taken: seen, fed: std::cell::Cell::new(0) };
        (Self { frames, taken, memory: MemoryIo::new(1) }, feeder)
    }
}

impl Feeder {
    pub(crate) fn feed(&self, frame: Vec<u8>) {
        self.frames.send(frame).unwrap();
        self.fed.set(self.fed.get() + 1);
    }

    /// Waits until everything that was fed has been received.
    pub(crate) fn drain(&self) {
        while self.fed.get() > 0 {
            self.fed.set(self.fed.get() - self.taken.recv().unwrap());
        }
    }
}

impl Allocator<VecBuf> for Feed {
    fn allocate(&mut self, len: usize) -> Option<VecBuf> {
        self.memory.allocate(len)
    }
}

impl PacketIo for Feed {
    type Buf = VecBuf;

    fn receive(&mut self, device: DeviceIndex, frames: &mut Vec<VecBuf>, max: usize) -> Received {
        let before = frames.len();
        frames.extend(self.frames.try_iter().take(max).map(|frame| VecBuf::new(&frame)));
        let taken = frames.len() - before;
        if taken == 0 && device == DeviceIndex(0) {
            // The test's other threads need the core, too.
            thread::sleep(Duration::from_micros(20));
        } else {
            // Nobody counts any more when the test is over.
            let _ = self.taken.send(taken);
        }
        Received::default()
    }

    fn transmit(&mut self, device: DeviceIndex, frames: &mut Vec<VecBuf>) {
        self.memory.transmit(device, frames);
        self.memory.recycle();
    }

    fn to_kernel(&mut self, device: DeviceIndex, frames: &mut Vec<VecBuf>) {
        self.memory.to_kernel(device, frames);
        self.memory.recycle();
    }

    fn free(&mut self, frames: &mut Vec<VecBuf>) {
        self.memory.free(frames);
    }

    fn now(&self) -> Nanos {
        Nanos(0)
    }
}
