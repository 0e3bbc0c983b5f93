// SPDX-License-Identifier: MIT OR Apache-2.0
//! The egress guard: what leaves from egress space leaves from what this server owns. The program of `bpf/guard.bpf.c`
//! looks at each packet on its way out of an underlay device; a thread finds out who sent what it caught.
//!
//! Connections that were there when their port became another server's go on: that is what draining is.

mod culprit;
mod event;
mod watch;

use std::error;

use aya::maps::{Map, MapData, MapError, PerCpuArray, RingBuf};
use aya::programs::tc::{self, NlOptions, TcAttachOptions};
use aya::programs::{LinkOrder, ProgramError, SchedClassifier, TcAttachType};
use aya::util::KernelVersion;
use aya::{Ebpf, EbpfLoader};

pub use self::culprit::Process;
pub use self::event::{Caught, Verdict};
use self::watch::Watch;
use crate::config::GuardAction;
use crate::maps::{self, ViewMap};
use crate::view::View;

static OBJECT: &[u8] = aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/guard.o"));
const PROGRAM: &str = "guard";

/// Why nothing is guarded.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The kernel refuses the program, a map, or to attach it.
    #[error(
        "the kernel does not take the egress guard ({what}): {error}; it needs Linux 6.1 and root, or CAP_BPF, CAP_NET_ADMIN and CAP_PERFMON"
    )]
    Kernel {
        /// Which step.
        what: String,
        /// What it said.
        error: Box<dyn error::Error + Send + Sync>,
    },
    /// It does not take the view.
    #[error(transparent)]
    View(#[from] maps::Error),
    /// Nobody would hear who was caught.
    #[error("cannot start the thread that listens to the egress guard: {0}")]
    Watch(std::io::Error),
}

/// Packets that left, or were to leave, from egress space.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct GuardCounters {
    /// From what this server owns.
    pub own: u64,
    /// From ports of others, on connections that were open when this server owned them.
    pub draining: u64,
    /// Caught: from an address of which this server has nothing.
    pub foreign_address: u64,
    /// Caught: from a port that it does not own.
    pub foreign_port: u64,
    /// Caught: of a protocol without ports, from an address where others have those.
    pub foreign_portless: u64,
    /// Caught: cut before the ports.
    pub unreadable: u64,
    /// Of those caught, how many nothing was told of, since as much was told already.
    pub untold: u64,
}

impl GuardCounters {
    /// All that was caught, by why.
    pub fn caught(&self) -> [(Verdict, u64); 4] {
        [
            (Verdict::ForeignAddress, self.foreign_address),
            (Verdict::ForeignPort, self.foreign_port),
            (Verdict::ForeignPortless, self.foreign_portless),
            (Verdict::Unreadable, self.unreadable),
        ]
    }
}

/// The guard. When it is dropped its program is gone.
pub struct Guard {
    /// Attached as long as this lives.
    _object: Ebpf,
    view: ViewMap,
    verdicts: PerCpuArray<MapData, u64>,
    watch: Watch,
}

impl Guard {
    /// Guards `devices` of this thread's network namespace by `view`.
    ///
    /// # Errors
    ///
    /// The first thing that is refused; then nothing is attached.
    pub fn start(devices: &[String], action: GuardAction, view: &View) -> Result<Self, Error> {
        let only_counts = u8::from(action == GuardAction::Count);
        let object = EbpfLoader::new().override_global("only_counts", &only_counts, true).load(OBJECT);
        let mut object = object.map_err(refused("load"))?;
        let mut view_map = ViewMap::take(&mut object)?;
        view_map.publish(view)?;
        let verdicts = map(&mut object, "verdicts")?;
        let events: RingBuf<MapData> = map(&mut object, "events")?;
        let watch = Watch::start(events, action).map_err(Error::Watch)?;
        let program = object.program_mut(PROGRAM).ok_or("missing").map_err(refused(PROGRAM))?;
        let program: &mut SchedClassifier = program.try_into().map_err(refused(PROGRAM))?;
        program.load().map_err(refused(PROGRAM))?;
        for device in devices {
            attach(program, device).map_err(refused(device))?;
        }
        Ok(Self { _object: object, view: view_map, verdicts, watch })
    }

    /// Goes by another view, for each packet that begins after this.
    ///
    /// # Errors
    ///
    /// The kernel does not take it, and the one before stays.
    pub fn publish(&mut self, view: &View) -> Result<(), Error> {
        Ok(self.view.publish(view)?)
    }

    /// What became of packets so far.
    ///
    /// # Errors
    ///
    /// The kernel does not tell.
    pub fn counters(&self) -> Result<GuardCounters, Error> {
        let mut sums = [0; 7];
        for (verdict, sum) in (1..).zip(&mut sums) {
            let values = self.verdicts.get(&verdict, 0).map_err(refused("verdicts"))?;
            *sum = values.iter().sum();
        }
        // In the order of `enum verdict` in `bpf/caught.h`, from its second on.
        let [own, draining, foreign_address, foreign_port, foreign_portless, unreadable, untold] = sums;
        Ok(GuardCounters { own, draining, foreign_address, foreign_port, foreign_portless, unreadable, untold })
    }

    /// Who was caught lately, the latest last.
    pub fn events(&self) -> Vec<Caught> {
        self.watch.events()
    }
}

/// As a link where the kernel has them for tc (6.6), so that it goes with the agent whatever ends that; else as a filter,
/// and one that a killed agent has left goes first.
fn attach(program: &mut SchedClassifier, device: &str) -> Result<(), ProgramError> {
    let options = if KernelVersion::current().is_ok_and(|kernel| kernel >= KernelVersion::new(6, 6, 0)) {
        TcAttachOptions::TcxOrder(LinkOrder::default())
    } else {
        // Which is there already more often than not.
        tc::qdisc_add_clsact(device).unwrap_or_default();
        tc::qdisc_detach_program(device, TcAttachType::Egress, PROGRAM).unwrap_or_default();
        TcAttachOptions::Netlink(NlOptions::default())
    };
    program.attach_with_options(device, TcAttachType::Egress, options).map(drop)
}

fn map<M: TryFrom<Map, Error = MapError>>(object: &mut Ebpf, name: &str) -> Result<M, Error> {
    let map = object.take_map(name).ok_or("missing").map_err(refused(name))?;
    map.try_into().map_err(refused(name))
}

fn refused<E: Into<Box<dyn error::Error + Send + Sync>>>(what: &str) -> impl FnOnce(E) -> Error {
    move |error| Error::Kernel { what: what.to_owned(), error: error.into() }
}
