// SPDX-License-Identifier: MIT OR Apache-2.0
//! A whole new table.

use std::sync::PoisonError;
use std::time::{Duration, Instant};

use tables::impact::{self, Census, Impact};
use tables::{Fault, Faults, Source};

use super::number::{Step, next};
use super::{Generations, Line, Loaded, PATIENCE, Running, lock, summary};
use crate::control::guards::Objection;
use crate::control::kept::{Accepted, How};
use crate::control::load::Document;
use crate::control::report::Preview;

/// How a change is to be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Options {
    /// Stop before publishing.
    pub dry_run: bool,
    /// Take any generation, whatever guards say, and even if it can't be kept.
    pub force: bool,
}

/// What a reload or a rollback did.
#[derive(Debug, Clone, PartialEq)]
pub struct Reloaded {
    /// The generation that ran before.
    pub previous: u64,
    /// The generation that runs now, or would after a dry run.
    pub generation: u64,
    /// Its revision: patches that came back with it.
    pub revision: u64,
    /// Whether a new table was published, or would be.
    pub changed: bool,
    /// Whether the rule of generations or a guard was overridden.
    pub forced: bool,
    /// What guards had against it, which was forced.
    pub overridden: Option<Objection>,
    /// How much it moves.
    pub impact: Impact,
    /// Whether it is in the state folder.
    pub kept: bool,
    /// After a dry run, what would move.
    pub preview: Option<Preview>,
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
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
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
    /// A guard objects; nothing changed.
    #[error(
        "a guard refuses {document}: {objection}; generation {running} keeps forwarding; use --force if that is what \
             you want"
    )]
    Guarded {
        /// What was to be loaded.
        document: String,
        /// What guards have against it.
        objection: Box<Objection>,
        /// After a dry run, what would move.
        preview: Option<Box<Preview>>,
        /// The generation that keeps forwarding.
        running: u64,
    },
    /// The state folder can't take it; nothing changed.
    #[error(
        "{document} could not be kept: {error}; generation {running} keeps forwarding; make room there, or use \
             --force to go on without"
    )]
    NotKept {
        /// What was to be loaded.
        document: String,
        /// Why not.
        error: String,
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

/// A table that is compiled, and what is to become of it.
pub(super) struct Reload {
    pub(super) document: String,
    pub(super) loaded: Loaded,
    pub(super) accepted: Accepted,
    pub(super) reloaded: Reloaded,
    pub(super) options: Options,
}

/// Nothing is done yet.
pub(super) fn reloaded(running: &Running) -> Reloaded {
    Reloaded {
        previous: running.generation,
        generation: running.generation,
        revision: running.revision,
        changed: false,
        forced: false,
        overridden: None,
        impact: Impact::default(),
        kept: false,
        preview: None,
        discarded_patches: running.revision,
        parse: Duration::ZERO,
        build: Duration::ZERO,
        swap: Duration::ZERO,
    }
}

impl Generations {
    /// Reads, validates, compiles, keeps and publishes a table, on behalf of `by`; returns when every worker forwards by it.
    pub fn reload(&self, document: Document<'_>, by: String, options: Options) -> Result<Reloaded, ReloadError> {
        let mut line = lock(&self.line);
        let running = self.running();
        let refused =
            |faults| ReloadError::Refused { document: document.to_string(), faults, running: running.generation };

        let start = Instant::now();
        let source = document.read_and_tell(&self.loading).map_err(refused)?;
        let mut reloaded = reloaded(&running);
        reloaded.parse = start.elapsed();

        let same = source.generation() == Some(running.generation) && source.digest() == self.digest(&mut line);
        let step = next(&running, source.generation(), same, options.force);
        reloaded.forced = options.force && next(&running, source.generation(), same, false) != step;
        let number = match step {
            Step::Nothing => return Ok(Reloaded { discarded_patches: 0, ..reloaded }),
            Step::Publish(number) => Ok(number),
            Step::Refuse(message) => Err(Fault { path: "generation".to_owned(), message }),
        };

        let start = Instant::now();
        let loaded = self.build(source, number).map_err(refused)?;
        reloaded.build = start.elapsed();
        (reloaded.generation, reloaded.revision) = (loaded.state.generation, 0);
        let accepted = Accepted {
            generation: reloaded.generation,
            revision: 0,
            by,
            from: document.to_string(),
            how: if reloaded.forced { How::Forced } else { How::Newer },
        };
        self.take(&mut line, Reload { document: document.to_string(), loaded, accepted, reloaded, options })
    }

    /// Takes a table, if guards and the state folder let it pass.
    pub(super) fn take(&self, line: &mut Line, reload: Reload) -> Result<Reloaded, ReloadError> {
        let Reload { document, loaded, accepted, mut reloaded, options } = reload;
        match self.accept(line, &loaded.source, document, &accepted, &mut reloaded, options)? {
            Some(census) => self.replace(line, loaded, census, reloaded),
            None => Ok(reloaded),
        }
    }

    /// Whether guards and the state folder let `source` pass: then it is kept, and its census is what [`Self::replace`] goes on
    /// with. None after a dry run.
    pub(super) fn accept(
        &self,
        line: &Line,
        source: &Source,
        document: String,
        accepted: &Accepted,
        reloaded: &mut Reloaded,
        options: Options,
    ) -> Result<Option<Census>, ReloadError> {
        let running = reloaded.previous;
        let current = self.source.read().unwrap_or_else(PoisonError::into_inner);
        let (impact, census) = impact::between(&current, &line.census, source);
        drop(current);
        reloaded.changed = true;
        reloaded.preview = options.dry_run.then(|| self.preview(source));
        let judged = self.judge(&impact, options.force);
        reloaded.overridden = judged.map_err(|objection| {
            let preview = reloaded.preview.take().map(Box::new);
            ReloadError::Guarded { document: document.clone(), objection, preview, running }
        })?;
        reloaded.forced |= reloaded.overridden.is_some();
        reloaded.impact = impact;
        if options.dry_run {
            return Ok(None);
        }
        let kept = self.keep(source, accepted, options.force);
        reloaded.kept = kept.map_err(|error| ReloadError::NotKept { document, error, running })?;
        Ok(Some(census))
    }

    /// Compiles `source`; the faults are that of its number and those of this forwarder together.
    pub(super) fn build(&self, source: Source, number: Result<u64, Fault>) -> Result<Loaded, Faults> {
        let generation = number.as_ref().map_or(0, |number| *number);
        let built = Loaded::new(source, generation, &self.viewpoint, &self.settings);
        match (number, built) {
            (Ok(_), built) => built,
            (Err(fault), Ok(_)) => Err(Faults(vec![fault])),
            (Err(fault), Err(Faults(others))) => Err(Faults(std::iter::once(fault).chain(others).collect())),
        }
    }

    /// Puts all that goes on from `loaded` in the place of what was; returns when every worker was seen on it.
    pub(super) fn replace(
        &self,
        line: &mut Line,
        loaded: Loaded,
        census: Census,
        mut reloaded: Reloaded,
    ) -> Result<Reloaded, ReloadError> {
        let Loaded { source, compiler, state } = loaded;
        let mut current = self.write();
        let epoch = self.show(line, &source, state);
        let old_source = std::mem::replace(&mut *current, source);
        drop(current);
        // What the old lineage left behind goes with it.
        let old_compiler = std::mem::replace(&mut line.compiler, compiler);
        line.left_behind.clear();
        (line.census, line.digest, line.torn) = (census, None, false);
        let (swap, swapped) = self.wait(line, epoch);
        // Memory that workers never looked at: they need not wait for its end.
        drop((old_source, old_compiler));
        reloaded.swap = swap;
        match swapped {
            Ok(()) => Ok(reloaded),
            Err(workers) => Err(ReloadError::Late { generation: reloaded.generation, workers }),
        }
    }
}
