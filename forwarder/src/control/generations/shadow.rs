// SPDX-License-Identifier: MIT OR Apache-2.0
//! A table that is looked at before it is published, or not.

use std::sync::PoisonError;
use std::time::Instant;

use tables::{Fault, Faults, Source, impact};

use super::number::{Step, next};
use super::reload::reloaded;
use super::{Generations, Loaded, Options, ReloadError, Reloaded, lock};
use crate::control::kept::{Accepted, How};
use crate::control::load::Document;
use crate::control::report::Preview;
use crate::control::shadow::{Candidate, Session, ShadowError, Surrendered};
use crate::state::ForwardingState;

/// A table that is compiled beside the one that runs.
pub struct Beside {
    /// With the number that it would have if it were published now.
    pub loaded: Loaded,
    /// What would move.
    pub preview: Preview,
    /// What stands against it: its number, or guards.
    pub obstacle: Option<String>,
}

impl Generations {
    /// Reads, validates and compiles a table that is not to be published yet.
    pub fn beside(&self, document: Document<'_>) -> Result<Beside, ReloadError> {
        let mut line = lock(&self.line);
        let running = self.running();
        let refused =
            |faults| ReloadError::Refused { document: document.to_string(), faults, running: running.generation };
        let source = document.read_and_tell(&self.loading).map_err(refused)?;
        let same = source.generation() == Some(running.generation) && source.digest() == self.digest(&mut line);
        let (number, misnumbered) = match next(&running, source.generation(), same, false) {
            Step::Publish(number) => (number, None),
            Step::Nothing => (running.generation, None),
            Step::Refuse(message) => (source.generation().unwrap_or(running.generation), Some(message)),
        };
        let preview = self.preview(&source);
        let current = self.source.read().unwrap_or_else(PoisonError::into_inner);
        let (impact, _) = impact::between(&current, &line.census, &source);
        drop(current);
        let objection = self.judge(&impact, false).err().map(|objection| objection.to_string());
        let obstacles: Vec<_> = misnumbered.into_iter().chain(objection).collect();
        let loaded = self.build(source, Ok(number)).map_err(refused)?;
        Ok(Beside { loaded, preview, obstacle: (!obstacles.is_empty()).then(|| obstacles.join("; ")) })
    }

    /// Publishes the table of a shadow, on behalf of `by`, and takes it away from the workers. One that is refused stays.
    pub fn publish(&self, shadow: &Session, by: String, force: bool) -> Result<Reloaded, ShadowError> {
        let mut line = lock(&self.line);
        let mut candidate = shadow.candidate();
        let Some(Candidate { from, source, state, .. }) = candidate.as_ref() else { return Err(ShadowError::None) };
        let running = self.running();
        let mut reloaded = reloaded(&running);
        let document = format!("the shadow of {from}");
        let refused = |faults| ReloadError::Refused { document: document.clone(), faults, running: running.generation };
        let same = source.generation() == Some(running.generation) && source.digest() == self.digest(&mut line);
        let step = next(&running, source.generation(), same, force);
        reloaded.forced = force && next(&running, source.generation(), same, false) != step;
        let number = match step {
            Step::Nothing => {
                drop(candidate.take().map(|candidate| shadow.surrender(candidate)));
                return Ok(Reloaded { discarded_patches: 0, ..reloaded });
            }
            Step::Publish(number) => number,
            Step::Refuse(message) => {
                return Err(refused(Faults(vec![Fault { path: "generation".to_owned(), message }])).into());
            }
        };
        (reloaded.generation, reloaded.revision) = (number, 0);
        let start = Instant::now();
        let compile =
            |source: &Source| ForwardingState::first(source, number, &self.viewpoint, &self.settings).map_err(refused);
        // It has no number of its own, and another table has taken the next one since.
        let renumbered = if state.generation == number { None } else { Some(compile(source)?) };
        reloaded.build = start.elapsed();
        let how = if reloaded.forced { How::Forced } else { How::Newer };
        let accepted = Accepted { generation: number, revision: 0, by, from: document.clone(), how };
        let options = Options { dry_run: false, force };
        let census = self.accept(&line, source, document.clone(), &accepted, &mut reloaded, options)?;
        let surrendered = candidate.take().map(|candidate| shadow.surrender(candidate));
        let (Some(census), Some(Surrendered { source, compiled })) = (census, surrendered) else { return Ok(reloaded) };
        // If some worker is late, it is made once more.
        let compiled = renumbered.or(compiled).map_or_else(|| compile(&source), Ok);
        let (compiler, state) = compiled?;
        Ok(self.replace(&mut line, Loaded { source, compiler, state }, census, reloaded)?)
    }
}
