// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a change has to pass before it is published, and what is done so that it lasts.

use std::sync::PoisonError;

use tables::Source;
use tables::impact::Impact;

use super::Generations;
use crate::control::guards::Objection;
use crate::control::kept::{Accepted, How, Kept, Ticket};
use crate::control::report::Preview;

/// What has become of a patch that is published.
pub(super) enum TakenDown {
    /// It lasts when its journal is synced.
    Waits(Ticket),
    /// It lasts.
    Lasts,
    /// It is in no journal, since what was there before it is not kept.
    Lost,
    /// Nothing is kept here.
    Unwanted,
}

impl Generations {
    /// The state folder, if there is one.
    pub fn kept(&self) -> Option<&Kept> {
        self.kept.as_deref()
    }

    /// What would move if `source` were published.
    pub(super) fn preview(&self, source: &Source) -> Preview {
        let current = self.source.read().unwrap_or_else(PoisonError::into_inner);
        Preview::new(&current, source, &self.viewpoint.datacenter)
    }

    /// What guards have against a change: an error, unless it is forced.
    pub(super) fn judge(&self, impact: &Impact, force: bool) -> Result<Option<Objection>, Box<Objection>> {
        match self.guards.judge(impact) {
            Some(objection) if !force => Err(Box::new(objection)),
            objection => Ok(objection),
        }
    }

    /// Before a change: what runs is kept, also if that has failed before. Why it still fails.
    pub(super) fn mend(&self, generation: u64, revision: u64) -> Result<(), String> {
        let Some(kept) = &self.kept else { return Ok(()) };
        let source = self.source.read().unwrap_or_else(PoisonError::into_inner);
        kept.mend(&source, generation, revision).map_err(|error| failure(kept, &error))
    }

    /// After a patch: what [`Self::finish`] waits for. The caller holds the line, so that patches come in their order.
    pub(super) fn take_down(&self, generation: u64, revision: u64, patch: &[u8]) -> TakenDown {
        let Some(kept) = &self.kept else { return TakenDown::Unwanted };
        if kept.is_long() {
            let source = self.source.read().unwrap_or_else(PoisonError::into_inner);
            let (by, from) = ("sluiced".to_owned(), "patches".to_owned());
            // If that fails, the journal has room all the same.
            if kept.keep(&source, &Accepted { generation, revision, by, from, how: How::Again }).is_ok() {
                return TakenDown::Lasts;
            }
        }
        kept.append(revision, patch).map_or(TakenDown::Lost, TakenDown::Waits)
    }

    /// Waits until a patch lasts; whether it does, or why it does not.
    pub(super) fn finish(&self, taken: TakenDown) -> Result<bool, String> {
        match (&self.kept, taken) {
            (Some(kept), TakenDown::Waits(ticket)) => {
                kept.sync(ticket).map(|()| true).map_err(|error| failure(kept, &error))
            }
            (_, TakenDown::Lasts) => Ok(true),
            (Some(kept), TakenDown::Lost) => {
                Err(kept.problem().unwrap_or_else(|| "what ran before is not kept".to_owned()))
            }
            _ => Ok(false),
        }
    }

    /// Before a table is published: keeps it. False if it can't be and `force` goes on without.
    pub(super) fn keep(&self, source: &Source, accepted: &Accepted, force: bool) -> Result<bool, String> {
        let Some(kept) = &self.kept else { return Ok(false) };
        match kept.keep(source, accepted) {
            Ok(()) => Ok(true),
            Err(_) if force => {
                kept.fall_behind();
                Ok(false)
            }
            Err(error) => Err(failure(kept, &error)),
        }
    }
}

/// With its place.
fn failure(kept: &Kept, error: &std::io::Error) -> String {
    format!("the state folder {}: {error}", kept.status().folder)
}
