// SPDX-License-Identifier: MIT OR Apache-2.0
//! A small change of the table that runs.
//!
//! It is made wholly or not at all, though it may be refused after the source was changed: by what only this forwarder
//! can't do, or by what a table can't hold. Entries are changed in place, since a copy of the source would cost more than
//! all the rest, and put back if need be. Servers and data centres are changed in a copy: their ids may change, and the
//! whole table has to be looked at anyway.

use std::sync::PoisonError;
use std::time::{Duration, Instant};

use tables::impact::{self, Census, Impact};
use tables::patch::{Before, Changes, Patch, Staged};
use tables::table::Compiler;
use tables::{Fault, Faults, Source};

use super::{Generations, Line, Options, PATIENCE, Running, lock, summary};
use crate::control::guards::Objection;
use crate::control::load::PatchDocument;
use crate::control::report::Preview;
use crate::state::ForwardingState;

/// What a patch did.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Patched {
    /// The generation that runs.
    pub generation: u64,
    /// The revision that runs now, or would after a dry run.
    pub revision: u64,
    /// Whether a changed table was published, or would be.
    pub changed: bool,
    /// Entries that came, went or say something else.
    pub prefixes: usize,
    /// How much it moves.
    pub impact: Impact,
    /// What guards had against it, which was forced.
    pub overridden: Option<Objection>,
    /// Whether it is in the state folder.
    pub kept: bool,
    /// After a dry run, what would move.
    pub preview: Option<Preview>,
    /// Reading, and validating as far as that goes without the table.
    pub parse: Duration,
    /// Applying and compiling.
    pub build: Duration,
    /// From publishing until the last worker was seen on it.
    pub swap: Duration,
}

/// Why a patch did not end well.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum PatchError {
    /// It was refused; nothing changed.
    #[error(
        "{document} was refused: {}; revision {revision} of generation {generation} keeps forwarding",
        summary(faults)
    )]
    Refused {
        /// What was to be applied.
        document: String,
        /// Every fault, by its path in the patch.
        faults: Faults,
        /// The generation that keeps forwarding.
        generation: u64,
        /// Its revision.
        revision: u64,
    },
    /// It was made for something else than what runs; nothing changed.
    #[error("the patch is for revision {} of generation {}, but revision {revision} of generation {generation} runs; see \
             what has changed since, and give the patch the base [{generation}, {revision}] if it still fits", base.1, base.0)]
    WrongBase {
        /// The generation and the revision that it was made for.
        base: (u64, u64),
        /// The generation that runs.
        generation: u64,
        /// Its revision.
        revision: u64,
    },
    /// A guard objects; nothing changed.
    #[error(
        "a guard refuses {document}: {objection}; revision {revision} of generation {generation} keeps forwarding; \
             use --force if that is what you want"
    )]
    Guarded {
        /// What was to be applied.
        document: String,
        /// What guards have against it.
        objection: Box<Objection>,
        /// After a dry run, what would move.
        preview: Option<Box<Preview>>,
        /// The generation that keeps forwarding.
        generation: u64,
        /// Its revision.
        revision: u64,
    },
    /// The state folder can't take it. If it is published, it forwards until the daemon ends.
    #[error("revision {revision} of generation {generation} {}: {error}; make room there, or use --force to go on without",
            if *published { "is published, but could not be kept" } else { "keeps forwarding, since the patch could not be kept" })]
    NotKept {
        /// Why not.
        error: String,
        /// Whether the change is published.
        published: bool,
        /// The generation that runs.
        generation: u64,
        /// Its revision.
        revision: u64,
    },
    /// The change is published, but some workers have not been seen on it.
    #[error("revision {revision} of generation {generation} is published, but not seen at worker {workers:?} after {} s; \
             check whether it still runs (sluice status)", PATIENCE.as_secs())]
    Late {
        /// The generation.
        generation: u64,
        /// The new revision.
        revision: u64,
        /// The workers.
        workers: Vec<usize>,
    },
}

/// Why a patch is not made.
enum Refusal {
    Faults(Faults),
    Guarded(Box<Objection>),
}

impl From<Faults> for Refusal {
    fn from(faults: Faults) -> Self {
        Self::Faults(faults)
    }
}

/// A patch on its way.
struct Attempt<'a> {
    generations: &'a Generations,
    line: &'a mut Line,
    patch: &'a Patch,
    force: bool,
    done: Patched,
}

impl Generations {
    /// Applies a patch to what runs, and publishes the outcome; returns when every worker forwards by it, and it is kept.
    pub fn patch(&self, document: PatchDocument<'_>, options: Options) -> Result<Patched, PatchError> {
        let start = Instant::now();
        let read = document.load().and_then(|json| Ok((Patch::from_slice(&json)?, json)));
        let parse = start.elapsed();

        let mut line = lock(&self.line);
        let Running { generation, revision, .. } = self.running();
        let refused = |faults| PatchError::Refused { document: document.to_string(), faults, generation, revision };
        let (patch, json) = read.map_err(refused)?;
        if let Some(base) = patch.base().filter(|&base| base != (generation, revision)) {
            return Err(PatchError::WrongBase { base, generation, revision });
        }
        if line.torn {
            let message = "an earlier patch broke off in the middle, which is a mistake of the daemon's: reload the \
                           table, then patch again";
            return Err(refused(Faults(vec![Fault { path: String::new(), message: message.to_owned() }])));
        }
        let not_kept =
            |error: String, published, revision| PatchError::NotKept { error, published, generation, revision };
        if !options.dry_run {
            let mended = self.mend(generation, revision);
            mended.or_else(|error| if options.force { Ok(()) } else { Err(not_kept(error, false, revision)) })?;
        }
        let done = Patched { generation, revision, parse, ..Patched::default() };
        let mut attempt = Attempt { generations: self, line: &mut line, patch: &patch, force: options.force, done };
        let swapped = if options.dry_run { attempt.try_out().map(Ok) } else { attempt.make() };
        let mut done = attempt.done;
        let swapped = swapped.map_err(|refusal| match refusal {
            Refusal::Faults(faults) => refused(faults),
            Refusal::Guarded(objection) => PatchError::Guarded {
                document: document.to_string(),
                objection,
                preview: done.preview.take().map(Box::new),
                generation,
                revision,
            },
        })?;
        if done.changed && !options.dry_run {
            let taken = self.take_down(generation, done.revision, &json);
            // Others may patch while this one waits for the disk; whoever waits first writes for all.
            drop(line);
            let kept = self.finish(taken);
            done.kept = kept == Ok(true);
            if let (Err(error), true, false) = (kept, swapped.is_ok(), options.force) {
                return Err(not_kept(error, true, done.revision));
            }
        }
        match swapped {
            Ok(()) => Ok(done),
            Err(workers) => Err(PatchError::Late { generation, revision: done.revision, workers }),
        }
    }
}

/// Which workers are late, if any are.
type Swapped = Result<(), Vec<usize>>;

impl Attempt<'_> {
    /// Finds out what the patch would do. As much work as a reload without reading, since nothing that runs may be touched.
    fn try_out(&mut self) -> Result<(), Refusal> {
        let start = Instant::now();
        let mut source = self.copy();
        let staged = source.stage(self.patch)?;
        let judged = self.judge(&source, &staged);
        let changes = source.commit(staged);
        if !changes.is_empty() {
            Compiler::new(&source, &self.generations.viewpoint)?;
            self.count(&changes, start);
        }
        self.done.preview = Some(self.generations.preview(&source));
        judged.map(drop)
    }

    fn make(&mut self) -> Result<Swapped, Refusal> {
        let before = self.generations.source.read().unwrap_or_else(PoisonError::into_inner).before(self.patch);
        match before {
            Some(before) => self.make_in_place(before),
            None => self.make_in_copy(),
        }
    }

    fn make_in_place(&mut self, before: Before) -> Result<Swapped, Refusal> {
        let start = Instant::now();
        let mut source = self.generations.write();
        let staged = source.stage(self.patch)?;
        let census = self.judge(&source, &staged)?;
        self.line.torn = true;
        let changes = source.commit(staged);
        let state = if changes.is_empty() { Ok(None) } else { self.compile(&source, &changes).map(Some) };
        let state = match state {
            Ok(state) => state,
            Err(faults) => {
                source.put_back(before);
                self.line.torn = false;
                return Err(faults.into());
            }
        };
        self.line.torn = false;
        self.line.census = census;
        let Some(state) = state else { return Ok(Ok(())) };
        self.count(&changes, start);
        let epoch = self.generations.show(self.line, &source, state);
        drop(source);
        Ok(self.wait(epoch))
    }

    fn make_in_copy(&mut self) -> Result<Swapped, Refusal> {
        let start = Instant::now();
        let mut source = self.copy();
        let staged = source.stage(self.patch)?;
        let census = self.judge(&source, &staged)?;
        let changes = source.commit(staged);
        if changes.is_empty() {
            return Ok(Ok(()));
        }
        let state = self.compile(&source, &changes)?;
        self.line.census = if changes.renumbered { Census::of(&source) } else { census };
        self.count(&changes, start);
        let mut current = self.generations.write();
        let epoch = self.generations.show(self.line, &source, state);
        let old = std::mem::replace(&mut *current, source);
        drop(current);
        let waited = self.wait(epoch);
        drop(old);
        Ok(waited)
    }

    /// Asks the guards about what is staged, before anything is changed; the census afterwards.
    fn judge(&mut self, source: &Source, staged: &Staged<'_>) -> Result<Census, Refusal> {
        let (impact, census) = impact::of_patch(source, &self.line.census, staged);
        self.done.overridden = self.generations.judge(&impact, self.force).map_err(Refusal::Guarded)?;
        self.done.impact = impact;
        Ok(census)
    }

    fn copy(&self) -> Source {
        self.generations.source.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The state after the patch. On an error the source has to be put back.
    fn compile(&mut self, source: &Source, changes: &Changes) -> Result<ForwardingState, Faults> {
        let Line { compiler, left_behind, digest, .. } = &mut *self.line;
        let (table, left) = compiler.patch(source, changes)?;
        let state = lock(&self.generations.publisher).current().after(table, &self.generations.settings);
        let state = state.inspect_err(|_| compiler.distrust())?;
        left_behind.push(left);
        *digest = None;
        Ok(state)
    }

    fn count(&mut self, changes: &Changes, start: Instant) {
        let done = &mut self.done;
        (done.changed, done.prefixes, done.build) = (true, changes.prefixes.len(), start.elapsed());
        done.revision += 1;
    }

    fn wait(&mut self, epoch: u64) -> Swapped {
        let (swap, waited) = self.generations.wait(self.line, epoch);
        self.done.swap = swap;
        waited
    }
}
