// SPDX-License-Identifier: MIT OR Apache-2.0
//! Between the thread that records and the client that reads: bytes of pcapng, so many at most.

use std::sync::{Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::LEASE;
use crate::control::generations::lock;
use crate::control::peer::Peer;

/// Bytes that wait for the client. Then the recorder waits, the rings fill, and packets are lost and counted.
const BACKLOG: usize = 4 << 20;
/// How long a read waits for something to read.
const PATIENCE: Duration = Duration::from_secs(1);

/// One capture.
#[derive(Debug)]
pub struct Session {
    number: u64,
    peer: Peer,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug)]
struct State {
    bytes: Vec<u8>,
    packets: u64,
    lost: u64,
    /// When the client last asked for more.
    read: Instant,
    /// The client wants no more.
    is_stopped: bool,
    is_ended: bool,
}

/// What a client reads at once.
#[derive(Debug, PartialEq, Eq)]
pub struct Part {
    /// The next bytes of the file; perhaps none yet.
    pub bytes: Vec<u8>,
    /// Packets so far.
    pub packets: u64,
    /// Packets lost so far.
    pub lost: u64,
    /// Whether there will be more.
    pub is_running: bool,
}

impl Session {
    pub(super) fn new(number: u64, peer: Peer) -> Self {
        let state =
            State { bytes: Vec::new(), packets: 0, lost: 0, read: Instant::now(), is_stopped: false, is_ended: false };
        Self { number, peer, state: Mutex::new(state), changed: Condvar::new() }
    }

    /// Its number, which names it to clients.
    pub fn number(&self) -> u64 {
        self.number
    }

    /// Who asked for it.
    pub fn peer(&self) -> Peer {
        self.peer
    }

    /// Whether packets are still being captured.
    pub fn is_running(&self) -> bool {
        !lock(&self.state).is_ended
    }

    /// Waits for the end if it is due.
    pub(super) fn wait_if_over(&self) {
        let is_ending = |state: &mut State| state.is_over() && !state.is_ended;
        // Whether it has ended is asked by who waits.
        let _ = self.changed.wait_timeout_while(lock(&self.state), PATIENCE, is_ending);
    }

    /// Wants no more packets; what there is can still be read.
    pub fn stop(&self) {
        lock(&self.state).is_stopped = true;
        self.changed.notify_all();
    }

    /// What has come since the last read; waits a second for it.
    pub fn read(&self) -> Part {
        let mut state = lock(&self.state);
        state.read = Instant::now();
        let is_idle = |state: &mut State| state.bytes.is_empty() && !state.is_ended;
        let waited = self.changed.wait_timeout_while(state, PATIENCE, is_idle);
        let (mut state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        state.read = Instant::now();
        let bytes = std::mem::take(&mut state.bytes);
        self.changed.notify_all();
        Part { bytes, packets: state.packets, lost: state.lost, is_running: !state.is_ended }
    }

    /// Hands over what was recorded, and waits until the client has taken enough of what was before; whether to go on.
    pub(super) fn record(&self, bytes: &mut Vec<u8>, packets: u64, lost: u64) -> bool {
        let mut state = lock(&self.state);
        if !bytes.is_empty() {
            state.bytes.append(bytes);
            self.changed.notify_all();
        }
        (state.packets, state.lost) = (packets, lost);
        let is_full = |state: &mut State| state.bytes.len() >= BACKLOG && !state.is_over();
        let waited = self.changed.wait_timeout_while(state, LEASE, is_full);
        let (state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        !state.is_over()
    }

    /// Ends it. What a client has left behind that does not read any more goes, too; whether there was such a one.
    pub(super) fn end(&self) -> bool {
        let mut state = lock(&self.state);
        state.is_ended = true;
        let is_abandoned = !state.is_stopped && state.read.elapsed() >= LEASE;
        if is_abandoned {
            state.bytes = Vec::new();
        }
        self.changed.notify_all();
        is_abandoned
    }
}

impl State {
    fn is_over(&self) -> bool {
        self.is_stopped || self.read.elapsed() >= LEASE
    }
}
