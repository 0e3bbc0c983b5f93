// SPDX-License-Identifier: MIT OR Apache-2.0
//! The kernel's side of the devices: a TAP interface for each that wants one, and the one thread that serves them all.
//! How frames get there: [`crate::kernel`].

mod carrier;
mod serve;
mod tap;

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::Sender;
use std::thread::JoinHandle;

use rustix::process::{getpriority_process, setpriority_process};

use self::serve::{Served, Thread};
pub use self::tap::TapError;
use self::tap::{Tap, TapSpec};
use super::affinity::ControlCores;
use super::config::Config;
use super::daemon::Event;
use super::links::Links;
use super::threads;
use crate::io::{DeviceIndex, PacketBuf};
use crate::kernel::police::Policer;
use crate::kernel::ring::ring;
use crate::kernel::tally::KernelTallies;
use crate::kernel::{largest_frame, ring_size};
use crate::settings::Settings;
use crate::worker::kernel::{Common, KernelEnd};

/// The niceness of its thread: a table that is built on the same cores must not cost a BFD session its packets.
const PRIORITY: i32 = -10;

/// The niceness of the kernel path's thread, taken on by the thread that starts it, which has the right to: that is given up
/// before the other starts, and a thread begins as nice as the one that starts it. Dropped, it is what it was.
pub(super) struct Urgency {
    before: i32,
}

impl Urgency {
    /// Of this thread alone, as Linux has it.
    fn take() -> Option<Self> {
        let before = getpriority_process(None).unwrap_or(0);
        let taken = setpriority_process(None, PRIORITY).inspect_err(|error| {
            tracing::warn!(
                "the kernel path is no more urgent than a reload, which may cost a BFD session: {error}; start sluiced as \
                 root, or with LimitNICE={PRIORITY} in its unit (ulimit -e {} in a shell)",
                20 - PRIORITY
            );
        });
        taken.ok().map(|()| Self { before })
    }
}

impl Drop for Urgency {
    fn drop(&mut self) {
        // To be nicer is always allowed.
        let _ = setpriority_process(None, self.before);
    }
}

/// The interfaces, open.
pub(super) struct Taps(Vec<Served>);

impl Taps {
    /// Opens an interface for each device that has one in the configuration, with the device's address and MTU.
    pub(super) fn open(config: &Config, settings: &Settings) -> Result<Self, TapError> {
        let mut taps = Vec::new();
        for ((index, device), settings) in (0..=u8::MAX).zip(&config.devices).zip(&settings.devices) {
            let Some(interface) = device.kernel.clone() else { continue };
            let spec = TapSpec { device: device.name.clone(), interface, mac: settings.mac, mtu: device.mtu };
            let tap = Tap::open(&spec)?;
            tracing::info!(device = device.name, interface = spec.interface, "the kernel's side is up");
            taps.push(Served::new(DeviceIndex(index), spec, tap));
        }
        Ok(Self(taps))
    }

    /// To be held while their thread starts. None without interfaces, or without the right to.
    pub(super) fn urgency(&self) -> Option<Urgency> {
        if self.0.is_empty() { None } else { Urgency::take() }
    }
}

/// The thread, while it runs. Dropped, it is told to end and waited for; with it go the interfaces.
pub(super) struct KernelThread {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

/// Starts the thread for `taps`; the workers' ends come with it, one for each worker, or none if there are no interfaces.
pub(super) fn start<B: PacketBuf>(
    taps: Taps,
    config: &Config,
    settings: &Arc<Settings>,
    (tallies, links): (&Arc<KernelTallies>, &Arc<Links>),
    cores: &ControlCores,
    events: &Sender<Event>,
) -> io::Result<(Vec<KernelEnd<B>>, Option<KernelThread>)> {
    let Taps(served) = taps;
    if served.is_empty() {
        return Ok((Vec::new(), None));
    }
    let mtu = settings.devices.iter().map(|device| device.mtu).max().unwrap_or_default();
    let common = Common {
        settings: Arc::clone(settings),
        budget: config.kernel.to,
        tallies: Arc::clone(tallies),
        burst: config.workers.burst + config.fragments.packets as usize,
        largest_frame: largest_frame(mtu),
    };
    let (sender, receiver) = ring(ring_size(mtu));
    let mut from = Some(receiver);
    let (mut ends, mut receivers) = (Vec::new(), Vec::new());
    for worker in 0..config.workers.cores.len() {
        let (to, receiver) = ring(ring_size(mtu));
        ends.push(KernelEnd::new(worker, &common, to, from.take()));
        receivers.push(receiver);
    }
    let policer = Policer::new(settings.devices.len(), &config.kernel.from);
    let stop = Arc::new(AtomicBool::new(false));
    let seen = (Arc::clone(tallies), Arc::clone(links));
    let mut thread = Thread::new(served, receivers, sender, policer, seen, common.largest_frame);
    thread.tend();
    let until = Arc::clone(&stop);
    let body = move || {
        thread.run(&until);
    };
    let thread = threads::spawn("kernel-path", cores, events, body)?;
    Ok((ends, Some(KernelThread { stop, thread: Some(thread) })))
}

impl Drop for KernelThread {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // A panic has been an event.
            let _ = thread.join();
        }
    }
}
