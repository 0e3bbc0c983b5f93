// SPDX-License-Identifier: MIT OR Apache-2.0
//! The agent: what this server holds by the table, and how that follows another table.
//!
//! The order of a change: whoever handles packets knows the new view first, then addresses come, and go last; and those
//! that sockets still use go only when these have gone. So no packet meets an address that is not known to be held, and no
//! connection loses its address.

use std::collections::HashSet;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use forwarder::control::generations::summary;
use forwarder::control::load::Document;
use tables::{Faults, Prefix};

use crate::addresses::AddressError;
use crate::config::Config;
use crate::exec::Filter;
use crate::holding::Holding;
use crate::ownership::{Owned, owned};
use crate::parts::{self, Counters, Parts};
use crate::report::Reloaded;
use crate::settling::Settling;
use crate::sockets::{Sockets, Usage};
use crate::view::View;

/// Between two looks at sockets and addresses while all is quiet.
const LOOK: Duration = Duration::from_secs(5);

/// Why an agent can't start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The table is refused.
    #[error("{document} was refused: {}", summary(faults))]
    Table {
        /// What was to be loaded.
        document: String,
        /// Every fault.
        faults: Faults,
    },
    /// The kernel takes no addresses.
    #[error(transparent)]
    Address(#[from] AddressError),
    /// Nothing comes in, or what goes out is not guarded.
    #[error("{}", brief(.0))]
    Parts(#[from] parts::Error),
    /// The kernel does not tell of sockets.
    #[error("cannot ask the kernel for sockets: {0}; sluice-agent needs sock_diag (modprobe inet_diag)")]
    Sockets(std::io::Error),
}

/// What the kernel says of a program that it refuses has a line for each of its instructions.
fn brief(error: &parts::Error) -> String {
    let text = error.to_string();
    tracing::debug!("{text}");
    text.split(" Verifier output").next().unwrap_or(&text).to_owned()
}

/// Why a table was not taken; what ran runs on.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{document} was refused: {}; generation {running} stays", summary(faults))]
pub struct Refused {
    /// What was to be loaded.
    pub document: String,
    /// Every fault.
    pub faults: Faults,
    /// The generation that stays.
    pub running: u64,
}

/// A running agent.
pub struct Agent {
    config: Config,
    started: Instant,
    /// Held over a whole change, so that they come one after the other.
    changing: Mutex<()>,
    state: Mutex<State>,
}

/// What runs.
pub(crate) struct State {
    pub(crate) view: View,
    settling: Settling,
    /// Prefixes held for sockets alone.
    pub(crate) lingering: Vec<Prefix>,
    /// None while a device of the underlay is missing, and once the agent has given up.
    pub(crate) parts: Option<Parts>,
    /// Why there are none, if there should be.
    pub(crate) missing: Option<String>,
    is_over: bool,
    pub(crate) holding: Holding,
    sockets: Sockets,
    pub(crate) usage: Usage,
    /// Why the sockets can't be seen, if they can't.
    pub(crate) blind: Option<String>,
    looked: Instant,
    /// When the table was taken.
    pub(crate) since: SystemTime,
    /// Why the newest table was not, if it was not.
    pub(crate) refused: Option<String>,
    pub(crate) reloads: u64,
    pub(crate) refusals: u64,
}

impl Agent {
    /// Loads the table and holds what it gives this server. What another agent has left is taken over.
    pub fn start(config: Config) -> Result<Self, StartError> {
        let document = Document::File(&config.table);
        let refused = |faults| StartError::Table { document: document.to_string(), faults };
        let source = document.read().map_err(refused)?;
        let mut holding = Holding::open(&config)?;
        let Owned { mut view, lingering } = owned(&source, &config.server, &holding.prefixes()?).map_err(refused)?;
        view.peers.clone_from(&config.peers);
        let sockets = Sockets::open().map_err(StartError::Sockets)?;
        let parts = Some(Parts::start(&config, &view)?);
        let settling = Settling::new(&view, config.settle);
        holding.follow(&view, settling.view());
        if let Some(error) = holding.forbidden() {
            return Err(error.into());
        }
        let now = Instant::now();
        let mut state = State {
            view,
            settling,
            lingering,
            parts,
            missing: None,
            is_over: false,
            holding,
            sockets,
            usage: Usage::default(),
            blind: None,
            looked: now,
            since: SystemTime::now(),
            refused: None,
            reloads: 0,
            refusals: 0,
        };
        state.look();
        Ok(Self { config, started: now, changing: Mutex::default(), state: Mutex::new(state) })
    }

    /// As it was configured.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// When it started.
    pub fn started(&self) -> Instant {
        self.started
    }

    /// Follows another table, or the configured one anew. One that is refused changes nothing.
    pub fn reload(&self, document: Option<Document<'_>>) -> Result<Reloaded, Refused> {
        let _one_at_a_time = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let document = document.unwrap_or(Document::File(&self.config.table));
        let source = document.read();
        let mut state = self.state();
        let put = state.holding.prefixes();
        let change = source.and_then(|source| {
            // What the kernel does not tell of, it tells when it is asked again: until then the view holds it.
            let put = put.unwrap_or_else(|_| state.view.held.iter().map(|held| held.prefix).collect());
            owned(&source, &self.config.server, &put)
        });
        match change {
            Ok(owned) => Ok(state.change(owned)),
            Err(faults) => {
                let refused = Refused { document: document.to_string(), faults, running: state.view.generation };
                state.refused = Some(refused.to_string());
                state.refusals += 1;
                Err(refused)
            }
        }
    }

    /// Looks after what is held: gives up what no socket uses any more, and puts again what somebody took away.
    pub fn look_after(&self) {
        let mut state = self.state();
        state.mend(&self.config);
        if let Some(parts) = &mut state.parts {
            parts.look_after();
        }
        state.settle();
        if !state.lingering.is_empty() || state.looked.elapsed() >= LOOK {
            state.look();
            let State { view, settling, holding, parts, .. } = &mut *state;
            if let Some(parts) = parts.as_mut().filter(|parts| !parts.problems().is_empty()) {
                parts.publish(view, settling.view());
            }
            holding.follow(view, settling.view());
        }
    }

    /// How long it is until there is something to look after that can't wait for a quiet moment.
    pub fn rest(&self) -> Option<Duration> {
        self.state().settling.rest(Instant::now())
    }

    /// Takes back all that it has put.
    pub fn give_up(&self) {
        let mut state = self.state();
        state.holding.give_up();
        state.is_over = true;
        state.parts = None;
    }

    /// Lets a process connect only from what `filter` takes, from now on.
    ///
    /// # Errors
    ///
    /// Why not, in a line.
    pub fn admit(&self, pid: u32, filter: &Filter) -> Result<(), String> {
        let mut state = self.state();
        let State { parts, missing, .. } = &mut *state;
        let parts = parts.as_mut().ok_or_else(|| missing.clone().unwrap_or_else(|| "the agent stops".to_owned()))?;
        parts.admit(pid, filter)
    }

    /// What runs, with sockets as they are now.
    pub(crate) fn look(&self) -> MutexGuard<'_, State> {
        let mut state = self.state();
        state.look();
        state
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Whatever panicked has left a view and what the kernel has of it, which the next look brings together.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn change(&mut self, owned: Owned) -> Reloaded {
        self.settle();
        let previous = self.view.generation;
        let Owned { mut view, lingering } = owned;
        view.peers.clone_from(&self.view.peers);
        let changed = !self.view.says_the_same(&view);
        if view.generation < previous {
            tracing::warn!(previous, generation = view.generation, "the table goes back to an earlier generation");
        }
        (self.view, self.lingering) = (view, lingering);
        self.settling.change(&self.view, Instant::now());
        (self.since, self.refused) = (SystemTime::now(), None);
        self.reloads += 1;
        if changed {
            self.publish();
        }
        self.hold();
        self.look();
        Reloaded { previous, generation: self.view.generation, changed }
    }

    /// Counts sockets, and gives up prefixes that are held for sockets and have none.
    fn look(&mut self) {
        match self.sockets.usage(&self.view) {
            // They were counted just now.
            Ok(None) => return,
            Ok(Some(usage)) => {
                usage.warn_of_new(&self.usage);
                (self.usage, self.blind) = (usage, None);
            }
            Err(error) => {
                let blind = format!("cannot ask the kernel for sockets: {error}; addresses stay that may be unused");
                self.blind = Some(blind);
                return;
            }
        }
        self.looked = Instant::now();
        let is_used = |prefix: &Prefix| self.usage.by_prefix.contains_key(prefix);
        let unused: HashSet<Prefix> = self.lingering.iter().copied().filter(|prefix| !is_used(prefix)).collect();
        if unused.is_empty() {
            return;
        }
        self.lingering.retain(|prefix| !unused.contains(prefix));
        self.view.held.retain(|held| !unused.contains(&held.prefix));
        self.hold();
        self.publish();
    }

    /// Programs go with the device that they hang on: hangs up new ones where another one has its name by now.
    fn mend(&mut self, config: &Config) {
        if self.is_over || self.parts.as_ref().is_some_and(Parts::have_their_devices) {
            return;
        }
        // The old ones first, since there can't be two of a kind.
        self.parts = None;
        match Parts::start(config, &self.view) {
            Ok(parts) => {
                tracing::warn!("a device of the underlay was another one, or missing: receiving and guarding anew");
                (self.parts, self.missing) = (Some(parts), None);
                self.publish();
            }
            Err(error) => {
                let missing = brief(&error);
                if self.missing.as_ref() != Some(&missing) {
                    tracing::error!("neither receiving nor guarding: {missing}");
                }
                self.missing = Some(missing);
            }
        }
    }

    /// Lets connections begin from what has been owned for long enough.
    fn settle(&mut self) {
        if self.settling.settle(Instant::now()) {
            self.publish();
            self.hold();
        }
    }

    fn hold(&mut self) {
        self.holding.follow(&self.view, self.settling.view());
    }

    fn publish(&mut self) {
        if let Some(parts) = &mut self.parts {
            parts.publish(&self.view, self.settling.view());
        }
    }

    /// What the programs in the kernel counted.
    pub(crate) fn counters(&mut self) -> Counters {
        self.parts.as_mut().map(Parts::counters).unwrap_or_default()
    }
}
