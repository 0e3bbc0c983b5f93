// SPDX-License-Identifier: MIT OR Apache-2.0
//! The control socket's place in the file system.

use std::fs::{self, DirBuilder, Permissions};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt, PermissionsExt};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};

/// Whoever is in the socket's group may connect.
const MODE: u32 = 0o660;
/// Clients that may wait to be let in.
const BACKLOG: i32 = 4096;

/// Why the socket can't be made.
#[derive(Debug, thiserror::Error)]
pub enum SocketError {
    /// Another daemon is there.
    #[error("somebody answers on the control socket {}: stop whoever that is, or set another control.socket",
            .0.display())]
    Answered(PathBuf),
    /// What is there is no socket, and not ours to remove.
    #[error("{} exists and is no socket: remove it, or set another control.socket", .0.display())]
    NoSocket(PathBuf),
    /// A system call failed.
    #[error("cannot {what} {}: {error}; check that the user may write there, or set another control.socket",
            path.display())]
    System {
        /// What was tried.
        what: &'static str,
        /// With which path.
        path: PathBuf,
        /// What came of it.
        error: io::Error,
    },
}

/// A listening socket; its file is removed with it.
#[derive(Debug)]
pub struct ControlSocket {
    listener: UnixListener,
    path: PathBuf,
    /// Device and inode of the file, to remove no other.
    id: (u64, u64),
}

impl ControlSocket {
    /// Makes the socket, and its directory where that is missing. What is there already is replaced only if it is a
    /// socket that nobody answers on.
    pub fn bind(path: &Path) -> Result<Self, SocketError> {
        let system = |what, path: &Path| {
            let path = path.to_owned();
            move |error: io::Error| SocketError::System { what, path, error }
        };
        if let Some(parent) = path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
            let create = DirBuilder::new().recursive(true).mode(0o755).create(parent);
            create.map_err(system("create the directory", parent))?;
        }
        clear(path)?;
        let address = SocketAddrUnix::new(path).map_err(|error| system("use the path", path)(error.into()))?;
        let socket = new_socket().map_err(system("make the socket", path))?;
        rustix::net::bind(&socket, &address).map_err(|error| system("bind the socket", path)(error.into()))?;
        let bound = Self {
            id: identity(path).map_err(system("inspect", path))?,
            path: path.to_owned(),
            listener: socket.into(),
        };
        // Nobody can connect before `listen`, so nobody gets in under the mode that the umask gave.
        fs::set_permissions(path, Permissions::from_mode(MODE)).map_err(system("set the mode of", path))?;
        rustix::net::listen(&bound.listener, BACKLOG).map_err(|error| system("listen on", path)(error.into()))?;
        Ok(bound)
    }

    /// The socket to accept from.
    pub(super) fn listener(&self) -> &UnixListener {
        &self.listener
    }

    /// Ends every `accept`, now and later.
    pub(super) fn shut(&self) -> io::Result<()> {
        Ok(rustix::net::shutdown(&self.listener, rustix::net::Shutdown::Both)?)
    }
}

impl Drop for ControlSocket {
    fn drop(&mut self) {
        if identity(&self.path).is_ok_and(|id| id == self.id)
            && let Err(error) = fs::remove_file(&self.path)
        {
            tracing::warn!("cannot remove the control socket {}: {error}", self.path.display());
        }
    }
}

fn new_socket() -> io::Result<OwnedFd> {
    Ok(rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None)?)
}

fn identity(path: &Path) -> io::Result<(u64, u64)> {
    fs::symlink_metadata(path).map(|metadata| (metadata.dev(), metadata.ino()))
}

/// Removes a socket that nobody answers on.
fn clear(path: &Path) -> Result<(), SocketError> {
    let system = |what, error| SocketError::System { what, path: path.to_owned(), error };
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(system("inspect", error)),
        Ok(metadata) if !metadata.file_type().is_socket() => Err(SocketError::NoSocket(path.to_owned())),
        Ok(_) => match knock(path) {
            Err(Errno::CONNREFUSED) => fs::remove_file(path).map_err(|error| system("remove the stale socket", error)),
            // A full backlog (EAGAIN) or a socket of another type has an owner too.
            Ok(()) | Err(Errno::AGAIN | Errno::PROTOTYPE) => Err(SocketError::Answered(path.to_owned())),
            Err(error) => Err(system("find out who answers on", error.into())),
        },
    }
}

/// Connects without waiting.
fn knock(path: &Path) -> Result<(), Errno> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
    rustix::net::connect(&socket, &SocketAddrUnix::new(path)?)
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixStream;

    use super::*;

    #[test]
    fn a_new_socket_has_its_mode_and_goes_with_its_owner() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("new/run/control.sock");
        let socket = ControlSocket::bind(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o7777, 0o660);
        UnixStream::connect(&path).unwrap();
        drop(socket);
        assert!(!path.exists());
    }

    #[test]
    fn a_stale_socket_is_replaced() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("control.sock");
        drop(UnixListener::bind(&path).unwrap());
        assert!(path.exists());
        let _socket = ControlSocket::bind(&path).unwrap();
        UnixStream::connect(&path).unwrap();
    }

    #[test]
    fn a_socket_that_is_answered_on_stays() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("control.sock");
        let _owner = UnixListener::bind(&path).unwrap();
        let error = ControlSocket::bind(&path).unwrap_err();
        assert!(matches!(&error, SocketError::Answered(place) if *place == path));
        assert!(error.to_string().contains(path.to_str().unwrap()));
        UnixStream::connect(&path).unwrap();
    }

    #[test]
    fn what_is_no_socket_stays() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("file");
        fs::write(&path, "dear").unwrap();
        assert!(matches!(ControlSocket::bind(&path), Err(SocketError::NoSocket(_))));
        assert_eq!(fs::read(&path).unwrap(), b"dear");
        let link = directory.path().join("link");
        std::os::unix::fs::symlink(&path, &link).unwrap();
        assert!(matches!(ControlSocket::bind(&link), Err(SocketError::NoSocket(_))));
        assert!(matches!(ControlSocket::bind(&path.join("below")), Err(SocketError::System { .. })));
    }

    #[test]
    fn another_daemons_file_is_not_removed() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("control.sock");
        let first = ControlSocket::bind(&path).unwrap();
        fs::remove_file(&path).unwrap();
        let _second = ControlSocket::bind(&path).unwrap();
        drop(first);
        UnixStream::connect(&path).unwrap();
    }

    #[test]
    fn a_shut_socket_lets_nobody_in() {
        let directory = tempfile::tempdir().unwrap();
        let socket = ControlSocket::bind(&directory.path().join("control.sock")).unwrap();
        std::thread::scope(|scope| {
            let accept = scope.spawn(|| socket.listener().accept().map(|_| ()));
            socket.shut().unwrap();
            assert!(accept.join().unwrap().is_err());
        });
        assert!(socket.listener().accept().is_err());
    }
}
