// SPDX-License-Identifier: MIT OR Apache-2.0
//! Root for the devices, the daemon's own user for all else.
//!
//! From the start on files are seen with the user's eyes, so that what it can't read, write or own fails at the start and
//! not at the first reload, and sockets and folders are its own. Root comes back for the devices alone, and then goes for
//! good. libc does each step in all threads at once, DPDK's among them; the kernel takes the capabilities of each away with
//! its last uid 0.

use std::ffi::CString;
use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::{DirBuilderExt, fchown};
use std::path::{Path, PathBuf};

use nix::unistd::{Uid, User, geteuid, getgrouplist, seteuid, setgroups, setresgid, setresuid};
use rustix::fs::{Access, AtFlags, CWD, Mode, OFlags, accessat, open};
use rustix::thread::{CapabilitySet, CapabilitySets, set_capabilities, set_no_new_privs};

use super::config::Config;

/// Why it can't be the user that it should be.
#[derive(Debug, thiserror::Error)]
pub enum PrivilegeError {
    /// There is no such user.
    #[error("there is no user {0}: make it (useradd --system {0}), or set another daemon.user")]
    Unknown(String),
    /// Only root can become somebody.
    #[error("cannot become user {0}: start sluiced as root or as that user, or leave daemon.user out")]
    NotRoot(String),
    /// A folder is not the user's.
    #[error("user {user} cannot write to {}: {error}; give the folder to that user (chown {user} {})",
            path.display(), path.display())]
    Folder {
        /// Who.
        user: String,
        /// Where.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// A system call failed.
    #[error("cannot {0}: {1}")]
    System(&'static str, io::Error),
}

/// What is to be given up.
#[derive(Debug)]
pub(super) struct Privileges {
    /// Who it becomes; none if it stays who it is.
    user: Option<User>,
}

impl Privileges {
    /// Sees files with the eyes of the configured user. Folders of the daemon that are missing are made for it.
    pub(super) fn lower(config: &Config) -> Result<Self, PrivilegeError> {
        let Some(name) = &config.process.user else {
            if geteuid().is_root() {
                tracing::warn!("sluiced stays root; daemon.user names a user to become when the devices are set up");
            }
            return Ok(Self { user: None });
        };
        let found = User::from_name(name).map_err(system("look for the user"))?;
        let user = found.ok_or_else(|| PrivilegeError::Unknown(name.clone()))?;
        if user.uid == geteuid() {
            return Ok(Self { user: None });
        }
        if !geteuid().is_root() {
            return Err(PrivilegeError::NotRoot(name.clone()));
        }
        let folders = folders(config);
        for folder in folders.iter().filter(|folder| !folder.exists()) {
            make(folder, &user).map_err(|error| refused(&user, folder, error))?;
        }
        let c_name = CString::new(name.as_str()).map_err(|_| PrivilegeError::Unknown(name.clone()))?;
        let groups = getgrouplist(&c_name, user.gid).map_err(system("look for the user's groups"))?;
        setgroups(&groups).map_err(system("take the user's groups"))?;
        setresgid(user.gid, user.gid, user.gid).map_err(system("take the user's group"))?;
        seteuid(user.uid).map_err(system("take the user's rights"))?;
        for folder in &folders {
            // By the effective user: the real one is still root.
            let able = accessat(CWD, folder, Access::WRITE_OK | Access::EXEC_OK, AtFlags::EACCESS);
            able.map_err(|error| refused(&user, folder, error.into()))?;
        }
        Ok(Self { user: Some(user) })
    }

    /// The number of the user whose daemon it is.
    pub(super) fn uid(&self) -> u32 {
        self.user.as_ref().map_or_else(geteuid, |user| user.uid).as_raw()
    }

    /// Is root again, to set up devices.
    pub(super) fn raise(&self) -> Result<(), PrivilegeError> {
        self.user.as_ref().map_or(Ok(()), |_| seteuid(Uid::from_raw(0)).map_err(system("become root again")))
    }

    /// Gives up all rights that the user does not have, for good.
    pub(super) fn give_up(self) -> Result<(), PrivilegeError> {
        let none = CapabilitySet::empty();
        if let Some(user) = &self.user {
            setresuid(user.uid, user.uid, user.uid).map_err(system("become the daemon's user"))?;
            tracing::info!(user = user.name, "root is given up");
        } else if !geteuid().is_root() {
            // Of this thread, and of all that it starts from here on: DPDK's own are older.
            let sets = CapabilitySets { effective: none, permitted: none, inheritable: none };
            set_capabilities(None, sets)
                .map_err(|error| PrivilegeError::System("give up capabilities", error.into()))?;
        } else {
            return Ok(());
        }
        set_no_new_privs(true).map_err(|error| PrivilegeError::System("refuse new privileges", error.into()))
    }
}

/// Where the daemon writes.
fn folders(config: &Config) -> Vec<PathBuf> {
    let parent = |path: &Path| match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
        _ => PathBuf::from("."),
    };
    let mut folders = vec![parent(&config.control.socket)];
    folders.extend(config.readiness.file.as_deref().map(parent));
    folders.extend((config.state.generations > 0).then(|| config.state.folder.clone()));
    folders
}

fn make(folder: &Path, user: &User) -> io::Result<()> {
    if let Some(parent) = folder.parent() {
        fs::create_dir_all(parent)?;
    }
    DirBuilder::new().mode(0o755).create(folder)?;
    hand_over(folder, user)
}

/// The folder itself: in a parent that others may write to, somebody may have put a link in its place.
fn hand_over(folder: &Path, user: &User) -> io::Result<()> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let opened = open(folder, flags, Mode::empty())?;
    fchown(opened, Some(user.uid.as_raw()), Some(user.gid.as_raw()))
}

fn refused(user: &User, path: &Path, error: io::Error) -> PrivilegeError {
    PrivilegeError::Folder { user: user.name.clone(), path: path.to_owned(), error }
}

fn system(what: &'static str) -> impl Fn(nix::Error) -> PrivilegeError {
    move |error| PrivilegeError::System(what, error.into())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn only_a_folder_is_handed_over_and_not_what_a_link_leads_to() {
        let folder = tempfile::tempdir().unwrap();
        let [made, link, file] = ["made", "link", "file"].map(|name| folder.path().join(name));
        let user = User::from_uid(geteuid()).unwrap().unwrap();
        make(&made, &user).unwrap();
        symlink(&made, &link).unwrap();
        fs::write(&file, "").unwrap();
        assert!([&link, &file].iter().all(|path| hand_over(path, &user).is_err()));
    }
}
