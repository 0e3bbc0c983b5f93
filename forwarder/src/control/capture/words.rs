// SPDX-License-Identifier: MIT OR Apache-2.0
//! What is said of a captured packet: a comment of `key=value` pairs.

use std::collections::HashMap;
use std::fmt::Write;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use crate::capture::Fate;
use crate::capture::drain::Packet;
use crate::control::generations::Generations;
use crate::counters::DropReason;
use crate::leaving::Leaving;
use crate::state::ForwardingState;
use crate::wire::outer::Private;

/// Names are looked up anew at most so often: there may be a thousand patches a second.
const FRESH: Duration = Duration::from_millis(250);

/// The names of those that packets go to, by their address. A packet does not say what they were called when it was decided,
/// so they are those of about then.
pub(super) struct Names {
    servers: HashMap<IpAddr, Box<str>>,
    datacenters: HashMap<IpAddr, Box<str>>,
    /// Generation and revision that they are of.
    of: (u64, u64),
    since: Instant,
}

impl Names {
    pub(super) fn new(generations: &Generations) -> Self {
        generations.look(Self::read)
    }

    /// Reads them again if a packet was decided by another state than they are of.
    pub(super) fn refresh(&mut self, generations: &Generations, packet: &Packet) {
        if self.of != (packet.generation, packet.revision) && self.since.elapsed() >= FRESH {
            *self = Self::new(generations);
        }
    }

    fn read(state: &ForwardingState) -> Self {
        let servers = state.table.targets().iter().map(|target| (target.address, target.name.clone()));
        let remotes = state.table.remotes().iter();
        let datacenters =
            remotes.flat_map(|remote| remote.forwarders.iter().map(|&forwarder| (forwarder, remote.name.clone())));
        Self {
            servers: servers.collect(),
            datacenters: datacenters.collect(),
            of: (state.generation, state.revision),
            since: Instant::now(),
        }
    }

    /// The comment on a packet that `worker` handled.
    pub(super) fn comment(&self, worker: usize, packet: &Packet, gue_port: u16) -> String {
        let mut text = match packet.fate {
            Fate::Held => "verdict=hold".to_owned(),
            Fate::Kernel => "verdict=kernel".to_owned(),
            Fate::Handed => "verdict=handed".to_owned(),
            Fate::Dropped(reason) => format!("verdict=drop reason={}", reason.name()),
            Fate::Sent => {
                let left = packet.left.as_ref().and_then(|frame| Leaving::read(&frame.bytes, gue_port));
                self.sent(left, packet.came.is_some())
            }
        };
        let Packet { number, generation, revision, .. } = packet;
        // A string takes everything.
        let _ = write!(text, " generation={generation} revision={revision} packet={worker}.{number}");
        text
    }

    fn sent(&self, left: Option<Leaving<'_>>, has_come: bool) -> String {
        match left {
            Some(Leaving::Gue(tunnel)) => {
                let (verdict, names) = match tunnel.private {
                    Private::Datacenter => ("datacenter", &self.datacenters),
                    Private::None | Private::PreviousOwner => ("server", &self.servers),
                };
                let target = names.get(&tunnel.destination).map_or_else(|| "unknown".to_owned(), |name| word(name));
                format!("verdict={verdict} target={target} outer={}", tunnel.destination)
            }
            Some(Leaving::EchoReply) => "verdict=answer".to_owned(),
            // Its buffer lives on as the message about it.
            Some(Leaving::Message) if has_come => {
                format!("verdict=drop reason={} told=sender", DropReason::TooBig.name())
            }
            Some(Leaving::Message) => "verdict=originated".to_owned(),
            None => "verdict=sent".to_owned(),
        }
    }
}

/// A name as one word: quoted as JSON does if it has odd characters.
fn word(name: &str) -> String {
    let is_plain = name.bytes().all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'"' | b'='));
    if is_plain && !name.is_empty() { name.to_owned() } else { serde_json::Value::from(name).to_string() }
}
