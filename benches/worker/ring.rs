// SPDX-License-Identifier: MIT OR Apache-2.0
//! A device on which what is sent comes back as what came: real buffers in real bursts, at almost no cost of the driver.

use std::sync::Arc;

use benches::frames::{IMAGE, Image};
use forwarder::io::dpdk::{DpdkIo, Mbuf};
use forwarder::io::{Allocator, DeviceIndex, Nanos, PacketBuf, PacketIo, Received};

/// Frames on their way round: less than net_ring's ring of 1,024 has room for.
const FRAMES: usize = 960;

/// net_ring, with headers made new when a frame is sent.
pub(crate) struct Ring {
    io: DpdkIo,
    images: Arc<[Image]>,
    next: usize,
}

impl Ring {
    /// Frames of `images`, which are of one length.
    pub(crate) fn new(io: DpdkIo, images: Arc<[Image]>) -> Self {
        Self { io, images, next: 0 }
    }

    /// Makes `frame`, which has outer headers perhaps, the next frame to come.
    fn renew(&mut self, frame: &mut Mbuf) {
        if self.next >= self.images.len() {
            self.next = 0;
        }
        if let Some(image) = self.images.get(self.next) {
            let len = usize::from(image.len);
            frame.trim_front(frame.data().len().saturating_sub(len));
            let headers = len.min(IMAGE);
            frame.data_mut().iter_mut().zip(image.bytes.iter().take(headers)).for_each(|(to, from)| *to = *from);
        }
        self.next += 1;
    }
}

impl Allocator<Mbuf> for Ring {
    fn allocate(&mut self, len: usize) -> Option<Mbuf> {
        self.io.allocate(len)
    }
}

impl PacketIo for Ring {
    type Buf = Mbuf;

    fn attach_thread(&mut self) {
        self.io.attach_thread();
        let len = self.images.first().map_or(0, |image| usize::from(image.len));
        let mut frames: Vec<Mbuf> = (0..FRAMES).filter_map(|_| self.io.allocate(len)).collect();
        frames.iter_mut().for_each(|frame| frame.data_mut().fill(0));
        self.transmit(DeviceIndex(0), &mut frames);
    }

    fn receive(&mut self, device: DeviceIndex, frames: &mut Vec<Mbuf>, max: usize) -> Received {
        self.io.receive(device, frames, max)
    }

    fn transmit(&mut self, device: DeviceIndex, frames: &mut Vec<Mbuf>) {
        frames.iter_mut().for_each(|frame| self.renew(frame));
        self.io.transmit(device, frames);
    }

    fn free(&mut self, frames: &mut Vec<Mbuf>) {
        self.io.free(frames);
    }

    fn now(&self) -> Nanos {
        self.io.now()
    }
}
