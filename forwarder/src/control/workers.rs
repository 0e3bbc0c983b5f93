// SPDX-License-Identifier: MIT OR Apache-2.0
//! The workers' threads: pinned, watched, joined.

use std::sync::Arc;
use std::sync::mpsc::{Sender, channel};
use std::thread::{self, JoinHandle};

use tables::Reader;

use super::affinity;
use super::config::Idle;
use super::daemon::Event;
use super::forwarder::Forwarder;
use crate::io::PacketIo;
use crate::state::ForwardingState;
use crate::worker::Worker;
use crate::worker::handoff::{self, Handoff};
use crate::worker::kernel::KernelEnd;

/// Why there is no worker.
#[derive(Debug, thiserror::Error)]
pub enum WorkerError {
    /// The devices gave other than one set of queues for each worker.
    #[error("the devices have queues for {queues} workers, and workers.cores names {workers}")]
    Queues {
        /// Sets of queues.
        queues: usize,
        /// Workers.
        workers: usize,
    },
    /// Its thread was refused.
    #[error("cannot start a thread for worker {0}: {1}")]
    Thread(usize, std::io::Error),
    /// Its thread can't be put on its core.
    #[error(
        "cannot pin worker {worker} to core {core}: check that the core is online and in the cpuset of this process"
    )]
    Pin {
        /// Which worker.
        worker: usize,
        /// Which core.
        core: usize,
    },
    /// It ended with a panic.
    #[error("worker {0} has panicked: please report the lines above")]
    Panicked(usize),
    /// It ended without being told to.
    #[error("worker {0} has ended by itself")]
    Ended(usize),
}

/// Threads that forward. Dropped, they are told to end and waited for.
pub(super) struct Workers {
    forwarder: Arc<Forwarder>,
    threads: Vec<JoinHandle<()>>,
}

impl Workers {
    /// Starts a worker for each core of the configuration, each with its end of the kernel path if there is one; returns when
    /// all of them are pinned.
    pub(super) fn start<Io: PacketIo + Send + 'static>(
        forwarder: &Arc<Forwarder>,
        readers: Vec<Reader<ForwardingState>>,
        queues: Vec<Io>,
        kernel: Vec<KernelEnd<Io::Buf>>,
        events: &Sender<Event>,
    ) -> Result<Self, WorkerError> {
        let cores = &forwarder.config().workers.cores;
        if queues.len() != cores.len() {
            return Err(WorkerError::Queues { queues: queues.len(), workers: cores.len() });
        }
        let mut workers = Self { forwarder: Arc::clone(forwarder), threads: Vec::with_capacity(cores.len()) };
        let (ready, pinned) = channel();
        let handoffs = handoff::group(cores.len());
        let mut kernel = kernel.into_iter();
        for (index, (((io, reader), handoff), core)) in
            queues.into_iter().zip(readers).zip(handoffs).zip(cores).enumerate()
        {
            let (forwarder, ready, core, kernel) = (Arc::clone(forwarder), ready.clone(), *core, kernel.next());
            let ended = Ended { worker: index, events: events.clone() };
            let body = move || {
                let _ended = ended;
                if affinity::pin(core) {
                    let _ = ready.send(Ok(()));
                    drop(ready);
                    work((index, io, reader, handoff, kernel), &forwarder);
                } else {
                    let _ = ready.send(Err(WorkerError::Pin { worker: index, core }));
                }
            };
            let spawned = thread::Builder::new().name(format!("worker-{index}")).spawn(body);
            workers.threads.push(spawned.map_err(|error| WorkerError::Thread(index, error))?);
        }
        drop(ready);
        pinned.iter().collect::<Result<(), _>>()?;
        Ok(workers)
    }

    /// Waits for all workers; they have been told to end.
    pub(super) fn join(mut self) -> Result<(), WorkerError> {
        let threads = std::mem::take(&mut self.threads);
        let ended = threads.into_iter().enumerate().map(|(index, thread)| (index, thread.join()));
        ended.map(|(index, end)| end.map_err(|_| WorkerError::Panicked(index))).fold(Ok(()), Result::and)
    }
}

impl Drop for Workers {
    fn drop(&mut self) {
        self.forwarder.stop_workers();
        for thread in self.threads.drain(..) {
            // A panic has been reported by the thread itself.
            let _ = thread.join();
        }
    }
}

/// What is one worker's own.
type Own<Io> =
    (usize, Io, Reader<ForwardingState>, Handoff<<Io as PacketIo>::Buf>, Option<KernelEnd<<Io as PacketIo>::Buf>>);

fn work<Io: PacketIo>((index, io, reader, handoff, kernel): Own<Io>, forwarder: &Forwarder) {
    let Some(shared) = forwarder.workers().get(index) else { return };
    let burst = forwarder.config().workers.burst;
    let mut worker = Worker::new(io, Arc::clone(forwarder.settings()), burst, reader, Arc::clone(shared), handoff);
    if forwarder.config().workers.idle == Idle::Sleep {
        worker = worker.resting();
    }
    if let Some(end) = kernel {
        worker = worker.beside_kernel(end);
    }
    if let Some(meter) = forwarder.metrics().meter(index) {
        worker = worker.measured(meter);
    }
    if let Some(ring) = forwarder.generations().underlay().and_then(|underlay| underlay.reports(index)) {
        worker = worker.reporting(ring);
    }
    worker.run();
}

/// Reports the end of a worker, however it comes.
struct Ended {
    worker: usize,
    events: Sender<Event>,
}

impl Drop for Ended {
    fn drop(&mut self) {
        // Nobody listens any more once the daemon stops.
        let _ = self.events.send(Event::WorkerEnded(self.worker));
    }
}
