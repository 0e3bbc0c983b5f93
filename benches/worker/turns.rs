// SPDX-License-Identifier: MIT OR Apache-2.0
//! With a shadow and without, by turns, so that both meet the same machine.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use benches::driver::Window;
use benches::windows::{Windows, round};
use forwarder::settings::Settings;
use forwarder::shadow::Scout;
use forwarder::state::ForwardingState;
use forwarder::worker::Shared;
use serde::Serialize;

/// One turn: some thousand windows.
const TURN: Duration = Duration::from_millis(50);

/// Phases of a run: neither, without and with.
const WITHOUT: u32 = 1;
const WITH: u32 = 2;

/// What packets are held against.
pub(crate) struct Shadow {
    pub(crate) state: Arc<ForwardingState>,
    pub(crate) settings: Arc<Settings>,
    pub(crate) every: u64,
}

impl Shadow {
    /// Gives the workers a scout every other turn.
    pub(crate) fn take_turns(&self, workers: &[Arc<Shared>], time: Duration, phase: &AtomicU32) {
        let end = Instant::now() + time;
        while Instant::now() < end {
            phase.store(WITHOUT, Ordering::Relaxed);
            thread::sleep(TURN);
            phase.store(0, Ordering::Relaxed);
            let mut ends = Vec::new();
            for worker in workers {
                let (scout, tallies, changes) =
                    Scout::new(Arc::clone(&self.state), Arc::clone(&self.settings), self.every);
                worker.scout.post(scout);
                ends.push((tallies, changes));
            }
            wait(|| workers.iter().all(|worker| worker.scout.is_empty()));
            phase.store(WITH, Ordering::Relaxed);
            let turn = Instant::now();
            while turn.elapsed() < TURN {
                ends.iter_mut().for_each(|(_, changes)| while changes.pop().is_ok() {});
                thread::sleep(Duration::from_millis(5));
            }
            phase.store(0, Ordering::Relaxed);
            ends.iter().for_each(|(tallies, _)| tallies.end());
            wait(|| ends.iter().all(|(_, changes)| changes.is_abandoned()));
        }
    }
}

fn wait(is_so: impl Fn() -> bool) {
    while !is_so() {
        thread::sleep(Duration::from_millis(1));
    }
}

/// Nanoseconds a packet without and with a shadow, the median of each, and what the shadow adds in percent.
#[derive(Debug, Clone, Copy, Serialize)]
pub(crate) struct Cost {
    without: f64,
    with: f64,
    percent: f64,
}

pub(crate) fn cost(workers: &[Vec<Window>]) -> Cost {
    let [without, with] = [WITHOUT, WITH].map(|phase| {
        let mut windows = Windows::default();
        let of_phase = workers.iter().flatten().filter(|window| window.phase == phase);
        of_phase.for_each(|window| windows.add(window.time, window.packets as usize));
        windows.percentile(50.0)
    });
    Cost { without: round(without), with: round(with), percent: round(100.0 * (with / without - 1.0)) }
}

impl fmt::Display for Cost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { without, with, percent } = self;
        write!(f, "by turns: {without} ns without a shadow, {with} ns with one, {percent} % more")
    }
}
