// SPDX-License-Identifier: MIT OR Apache-2.0
//! Back to a kept generation, with the patches that it had.

use std::time::Instant;

use tables::{Fault, Faults, Source};

use super::reload::{Reload, reloaded};
use super::{Generations, Loaded, Options, ReloadError, Reloaded, lock, summary};
use crate::control::kept::{Accepted, How, Restored};
use crate::state::ForwardingState;

impl Generations {
    /// Publishes a kept generation again: the newest of that number besides what runs, or the one before.
    pub fn rollback(&self, generation: Option<u64>, by: String, options: Options) -> Result<Reloaded, ReloadError> {
        let mut line = lock(&self.line);
        let running = self.running();
        let refused =
            |faults| ReloadError::Refused { document: "the rollback".to_owned(), faults, running: running.generation };
        let start = Instant::now();
        let restored = self.restore(generation).map_err(refused)?;
        let mut reloaded = reloaded(&running);
        reloaded.parse = start.elapsed();

        let start = Instant::now();
        let Restored { source, generation, revision, original, .. } = restored;
        let mut loaded = Loaded::new(source, generation, &self.viewpoint, &self.settings).map_err(refused)?;
        loaded.state.revision = revision;
        reloaded.build = start.elapsed();
        (reloaded.generation, reloaded.revision) = (generation, revision);
        let (from, how) = (format!("the kept generation {generation}"), How::RolledBack(original));
        let accepted = Accepted { generation, revision, by, from, how };
        self.take(&mut line, Reload { document: "the rollback".to_owned(), loaded, accepted, reloaded, options })
    }

    /// Looks at the newest kept table of a generation, by what this forwarder is now. It is read and compiled for that; one at a
    /// time, and nobody waits for it. What is wrong if there is none, or it can't be used.
    pub fn look_back<T>(
        &self,
        generation: u64,
        look: impl FnOnce(&ForwardingState, &Source) -> T,
    ) -> Result<T, String> {
        // Whoever may only look could otherwise keep the machine compiling for as long as there are connections.
        let Ok(_turn) = self.looking_back.try_lock() else {
            return Err("another kept generation is being asked; try again".to_owned());
        };
        let none = || format!("generation {generation} does not run and is not kept; sluice generations lists what is");
        let kept = self.kept.as_ref().ok_or_else(none)?;
        let newest = kept.list().into_iter().find(|kept| kept.generation == generation).ok_or_else(none)?;
        let Restored { source, generation, revision, .. } = kept.read(newest.number)?;
        let unusable = |faults| format!("the kept generation {generation} can't be used: {}", summary(&faults));
        let state = ForwardingState::build(&source, generation, &self.viewpoint, &self.settings);
        let mut state = state.map_err(unusable)?;
        state.revision = revision;
        Ok(look(&state, &source))
    }

    fn restore(&self, generation: Option<u64>) -> Result<Restored, Faults> {
        let fault = |message| Faults(vec![Fault { path: "generation".to_owned(), message }]);
        let Some(kept) = &self.kept else {
            return Err(fault("no generation is kept; set state.generations in the configuration".to_owned()));
        };
        let number = kept.before(generation).ok_or_else(|| {
            let none = match generation {
                Some(generation) => format!("no other generation {generation} is kept"),
                None => "no earlier generation is kept".to_owned(),
            };
            fault(format!("{none}; sluice generations lists what is"))
        })?;
        kept.read(number).map_err(fault)
    }
}
