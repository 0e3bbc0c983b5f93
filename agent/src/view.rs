// SPDX-License-Identifier: MIT OR Apache-2.0
//! What one server has to know of a table.

use std::net::IpAddr;

use tables::{Ports, Prefix};

/// A table as one server sees it: all that the programs in the kernel are told.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct View {
    /// The table's generation, 0 where the document gives none.
    pub generation: u64,
    /// Prefixes that this server owns something of, or owned before; longest first, so that the first that holds an
    /// address is the one that counts.
    pub held: Vec<Held>,
    /// All egress space of the table, as few prefixes as say it: who sends from there must own what it sends from.
    pub egress: Vec<Prefix>,
    /// Who may send GUE here: the underlay addresses of all data centres' forwarders.
    pub forwarders: Vec<IpAddr>,
    /// Who may pass on to here what it has no socket for: the underlay addresses of all other servers.
    pub servers: Vec<IpAddr>,
    /// Where else servers send from that pass something on, by the configuration.
    pub peers: Vec<Prefix>,
}

impl View {
    /// Whether it says the same as `other`, whatever generation both are of.
    pub fn says_the_same(&self, other: &Self) -> bool {
        let Self { generation: _, held, egress, forwarders, servers, peers } = self;
        (held, egress, forwarders, servers, peers)
            == (&other.held, &other.egress, &other.forwarders, &other.servers, &other.peers)
    }
}

/// A prefix that this server has to do with.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Held {
    /// Each address of it.
    pub prefix: Prefix,
    /// By ports, in order, without overlaps. A whole address is one run of all ports.
    pub runs: Vec<Run>,
    /// Who gets protocols without ports.
    pub portless: Keeper,
    /// The entry's tags, for whoever chooses an address by them.
    pub tags: Vec<(String, String)>,
}

impl Held {
    /// Whether this server owns anything of it.
    pub fn is_owned(&self) -> bool {
        self.portless.own || self.runs.iter().any(|run| run.keeper.own)
    }
}

/// Ports of a prefix with the same owners.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct Run {
    /// Inclusive, host byte order.
    pub ports: Ports,
    /// Whose they are.
    pub keeper: Keeper,
}

/// Who takes a packet, as this server sees it.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub struct Keeper {
    /// Whether this server owns it: only then may it send from it.
    pub own: bool,
    /// The other server that a packet without a socket here goes to: where this server is the owner, the previous
    /// owner; where it is not, the owner. Its underlay address.
    pub other: Option<IpAddr>,
}
