// SPDX-License-Identifier: MIT OR Apache-2.0
//! The control side: the daemon's own way of changing what runs, by turns with doing nothing.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use benches::windows::Windows;
use benches::{Pool, Random, Shape, network};
use clap::ValueEnum;
use forwarder::control::generations::{Generations, Loaded, Options};
use forwarder::control::load::{Document, PatchDocument};
use forwarder::settings::Settings;
use forwarder::state::ForwardingState;
use tables::Reader;

/// Phases of a window: nothing changes, and changes come.
pub(crate) const QUIET: u32 = 0;
pub(crate) const CHANGING: u32 = 1;
/// The caches are cold, and the processor's clock low.
pub(crate) const WARMING: u32 = 2;

const WARM_UP: Duration = Duration::from_millis(500);

/// What changes the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Change {
    /// The whole document is read again.
    Reload,
    /// One slice gets another owner.
    Patch,
}

/// When to change what.
pub(crate) struct Schedule {
    pub(crate) change: Change,
    /// From the beginning of one change to that of the next, if it takes no longer.
    pub(crate) every: Duration,
    /// How long changes come, and how long then none.
    pub(crate) turn: Duration,
    /// How long both together.
    pub(crate) time: Duration,
}

/// What runs, and what it is changed by.
pub(crate) struct Control {
    generations: Generations,
    shape: Shape,
    document: PathBuf,
}

/// Milliseconds that changes took.
#[derive(Default)]
pub(crate) struct Changes {
    /// From publishing until the last worker was seen on the new table, and after a reload the old one was freed.
    pub(crate) swap: Windows,
    /// All of it.
    pub(crate) whole: Windows,
    /// How long changes came.
    pub(crate) time: Duration,
}

impl Control {
    /// Publishes a table like `shape`, which `document` then has; one reader for each worker comes with it.
    pub(crate) fn new(
        shape: Shape,
        document: PathBuf,
        settings: &Arc<Settings>,
        workers: usize,
    ) -> Result<(Self, Vec<Reader<ForwardingState>>), String> {
        write(shape, &document).map_err(|error| format!("{}: {error}", document.display()))?;
        let source = Document::File(&document).read().map_err(|faults| faults.to_string())?;
        let viewpoint = network::viewpoint();
        let loaded = Loaded::new(source, 1, &viewpoint, settings).map_err(|faults| faults.to_string())?;
        let (generations, readers) = Generations::new(loaded, viewpoint, Arc::clone(settings), workers, 0);
        Ok((Self { generations, shape, document }, readers))
    }

    /// Turns without changes and with them; `phase` says which it is.
    pub(crate) fn take_turns(&self, schedule: &Schedule, phase: &AtomicU32) -> Result<Changes, String> {
        let (mut changes, mut random) = (Changes::default(), Random::new(3));
        thread::sleep(WARM_UP);
        let begin = Instant::now();
        while begin.elapsed() < schedule.time {
            phase.store(QUIET, Ordering::Relaxed);
            thread::sleep(schedule.turn);
            phase.store(CHANGING, Ordering::Relaxed);
            self.turn(schedule, &mut changes, &mut random)?;
        }
        Ok(changes)
    }

    fn turn(&self, schedule: &Schedule, changes: &mut Changes, random: &mut Random) -> Result<(), String> {
        let begin = Instant::now();
        let mut due = begin;
        while begin.elapsed() < schedule.turn {
            let start = Instant::now();
            let swap = self.change(schedule.change, random)?;
            changes.swap.add_each(swap.as_secs_f64() * 1e3);
            changes.whole.add_each(start.elapsed().as_secs_f64() * 1e3);
            // What came too late is not made up for: the next one would follow at once, and the one after it.
            due = (due + schedule.every).max(Instant::now());
            thread::sleep(due - Instant::now());
        }
        changes.time += begin.elapsed();
        Ok(())
    }

    fn change(&self, change: Change, random: &mut Random) -> Result<Duration, String> {
        match change {
            // Without a number in the document it is published each time.
            Change::Reload => {
                let reloaded =
                    self.generations.reload(Document::File(&self.document), String::new(), Options::default());
                reloaded.map(|reloaded| reloaded.swap).map_err(|error| error.to_string())
            }
            Change::Patch => {
                let patched = self.generations.patch(PatchDocument::Text(self.one_slice(random)), Options::default());
                patched.map(|patched| patched.swap).map_err(|error| error.to_string())
            }
        }
    }

    /// A patch that gives a random slice to a random server.
    fn one_slice(&self, random: &mut Random) -> String {
        let (address, server) = (Pool::v4(random.below(self.shape.addresses)), random.below(self.shape.servers));
        let slices = 65_536 / self.shape.slice_ports;
        let first = self.shape.slice_ports * (1 + random.below(slices - 1));
        let last = first + self.shape.slice_ports - 1;
        format!(r#"{{"ports":[{{"prefix":"{address}/32","ports":"{first}-{last}","server":"s{server}"}}]}}"#)
    }
}

fn write(shape: Shape, document: &Path) -> io::Result<()> {
    let mut file = BufWriter::with_capacity(1 << 20, File::create(document)?);
    io::copy(&mut Pool::new(shape), &mut file)?;
    file.flush()
}
