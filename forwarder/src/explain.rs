// SPDX-License-Identifier: MIT OR Apache-2.0
//! Where a packet would go, and why: the pipeline's own decision, put into words.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use tables::table::{Address, Remote, Target};
use tables::{Prefix, Table};

use crate::counters::DropReason;
use crate::pipeline::address::is_for_kernel;
use crate::pipeline::packet::NotForwarded;
use crate::pipeline::route::route;
use crate::pipeline::upper::Selector;
use crate::settings::Underlay;
use crate::state::Destination;
use crate::wire::protocol;

/// What is asked about: a whole packet, by destination.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Query {
    /// Destination address.
    pub address: IpAddr,
    /// Destination port; of ICMP, an echo reply's identifier. Needed only where it decides.
    pub port: Option<u16>,
    /// What is asked for.
    pub protocol: Protocol,
}

/// A transport protocol as people name it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// ICMP or ICMPv6, as the address wants.
    Icmp,
    /// An IP protocol number.
    Number(u8),
}

/// A question that can't be answered.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum QueryError {
    /// The destination can't be read.
    #[error("{0:?} is not ADDRESS:PORT, such as 198.51.100.1:4242 or [2001:db8::1]:4242")]
    Destination(String),
    /// The protocol can't be read.
    #[error("{0:?} is not a protocol: tcp, udp, icmp or a number from 0 to 255")]
    Protocol(String),
    /// The address is shared by port, and none was given.
    #[error("servers share this address by port: give ADDRESS:PORT, such as {0}")]
    NoPort(SocketAddr),
}

impl FromStr for Protocol {
    type Err = QueryError;

    fn from_str(text: &str) -> Result<Self, QueryError> {
        match text.to_ascii_lowercase().as_str() {
            "tcp" => Ok(Self::Number(protocol::TCP)),
            "udp" => Ok(Self::Number(protocol::UDP)),
            "icmp" => Ok(Self::Icmp),
            number => number.parse().map(Self::Number).map_err(|_| QueryError::Protocol(text.to_owned())),
        }
    }
}

impl Protocol {
    /// Its number in a packet to `address`.
    fn number(self, address: IpAddr) -> u8 {
        match (self, address) {
            (Self::Number(number), _) => number,
            (Self::Icmp, IpAddr::V4(_)) => protocol::ICMP,
            (Self::Icmp, IpAddr::V6(_)) => protocol::ICMPV6,
        }
    }
}

/// Reads `ADDR:PORT`, `[V6]:PORT`, or an address alone; `a::b:80` without brackets is an address.
pub fn destination(text: &str) -> Result<(IpAddr, Option<u16>), QueryError> {
    if let Ok(socket) = text.parse::<SocketAddr>() {
        return Ok((socket.ip(), Some(socket.port())));
    }
    let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
    bare.parse().map(|address| (address, None)).map_err(|_| QueryError::Destination(text.to_owned()))
}

/// What becomes of a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// Encapsulated to a server of this data centre.
    Server,
    /// Encapsulated to another data centre.
    Datacenter,
    /// Handed to the kernel.
    Kernel,
    /// Dropped.
    Drop,
}

/// The answer (contract section 4).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Explanation {
    /// Of the table that was asked.
    pub generation: u64,
    /// As asked.
    pub address: IpAddr,
    /// As asked.
    pub port: Option<u16>,
    /// IP protocol number.
    pub protocol: u8,
    /// What becomes of the packet.
    pub verdict: Verdict,
    /// The server or data centre.
    pub target: Option<String>,
    /// Destination of the outer header; of several forwarders the first.
    pub outer_destination: Option<IpAddr>,
    /// The forwarders of the data centre among which the flow hash chooses.
    pub forwarders: Vec<IpAddr>,
    /// The last owner, whose connections drain.
    pub previous: Option<String>,
    /// Why it is dropped.
    pub reason: Option<String>,
    /// The longest prefix of the table around the address.
    pub prefix: Option<String>,
    /// The widest run of ports around the one asked for with the same fate.
    pub ports: String,
    /// The decision in a sentence.
    pub why: String,
}

/// Asks `table`, of `generation`, what a forwarder with the addresses `own` would do. `prefix` is the longest one of the
/// document around the address; the table itself has forgotten it.
pub fn explain(
    table: &Table,
    prefix: Option<Prefix>,
    generation: u64,
    own: &Underlay,
    query: Query,
) -> Result<Explanation, QueryError> {
    let Query { address, port, protocol } = query;
    let number = protocol.number(address);
    let mut explanation = Explanation {
        generation,
        address,
        port,
        protocol: number,
        verdict: Verdict::Kernel,
        target: None,
        outer_destination: None,
        forwarders: Vec::new(),
        previous: None,
        reason: None,
        prefix: None,
        ports: ports(0, u16::MAX),
        why: String::new(),
    };
    if is_for_kernel(address, own) {
        "multicast, link-local or the forwarder's own address: for the kernel".clone_into(&mut explanation.why);
        return Ok(explanation);
    }
    explanation.prefix = prefix.map(|prefix| prefix.to_string());
    let entry = table.address(address);
    let selector = Selector::of_flow(address, number, port.unwrap_or_default());
    if let (Address::Sliced(plan), Selector::Port(asked)) = (entry, selector) {
        if port.is_none() {
            return Err(QueryError::NoPort(SocketAddr::new(address, 4242)));
        }
        let (first, last) = table.run_around(plan, asked);
        explanation.ports = ports(first, last);
    }
    match route(table, entry, selector) {
        Ok(Destination::Server(id)) => {
            if let Some(target) = table.targets().get(usize::from(id.0)) {
                explanation.server(target, entry, selector);
            }
        }
        Ok(Destination::Datacenter(id)) => {
            if let Some(remote) = table.remotes().get(usize::from(id.0)) {
                explanation.datacenter(remote);
            }
        }
        Err(NotForwarded::Kernel) => "not in the table: for the kernel".clone_into(&mut explanation.why),
        Err(NotForwarded::Drop(reason)) => explanation.dropped(reason),
    }
    Ok(explanation)
}

fn ports(first: u16, last: u16) -> String {
    format!("{first}-{last}")
}

impl Explanation {
    fn server(&mut self, target: &Target, entry: Address, selector: Selector) {
        let what = match (entry, selector) {
            (Address::Sliced(_), Selector::Port(_)) => self.run(),
            (Address::Sliced(_), _) => "protocols without ports".to_owned(),
            _ => "the whole address".to_owned(),
        };
        self.verdict = Verdict::Server;
        self.target = Some(target.name.to_string());
        self.outer_destination = Some(target.address);
        self.previous = target.previous.as_ref().map(|(name, _)| name.to_string());
        self.why = format!("{what} of {} belong{} to {}", self.where_(), s(&what), target.name);
        if let Some((previous, _)) = &target.previous {
            self.why += &format!("; connections of {previous}, the previous owner, drain");
        }
    }

    fn datacenter(&mut self, remote: &Remote) {
        self.verdict = Verdict::Datacenter;
        self.target = Some(remote.name.to_string());
        self.outer_destination = remote.forwarders.first().copied();
        self.forwarders.clone_from(&remote.forwarders);
        self.why = format!("{} belongs to data centre {}", self.where_(), remote.name);
    }

    fn dropped(&mut self, reason: DropReason) {
        self.verdict = Verdict::Drop;
        self.reason = Some(reason.name().to_owned());
        self.why = match reason {
            DropReason::UnassignedAddress => format!("{} is announced, but in nobody's hands", self.where_()),
            DropReason::UnallocatedPort => format!("{} of {} belong to nobody", self.run(), self.where_()),
            DropReason::NoPort => format!("{} names no owner for protocols without ports", self.where_()),
            other => other.name().replace('_', " "),
        };
    }

    /// The ports that share the fate, or what an echo reply has instead.
    fn run(&self) -> String {
        let what = if protocol::has_ports(self.protocol) { "ports" } else { "echo identifiers" };
        format!("{what} {}", self.ports)
    }

    fn where_(&self) -> &str {
        self.prefix.as_deref().unwrap_or("the address")
    }
}

/// The ending of a verb after `what`.
fn s(what: &str) -> &'static str {
    if what.starts_with("the whole") { "s" } else { "" }
}

/// For people: one aligned line for each fact.
impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verdict = match self.verdict {
            Verdict::Server => "server",
            Verdict::Datacenter => "data centre",
            Verdict::Kernel => "kernel",
            Verdict::Drop => "drop",
        };
        let name = self.target.as_deref().or(self.reason.as_deref()).unwrap_or_default();
        writeln!(f, "{:<11} {}", verdict, name)?;
        if self.forwarders.len() > 1 {
            let all: Vec<_> = self.forwarders.iter().map(IpAddr::to_string).collect();
            writeln!(f, "{:<11} one of {}, by flow", "outer to", all.join(", "))?;
        } else if let Some(outer) = self.outer_destination {
            writeln!(f, "{:<11} {outer}", "outer to")?;
        }
        if let Some(previous) = &self.previous {
            writeln!(f, "{:<11} {previous}", "previous")?;
        }
        if let Some(prefix) = &self.prefix {
            writeln!(f, "{:<11} {prefix}, ports {}", "entry", self.ports)?;
        }
        writeln!(f, "{:<11} {}", "generation", self.generation)?;
        write!(f, "{:<11} {}", "why", self.why)
    }
}
