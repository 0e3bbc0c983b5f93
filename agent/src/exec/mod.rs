// SPDX-License-Identifier: MIT OR Apache-2.0
//! Programs whose connections leave from what this server owns.
//!
//! A process that is [admitted](Exec::admit) moves into a cgroup, one for each [`Filter`] that somebody asked for. The
//! programs of `bpf/connect.bpf.c`, which hang on the cgroup above, bind its sockets to an address and a port out of the
//! group's pool. The pools follow the table.
//!
//! The programs stay in the kernel without the agent: killed, it leaves the groups with the pools of its last view;
//! stopped, with empty ones, so that nothing connects from what may be somebody else's. The next agent takes them over.

mod cgroup;
mod filter;
mod hooks;
mod pins;
mod pool;

use aya::maps::MapError;
use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};

pub(crate) use cgroup::cgroup_mount;
pub use cgroup::default_cgroup;
pub use filter::{Family, Filter, FilterError};
pub use hooks::Tally;
pub use pins::default_pins;
use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;

use crate::maps::Conversations;
use crate::view::View;
use cgroup::Cgroup;
use hooks::Hooks;
use pool::Pool;

/// Where things are.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The cgroup (version 2) below which there is one for each filter. It is made where it is missing.
    pub cgroup: PathBuf,
    /// A folder on a BPF file system, which keeps the programs in force without the agent. Where the folder is not on
    /// one, one is mounted there.
    pub pins: PathBuf,
}

/// Why exec does not work.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file or folder of the kernel's.
    #[error("cannot {action} {}: {error}", path.display())]
    File {
        /// What was tried, such as "make".
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// What the kernel said.
        error: io::Error,
    },
    /// Not a folder of cgroup version 2.
    #[error("{} is in no cgroup file system of version 2; set exec.cgroup to a folder in one, see /proc/mounts", .0.display())]
    NotCgroup(PathBuf),
    /// It would take over whom the other one holds, and give them what this server owns to send from.
    #[error("another agent runs programs in {}; set exec.cgroup to another folder", .0.display())]
    Claimed(PathBuf),
    /// The kernel does not take the programs: too old, no BPF, or no rights.
    #[error("the kernel does not take the programs that choose addresses and ports ({what}): {reason}")]
    Program {
        /// Which step.
        what: String,
        /// Why not.
        reason: String,
    },
    /// A pool could not be written. The group's pool is empty now.
    #[error(
        "cannot tell the kernel what {filter} may send from: {reason}; until a table that fits, it may not connect"
    )]
    Pool {
        /// Whose pool.
        filter: Filter,
        /// Why not.
        reason: String,
    },
    /// Nothing to send from.
    #[error("this server owns no address for {0}: see `sluice-agent slices`")]
    NothingOwned(Filter),
    /// Each filter costs memory in the kernel.
    #[error(
        "{} different filters are in use, and there can be no more: wait for their programs to end",
        hooks::MAX_GROUPS
    )]
    TooManyGroups,
}

/// Keeps other agents out of the cgroup, those in other network namespaces too, until it is dropped or this process ends. It
/// is by the file that only root may open: whoever could would keep the agent out.
///
/// # Errors
///
/// [`Error::Claimed`], [`Error::NotCgroup`] and [`Error::File`].
pub fn claim(cgroup: &Path) -> Result<File, Error> {
    let path = Cgroup::make(cgroup.to_owned())?.path().join("cgroup.kill");
    let file = OpenOptions::new().write(true).open(&path).map_err(cgroup::failed("open", &path))?;
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(file),
        Err(Errno::WOULDBLOCK) => Err(Error::Claimed(cgroup.to_owned())),
        Err(error) => Err(cgroup::failed("lock", &path)(error.into())),
    }
}

/// One filter's cgroup.
struct Group {
    cgroup: Cgroup,
    pool: Pool,
    epoch: u16,
    /// The pool of the epoch before, kept for connects that were under way when it changed.
    before: Pool,
}

/// The groups, and the programs that hang on them.
pub struct Exec {
    settings: Settings,
    root: Cgroup,
    hooks: Hooks,
    view: View,
    groups: BTreeMap<Filter, Group>,
    /// What groups counted that are gone.
    past: BTreeMap<Filter, Tally>,
}

impl Exec {
    /// Hangs up the programs, and takes over what groups an agent before left.
    ///
    /// # Errors
    ///
    /// All but [`Error::NothingOwned`] and [`Error::TooManyGroups`]. What an agent before left stays as it is.
    pub fn start(settings: Settings, view: &View) -> Result<Self, Error> {
        let root = Cgroup::make(settings.cgroup.clone())?;
        pins::mount(&settings.pins)?;
        let hooks = Hooks::load()?;
        let mut exec =
            Self { settings, root, hooks, view: view.clone(), groups: BTreeMap::new(), past: BTreeMap::new() };
        for cgroup in exec.root.children()? {
            if let Some(filter) = cgroup.name().and_then(|name| name.parse().ok()) {
                exec.add(filter, cgroup)?;
            }
        }
        exec.hooks.attach(&exec.root, &exec.settings.pins)?;
        exec.sweep();
        Ok(exec)
    }

    /// Moves a process, with all its threads, to where it can connect only from addresses with all the filter's tags. What
    /// it has opened before stays as it was.
    ///
    /// # Errors
    ///
    /// [`Error::NothingOwned`], [`Error::TooManyGroups`], or the kernel's refusal.
    pub fn admit(&mut self, pid: u32, filter: &Filter) -> Result<(), Error> {
        self.sweep();
        if self.root.is_gone() {
            // Nothing hangs on another one of that name, and whoever is put there would be free.
            self.root = Cgroup::make(self.settings.cgroup.clone())?;
            self.hooks.attach(&self.root, &self.settings.pins)?;
        }
        if !self.groups.contains_key(filter) {
            if pool::of(&self.view, filter).is_empty() {
                return Err(Error::NothingOwned(filter.clone()));
            }
            if self.groups.len() >= hooks::MAX_GROUPS {
                return Err(Error::TooManyGroups);
            }
            let cgroup = Cgroup::make(self.root.path().join(filter.name()))?;
            self.add(filter.clone(), cgroup)?;
        }
        match self.groups.get(filter) {
            Some(group) if group.pool.is_empty() => Err(Error::NothingOwned(filter.clone())),
            Some(group) => group.cgroup.admit(pid),
            None => Ok(()),
        }
    }

    /// Lets no connect choose an address and a port that would make it one of `conversations`, now or later.
    ///
    /// # Errors
    ///
    /// [`Error::Program`].
    pub fn avoid(&mut self, conversations: &Conversations) -> Result<(), Error> {
        let refused = |error: MapError| Error::Program { what: "elsewhere".to_owned(), reason: error.to_string() };
        self.hooks.avoid(conversations).map_err(refused)
    }

    /// Lets every group choose from what the new view owns, from now on. Connections that are open stay open.
    ///
    /// # Errors
    ///
    /// [`Error::Pool`] for the first group whose pool could not be written; the others have theirs.
    pub fn publish(&mut self, view: &View) -> Result<(), Error> {
        self.view = view.clone();
        self.sweep();
        let mut result = Ok(());
        for (filter, group) in &mut self.groups {
            let written = group.publish(&mut self.hooks, filter, pool::of(view, filter));
            result = result.and(written);
        }
        result
    }

    /// What the programs did, by filter; of groups that are gone too. Counts never go down.
    pub fn counters(&mut self) -> BTreeMap<Filter, Tally> {
        self.sweep();
        let mut counters = self.past.clone();
        for (filter, group) in &self.groups {
            *counters.entry(filter.clone()).or_default() += self.hooks.tally(group.cgroup.id());
        }
        counters
    }

    fn add(&mut self, filter: Filter, cgroup: Cgroup) -> Result<(), Error> {
        let mut group = Group { cgroup, pool: Pool::default(), epoch: 0, before: Pool::default() };
        self.hooks.add(group.cgroup.id()).map_err(|reason| Error::Pool { filter: filter.clone(), reason })?;
        group.publish(&mut self.hooks, &filter, pool::of(&self.view, &filter))?;
        self.groups.insert(filter, group);
        Ok(())
    }

    /// Removes groups that no process is in any more. To be called now and then; the other methods do it, too.
    pub fn sweep(&mut self) {
        let Self { groups, hooks, past, .. } = self;
        groups.retain(|filter, group| {
            if !group.cgroup.remove_if_empty() {
                return true;
            }
            *past.entry(filter.clone()).or_default() += hooks.tally(group.cgroup.id());
            group.clear(hooks);
            hooks.remove(group.cgroup.id());
            false
        });
    }
}

impl Group {
    fn publish(&mut self, hooks: &mut Hooks, filter: &Filter, pool: Pool) -> Result<(), Error> {
        if pool == self.pool {
            return Ok(());
        }
        let id = self.cgroup.id();
        let next = self.epoch.wrapping_add(1);
        hooks.forget(id, &self.before, self.epoch.wrapping_sub(1));
        self.before = Pool::default();
        if let Err(reason) = hooks.publish(id, &pool, next) {
            hooks.forget(id, &pool, next);
            self.clear(hooks);
            return Err(Error::Pool { filter: filter.clone(), reason });
        }
        self.epoch = next;
        self.before = std::mem::replace(&mut self.pool, pool);
        Ok(())
    }

    fn clear(&mut self, hooks: &mut Hooks) {
        let id = self.cgroup.id();
        hooks.close(id, self.epoch);
        hooks.forget(id, &std::mem::take(&mut self.pool), self.epoch);
        hooks.forget(id, &std::mem::take(&mut self.before), self.epoch.wrapping_sub(1));
    }
}

impl Drop for Exec {
    /// The programs go when nobody is left whom they hold. Whoever is left may not connect: what the server owns, nobody
    /// keeps watch over now.
    fn drop(&mut self) {
        self.sweep();
        for group in self.groups.values() {
            self.hooks.close(group.cgroup.id(), group.epoch);
        }
        if self.groups.is_empty() && self.root.remove_if_empty() {
            pins::remove(&self.settings.pins, &hooks::NAMES);
        }
    }
}
