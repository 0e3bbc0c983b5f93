// SPDX-License-Identifier: MIT OR Apache-2.0
//! A table that is looked at before it is published, or not.

use std::sync::PoisonError;
use std::time::Instant;

use tables::{Fault, Faults, impact};

use super::number::{Step, next};
use super::reload::reloaded;
use super::{Generations, Loaded, Options, ReloadError, Reloaded, lock};
use crate::control::kept::{Accepted, How};
use crate::control::load::Document;
use crate::control::report::Preview;
use crate::control::shadow::{Candidate, Surrendered};

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
        let loaded = self.build(source, Ok(number)).map_err(refused)?;
        Ok(Beside { loaded, preview, obstacle: misnumbered.or(objection) })
    }

    /// Publishes a table that was compiled [beside](Self::beside) what ran, on behalf of `by`. One that is refused stays where it
    /// is; otherwise `surrender` takes it away from the
    /// workers.
    pub fn publish(
        &self,
        candidate: &mut Option<Candidate>,
        surrender: impl FnOnce(Candidate) -> Surrendered,
        by: String,
        force: bool,
    ) -> Result<Reloaded, ReloadError> {
        let mut line = lock(&self.line);
        let running = self.running();
        let mut reloaded = reloaded(&running);
        let Some(Candidate { source, from, .. }) = candidate else { return Ok(reloaded) };
        let document = format!("the shadow of {from}");
        let same = source.generation() == Some(running.generation) && source.digest() == self.digest(&mut line);
        let step = next(&running, source.generation(), same, force);
        reloaded.forced = force && next(&running, source.generation(), same, false) != step;
        let number = match step {
            Step::Nothing => {
                drop(candidate.take().map(surrender));
                return Ok(Reloaded { discarded_patches: 0, ..reloaded });
            }
            Step::Publish(number) => number,
            Step::Refuse(message) => {
                let faults = Faults(vec![Fault { path: "generation".to_owned(), message }]);
                return Err(ReloadError::Refused { document, faults, running: running.generation });
            }
        };
        (reloaded.generation, reloaded.revision) = (number, 0);
        let how = if reloaded.forced { How::Forced } else { How::Newer };
        let accepted = Accepted { generation: number, revision: 0, by, from: document.clone(), how };
        let options = Options { dry_run: false, force };
        let census = self.accept(&line, source, document.clone(), &accepted, &mut reloaded, options)?;
        let (Some(census), Some(surrendered)) = (census, candidate.take().map(surrender)) else { return Ok(reloaded) };
        let start = Instant::now();
        let loaded = match surrendered {
            Surrendered { source, compiled: Some((compiler, state)) } if state.generation == number => {
                Ok(Loaded { source, compiler, state })
            }
            // It has no number of its own, and another table has taken the next one since; or some worker is late.
            Surrendered { source, .. } => self.build(source, Ok(number)),
        };
        let refused = |faults| ReloadError::Refused { document, faults, running: running.generation };
        reloaded.build = start.elapsed();
        self.replace(&mut line, loaded.map_err(refused)?, census, reloaded)
    }
}
