// SPDX-License-Identifier: MIT OR Apache-2.0
//! The kernel's side of the device, without a kernel: frames come over the daemon's own rings to a thread that throws them away.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use benches::frames::{IMAGE, Image};
use forwarder::io::PacketBuf;
use forwarder::kernel::police::Budget;
use forwarder::kernel::ring::{FrameReceiver, ring};
use forwarder::kernel::tally::KernelTallies;
use forwarder::kernel::{largest_frame, ring_size};
use forwarder::settings::Settings;
use forwarder::worker::kernel::{Common, KernelEnd};

const MTU: u16 = 1600;

/// The thread. Dropped, it ends.
pub(crate) struct Sink {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

/// The ends of so many workers, with the budgets of the daemon.
pub(crate) fn ends<B: PacketBuf>(settings: &Arc<Settings>, workers: usize, burst: usize) -> (Vec<KernelEnd<B>>, Sink) {
    let common = Common {
        settings: Arc::clone(settings),
        budget: Budget::default(),
        tallies: Arc::new(KernelTallies::new(workers, 1)),
        burst,
        largest_frame: largest_frame(MTU),
    };
    let (senders, receivers): (Vec<_>, Vec<_>) = (0..workers).map(|_| ring(ring_size(MTU))).unzip();
    let senders = senders.into_iter().enumerate();
    // The first one looks for what the kernel sends, as in the daemon.
    let mut from = Some(ring(ring_size(MTU)).1);
    let ends = senders.map(|(worker, to)| KernelEnd::new(worker, &common, to, from.take())).collect();
    let stop = Arc::new(AtomicBool::new(false));
    let until = Arc::clone(&stop);
    let thread = thread::spawn(move || drain(receivers, &until));
    (ends, Sink { stop, thread: Some(thread) })
}

fn drain(mut receivers: Vec<FrameReceiver>, until: &AtomicBool) {
    let mut frame = Vec::new();
    while !until.load(Ordering::Relaxed) {
        for receiver in &mut receivers {
            while receiver.receive(&mut frame).is_some() {}
        }
        thread::sleep(Duration::from_micros(50));
    }
}

impl Drop for Sink {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// `images` with so many ARP requests among a thousand.
pub(crate) fn with_arp(images: &[Image], share: usize) -> Vec<Image> {
    let request = [
        0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2, 0, 0, 0, 0, 9, 8, 6, 0, 1, 8, 0, 6, 4, 0, 1, 2, 0, 0, 0, 0, 9, 192, 0,
        2, 9,
    ];
    let mut arp = Image { bytes: [0; IMAGE], len: 60 };
    arp.bytes.iter_mut().zip(request).for_each(|(to, from)| *to = from);
    let mut mixed = Vec::new();
    let mut due = 0;
    for image in images {
        due += share;
        while due >= 1000 - share.min(999) {
            due -= 1000 - share.min(999);
            mixed.push(arp);
        }
        mixed.push(*image);
    }
    mixed
}
