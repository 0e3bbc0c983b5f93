// SPDX-License-Identifier: MIT OR Apache-2.0
//! A burst at work: by what it is decided, and where its frames go.

use super::classify::Receiver;
use super::packet::NotForwarded;
use super::{Arrival, Output};
use crate::counters::{Counters, DropReason, WorkerTallies};
use crate::io::{DeviceIndex, PacketBuf};
use crate::state::{Destination, ForwardingState};

/// What every step of one burst needs.
pub(super) struct Work<'a, B, A> {
    /// The generation that decides.
    pub(super) state: &'a ForwardingState,
    /// Where and when the burst came in.
    pub(super) arrival: Arrival,
    /// What the frames are seen by.
    pub(super) receiver: Receiver<'a>,
    /// Whether frames for the kernel have somewhere to go.
    pub(super) kernel_path: bool,
    /// Where the frames go.
    pub(super) output: &'a mut Output<B>,
    /// What is counted.
    pub(super) counters: &'a mut Counters,
    /// What is counted of each destination.
    pub(super) tallies: WorkerTallies<'a>,
    /// Where frames come from that the forwarder adds.
    pub(super) buffers: &'a mut A,
}

impl<B, A> Work<'_, B, A> {
    /// Does what is due to a frame that `device` received, perhaps in an earlier burst.
    pub(super) fn on_behalf_of(&mut self, device: DeviceIndex, act: impl FnOnce(&mut Self)) {
        let (arrival, kernel_path) = (self.arrival, self.kernel_path);
        self.arrival.device = device;
        // Frames for the kernel go back to where the burst came from.
        self.kernel_path &= device == arrival.device;
        act(self);
        (self.arrival, self.kernel_path) = (arrival, kernel_path);
    }

    /// Puts a finished frame on its way out. The queue never grows: that could take as long as it likes.
    #[inline]
    pub(super) fn transmit(&mut self, device: DeviceIndex, frame: B) {
        match self.output.queue(device) {
            Some(queue) if queue.len() < queue.capacity() => queue.push(frame),
            Some(_) => self.drop(DropReason::TxFull, frame),
            None => self.drop(DropReason::NextHopUnresolved, frame),
        }
    }

    /// Puts a finished frame on its way to `destination`.
    pub(super) fn send(&mut self, destination: Destination, device: DeviceIndex, frame: B)
    where
        B: PacketBuf,
    {
        self.tallies.count(destination, frame.sent_len());
        self.transmit(device, frame);
    }

    /// Gives a frame up, counted.
    #[inline(never)]
    pub(super) fn drop(&mut self, reason: DropReason, frame: B) {
        self.counters.drop(reason, 1);
        self.output.give_up(reason, frame);
    }

    /// What becomes of a frame that is not forwarded.
    #[inline(never)]
    pub(super) fn refuse(&mut self, fate: NotForwarded, frame: B) {
        match fate {
            NotForwarded::Kernel if self.kernel_path => self.output.kernel.push(frame),
            NotForwarded::Kernel => self.drop(DropReason::NoKernelPath, frame),
            NotForwarded::Drop(reason) => self.drop(reason, frame),
        }
    }
}
