// SPDX-License-Identifier: MIT OR Apache-2.0
//! Who asks, and what they may do. Whoever can open the socket may look; changing what runs is a right of its own.

use std::fmt;
use std::os::fd::AsFd;

use super::config;

/// On whose behalf something is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Peer {
    /// A process at the other end of the socket, as the kernel knew it when it connected (SO_PEERCRED).
    Process {
        /// Effective user.
        uid: u32,
        /// Effective group; others that the user is a member of are not known.
        gid: u32,
        /// Process.
        pid: i32,
    },
    /// Whoever may send the daemon a signal.
    Signal,
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Process { uid, gid, pid } => write!(f, "uid {uid} gid {gid} pid {pid}"),
            Self::Signal => f.write_str("SIGHUP"),
        }
    }
}

impl Peer {
    /// Who connected to `socket`.
    pub fn of(socket: impl AsFd) -> std::io::Result<Self> {
        let credentials = rustix::net::sockopt::socket_peercred(socket)?;
        Ok(Self::Process {
            uid: credentials.uid.as_raw(),
            gid: credentials.gid.as_raw(),
            pid: credentials.pid.as_raw_nonzero().get(),
        })
    }
}

/// Who may change what runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rights {
    own_uid: u32,
    uids: Vec<u32>,
    gids: Vec<u32>,
}

impl Rights {
    /// Root, the daemon's own user, and those that the configuration names.
    pub fn new(control: &config::Control) -> Self {
        let own_uid = rustix::process::geteuid().as_raw();
        Self { own_uid, uids: control.change_uids.clone(), gids: control.change_gids.clone() }
    }

    /// Whether `peer` may use methods that change what runs.
    pub fn may_change(&self, peer: &Peer) -> bool {
        match peer {
            Peer::Signal => true,
            Peer::Process { uid, gid, .. } => {
                *uid == 0 || *uid == self.own_uid || self.uids.contains(uid) || self.gids.contains(gid)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn root_the_own_user_and_the_named_may_change() {
        let rights = Rights { own_uid: 500, uids: vec![1000], gids: vec![27] };
        let may = |uid, gid| rights.may_change(&Peer::Process { uid, gid, pid: 1 });
        assert!(may(0, 0) && may(500, 500) && may(1000, 1000) && may(1001, 27));
        assert!(!may(1001, 1001) && !may(27, 1000));
    }

    #[test]
    fn a_socket_knows_its_peer() {
        let (one, _other) = std::os::unix::net::UnixStream::pair().unwrap();
        let Peer::Process { uid, pid, .. } = Peer::of(&one).unwrap() else { panic!("no process") };
        assert_eq!((uid, pid as u32), (rustix::process::geteuid().as_raw(), std::process::id()));
    }
}
