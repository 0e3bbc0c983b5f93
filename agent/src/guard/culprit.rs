// SPDX-License-Identifier: MIT OR Apache-2.0
//! Who has a socket: from its cookie over its inode to the process that has it open.

use std::fmt;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use forwarder::control::netlink::Questions;
use netlink_packet_sock_diag::SockDiagMessage;
use netlink_packet_sock_diag::constants::{AF_INET, AF_INET6};
use netlink_packet_sock_diag::inet::{ExtensionFlags, InetRequest, SocketId, StateFlags};
use netlink_sys::protocols::NETLINK_SOCK_DIAG;
use serde::{Deserialize, Serialize};

use crate::exec::cgroup_mount;

/// A process, as it was then.
#[derive(Clone, Debug, Deserialize, Eq, Hash, PartialEq, Serialize)]
pub struct Process {
    /// Its number.
    pub pid: u32,
    /// Its name: the first 15 bytes of the program's.
    pub name: String,
}

impl fmt::Display for Process {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (pid {})", self.name, self.pid)
    }
}

/// The process that has the socket open, one of them where several have.
pub(super) fn by_cookie(cookie: u64, protocol: u8) -> Option<Process> {
    let inode = inode(cookie, protocol).ok()??;
    let link = format!("socket:[{inode}]");
    pids()?.find(|pid| has_open(*pid, &link)).and_then(process)
}

/// The only process of a cgroup; none where there are more to choose from. And the cgroup's name.
pub(super) fn by_cgroup(id: u64) -> (Option<Process>, Option<String>) {
    let Some(mount) = cgroup_mount() else { return (None, None) };
    let Some(folder) = find(&mount, id) else { return (None, None) };
    let procs = fs::read_to_string(folder.join("cgroup.procs")).unwrap_or_default();
    let mut pids = procs.lines().filter_map(|line| line.parse().ok());
    let only = match (pids.next(), pids.next()) {
        (Some(pid), None) => process(pid),
        _ => None,
    };
    let name = folder.strip_prefix(&mount).ok().map(|name| format!("/{}", name.display()));
    (only, name)
}

fn inode(cookie: u64, protocol: u8) -> io::Result<Option<u32>> {
    let mut netlink = Questions::open(NETLINK_SOCK_DIAG)?;
    for family in [AF_INET, AF_INET6] {
        let question = InetRequest {
            family,
            protocol,
            extensions: ExtensionFlags::empty(),
            states: StateFlags::all(),
            socket_id: if family == AF_INET { SocketId::new_v4() } else { SocketId::new_v6() },
        };
        let found = netlink.dump(SockDiagMessage::InetRequest(question), |answer| match answer {
            SockDiagMessage::InetResponse(response) => {
                let header = response.header;
                (u64::from_ne_bytes(header.socket_id.cookie) == cookie && header.inode != 0).then_some(header.inode)
            }
            _ => None,
        })?;
        if let Some(inode) = found.first() {
            return Ok(Some(*inode));
        }
    }
    Ok(None)
}

fn pids() -> Option<impl Iterator<Item = u32>> {
    let entries = fs::read_dir("/proc").ok()?;
    Some(entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok()))
}

fn has_open(pid: u32, link: &str) -> bool {
    let Ok(entries) = fs::read_dir(format!("/proc/{pid}/fd")) else { return false };
    entries.flatten().any(|entry| fs::read_link(entry.path()).is_ok_and(|to| to.as_os_str() == link))
}

fn process(pid: u32) -> Option<Process> {
    let name = fs::read_to_string(format!("/proc/{pid}/comm")).ok()?.trim_end().to_owned();
    Some(Process { pid, name })
}

/// The folder with that number, at most so deep as anybody nests them.
fn find(folder: &Path, id: u64) -> Option<std::path::PathBuf> {
    fn below(folder: &Path, id: u64, depth: u32) -> Option<std::path::PathBuf> {
        if fs::metadata(folder).ok()?.ino() == id {
            return Some(folder.to_owned());
        }
        let depth = depth.checked_sub(1)?;
        let entries = fs::read_dir(folder).ok()?.flatten();
        let folders = entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
        folders.map(|entry| entry.path()).find_map(|path| below(&path, id, depth))
    }
    below(folder, id, 16)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_is_found_by_its_socket() {
        let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        let cookie = rustix::net::sockopt::socket_cookie(&socket).unwrap();
        let found = by_cookie(cookie, 17).unwrap();
        assert_eq!(found.pid, std::process::id());
        assert_eq!(by_cookie(cookie, 6), None);
    }
}
