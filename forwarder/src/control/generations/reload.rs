// SPDX-License-Identifier: MIT OR Apache-2.0
//! A whole new table.

use std::time::{Duration, Instant};

use tables::{Fault, Faults, Source};

use super::number::{Step, next};
use super::{Generations, Line, Loaded, PATIENCE, lock, summary};
use crate::control::load::Document;

/// How a reload is to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Options {
    /// Stop before publishing.
    pub dry_run: bool,
    /// Take any generation.
    pub force: bool,
}

/// What a reload did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reloaded {
    /// The generation that ran before.
    pub previous: u64,
    /// The generation that runs now, or would after a dry run.
    pub generation: u64,
    /// Whether a new table was published, or would be.
    pub changed: bool,
    /// Whether the rule of generations was overridden.
    pub forced: bool,
    /// How many patches of the table before went with it, or would.
    pub discarded_patches: u64,
    /// Reading and validating.
    pub parse: Duration,
    /// Compiling.
    pub build: Duration,
    /// From publishing until the last worker was seen on it and the old table was freed.
    pub swap: Duration,
}

/// Why a reload did not end well.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReloadError {
    /// The table was refused; nothing changed.
    #[error("{document} was refused: {}; generation {running} keeps forwarding", summary(faults))]
    Refused {
        /// What was to be loaded.
        document: String,
        /// Every fault.
        faults: Faults,
        /// The generation that keeps forwarding.
        running: u64,
    },
    /// The table is published, but some workers have not been seen on it.
    #[error("generation {generation} is published, but not seen at worker {workers:?} after {} s; \
             check whether it still runs (sluice status)", PATIENCE.as_secs())]
    Late {
        /// The new generation.
        generation: u64,
        /// The workers.
        workers: Vec<usize>,
    },
}

impl Generations {
    /// Reads, validates, compiles and publishes a table; returns when every worker forwards by it.
    pub fn reload(&self, document: Document<'_>, options: Options) -> Result<Reloaded, ReloadError> {
        let mut line = lock(&self.line);
        let running = self.running();
        let refused =
            |faults| ReloadError::Refused { document: document.to_string(), faults, running: running.generation };

        let start = Instant::now();
        let source = document.read_and_tell(&self.loading).map_err(refused)?;
        let parse = start.elapsed();

        let same = source.generation() == Some(running.generation) && source.digest() == self.digest(&mut line);
        let step = next(&running, source.generation(), same, options.force);
        let mut reloaded = Reloaded {
            previous: running.generation,
            generation: running.generation,
            changed: false,
            forced: options.force && next(&running, source.generation(), same, false) != step,
            discarded_patches: 0,
            parse,
            build: Duration::ZERO,
            swap: Duration::ZERO,
        };
        let number = match step {
            Step::Nothing => return Ok(reloaded),
            Step::Publish(number) => Ok(number),
            Step::Refuse(message) => Err(Fault { path: "generation".to_owned(), message }),
        };

        let start = Instant::now();
        let loaded = self.build(source, number).map_err(refused)?;
        reloaded.build = start.elapsed();
        reloaded.generation = loaded.state.generation;
        reloaded.discarded_patches = running.revision;
        reloaded.changed = true;
        if options.dry_run {
            return Ok(reloaded);
        }

        let start = Instant::now();
        let swapped = self.replace(&mut line, loaded);
        reloaded.swap = start.elapsed();
        match swapped {
            Ok(()) => Ok(reloaded),
            Err(workers) => Err(ReloadError::Late { generation: reloaded.generation, workers }),
        }
    }

    /// Compiles `source`; the faults are that of its number and those of this forwarder together.
    fn build(&self, source: Source, number: Result<u64, Fault>) -> Result<Loaded, Faults> {
        let generation = number.as_ref().map_or(0, |number| *number);
        let built = Loaded::new(source, generation, &self.viewpoint, &self.settings);
        match (number, built) {
            (Ok(_), built) => built,
            (Err(fault), Ok(_)) => Err(Faults(vec![fault])),
            (Err(fault), Err(Faults(others))) => Err(Faults(std::iter::once(fault).chain(others).collect())),
        }
    }

    /// Puts all that goes on from `loaded` in the place of what was; the workers that are late, if any are.
    fn replace(&self, line: &mut Line, loaded: Loaded) -> Result<(), Vec<usize>> {
        let Loaded { source, compiler, state } = loaded;
        let mut current = self.write();
        let epoch = self.show(line, &source, state);
        let old = std::mem::replace(&mut *current, source);
        drop(current);
        // What the old lineage left behind goes with it.
        line.compiler = compiler;
        line.left_behind.clear();
        line.digest = None;
        line.torn = false;
        let waited = self.wait(line, epoch);
        drop(old);
        waited
    }
}
