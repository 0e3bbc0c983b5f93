// SPDX-License-Identifier: MIT OR Apache-2.0
//! Captures on behalf of clients: one at a time, each on a thread of its own, and no longer than somebody reads it.

mod recorder;
mod session;
mod words;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use self::recorder::Recorder;
pub use self::session::{Part, Session};
use super::forwarder::Forwarder;
use super::generations::lock;
use super::peer::Peer;
use crate::capture::Options;
use crate::capture::filter::Filter;
use crate::capture::tap::Tap;

/// A client that has not read for so long has gone, or hangs.
const LEASE: Duration = Duration::from_secs(5);

/// What is to be captured.
#[derive(Debug, Clone)]
pub struct Request {
    /// Which packets the workers copy.
    pub options: Options,
    /// Which of these are kept.
    pub filter: Option<Filter>,
    /// How many are kept, at most.
    pub count: Option<u64>,
}

/// Why there is no capture.
#[derive(Debug, thiserror::Error)]
pub enum CaptureError {
    /// Somebody captures.
    #[error("{0} is capturing, and there is one capture at a time; wait until it ends")]
    Busy(Peer),
    /// Its thread was refused.
    #[error("cannot start a thread for the capture: {0}")]
    Thread(std::io::Error),
}

/// The capture that runs, or the last one as long as it is not read to its end.
#[derive(Debug, Default)]
pub struct Captures {
    current: Mutex<Option<Arc<Session>>>,
}

impl Captures {
    /// Begins one at every worker of `forwarder`.
    pub fn begin(&self, forwarder: &Forwarder, peer: Peer, request: Request) -> Result<Arc<Session>, CaptureError> {
        // One that is about to end is not in the way.
        let last = lock(&self.current).clone();
        last.inspect(|last| last.wait_if_over());
        let mut current = lock(&self.current);
        if let Some(running) = current.as_ref().filter(|session| session.is_running()) {
            return Err(CaptureError::Busy(running.peer()));
        }
        let number = current.as_ref().map_or(1, |last| last.number() + 1);
        let settings = forwarder.settings();
        let (burst, devices) = (forwarder.config().workers.burst, settings.devices.len());
        let drops = devices * burst + settings.fragments.packets as usize;
        let (taps, drains): (Vec<_>, Vec<_>) =
            forwarder.workers().iter().map(|_| Tap::new(request.options, burst, drops)).unzip();
        let session = Arc::new(Session::new(number, peer));
        let recorder = Recorder::new(forwarder, Arc::clone(&session), request, drains);
        let spawned = std::thread::Builder::new().name("capture".to_owned()).spawn(move || recorder.run());
        spawned.map_err(CaptureError::Thread)?;
        for (worker, tap) in forwarder.workers().iter().zip(taps) {
            worker.tap.post(tap);
        }
        *current = Some(Arc::clone(&session));
        Ok(session)
    }

    /// The capture of that number.
    pub fn find(&self, number: u64) -> Option<Arc<Session>> {
        lock(&self.current).as_ref().filter(|session| session.number() == number).map(Arc::clone)
    }
}
