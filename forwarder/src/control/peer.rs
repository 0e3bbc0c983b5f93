// SPDX-License-Identifier: MIT OR Apache-2.0
//! Who asks, and what they may do: to look is one right, to change what runs another.

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

/// What a peer may do; whoever may do more may do less, too.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Right {
    /// Ask.
    Look,
    /// Change what runs.
    Change,
}

/// Who may do what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rights {
    own_uid: u32,
    control: config::Control,
}

impl Rights {
    /// As the configuration says; root and the daemon's own user may do everything.
    pub fn new(control: &config::Control) -> Self {
        Self { own_uid: rustix::process::geteuid().as_raw(), control: control.clone() }
    }

    /// What `peer` may do, if anything.
    pub fn of(&self, peer: &Peer) -> Option<Right> {
        let Peer::Process { uid, gid, .. } = peer else { return Some(Right::Change) };
        let config::Control { change_uids, change_gids, look_uids, look_gids, .. } = &self.control;
        let everybody = look_uids.is_none() && look_gids.is_none();
        let named = |ids: &Option<Vec<u32>>, id| ids.as_ref().is_some_and(|ids| ids.contains(id));
        if *uid == 0 || *uid == self.own_uid || change_uids.contains(uid) || change_gids.contains(gid) {
            Some(Right::Change)
        } else if everybody || named(look_uids, uid) || named(look_gids, gid) {
            Some(Right::Look)
        } else {
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Rights of a daemon of user 500, for peers with a user and a group.
    fn rights(look_uids: Option<Vec<u32>>, look_gids: Option<Vec<u32>>) -> impl Fn(u32, u32) -> Option<Right> {
        let (change_uids, change_gids) = (vec![1000], vec![27]);
        let socket = std::path::PathBuf::new();
        let control = config::Control { socket, change_uids, change_gids, look_uids, look_gids };
        let rights = Rights { own_uid: 500, control };
        move |uid, gid| rights.of(&Peer::Process { uid, gid, pid: 1 })
    }

    #[test]
    fn root_the_own_user_and_the_named_may_change_and_others_look() {
        let of = rights(None, None);
        for (uid, gid) in [(0, 0), (500, 500), (1000, 1000), (1001, 27)] {
            assert_eq!(of(uid, gid), Some(Right::Change), "{uid} {gid}");
        }
        for (uid, gid) in [(1001, 1001), (27, 1000), (1001, 0)] {
            assert_eq!(of(uid, gid), Some(Right::Look), "{uid} {gid}");
        }
    }

    #[test]
    fn looking_can_be_kept_for_some() {
        let of = rights(Some(vec![2000]), Some(vec![30]));
        assert_eq!(
            [of(2000, 1), of(1, 30), of(1, 1), of(30, 2000)],
            [Some(Right::Look), Some(Right::Look), None, None]
        );
        assert_eq!([of(0, 1), of(1, 27)], [Some(Right::Change); 2]);
        let of = rights(None, Some(Vec::new()));
        assert_eq!([of(1, 1), of(1000, 1)], [None, Some(Right::Change)], "an empty list is one that names nobody");
    }

    #[test]
    fn a_socket_knows_its_peer() {
        let (one, _other) = std::os::unix::net::UnixStream::pair().unwrap();
        let Peer::Process { uid, pid, .. } = Peer::of(&one).unwrap() else { panic!("no process") };
        assert_eq!((uid, pid as u32), (rustix::process::geteuid().as_raw(), std::process::id()));
    }
}
