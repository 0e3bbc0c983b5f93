// SPDX-License-Identifier: MIT OR Apache-2.0
//! What becomes of a packet by a table, and how two such fates differ.

use std::net::IpAddr;

use tables::table::{RemoteId, TargetId};

use crate::counters::DropReason;
use crate::pipeline::classify::{self, Receiver};
use crate::pipeline::packet::{NotForwarded, Packet};
use crate::pipeline::route::route_packet;
use crate::pipeline::trace;
use crate::pipeline::upper::Upper;
use crate::state::{Destination, ForwardingState};

/// Where a packet goes, or what becomes of it instead.
pub(super) type Fate = Result<Destination, NotForwarded>;

/// How what would become of a packet differs from what does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Kind {
    /// Not at all. What is dropped is dropped, whatever the reason.
    Same,
    /// It would go to another server here, or from one other data centre to another.
    Moved,
    /// It goes somewhere, and would be dropped.
    NewlyDropped,
    /// It goes nowhere, and would go to a server here.
    NewlyForwarded,
    /// It would go to another data centre, and does not now.
    NewlyRemote,
    /// It goes to another data centre, and would go to a server here.
    NewlyLocal,
    /// It would be the kernel's, and is not now.
    NewlyKernel,
    /// It is not known by itself: a later fragment goes where its first one goes.
    Unknown,
}

impl Kind {
    /// All kinds, in order.
    pub const ALL: [Self; 8] = [
        Self::Same,
        Self::Moved,
        Self::NewlyDropped,
        Self::NewlyForwarded,
        Self::NewlyRemote,
        Self::NewlyLocal,
        Self::NewlyKernel,
        Self::Unknown,
    ];

    /// Its name for programs.
    pub fn name(self) -> &'static str {
        match self {
            Self::Same => "same",
            Self::Moved => "moved",
            Self::NewlyDropped => "newly_dropped",
            Self::NewlyForwarded => "newly_forwarded",
            Self::NewlyRemote => "newly_remote",
            Self::NewlyLocal => "newly_local",
            Self::NewlyKernel => "newly_kernel",
            Self::Unknown => "unknown",
        }
    }

    /// How `after`, by the state of the second, differs from `before`, by the first. Ids mean something in their own table
    /// alone: a server is who has its address, a data centre who has its name.
    pub(super) fn of((running, before): (&ForwardingState, Fate), (shadow, after): (&ForwardingState, Fate)) -> Self {
        use Destination::{Datacenter, Server};
        use NotForwarded::{Drop, Kernel};
        const UNKNOWN: Fate = Err(Drop(DropReason::FragmentUnmatched));
        match (before, after) {
            (UNKNOWN, _) | (_, UNKNOWN) => Self::Unknown,
            (Ok(Server(a)), Ok(Server(b))) if server(running, a) == server(shadow, b) => Self::Same,
            (Ok(Server(_)), Ok(Server(_))) => Self::Moved,
            (Ok(Datacenter(a)), Ok(Datacenter(b))) if datacenter(running, a) == datacenter(shadow, b) => Self::Same,
            (Ok(Datacenter(_)), Ok(Datacenter(_))) => Self::Moved,
            (Ok(Datacenter(_)), Ok(Server(_))) => Self::NewlyLocal,
            (_, Ok(Datacenter(_))) => Self::NewlyRemote,
            (Err(_), Ok(Server(_))) => Self::NewlyForwarded,
            (Err(Drop(_)), Err(Drop(_))) | (Err(Kernel), Err(Kernel)) => Self::Same,
            (_, Err(Drop(_))) => Self::NewlyDropped,
            (_, Err(Kernel)) => Self::NewlyKernel,
        }
    }
}

fn server(state: &ForwardingState, id: TargetId) -> Option<IpAddr> {
    state.table.targets().get(usize::from(id.0)).map(|target| target.address)
}

fn datacenter(state: &ForwardingState, id: RemoteId) -> Option<&str> {
    state.table.remotes().get(usize::from(id.0)).map(|remote| &*remote.name)
}

/// The fate of any frame, from its bytes.
pub(super) fn of_frame(state: &ForwardingState, frame: &[u8], receiver: Receiver<'_>) -> Fate {
    let packet = classify::frame(frame, receiver)?;
    let entry = state.table.address(packet.addresses.destination());
    let selector = trace::selector(entry, &packet, frame)?;
    route_packet(&state.table, entry, &Packet { upper: Upper { selector, ..packet.upper }, ..packet })
}
