// SPDX-License-Identifier: MIT OR Apache-2.0
//! What becomes of a packet by a table, and how two such fates differ.

use std::net::IpAddr;

use tables::table::{Address, RemoteId, TargetId};

use crate::counters::DropReason;
use crate::pipeline::classify::{self, Receiver};
use crate::pipeline::packet::{NotForwarded, Packet};
use crate::pipeline::route::route_packet;
use crate::pipeline::trace;
use crate::pipeline::upper::Upper;
use crate::state::{Destination, ForwardingState};

/// What becomes of a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    /// It goes there, or not.
    Routed(Result<Destination, NotForwarded>),
    /// It is an echo request, and answered here.
    Answered,
}

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
    /// It is an echo request that would be answered here, and is not now.
    NewlyAnswered,
    /// It is not known by itself: a later fragment goes where its first one goes.
    Unknown,
}

impl Kind {
    /// All kinds, in order.
    pub const ALL: [Self; 9] = [
        Self::Same,
        Self::Moved,
        Self::NewlyDropped,
        Self::NewlyForwarded,
        Self::NewlyRemote,
        Self::NewlyLocal,
        Self::NewlyKernel,
        Self::NewlyAnswered,
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
            Self::NewlyAnswered => "newly_answered",
            Self::Unknown => "unknown",
        }
    }

    /// How `after`, by the state of the second, differs from `before`, by the first. Ids mean something in their own table
    /// alone: a server is who has its address, a data centre who has its name.
    pub(super) fn of((running, before): (&ForwardingState, Fate), (shadow, after): (&ForwardingState, Fate)) -> Self {
        use Destination::{Datacenter, Server};
        use Fate::{Answered, Routed};
        use NotForwarded::{Drop, Kernel};
        const UNKNOWN: Fate = Routed(Err(Drop(DropReason::FragmentUnmatched)));
        match (before, after) {
            (UNKNOWN, _) | (_, UNKNOWN) => Self::Unknown,
            (Answered, Answered) => Self::Same,
            (_, Answered) => Self::NewlyAnswered,
            (Routed(Ok(Server(a))), Routed(Ok(Server(b)))) if server(running, a) == server(shadow, b) => Self::Same,
            (Routed(Ok(Server(_))), Routed(Ok(Server(_)))) => Self::Moved,
            (Routed(Ok(Datacenter(a))), Routed(Ok(Datacenter(b)))) => {
                if datacenter(running, a) == datacenter(shadow, b) { Self::Same } else { Self::Moved }
            }
            (Routed(Ok(Datacenter(_))), Routed(Ok(Server(_)))) => Self::NewlyLocal,
            (_, Routed(Ok(Datacenter(_)))) => Self::NewlyRemote,
            (_, Routed(Ok(Server(_)))) => Self::NewlyForwarded,
            (Routed(Err(Drop(_))), Routed(Err(Drop(_)))) | (Routed(Err(Kernel)), Routed(Err(Kernel))) => Self::Same,
            (_, Routed(Err(Drop(_)))) => Self::NewlyDropped,
            (_, Routed(Err(Kernel))) => Self::NewlyKernel,
        }
    }
}

fn server(state: &ForwardingState, id: TargetId) -> Option<IpAddr> {
    state.table.targets().get(usize::from(id.0)).map(|target| target.address)
}

fn datacenter(state: &ForwardingState, id: RemoteId) -> Option<&str> {
    state.table.remotes().get(usize::from(id.0)).map(|remote| &*remote.name)
}

/// The fate of any frame, from its bytes. Echo requests to shared addresses are answered, if anybody `answers`.
pub(super) fn of_frame(state: &ForwardingState, frame: &[u8], receiver: Receiver<'_>, answers: bool) -> Fate {
    let packet = match classify::frame(frame, receiver) {
        Ok(packet) => packet,
        Err(fate) => return Fate::Routed(Err(fate)),
    };
    let entry = state.table.address(packet.addresses.destination());
    let is_shared = matches!(entry, Address::Sliced(_)) && packet.fault.is_none();
    if answers && is_shared && trace::is_echo_request(&packet, frame) {
        return Fate::Answered;
    }
    let selected = trace::selector(entry, &packet, frame)
        .map(|selector| Packet { upper: Upper { selector, ..packet.upper }, ..packet });
    Fate::Routed(selected.and_then(|packet| route_packet(&state.table, entry, &packet)))
}
