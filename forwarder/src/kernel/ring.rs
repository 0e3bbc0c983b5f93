// SPDX-License-Identifier: MIT OR Apache-2.0
//! A ring that carries whole frames by copy, bounded in bytes: one writer, one reader, nobody waits, nothing is allocated.
//!
//! A frame lies on it behind four bytes: the device's index, and the length in three bytes, little endian.

use rtrb::{Consumer, Producer, RingBuffer};

use super::class::Class;
use crate::io::DeviceIndex;

const HEADER: usize = 4;

/// Of the ring, what is kept free for [`Class::Routing`]: one part in so many.
const RESERVED_PART: usize = 4;

/// The end to put frames in.
pub struct FrameSender {
    ring: Producer<u8>,
    reserved: usize,
}

/// The end to take frames out.
pub struct FrameReceiver(Consumer<u8>);

/// Both ends of a ring of so many bytes.
pub fn ring(bytes: usize) -> (FrameSender, FrameReceiver) {
    let (ring, receiver) = RingBuffer::new(bytes);
    (FrameSender { ring, reserved: bytes / RESERVED_PART }, FrameReceiver(receiver))
}

impl FrameSender {
    /// Puts in a copy of `frame`, whole or not at all; whether there was room. The last part of the ring is for
    /// [`Class::Routing`] alone: a reader who has fallen behind still gets that.
    pub fn send(&mut self, device: DeviceIndex, class: Class, frame: &[u8]) -> bool {
        let reserved = if class == Class::Routing { 0 } else { self.reserved };
        let [low, middle, high, 0] = u32::try_from(frame.len()).unwrap_or(u32::MAX).to_le_bytes() else { return false };
        if self.ring.slots() < HEADER + frame.len() + reserved {
            return false;
        }
        let header = [device.0, low, middle, high];
        self.ring.push_entire_slice(&header).and_then(|()| self.ring.push_entire_slice(frame)).is_ok()
    }
}

impl FrameReceiver {
    /// The device of the next frame, if there is one or one is just coming.
    #[inline]
    pub fn next_device(&self) -> Option<DeviceIndex> {
        self.0.peek().ok().map(|device| DeviceIndex(*device))
    }

    /// Takes the next frame out, into `frame`, whose content it replaces; its device.
    pub fn receive(&mut self, frame: &mut Vec<u8>) -> Option<DeviceIndex> {
        let chunk = self.0.read_chunk(HEADER).ok()?;
        let mut header = [0; HEADER];
        let (first, second) = chunk.as_slices();
        header.iter_mut().zip(first.iter().chain(second)).for_each(|(to, from)| *to = *from);
        let [device, low, middle, high] = header;
        let len = u32::from_le_bytes([low, middle, high, 0]) as usize;
        // The header comes a moment before the frame.
        if self.0.slots() < HEADER + len {
            return None;
        }
        self.0.pop_entire_slice(&mut header).ok()?;
        frame.resize(len, 0);
        self.0.pop_entire_slice(frame).ok()?;
        Some(DeviceIndex(device))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WAN: DeviceIndex = DeviceIndex(3);

    #[test]
    fn frames_come_out_as_they_went_in() {
        let (mut sender, mut receiver) = ring(1 << 12);
        let mut out = Vec::new();
        assert_eq!((receiver.next_device(), receiver.receive(&mut out)), (None, None));
        for round in 0..1000_usize {
            // Lengths that wrap round the end of the ring in every way, and an empty one.
            let frames: Vec<_> = (round..round + 3).map(|n| vec![n as u8; n * 7 % 900]).collect();
            for frame in &frames {
                assert!(sender.send(WAN, Class::Other, frame));
            }
            for frame in &frames {
                assert_eq!(receiver.next_device(), Some(WAN));
                assert_eq!(receiver.receive(&mut out), Some(WAN));
                assert_eq!(&out, frame);
            }
        }
    }

    #[test]
    fn a_full_ring_takes_nothing_more_and_keeps_room_for_routing() {
        let (mut sender, mut receiver) = ring(4 * 104);
        let frame = [7; 100];
        let taken = |sender: &mut FrameSender, class| (0..9).filter(|_| sender.send(WAN, class, &frame)).count();
        assert_eq!(taken(&mut sender, Class::Neighbours), 3);
        assert_eq!(taken(&mut sender, Class::Routing), 1);
        let mut out = Vec::new();
        assert!(receiver.receive(&mut out).is_some());
        assert_eq!(taken(&mut sender, Class::Unicast), 0);
        assert_eq!(taken(&mut sender, Class::Routing), 1);
        assert!(!sender.send(WAN, Class::Routing, &[0; 1 << 10]), "larger than the ring");
        assert_eq!((0..9).filter(|_| receiver.receive(&mut out).is_some()).count(), 4);
    }

    #[test]
    fn threads_may_meet() {
        let (mut sender, mut receiver) = ring(1 << 10);
        std::thread::scope(|scope| {
            scope.spawn(move || {
                for n in 0..10_000_u32 {
                    while !sender.send(DeviceIndex(n as u8), Class::Routing, &vec![n as u8; n as usize % 500]) {
                        std::thread::yield_now();
                    }
                }
            });
            let mut out = Vec::new();
            for n in 0..10_000_u32 {
                let device = loop {
                    match receiver.receive(&mut out) {
                        Some(device) => break device,
                        None => std::thread::yield_now(),
                    }
                };
                assert_eq!((device, out.len()), (DeviceIndex(n as u8), n as usize % 500));
                assert!(out.iter().all(|byte| *byte == n as u8));
            }
        });
    }
}
