// SPDX-License-Identifier: MIT OR Apache-2.0
//! Where a packet would go, and why: the pipeline's own decision, put into words.

mod flow;
mod frame;
mod text;
mod way;

use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use tables::Source;

pub use self::flow::explain;
pub use self::frame::{FRAME_MAX, explain_frame, read_hex};
pub use self::way::UNKNOWN_MTU;
use crate::io::DeviceIndex;
use crate::settings::Settings;
use crate::state::ForwardingState;
use crate::wire::protocol;

/// Who is asked: a forwarder as it runs, or would.
#[derive(Clone, Copy)]
pub struct Subject<'a> {
    /// What it forwards by.
    pub state: &'a ForwardingState,
    /// What its datapath was told.
    pub settings: &'a Settings,
    /// The document that the state was made of.
    pub source: &'a Source,
}

/// What is asked.
#[derive(Debug, Clone, Copy)]
pub enum Question<'a> {
    /// Where packets of a flow go.
    Flow(Query),
    /// What becomes of a frame that arrives at a device.
    Frame(&'a [u8], DeviceIndex),
}

impl Question<'_> {
    /// Asks `subject`.
    pub fn ask(self, subject: Subject<'_>) -> Result<Explanation, QueryError> {
        match self {
            Self::Flow(query) => explain(subject, query),
            Self::Frame(frame, device) => Ok(explain_frame(subject, frame, device)),
        }
    }
}

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
    /// The generation asked for is not there.
    #[error("{0}")]
    Generation(String),
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
    /// Answered by the forwarder itself: an echo request. Of frames only.
    Answer,
    /// Held until its first fragment comes. Of frames only.
    Hold,
}

/// The answer (contract section 4).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Explanation {
    /// Of the table that was asked.
    pub generation: u64,
    /// Patches since.
    pub revision: u64,
    /// Where the packet wants to go; none if a frame holds no packet to look up.
    pub address: Option<IpAddr>,
    /// What decides among the owners of an address: a destination port, or what an ICMP message has instead.
    pub port: Option<u16>,
    /// IP protocol number.
    pub protocol: Option<u8>,
    /// What becomes of the packet.
    pub verdict: Verdict,
    /// The server or data centre.
    pub target: Option<String>,
    /// Destination of the outer header; of several forwarders the first, or that which a frame's flow chooses.
    pub outer_destination: Option<IpAddr>,
    /// The forwarders of the data centre among which the flow hash chooses.
    pub forwarders: Vec<IpAddr>,
    /// The last owner, whose connections drain.
    pub previous: Option<String>,
    /// Its address, where the header names it.
    pub previous_hop: Option<IpAddr>,
    /// Why it is dropped.
    pub reason: Option<String>,
    /// The longest prefix of the table around the address.
    pub prefix: Option<String>,
    /// The rule's place in the document: `egress[0].slices.owners[3]`.
    pub path: Option<String>,
    /// The widest run of ports around the one asked for with the same fate.
    pub ports: String,
    /// The outer headers, if the packet is encapsulated.
    pub outer: Option<Outer>,
    /// What fits behind them.
    pub mtu: Option<Mtu>,
    /// What leaves. Of frames only.
    pub sent: Vec<Sent>,
    /// The decision step by step.
    pub steps: Vec<Step>,
    /// The decision in a sentence.
    pub why: String,
    /// What another table says that is held against live packets, if there is one.
    #[serde(default)]
    pub shadow: Option<ShadowAnswer>,
}

/// What a table says that does not run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShadowAnswer {
    /// The generation that it would be.
    pub generation: u64,
    /// What would become of the packet.
    pub verdict: Verdict,
    /// The server or data centre.
    pub target: Option<String>,
    /// Destination of the outer header.
    pub outer_destination: Option<IpAddr>,
    /// Why it would be dropped.
    pub reason: Option<String>,
    /// The rule's place in the document.
    pub path: Option<String>,
    /// The decision in a sentence.
    pub why: String,
}

impl From<Explanation> for ShadowAnswer {
    fn from(explanation: Explanation) -> Self {
        let Explanation { generation, verdict, target, outer_destination, reason, path, why, .. } = explanation;
        Self { generation, verdict, target, outer_destination, reason, path, why }
    }
}

/// Outer headers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outer {
    /// Own address; none if the forwarder asked about has none in particular.
    pub source: Option<IpAddr>,
    /// Where to.
    pub destination: IpAddr,
    /// UDP source port, which the flow decides. Of frames only.
    pub source_port: Option<u16>,
    /// UDP destination port.
    pub gue_port: u16,
    /// Bytes of all of them, Ethernet excepted.
    pub overhead: usize,
    /// What is between the GUE base header and the packet.
    pub private: PrivateKind,
    /// Where the frame goes next, if that is known.
    pub next_hop: Option<NextHop>,
}

/// Where a frame goes next; of several neighbours that share, the first, or that which a frame's flow chooses.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NextHop {
    /// By which device.
    pub device: String,
    /// To which MAC address.
    pub mac: String,
}

/// What is between the GUE base header and the packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PrivateKind {
    /// Nothing.
    None,
    /// The previous owner's address.
    PreviousOwner,
    /// Hops between data centres, and the generation.
    Datacenter,
}

/// What fits the way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mtu {
    /// Largest outer IP packet, in bytes; none if a table was asked without a configuration.
    pub limit: Option<u16>,
    /// Bytes of the outer headers.
    pub overhead: usize,
    /// Largest packet that travels whole.
    pub largest: Option<usize>,
    /// Bytes of the packet. Of frames only.
    pub packet: Option<usize>,
    /// Whether it fits. Of frames only.
    pub verdict: Option<MtuVerdict>,
}

/// Whether a packet fits its way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MtuVerdict {
    /// Whole.
    Fits,
    /// In pieces.
    Cut,
    /// Not at all, and its sender is told.
    TooBig,
}

/// A frame that leaves.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sent {
    /// The device by which.
    pub device: String,
    /// Its bytes, in hexadecimal.
    pub frame: String,
}

/// One step of a decision.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    /// What is looked at: `frame`, `packet`, `entry`, `outer`, `mtu`, `fate`.
    pub step: String,
    /// What is found.
    pub found: String,
}

impl Explanation {
    /// Nothing is known yet of a packet that meets `state`.
    fn new(state: &ForwardingState) -> Self {
        Self {
            generation: state.generation,
            revision: state.revision,
            address: None,
            port: None,
            protocol: None,
            verdict: Verdict::Kernel,
            target: None,
            outer_destination: None,
            forwarders: Vec::new(),
            previous: None,
            previous_hop: None,
            reason: None,
            prefix: None,
            path: None,
            ports: ports(0, u16::MAX),
            outer: None,
            mtu: None,
            sent: Vec::new(),
            steps: Vec::new(),
            why: String::new(),
            shadow: None,
        }
    }

    fn step(&mut self, step: &str, found: String) {
        self.steps.push(Step { step: step.to_owned(), found });
    }

    /// The last step.
    fn conclude(&mut self, why: String) {
        self.step("fate", why.clone());
        self.why = why;
    }
}

fn ports(first: u16, last: u16) -> String {
    format!("{first}-{last}")
}
