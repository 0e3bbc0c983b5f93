// SPDX-License-Identifier: MIT OR Apache-2.0
//! What is said of a captured packet: a comment of `key=value` pairs.

use std::fmt::Write;

use crate::capture::Fate;
use crate::capture::drain::Packet;
use crate::control::names::Names;
use crate::counters::DropReason;
use crate::leaving::Leaving;
use crate::wire::outer::Private;

/// The comment on a packet that `worker` handled.
pub(super) fn comment(names: &Names, worker: usize, packet: &Packet, gue_port: u16) -> String {
    let mut text = match packet.fate {
        Fate::Held => "verdict=hold".to_owned(),
        Fate::Kernel => "verdict=kernel".to_owned(),
        Fate::Handed => "verdict=handed".to_owned(),
        Fate::Dropped(reason) => format!("verdict=drop reason={}", reason.name()),
        Fate::Sent => {
            let left = packet.left.as_ref().and_then(|frame| Leaving::read(&frame.bytes, gue_port));
            sent(names, left, packet.came.is_some())
        }
    };
    let Packet { number, generation, revision, .. } = packet;
    // A string takes everything.
    let _ = write!(text, " generation={generation} revision={revision} packet={worker}.{number}");
    text
}

fn sent(names: &Names, left: Option<Leaving<'_>>, has_come: bool) -> String {
    match left {
        Some(Leaving::Gue(tunnel)) => {
            let (verdict, name) = match tunnel.private {
                Private::Datacenter => ("datacenter", names.datacenter(tunnel.destination)),
                Private::None | Private::PreviousOwner => ("server", names.server(tunnel.destination)),
            };
            let target = name.map_or_else(|| "unknown".to_owned(), word);
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

/// A name as one word: quoted as JSON does if it has odd characters.
fn word(name: &str) -> String {
    let is_plain = name.bytes().all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'"' | b'='));
    if is_plain && !name.is_empty() { name.to_owned() } else { serde_json::Value::from(name).to_string() }
}
