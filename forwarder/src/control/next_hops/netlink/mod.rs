// SPDX-License-Identifier: MIT OR Apache-2.0
//! Asks the kernel by rtnetlink(7), and hears from it.
//!
//! A notification only says that something has changed; what, is read anew. So nothing depends on what the kernel does not tell: the
//! IPv4 routes of an interface that is switched off go without a word.

mod read;

use std::collections::HashMap;
use std::io::{self, ErrorKind};
use std::net::IpAddr;
use std::time::Duration;

use netlink_packet_core::{NLM_F_CREATE, NetlinkBuffer};
use netlink_packet_route::link::LinkMessage;
use netlink_packet_route::neighbour::{NeighbourAddress, NeighbourAttribute, NeighbourFlags, NeighbourMessage};
use netlink_packet_route::route::RouteMessage;
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};
use netlink_sys::Socket;
use netlink_sys::protocols::NETLINK_ROUTE;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::net::sockopt;

use super::kernel::{Interface, Neighbour, Place, Routes};
use crate::control::netlink::{LONGEST, Questions, each};

/// Multicast groups (`RTNLGRP_…`): links, neighbours, addresses and routes of both versions.
const GROUPS: [u32; 6] = [1, 3, 5, 7, 9, 11];
/// Next-hop objects, which kernels before 5.3 lack.
const NEXT_HOP_OBJECTS: u32 = 32;

/// Message types (`RTM_…`) as a new thing of each kind has them; that it is gone is one more.
const LINK: u16 = 16;
const ADDRESS: u16 = 20;
const ROUTE: u16 = 24;
const NEIGHBOUR: u16 = 28;
const NEXT_HOP_OBJECT: u16 = 104;
const INET: u8 = 2;
const INET6: u8 = 10;

/// What of notifications can wait, in bytes. When that is not enough, everything is read anew.
const WAITING: usize = 4 << 20;

/// Both sockets.
pub(super) struct Netlink {
    events: Socket,
    questions: Questions<RouteNetlinkMessage>,
    buffer: Vec<u8>,
}

/// What has changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Changes {
    pub(super) interfaces: bool,
    pub(super) routes4: bool,
    pub(super) routes6: bool,
    pub(super) neighbours: bool,
    /// Notifications were lost.
    pub(super) lost: bool,
}

impl Changes {
    pub(super) const ALL: Self = Self { interfaces: true, routes4: true, routes6: true, neighbours: true, lost: false };

    fn note(&mut self, kind: u16, family: Option<&u8>) {
        match (kind & !1, family) {
            (LINK, _) => *self = Self { lost: self.lost, ..Self::ALL },
            (ADDRESS | ROUTE, Some(&INET)) => self.routes4 = true,
            (ADDRESS | ROUTE, Some(&INET6)) => self.routes6 = true,
            (NEIGHBOUR, Some(&(INET | INET6))) => self.neighbours = true,
            (NEXT_HOP_OBJECT, _) => (self.routes4, self.routes6) = (true, true),
            _ => {}
        }
    }
}

impl Netlink {
    /// Hears of changes from now on.
    pub(super) fn open() -> io::Result<Self> {
        let mut events = Socket::new(NETLINK_ROUTE)?;
        events.bind_auto()?;
        events.set_non_blocking(true)?;
        // The system's bound may be lower; then more is lost, and read anew.
        let _ = sockopt::set_socket_recv_buffer_size(&events, WAITING);
        GROUPS.iter().try_for_each(|&group| events.add_membership(group))?;
        // A kernel without them has no routes by them.
        let _ = events.add_membership(NEXT_HOP_OBJECTS);

        Ok(Self { events, questions: Questions::open(NETLINK_ROUTE)?, buffer: Vec::with_capacity(LONGEST) })
    }

    /// Waits until something has changed, or for `timeout`.
    pub(super) fn wait(&self, timeout: Duration) {
        let timeout = Timespec { tv_sec: timeout.as_secs() as i64, tv_nsec: timeout.subsec_nanos().into() };
        // An error is an early end, and the caller looks anyway.
        let _ = poll(&mut [PollFd::new(&self.events, PollFlags::IN)], Some(&timeout));
    }

    /// What has changed since the last call.
    pub(super) fn changes(&mut self) -> Changes {
        let mut changes = Changes::default();
        loop {
            self.buffer.clear();
            match self.events.recv(&mut self.buffer, 0) {
                Ok(_) => each(&self.buffer, |header, message| {
                    let payload = NetlinkBuffer::new(message).payload();
                    changes.note(header.message_type, payload.first());
                }),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => return changes,
                // No room for notifications: whatever they were.
                Err(_) => return Changes { lost: true, ..Changes::ALL },
            }
        }
    }

    /// All interfaces, by index.
    pub(super) fn interfaces(&mut self) -> io::Result<HashMap<u32, Interface>> {
        let question = RouteNetlinkMessage::GetLink(LinkMessage::default());
        let answers = self.questions.dump(question, |answer| match answer {
            RouteNetlinkMessage::NewLink(message) => read::interface(message),
            _ => None,
        });
        Ok(answers?.into_iter().collect())
    }

    /// The main table's routes of one IP version.
    pub(super) fn routes(&mut self, family: AddressFamily) -> io::Result<Routes> {
        let mut question = RouteMessage::default();
        question.header.address_family = family;
        let answers = self.questions.dump(RouteNetlinkMessage::GetRoute(question), |answer| match answer {
            // A kernel without that version answers with the other's.
            RouteNetlinkMessage::NewRoute(message) if message.header.address_family == family => read::route(message),
            _ => None,
        });
        answers.map(Routes::new)
    }

    /// All neighbours of both IP versions.
    pub(super) fn neighbours(&mut self) -> io::Result<HashMap<Place, Neighbour>> {
        let question = RouteNetlinkMessage::GetNeighbour(NeighbourMessage::default());
        let answers = self.questions.dump(question, |answer| match answer {
            RouteNetlinkMessage::NewNeighbour(message) => read::neighbour(message),
            _ => None,
        });
        Ok(answers?.into_iter().collect())
    }

    /// Lets the kernel find out who is there, or whether who was there still is: as if it had something to send.
    pub(super) fn request(&mut self, (interface, address): Place) -> io::Result<()> {
        let mut message = NeighbourMessage::default();
        message.header.family = if address.is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 };
        message.header.ifindex = interface;
        message.header.flags = NeighbourFlags::Use;
        let address = match address {
            IpAddr::V4(address) => NeighbourAddress::Inet(address),
            IpAddr::V6(address) => NeighbourAddress::Inet6(address),
        };
        message.attributes.push(NeighbourAttribute::Destination(address));
        self.questions.tell(RouteNetlinkMessage::NewNeighbour(message), NLM_F_CREATE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_of_a_link_is_one_of_everything() {
        let noted = |kind, family: u8| {
            let mut changes = Changes::default();
            changes.note(kind, Some(&family));
            changes
        };
        assert_eq!(noted(LINK + 1, 0), Changes::ALL);
        assert_eq!(noted(ROUTE + 1, INET), Changes { routes4: true, ..Changes::default() });
        assert_eq!(noted(ADDRESS, INET6), Changes { routes6: true, ..Changes::default() });
        assert_eq!(noted(NEIGHBOUR, INET6), Changes { neighbours: true, ..Changes::default() });
        assert_eq!(noted(NEIGHBOUR, 7), Changes::default(), "a bridge's");
        assert_eq!(noted(32, INET), Changes::default(), "a rule");
    }

    /// This machine's own loopback, whatever else it has.
    #[test]
    fn the_kernel_answers() {
        let mut netlink = Netlink::open().unwrap();
        let interfaces = netlink.interfaces().unwrap();
        assert!(interfaces.values().any(|interface| interface.name == "lo"), "{interfaces:?}");
        netlink.routes(AddressFamily::Inet).unwrap();
        netlink.routes(AddressFamily::Inet6).unwrap();
        netlink.neighbours().unwrap();
    }
}
