// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the program tells of a packet that it caught: `struct event` of `bpf/caught.h`.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use serde::{Deserialize, Serialize};

use super::culprit::Process;

/// Why a packet was caught.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// This server has nothing of the address.
    ForeignAddress,
    /// It has other ports.
    ForeignPort,
    /// The protocol has no ports, and they are others'.
    ForeignPortless,
    /// It is cut before the ports.
    Unreadable,
}

impl Verdict {
    /// As in JSON and metrics.
    pub fn name(self) -> &'static str {
        match self {
            Self::ForeignAddress => "foreign_address",
            Self::ForeignPort => "foreign_port",
            Self::ForeignPortless => "foreign_portless",
            Self::Unreadable => "unreadable",
        }
    }
}

/// A packet that was caught, and who sent it.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Caught {
    /// When, in seconds since 1970.
    pub time: u64,
    /// Why.
    pub verdict: Verdict,
    /// IP protocol number.
    pub protocol: u8,
    /// From where.
    pub source: IpAddr,
    /// From which port. For an echo request its identifier, for an ICMP error what it quotes, 0 for what has none.
    pub source_port: u16,
    /// To where.
    pub destination: IpAddr,
    /// To which port.
    pub destination_port: u16,
    /// The user whose socket it is; none where it is the kernel's.
    pub uid: Option<u32>,
    /// The process, where it could be found.
    pub process: Option<Process>,
    /// Its cgroup, below the mount of cgroup version 2.
    pub cgroup: Option<String>,
}

/// As the kernel tells it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Event {
    pub(super) verdict: Verdict,
    pub(super) protocol: u8,
    pub(super) source: IpAddr,
    pub(super) source_port: u16,
    pub(super) destination: IpAddr,
    pub(super) destination_port: u16,
    pub(super) uid: Option<u32>,
    pub(super) cookie: u64,
    pub(super) cgroup: u64,
}

/// What the kernel says for a packet that no user's socket sent (`overflowuid`).
const NOBODY: u32 = 65534;

impl Event {
    /// None if the program is another one than this was written for.
    pub(super) fn read(bytes: &[u8]) -> Option<Self> {
        let mut rest = bytes;
        let source = Ipv6Addr::from(take::<16>(&mut rest)?).to_canonical();
        let destination = Ipv6Addr::from(take::<16>(&mut rest)?).to_canonical();
        let cookie = u64::from_ne_bytes(take(&mut rest)?);
        let cgroup = u64::from_ne_bytes(take(&mut rest)?);
        let uid = u32::from_ne_bytes(take(&mut rest)?);
        let source_port = u16::from_be_bytes(take(&mut rest)?);
        let destination_port = u16::from_be_bytes(take(&mut rest)?);
        let [protocol, verdict] = take(&mut rest)?;
        let verdict = match verdict {
            3 => Verdict::ForeignAddress,
            4 => Verdict::ForeignPort,
            5 => Verdict::ForeignPortless,
            6 => Verdict::Unreadable,
            _ => return None,
        };
        let uid = (cookie != 0 && uid != NOBODY).then_some(uid);
        Some(Self { verdict, protocol, source, source_port, destination, destination_port, uid, cookie, cgroup })
    }

    /// With what was found out about it.
    pub(super) fn caught(self, time: u64, process: Option<Process>, cgroup: Option<String>) -> Caught {
        let Self { verdict, protocol, source, source_port, destination, destination_port, uid, .. } = self;
        Caught { time, verdict, protocol, source, source_port, destination, destination_port, uid, process, cgroup }
    }
}

fn take<const N: usize>(bytes: &mut &[u8]) -> Option<[u8; N]> {
    let (taken, rest) = bytes.split_first_chunk()?;
    *bytes = rest;
    Some(*taken)
}

impl fmt::Display for Caught {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.process, self.uid) {
            (Some(process), _) => write!(f, "{process}")?,
            (None, Some(uid)) => write!(f, "a process of uid {uid}")?,
            (None, None) => f.write_str("the kernel")?,
        }
        if let Some(cgroup) = self.cgroup.as_ref().filter(|cgroup| *cgroup != "/") {
            write!(f, " in cgroup {cgroup}")?;
        }
        let address = self.source;
        let protocol = protocol(self.protocol);
        match self.verdict {
            Verdict::ForeignAddress => write!(f, " sends from {address}, of which this server owns nothing")?,
            Verdict::ForeignPort => {
                let place = SocketAddr::new(address, self.source_port);
                write!(f, " sends from {protocol} {place}, which this server does not own")?;
            }
            Verdict::ForeignPortless => {
                write!(f, " sends protocol {protocol} from {address}, which another server may")?
            }
            Verdict::Unreadable => write!(f, " sends {protocol} from {address} without a port that could be read")?,
        }
        let hint = match self.protocol {
            1 | 58 => "give an identifier that it owns (ping -e)",
            _ => "run it by `sluice-agent exec`",
        };
        write!(f, " (to {}); {hint}", SocketAddr::new(self.destination, self.destination_port))
    }
}

fn protocol(number: u8) -> String {
    match number {
        1 | 58 => "ICMP".to_owned(),
        6 => "TCP".to_owned(),
        17 => "UDP".to_owned(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes() -> Vec<u8> {
        let address = |text: &str| text.parse::<Ipv6Addr>().unwrap().octets().to_vec();
        let numbers = [7_u64.to_ne_bytes().to_vec(), 9_u64.to_ne_bytes().to_vec(), 1000_u32.to_ne_bytes().to_vec()];
        let ports = [5000_u16.to_be_bytes(), 443_u16.to_be_bytes(), [6, 4]].concat();
        [address("::ffff:198.51.100.1"), address("2001:db8::1"), numbers.concat(), ports, vec![0; 6]].concat()
    }

    #[test]
    fn an_event_is_read_as_the_program_writes_it() {
        let event = Event::read(&bytes()).unwrap();
        assert_eq!((event.source.to_string(), event.source_port), ("198.51.100.1".to_owned(), 5000));
        assert_eq!((event.destination.to_string(), event.destination_port), ("2001:db8::1".to_owned(), 443));
        assert_eq!((event.cookie, event.cgroup, event.uid), (7, 9, Some(1000)));
        assert_eq!((event.protocol, event.verdict), (6, Verdict::ForeignPort));
        assert_eq!(Event::read(&bytes()[..57]), None);
    }

    #[test]
    fn a_line_names_the_process_and_says_what_to_do() {
        let event = Event::read(&bytes()).unwrap();
        let process = Some(Process { pid: 42, name: "curl".to_owned() });
        let cgroup = Some("/user.slice".to_owned());
        let caught = event.caught(0, process, cgroup);
        assert_eq!(
            caught.to_string(),
            "curl (pid 42) in cgroup /user.slice sends from TCP 198.51.100.1:5000, which this server does not own \
             (to [2001:db8::1]:443); run it by `sluice-agent exec`"
        );
    }
}
