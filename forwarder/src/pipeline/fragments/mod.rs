// SPDX-License-Identifier: MIT OR Apache-2.0
//! Fragments of packets to sliced addresses: virtual reassembly. The first fragment of a datagram shows whose it is; the others
//! follow it, and wait for it if they come early. Nothing is put together or copied.
//!
//! ```text
//!  first ── whose? ──► forward or drop ──► remember ──► those that waited follow
//!  later ── known? ──► follow
//!              └────► wait: until the first comes, or a second has passed
//! ```
//!
//! What is remembered is what picks the owner, never the owner: each fragment asks the table of its own moment.

mod contexts;
mod coverage;
mod key;
mod order;
mod piece;
mod store;
mod waiting;

use tables::table::Address;

use self::key::Key;
use self::piece::{Fate, Piece, Role};
use self::store::{Later, Span, Store};
use super::packet::{NotForwarded, Packet};
use super::upper::Selector;
use super::work::Work;
use super::{Output, Sender, route};
use crate::counters::{Counters, DropReason};
use crate::io::{Allocator, DeviceIndex, Nanos, PacketBuf};
use crate::settings::FragmentLimits;

pub use self::key::Member;

/// Packets given up at most by one [`Fragments::sweep`]: more than a burst brings, so that what is due never piles up.
const SWEPT_AT_ONCE: usize = 512;

/// A fragment that is another worker's to decide.
pub struct Handed<B> {
    /// Whose.
    pub to: usize,
    /// The device that received it.
    pub device: DeviceIndex,
    /// As received.
    pub frame: B,
}

/// One worker's fragments.
pub(super) struct Fragments<B> {
    member: Member,
    store: Store<Fate, Waiting<B>>,
}

/// A packet that waits for its first fragment.
struct Waiting<B> {
    frame: B,
    packet: Packet,
    span: Span,
    device: DeviceIndex,
}

impl<B: PacketBuf> Fragments<B> {
    pub(super) fn new(limits: FragmentLimits, member: Member) -> Self {
        Self { member, store: Store::new(limits, member.secret()) }
    }

    /// How many packets wait.
    #[inline]
    pub(super) fn held(&self) -> usize {
        self.store.held()
    }

    /// How many datagrams are remembered or waited for, and how many bytes wait.
    pub(super) fn remembered(&self) -> (usize, u64) {
        self.store.remembered()
    }

    /// Decides `frame`, which holds `packet`, a fragment to the sliced `address`.
    #[cold]
    #[inline(never)]
    pub(super) fn receive<A: Allocator<B>>(
        &mut self,
        sender: &mut Sender,
        work: &mut Work<'_, B, A>,
        address: Address,
        packet: &Packet,
        frame: B,
    ) {
        let piece = packet.bytes(frame.data()).and_then(|bytes| Piece::read(packet, bytes));
        let Some(piece) = piece else { return work.drop(DropReason::Malformed, frame) };
        let sound = packet.fault.map_or(piece.span.ok_or(DropReason::FragmentMalformed), Err);
        let home = if piece.role == Role::Portless { None } else { self.member.elsewhere(&piece.key) };
        match (piece.role, sound, home) {
            (Role::Portless | Role::Later, Err(reason), _) => work.drop(reason, frame),
            (_, _, Some(to)) => {
                let device = work.arrival.device;
                work.output.handed.push(Handed { to, device, frame });
            }
            (Role::Portless, Ok(_), None) => {
                // Each for itself: what becomes of this one says nothing about the others.
                let _ = follow(sender, work, address, Ok(Selector::Portless), packet, frame);
            }
            (Role::First { end, fate }, sound, None) => {
                let fate = sound.map_err(NotForwarded::from).and(fate);
                let met = follow(sender, work, address, fate, packet, frame);
                self.first(sender, work, address, (piece.key, end), met.and(fate));
            }
            (Role::Later, Ok(span), None) => {
                let waiting = Waiting { frame, packet: *packet, span, device: work.arrival.device };
                self.later(sender, work, address, piece.key, waiting);
            }
        }
    }

    /// Gives up packets that have waited too long.
    #[cold]
    #[inline(never)]
    pub(super) fn sweep(&mut self, now: Nanos, output: &mut Output<B>, counters: &mut Counters) {
        for _ in 0..SWEPT_AT_ONCE {
            let Some(waiting) = self.store.expire(now) else { break };
            give_up(waiting.frame, output, counters);
        }
    }

    /// Gives up all packets that wait.
    pub(super) fn give_up_all(&mut self, output: &mut Output<B>, counters: &mut Counters) {
        while let Some(waiting) = self.store.empty() {
            give_up(waiting.frame, output, counters);
        }
    }

    /// Remembers what a first fragment has met, and lets those go that waited for it.
    fn first<A: Allocator<B>>(
        &mut self,
        sender: &mut Sender,
        work: &mut Work<'_, B, A>,
        address: Address,
        (key, end): (Key, u16),
        fate: Fate,
    ) {
        let now = work.arrival.now;
        let mut released = self.store.first(key, end, fate, now);
        while let Some((Waiting { frame, packet, span, device }, is_due)) = self.store.release(&mut released, now) {
            let verdict = if is_due { Later::Early } else { self.store.later(&key, span, now) };
            work.on_behalf_of(device, |work| match verdict {
                Later::Early => work.drop(DropReason::FragmentUnmatched, frame),
                Later::Overlaps => work.drop(DropReason::FragmentMalformed, frame),
                Later::Follows(fate) => {
                    let _ = follow(sender, work, address, fate, &packet, frame);
                }
            });
        }
    }

    /// Lets a later fragment follow its first, or wait for it.
    fn later<A: Allocator<B>>(
        &mut self,
        sender: &mut Sender,
        work: &mut Work<'_, B, A>,
        address: Address,
        key: Key,
        waiting: Waiting<B>,
    ) {
        match self.store.later(&key, waiting.span, work.arrival.now) {
            Later::Early => self.hold(work, key, waiting),
            Later::Overlaps => work.drop(DropReason::FragmentMalformed, waiting.frame),
            Later::Follows(fate) => {
                let _ = follow(sender, work, address, fate, &waiting.packet, waiting.frame);
            }
        }
    }

    /// Lets a packet wait. If there is no room, those that have waited too long make some.
    fn hold<A>(&mut self, work: &mut Work<'_, B, A>, key: Key, mut waiting: Waiting<B>) {
        let now = work.arrival.now;
        let bytes = u32::try_from(waiting.frame.data().len()).unwrap_or(u32::MAX);
        while let Err(refused) = self.store.hold(key, waiting, bytes, now) {
            match self.store.expire(now) {
                Some(due) => work.drop(DropReason::FragmentUnmatched, due.frame),
                None => return work.drop(DropReason::FragmentStoreFull, refused.frame),
            }
            waiting = refused;
        }
    }
}

/// What picks the owner of the fragment that `packet`, of these bytes, has been found to be; [`Selector::Fragment`] if that is up
/// to its first.
pub(super) fn selector(packet: &Packet, bytes: &[u8]) -> Fate {
    match Piece::read(packet, bytes).ok_or(DropReason::Malformed)?.role {
        Role::Portless => Ok(Selector::Portless),
        Role::First { fate, .. } => fate,
        Role::Later => Ok(Selector::Fragment),
    }
}

/// Sends a fragment where `fate` says, by the table of this burst; what it has met.
fn follow<B: PacketBuf, A: Allocator<B>>(
    sender: &mut Sender,
    work: &mut Work<'_, B, A>,
    address: Address,
    fate: Fate,
    packet: &Packet,
    frame: B,
) -> Result<(), NotForwarded> {
    match fate.and_then(|selector| route::route(&work.state.table, address, selector)) {
        Ok(destination) => {
            let flow = sender.flow_hash.of_packet(packet);
            sender.deliver(work, destination, packet, flow, frame).map_err(Into::into)
        }
        Err(NotForwarded::Kernel) => {
            work.refuse(packet.origin.not_ours(), frame);
            Err(NotForwarded::Kernel)
        }
        Err(fate) => {
            work.refuse(fate, frame);
            Err(fate)
        }
    }
}

fn give_up<B>(frame: B, output: &mut Output<B>, counters: &mut Counters) {
    counters.drop(DropReason::FragmentUnmatched, 1);
    output.give_up(DropReason::FragmentUnmatched, frame);
}
