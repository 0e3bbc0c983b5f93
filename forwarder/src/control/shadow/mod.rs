// SPDX-License-Identifier: MIT OR Apache-2.0
//! The shadow: a table that is compiled and held against live packets, and does not run. One at a time.

mod pairs;
mod session;

use std::sync::{Arc, Mutex};

use self::pairs::Pairs;
pub use self::session::{Candidate, Session, Surrendered};
use super::forwarder::Forwarder;
use super::generations::{Beside, ReloadError, Reloaded, lock};
use super::load::Document;
use super::peer::Peer;
use super::report::{ShadowReport, ShadowSummary};
use crate::explain::Subject;
use crate::settings::Settings;

/// One packet in so many is looked at if nobody asks for more or fewer.
pub const SAMPLE: u64 = 64;

/// Why nothing is done with a shadow.
#[derive(Debug, thiserror::Error)]
pub enum ShadowError {
    /// There is one.
    #[error("there is a shadow already, of generation {generation} from {from}; commit or discard it first")]
    Taken {
        /// Its generation.
        generation: u64,
        /// Where it is from.
        from: String,
    },
    /// There is none.
    #[error("there is no shadow; begin one with sluice shadow FILE")]
    None,
    /// Its table was refused, or could not be published.
    #[error(transparent)]
    Reload(#[from] ReloadError),
    /// Its thread was refused.
    #[error("cannot start a thread for the shadow: {0}")]
    Thread(std::io::Error),
}

/// The shadow, if there is one.
#[derive(Default)]
pub struct Shadows {
    current: Mutex<Option<Arc<Session>>>,
}

impl Shadows {
    /// Compiles a table beside what runs, and lets every worker of `forwarder` look at one packet of `every` by both.
    pub fn begin(
        &self,
        forwarder: &Forwarder,
        peer: Peer,
        (document, from): (Document<'_>, String),
        every: u64,
    ) -> Result<ShadowReport, ShadowError> {
        self.vacant(&lock(&self.current))?;
        let Beside { loaded, preview, obstacle } = forwarder.generations().beside(document)?;
        let mut current = lock(&self.current);
        // Compiling takes long enough for somebody else to come first.
        self.vacant(&current)?;
        let session = Session::begin(forwarder, peer, Candidate::new(loaded, from), obstacle, every);
        let session = session.map_err(ShadowError::Thread)?;
        *current = Some(Arc::clone(&session));
        drop(current);
        session.wait();
        Ok(ShadowReport { preview: Some(preview), ..session.report() })
    }

    fn vacant(&self, current: &Option<Arc<Session>>) -> Result<(), ShadowError> {
        match current {
            None => Ok(()),
            Some(session) => {
                Err(ShadowError::Taken { generation: session.generation(), from: session.from().to_owned() })
            }
        }
    }

    fn current(&self) -> Option<Arc<Session>> {
        lock(&self.current).clone()
    }

    /// What it has seen so far.
    pub fn report(&self) -> Option<ShadowReport> {
        self.current().map(|session| session.report())
    }

    /// Which it is.
    pub fn summary(&self) -> Option<ShadowSummary> {
        self.current().map(|session| session.summary())
    }

    /// Ends it; what it has seen.
    pub fn discard(&self) -> Result<ShadowReport, ShadowError> {
        let session = self.current().ok_or(ShadowError::None)?;
        // Somebody may have published it just now.
        let candidate = session.candidate().take().ok_or(ShadowError::None)?;
        drop(session.surrender(candidate));
        self.forget(&session);
        Ok(session.report())
    }

    /// Publishes it, on behalf of `by`, and ends it. One that is refused stays.
    pub fn commit(&self, forwarder: &Forwarder, by: String, force: bool) -> Result<Reloaded, ShadowError> {
        let session = self.current().ok_or(ShadowError::None)?;
        let result = forwarder.generations().publish(&session, by, force);
        if session.is_surrendered() {
            self.forget(&session);
        }
        result
    }

    /// Makes room for another.
    fn forget(&self, session: &Arc<Session>) {
        lock(&self.current).take_if(|current| Arc::ptr_eq(current, session));
    }

    /// Asks it, unless it is just being published.
    pub fn look<T>(&self, settings: &Settings, look: impl FnOnce(Subject<'_>) -> T) -> Option<T> {
        let session = self.current()?;
        let candidate = session.try_candidate()?;
        let Candidate { source, state, .. } = candidate.as_ref()?;
        Some(look(Subject { state, settings, source }))
    }
}
