// SPDX-License-Identifier: MIT OR Apache-2.0
//! Real workers on threads of their own, watched in windows.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use core_affinity::CoreId;
use forwarder::counters::{self, Counters};
use forwarder::io::PacketIo;
use forwarder::settings::Settings;
use forwarder::state::ForwardingState;
use forwarder::worker::kernel::KernelEnd;
use forwarder::worker::{Shared, Worker, handoff, meter};
use tables::Reader;

/// As many polls as a worker makes between two looks at its stop flag.
const POLLS: usize = 256;

/// Windows that a worker has room for from the start: to grow would take time of one of them.
const ROOM: usize = 1 << 20;

/// A short time of one worker.
#[derive(Debug, Clone, Copy)]
pub struct Window {
    /// Packets received.
    pub packets: u64,
    /// How long it was.
    pub time: Duration,
    /// What [`Plan::phase`] said, at both ends.
    pub phase: u32,
}

/// How workers are to be run.
pub struct Plan<'a> {
    /// For all of them.
    pub settings: &'a Arc<Settings>,
    /// Frames of a burst at most.
    pub burst: usize,
    /// Cores, as they were before DPDK started. Workers take the last ones.
    pub cores: &'a [CoreId],
    /// A window is at least as long.
    pub window: Duration,
    /// What windows are marked with. Those during which it changed don't count.
    pub phase: &'a AtomicU32,
}

/// What came of it.
pub struct Outcome<T> {
    /// By worker.
    pub windows: Vec<Vec<Window>>,
    /// Of all workers together, after the end.
    pub counters: Counters,
    /// What control returned.
    pub control: T,
}

/// Cores that this process may use. To be asked before DPDK starts.
pub fn cores() -> Vec<CoreId> {
    core_affinity::get_core_ids().unwrap_or_default()
}

/// Runs a worker for each of `queues`, with its end of the kernel path if it is to have one, while `control` runs here with
/// what it shares with them.
pub fn run<Io: PacketIo + Send, T>(
    plan: &Plan<'_>,
    queues: Vec<Io>,
    readers: Vec<Reader<ForwardingState>>,
    ends: Vec<KernelEnd<Io::Buf>>,
    control: impl FnOnce(&[Arc<Shared>]) -> T,
) -> Outcome<T> {
    let count = queues.len();
    let shared: Vec<Arc<Shared>> = (0..count).map(|_| Arc::new(Shared::new(plan.settings.devices.len()))).collect();
    if let Some(first) = plan.cores.first().filter(|_| plan.cores.len() > count) {
        core_affinity::set_for_current(*first);
    }
    let (windows, control) = thread::scope(|scope| {
        let handoffs = handoff::group(count);
        let mut ends = ends.into_iter();
        let parts = queues.into_iter().zip(readers).zip(handoffs).zip(&shared).zip(plan.cores.iter().rev().cycle());
        let start = |((((io, reader), handoff), shared), core): ((((Io, _), _), &Arc<Shared>), &CoreId)| {
            let (settings, shared, core, end) = (Arc::clone(plan.settings), Arc::clone(shared), *core, ends.next());
            scope.spawn(move || {
                core_affinity::set_for_current(core);
                // Measured as in the daemon, whoever asks for it or not.
                let (meter, _gauge) = meter::meter();
                let worker =
                    Worker::new(io, settings, plan.burst, reader, Arc::clone(&shared), handoff).measured(meter);
                let mut worker = match end {
                    Some(end) => worker.beside_kernel(end),
                    None => worker,
                };
                drive(&mut worker, &shared, plan)
            })
        };
        let threads: Vec<_> = parts.map(start).collect();
        let control = control(&shared);
        shared.iter().for_each(|shared| shared.stop.store(true, Ordering::Relaxed));
        (threads.into_iter().map(|thread| thread.join().unwrap_or_default()).collect(), control)
    });
    let counters = counters::total(&counters::read_all(shared.iter().map(|shared| &shared.counters)));
    Outcome { windows, counters, control }
}

/// [`Worker::run`], with a look at the clock between.
fn drive<Io: PacketIo>(worker: &mut Worker<Io>, shared: &Shared, plan: &Plan<'_>) -> Vec<Window> {
    worker.io_mut().attach_thread();
    let mut windows = Vec::with_capacity(ROOM);
    let (mut start, mut packets, mut phase) = (Instant::now(), 0, plan.phase.load(Ordering::Relaxed));
    while !shared.stop.load(Ordering::Relaxed) {
        packets += (0..POLLS).map(|_| worker.poll() as u64).sum::<u64>();
        worker.tick();
        let now = Instant::now();
        if now - start >= plan.window {
            let after = plan.phase.load(Ordering::Relaxed);
            if after == phase && windows.len() < ROOM {
                windows.push(Window { packets, time: now - start, phase });
            }
            (start, packets, phase) = (now, 0, after);
        }
    }
    worker.finish();
    windows
}
