// SPDX-License-Identifier: MIT OR Apache-2.0
//! Why a capture can't be read on.

use std::fmt;
use std::io;

use super::MAX_FRAME;

/// A capture that can't be read on, and the packet where it stopped.
#[derive(Debug, thiserror::Error)]
pub struct Error {
    /// The packet's number, from 1 as Wireshark counts; 0 is the file's header.
    pub packet: u64,
    /// What is wrong there.
    #[source]
    pub fault: Fault,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.packet, &self.fault) {
            (0, Fault::Io(_)) => write!(f, "{}", self.fault),
            (0, fault) => write!(f, "file header: {fault}"),
            (packet, fault) => write!(f, "packet {packet}: {fault}"),
        }
    }
}

impl From<io::Error> for Error {
    /// The file can't even be opened.
    fn from(error: io::Error) -> Self {
        Self { packet: 0, fault: Fault::Io(error) }
    }
}

/// What is wrong with a capture.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// Reading failed.
    #[error("can't be read: {0}; check name, kind and permissions of the file")]
    Io(#[from] io::Error),
    /// There is no byte in it.
    #[error("the file is empty; a capture without packets still has a header, so capture or copy it again")]
    Empty,
    /// Neither pcap nor pcapng, by its first bytes.
    #[error("neither pcap nor pcapng (it starts with {}); decompress it, or convert it with editcap -F pcap", hex(.0))]
    NotACapture([u8; 4]),
    /// The file ends where more must follow.
    #[error("the file ends in the middle of it; copy the capture again, or keep what is whole with editcap")]
    Truncated,
    /// A link type other than Ethernet.
    #[error("link type {0} is not Ethernet (1); capture on an Ethernet interface, not on \"any\"")]
    LinkType(u32),
    /// A frame that nobody captured.
    #[error("it claims {0} bytes, and the most is {MAX_FRAME}; the file is damaged, capture or copy it again")]
    TooLong(u32),
    /// Something that contradicts itself.
    #[error("{0}; the file is damaged, capture or copy it again")]
    Malformed(&'static str),
}

fn hex(bytes: &[u8; 4]) -> String {
    let [a, b, c, d] = bytes;
    format!("{a:02x} {b:02x} {c:02x} {d:02x}")
}
