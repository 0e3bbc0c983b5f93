// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a daemon starts with: the configured table, or what it ran before.

use std::sync::Arc;

use tables::Faults;

use super::config::Config;
use super::generations::{FIRST_GENERATION, Loaded, summary};
use super::kept::disk::System;
use super::kept::{Accepted, How, Kept, Newest};
use super::load::Document;
use crate::state::ForwardingState;

/// Loads the configured table. What is made of it needs nothing from the devices, so a table that does not suit this
/// forwarder is refused before any device is touched.
pub(super) fn configured(config: &Config) -> Result<Loaded, Faults> {
    let source = Document::File(&config.table).read()?;
    let generation = source.generation().unwrap_or(FIRST_GENERATION);
    Loaded::new(source, generation, &config.viewpoint(), &config.settings(&[]))
}

/// Opens the state folder, if one is wanted.
pub(super) fn folder(config: &Config) -> Option<Arc<Kept>> {
    let state = &config.state;
    (state.generations > 0).then(|| Arc::new(Kept::open(Arc::new(System), &state.folder, state.generations)))
}

/// What a daemon starts with.
pub(super) struct Start {
    /// What to forward by.
    pub(super) loaded: Loaded,
    /// Why it is not the configured table, if it is not.
    pub(super) instead: Option<String>,
}

/// What to forward by: the configured table or what was accepted last, whichever is the higher generation and revision;
/// the other if that one can't be used. The faults are those of the configured table.
pub(super) fn load(config: &Config, kept: Option<&Kept>) -> Result<Start, Faults> {
    let take = |loaded| {
        keep(config, kept, &loaded);
        Start { loaded, instead: None }
    };
    let (Some(folder), Some(newest)) = (kept, kept.and_then(Kept::newest)) else {
        return configured(config).map(take);
    };
    let table = Document::File(&config.table);
    let number = table.generation();
    let wanted = number.as_ref().is_ok_and(|number| is_newer(number.unwrap_or(FIRST_GENERATION), newest));
    let (why, broken) = match (wanted, number) {
        (true, _) => match configured(config) {
            Ok(loaded) => return Ok(take(loaded)),
            Err(faults) => (unusable(&faults), Some(faults)),
        },
        (false, Ok(Some(number))) => (format!("is generation {number}, which is not newer"), None),
        (false, Ok(None)) => ("has no generation, so that it may be older".to_owned(), None),
        (false, Err(faults)) => (unusable(&faults), Some(faults)),
    };
    if let Some(loaded) = restore(config, folder) {
        let ForwardingState { generation, revision, .. } = loaded.state;
        let instead = format!("{table} {why}; what ran before goes on: revision {revision} of generation {generation}");
        tracing::warn!("{instead}");
        return Ok(Start { loaded, instead: Some(instead) });
    }
    match broken {
        Some(faults) => Err(faults),
        None => configured(config).map(|loaded| {
            tracing::error!("{table} is taken, although it {why}: nothing that is kept can be used");
            take(loaded)
        }),
    }
}

fn unusable(faults: &Faults) -> String {
    format!("can't be used: {}", summary(faults))
}

/// Whether a configured table is to be taken, and not what was accepted last. One that is neither newer nor older is:
/// whoever has changed it has forgotten to count, and patches make the other one newer.
fn is_newer(generation: u64, newest: Newest) -> bool {
    generation > newest.mark || (generation, 0) == (newest.generation, newest.revision)
}

/// The newest kept generation that can be used.
fn restore(config: &Config, kept: &Kept) -> Option<Loaded> {
    for (index, number) in kept.numbers().into_iter().enumerate() {
        let restored = match kept.read(number) {
            Ok(restored) => restored,
            Err(error) => {
                tracing::error!("a kept generation can't be used: {error}");
                continue;
            }
        };
        let (generation, revision) = (restored.generation, restored.revision);
        let resumed = if index == 0 { kept.resume(&restored) } else { Ok(()) };
        if let Err(error) = resumed {
            tracing::error!("patches can't be kept: {error}");
        }
        let original = restored.original;
        match Loaded::new(restored.source, generation, &config.viewpoint(), &config.settings(&[])) {
            Ok(mut loaded) => {
                loaded.state.revision = revision;
                if index > 0 {
                    let (by, from) = ("start".to_owned(), format!("the kept generation {generation}"));
                    let how = How::RolledBack(original);
                    // It is logged, and tried again by the next change.
                    let _ = kept.keep(&loaded.source, &Accepted { generation, revision, by, from, how });
                }
                return Some(loaded);
            }
            Err(faults) => tracing::error!("the kept generation {generation} can't be used: {}", summary(&faults)),
        }
    }
    None
}

/// Keeps what was configured, unless it is what ran before.
fn keep(config: &Config, kept: Option<&Kept>, loaded: &Loaded) {
    let Some(kept) = kept else { return };
    let Loaded { source, state, .. } = loaded;
    let (generation, revision) = (state.generation, 0);
    if kept.resume_same(source, generation) {
        return;
    }
    let (by, from) = ("start".to_owned(), config.table.display().to_string());
    // A failure is logged, and tried again by the next change.
    let _ = kept.keep(source, &Accepted { generation, revision, by, from, how: How::Forced });
}
