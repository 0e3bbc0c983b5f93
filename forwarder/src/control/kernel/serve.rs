// SPDX-License-Identifier: MIT OR Apache-2.0
//! The thread between the workers' rings and the interfaces.
//!
//! Workers make no system calls, so nothing wakes this thread when one has a frame for it: it looks at the rings by itself,
//! often while something passes and a thousand times a second otherwise. What the kernel sends wakes it at once.

use std::io::{self, ErrorKind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;

use super::tap::{Tap, TapSpec};
use crate::control::links::Links;
use crate::io::{DeviceIndex, Nanos};
use crate::kernel::class::{Class, Kind};
use crate::kernel::police::Policer;
use crate::kernel::ring::{FrameReceiver, FrameSender};
use crate::kernel::tally::{Fate, KernelTallies};

/// Frames that are taken from one ring, or one interface, before the others have their turn.
const TURN: usize = 64;
/// Between two looks at the rings while frames pass.
const BUSY: Timespec = Timespec { tv_sec: 0, tv_nsec: 50_000 };
/// Between two looks when none have for a while.
const IDLE: Timespec = Timespec { tv_sec: 0, tv_nsec: 1_000_000 };
/// How long after a frame others are expected.
const AWAKE: Duration = Duration::from_millis(10);
/// Between two looks whether all interfaces are there, and their devices' links.
const TEND: Duration = Duration::from_millis(50);
/// Before an attempt to open an interface again that has gone.
const REOPEN: Duration = Duration::from_secs(1);

/// One interface.
pub(super) struct Served {
    device: DeviceIndex,
    spec: TapSpec,
    /// None while it is gone.
    tap: Option<Tap>,
    /// Whether it was last given a carrier.
    carrier: bool,
    /// When it was lost, or last tried to open it again.
    tried: Instant,
    /// The log says why it does not come back.
    told: bool,
}

impl Served {
    pub(super) fn new(device: DeviceIndex, spec: TapSpec, tap: Tap) -> Self {
        Self { device, spec, tap: Some(tap), carrier: true, tried: Instant::now(), told: false }
    }

    /// Whether the kernel took it.
    fn write(&mut self, frame: &[u8]) -> bool {
        let Some(tap) = &self.tap else { return false };
        match tap.write(frame) {
            Ok(_) => true,
            Err(error) => {
                // Any other error is the frame's, or that the interface is down.
                if Errno::from_io_error(&error) == Some(Errno::BADFD) {
                    self.lose(&error);
                }
                false
            }
        }
    }

    /// The length of the next frame, if there is one.
    fn read(&mut self, frame: &mut [u8]) -> Option<usize> {
        match self.tap.as_ref()?.read(frame) {
            Ok(len) => Some(len),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => None,
            Err(error) => {
                self.lose(&error);
                None
            }
        }
    }

    /// Lets the interface go.
    fn lose(&mut self, error: &io::Error) {
        tracing::error!("{} is gone: {error}; it is opened again as soon as that works", self.spec);
        (self.tap, self.tried, self.told) = (None, Instant::now(), false);
    }

    /// Opens it again if it is gone.
    fn tend(&mut self) {
        if self.tap.is_none() && self.tried.elapsed() > REOPEN {
            self.tried = Instant::now();
            match Tap::open(&self.spec) {
                Ok(tap) => {
                    tracing::info!("{} is back", self.spec);
                    (self.tap, self.carrier) = (Some(tap), true);
                }
                Err(error) if error.is_refused() && !self.told => {
                    self.told = true;
                    tracing::error!("sluiced may no longer make {}; do it by hand: {}", self.spec, self.spec.by_hand());
                }
                Err(error) => tracing::debug!("{error}"),
            }
        }
    }

    /// Has the carrier follow the device's link.
    fn follow(&mut self, has_link: bool) {
        let Some(tap) = self.tap.as_ref().filter(|_| self.carrier != has_link) else { return };
        // Whatever comes of it, it is not tried again before the link changes.
        self.carrier = has_link;
        match tap.set_carrier(has_link) {
            Ok(()) => {
                tracing::info!("{} {} a carrier, as its device", self.spec, if has_link { "has" } else { "has no" })
            }
            Err(error) => tracing::warn!("the carrier of {} does not follow its device's link: {error}", self.spec),
        }
    }
}

/// What the thread works with.
pub(super) struct Thread {
    served: Vec<Served>,
    /// From the workers, in order.
    received: Vec<FrameReceiver>,
    /// To the worker that sends.
    sender: FrameSender,
    policer: Policer,
    tallies: Arc<KernelTallies>,
    links: Arc<Links>,
    /// When somebody looked whether all interfaces are there, and at the links.
    tended: Option<Instant>,
    /// From a ring.
    frame: Vec<u8>,
    /// From an interface. One byte longer than a frame may be, so that what is cut shows.
    read: Box<[u8]>,
}

impl Thread {
    pub(super) fn new(
        served: Vec<Served>,
        received: Vec<FrameReceiver>,
        sender: FrameSender,
        policer: Policer,
        (tallies, links): (Arc<KernelTallies>, Arc<Links>),
        largest_frame: usize,
    ) -> Self {
        let (frame, read) = (Vec::with_capacity(largest_frame), vec![0; largest_frame + 1].into());
        Self { served, received, sender, policer, tallies, links, tended: None, frame, read }
    }

    /// Serves until `stop` is set.
    pub(super) fn run(&mut self, stop: &AtomicBool) {
        let mut last = Instant::now();
        while !stop.load(Ordering::Relaxed) {
            if self.round() > 0 {
                last = Instant::now();
            } else {
                self.wait(if last.elapsed() < AWAKE { &BUSY } else { &IDLE });
            }
        }
    }

    /// A turn for everybody; how many frames that were. Interfaces are looked after by the clock: where frames never cease, one
    /// that is gone would not come back otherwise.
    fn round(&mut self) -> usize {
        if self.tended.is_none_or(|tended| tended.elapsed() >= TEND) {
            self.tended = Some(Instant::now());
            self.tend();
        }
        self.deliver() + self.collect()
    }

    /// Looks after the interfaces, and says which are there.
    pub(super) fn tend(&mut self) {
        for served in &mut self.served {
            served.tend();
            served.follow(self.links.has(served.device));
            self.tallies.set_open(served.device, served.tap.is_some());
        }
    }

    /// A turn of each worker's frames goes to the kernel; how many.
    fn deliver(&mut self) -> usize {
        let Self { served, received, tallies, frame, .. } = self;
        let mut passed = 0;
        for ring in received {
            for _ in 0..TURN {
                let Some(device) = ring.receive(frame) else { break };
                passed += 1;
                let served = served.iter_mut().find(|served| served.device == device);
                if !served.is_some_and(|served| served.write(frame)) {
                    tallies.count_unwritten(device);
                }
            }
        }
        passed
    }

    /// A turn of each interface's frames goes to the worker that sends; how many.
    fn collect(&mut self) -> usize {
        let Self { served, sender, policer, tallies, read, .. } = self;
        let now = Nanos::monotonic();
        let mut passed = 0;
        for served in served {
            for _ in 0..TURN {
                let Some(len) = served.read(read) else { break };
                let frame = read.get(..len).unwrap_or_default();
                passed += 1;
                let kind = Kind { device: served.device, class: Class::of(frame) };
                let fate = if !policer.admits(kind, now) {
                    Fate::Policed
                } else if len < read.len() && sender.send(kind.device, kind.class, frame) {
                    Fate::Passed
                } else {
                    Fate::Full
                };
                tallies.count_from(kind, fate);
            }
        }
        passed
    }

    /// Until the kernel sends something, or it is time to look at the rings.
    fn wait(&self, limit: &Timespec) {
        let taps = self.served.iter().filter_map(|served| served.tap.as_ref());
        let mut polled: Vec<_> = taps.map(|tap| PollFd::new(tap, PollFlags::IN)).collect();
        match poll(&mut polled, Some(limit)) {
            // One that is gone is always ready: reading finds that out, and lets it go.
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => {
                tracing::debug!("cannot wait for the kernel's frames: {error}");
                std::thread::sleep(Duration::from_millis(1));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::police::Budget;
    use crate::kernel::ring::ring;
    use crate::wire::MacAddr;

    #[test]
    fn an_interface_that_is_gone_is_looked_after_though_frames_never_cease() {
        // It can't be opened.
        let interface = "longer-than-any-interface".to_owned();
        let spec = TapSpec { device: "wan0".to_owned(), interface, mac: MacAddr::default(), mtu: 1500 };
        let tried = Instant::now().checked_sub(2 * REOPEN).unwrap();
        let served = vec![Served { device: DeviceIndex(0), spec, tap: None, carrier: true, tried, told: false }];
        let ((mut feed, received), (sender, _to)) = (ring(1 << 16), ring(1 << 16));
        let tallies = Arc::new(KernelTallies::new(1, 1));
        let policer = Policer::new(1, &Budget::default());
        let mut thread = Thread::new(served, vec![received], sender, policer, (tallies, Arc::new(Links::new(1))), 2000);
        assert!(feed.send(DeviceIndex(0), Class::Unicast, &[0; 60]));
        assert_eq!(thread.round(), 1);
        let tried = thread.served[0].tried;
        assert!(tried.elapsed() < REOPEN, "not at all");
        assert!(feed.send(DeviceIndex(0), Class::Unicast, &[0; 60]));
        assert_eq!((thread.round(), thread.served[0].tried), (1, tried), "again at once");
    }
}
