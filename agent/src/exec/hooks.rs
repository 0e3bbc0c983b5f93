// SPDX-License-Identifier: MIT OR Apache-2.0
//! The programs of `bpf/connect.bpf.c`, and what they are told and tell.

use std::error;
use std::fs;
use std::io::ErrorKind::WouldBlock;
use std::iter;
use std::ops::AddAssign;
use std::path::Path;

use aya::Ebpf;
use aya::maps::{ArrayOfMaps, HashMap, MapData, MapError, PerCpuHashMap, PerCpuValues};
use aya::programs::links::FdLink;
use aya::programs::{CgroupAttachMode, CgroupSockAddr, ProgramError};

use super::Error;
use super::cgroup::{Cgroup, failed};
use super::pool::{Key, Pool, Value};
use crate::maps::Conversations;

static OBJECT: &[u8] = aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/connect.o"));

/// The programs, and the files that keep each in force.
pub(super) const NAMES: [&str; 6] = ["connect4", "connect6", "bind4", "bind6", "sendmsg4", "sendmsg6"];

/// `GROUPS` of `bpf/pool.h`.
pub(super) const MAX_GROUPS: usize = 256;

/// What the programs did for one filter.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Tally {
    /// Connects over IPv4 that got an address and a port.
    pub connects4: u64,
    /// The same over IPv6.
    pub connects6: u64,
    /// Binds to what is owned.
    pub binds: u64,
    /// Ports looked at for all these.
    pub tries: u64,
    /// Connects and binds that found every port in use, or no address put up.
    pub exhausted: u64,
    /// Connects, binds and datagrams that would have left from what is not owned.
    pub refused: u64,
}

impl AddAssign for Tally {
    fn add_assign(&mut self, other: Self) {
        self.connects4 += other.connects4;
        self.connects6 += other.connects6;
        self.binds += other.binds;
        self.tries += other.tries;
        self.exhausted += other.exhausted;
        self.refused += other.refused;
    }
}

impl From<[u64; 6]> for Tally {
    /// As `struct tally`.
    fn from([connects4, connects6, binds, tries, exhausted, refused]: [u64; 6]) -> Self {
        Self { connects4, connects6, binds, tries, exhausted, refused }
    }
}

pub(super) struct Hooks {
    object: Ebpf,
    /// As `struct group`.
    groups: HashMap<MapData, u64, [u32; 3]>,
    candidates: HashMap<MapData, Key, Value>,
    tallies: PerCpuHashMap<MapData, u64, [u64; 6]>,
    cursors: HashMap<MapData, u64, u32>,
    elsewhere: ArrayOfMaps<MapData, Conversations>,
}

impl Hooks {
    pub(super) fn load() -> Result<Self, Error> {
        let mut object = Ebpf::load(OBJECT).map_err(refused("load"))?;
        for name in NAMES {
            load(program(&mut object, name)?).map_err(refused(name))?;
        }
        Ok(Self {
            groups: map(&mut object, "groups")?,
            candidates: map(&mut object, "candidates")?,
            tallies: map(&mut object, "tallies")?,
            cursors: map(&mut object, "cursors")?,
            elsewhere: map(&mut object, "elsewhere")?,
            object,
        })
    }

    /// Puts the programs in force. Those that an agent before left go only then, so no moment is without any: a connect
    /// that meets both, the older first, is chosen for by the older and checked by the newer.
    pub(super) fn attach(&mut self, cgroup: &Cgroup, pins: &Path) -> Result<(), Error> {
        let folder = cgroup.open()?;
        for name in NAMES {
            let program = program(&mut self.object, name)?;
            // For a link the kernel takes no mode, and any number of programs.
            let link = program.attach(&folder, CgroupAttachMode::Single).map_err(refused(name))?;
            let link = program.take_link(link).map_err(refused(name))?;
            let link: FdLink = link.try_into().map_err(refused(name))?;
            let fresh = pins.join(format!("{name}-new"));
            fs::remove_file(&fresh).unwrap_or_default();
            link.pin(&fresh).map_err(refused(name))?;
            fs::rename(&fresh, pins.join(name)).map_err(failed("rename", &fresh))?;
        }
        Ok(())
    }

    /// Lets no connect choose what would be one of `conversations`.
    pub(super) fn avoid(&mut self, conversations: &Conversations) -> Result<(), MapError> {
        self.elsewhere.set(0, conversations, 0)
    }

    /// A group without a pool.
    pub(super) fn add(&mut self, id: u64) -> Result<(), String> {
        self.cursors.insert(id, 0, 0).map_err(text)?;
        let cpus = aya::util::nr_cpus().map_err(|(file, error)| format!("{file}: {error}"))?;
        let none = PerCpuValues::try_from(vec![[0; 6]; cpus]).map_err(text)?;
        self.tallies.insert(id, none, 0).map_err(text)?;
        self.groups.insert(id, [0; 3], 0).map_err(text)
    }

    /// Writes the pool under `epoch`, and then lets the group choose from it.
    pub(super) fn publish(&mut self, id: u64, pool: &Pool, epoch: u16) -> Result<(), String> {
        for (key, value) in pool.entries(id, epoch) {
            self.candidates.insert(key, value, 0).map_err(text)?;
        }
        let [v4, v6] = pool.counts();
        self.groups.insert(id, [u32::from(epoch), v4, v6], 0).map_err(text)
    }

    /// Lets the group choose from nothing. It takes no memory, so it can't fail for a group that is there.
    pub(super) fn close(&mut self, id: u64, epoch: u16) {
        self.groups.insert(id, [u32::from(epoch), 0, 0], 0).unwrap_or_default();
    }

    /// Frees a pool that is not chosen from any more.
    pub(super) fn forget(&mut self, id: u64, pool: &Pool, epoch: u16) {
        for (key, _) in pool.entries(id, epoch) {
            self.candidates.remove(&key).unwrap_or_default();
        }
    }

    /// Forgets the group; its pools apart.
    pub(super) fn remove(&mut self, id: u64) {
        self.groups.remove(&id).unwrap_or_default();
        self.cursors.remove(&id).unwrap_or_default();
        self.tallies.remove(&id).unwrap_or_default();
    }

    pub(super) fn tally(&self, id: u64) -> Tally {
        let mut sum = Tally::default();
        if let Ok(values) = self.tallies.get(&id, 0) {
            values.iter().for_each(|value| sum += Tally::from(*value));
        }
        sum
    }
}

fn program<'o>(object: &'o mut Ebpf, name: &str) -> Result<&'o mut CgroupSockAddr, Error> {
    let program = object.program_mut(name).ok_or("missing").map_err(refused(name))?;
    program.try_into().map_err(refused(name))
}

/// The kernel gives up its check when a signal comes: then once more.
fn load(program: &mut CgroupSockAddr) -> Result<(), ProgramError> {
    let mut tries = 5;
    loop {
        match program.load() {
            Err(ProgramError::LoadError { io_error, .. }) if tries > 0 && io_error.kind() == WouldBlock => tries -= 1,
            result => return result,
        }
    }
}

fn map<M>(object: &mut Ebpf, name: &str) -> Result<M, Error>
where
    M: TryFrom<aya::maps::Map, Error = MapError>,
{
    let map = object.take_map(name).ok_or("missing").map_err(refused(name))?;
    M::try_from(map).map_err(refused(name))
}

fn refused<E: Into<Box<dyn error::Error>>>(what: &str) -> impl FnOnce(E) -> Error {
    move |error| Error::Program { what: what.to_owned(), reason: text(error) }
}

/// With what is behind it: the kernel's own word is the last.
fn text(error: impl Into<Box<dyn error::Error>>) -> String {
    let error = error.into();
    let behind = iter::successors(error.source(), |error| error.source());
    behind.fold(error.to_string(), |text, error| format!("{text}: {error}"))
}
