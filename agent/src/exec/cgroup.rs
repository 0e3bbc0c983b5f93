// SPDX-License-Identifier: MIT OR Apache-2.0
//! Folders of cgroup version 2.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::Error;

/// `CGROUP2_SUPER_MAGIC`.
const MAGIC: u64 = 0x6367_7270;

/// A cgroup that exists.
#[derive(Debug)]
pub(super) struct Cgroup {
    path: PathBuf,
    id: u64,
}

/// `sluice` below where cgroup version 2 is mounted; `/sys/fs/cgroup/sluice` if that can't be told.
pub fn default_cgroup() -> PathBuf {
    cgroup_mount().unwrap_or_else(|| "/sys/fs/cgroup".into()).join("sluice")
}

/// Where cgroup version 2 is mounted.
pub(crate) fn cgroup_mount() -> Option<PathBuf> {
    let mounts = fs::read_to_string("/proc/mounts").ok()?;
    mounted(&mounts, "cgroup2").map(Path::to_owned)
}

/// Where the first file system of a kind is, by `/proc/mounts`.
fn mounted<'m>(mounts: &'m str, kind: &str) -> Option<&'m Path> {
    let mut lines = mounts.lines().map(|line| line.split(' '));
    lines.find_map(|mut words| {
        let place = words.nth(1)?;
        (words.next()? == kind).then_some(Path::new(place))
    })
}

impl Cgroup {
    /// Makes the folder, or takes it as it is.
    pub(super) fn make(path: PathBuf) -> Result<Self, Error> {
        fs::create_dir_all(&path).map_err(failed("make", &path))?;
        let kind = rustix::fs::statfs(&path).map_err(io::Error::from).map_err(failed("look at", &path))?.f_type;
        if u64::try_from(kind).ok() != Some(MAGIC) {
            fs::remove_dir(&path).unwrap_or_default();
            return Err(Error::NotCgroup(path));
        }
        Self::at(path)
    }

    fn at(path: PathBuf) -> Result<Self, Error> {
        let id = fs::metadata(&path).map_err(failed("look at", &path))?.ino();
        Ok(Self { path, id })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn name(&self) -> Option<&str> {
        self.path.file_name()?.to_str()
    }

    /// The number by which the kernel's programs know it.
    pub(super) fn id(&self) -> u64 {
        self.id
    }

    pub(super) fn open(&self) -> Result<File, Error> {
        File::open(&self.path).map_err(failed("open", &self.path))
    }

    /// The cgroups right below.
    pub(super) fn children(&self) -> Result<Vec<Self>, Error> {
        let entries = fs::read_dir(&self.path).map_err(failed("list", &self.path))?;
        let folders = entries.flatten().filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
        folders.map(|entry| Self::at(entry.path())).collect()
    }

    /// Whether somebody has removed it, though there may be another of that name.
    pub(super) fn is_gone(&self) -> bool {
        !fs::metadata(&self.path).is_ok_and(|now| now.ino() == self.id)
    }

    /// Moves a process here, with all its threads.
    pub(super) fn admit(&self, pid: u32) -> Result<(), Error> {
        let procs = self.path.join("cgroup.procs");
        fs::write(&procs, pid.to_string()).map_err(failed("move a process to", &procs))
    }

    /// Whether it is gone now. The kernel removes none with a process in it; those that the processes made go too.
    pub(super) fn remove_if_empty(&self) -> bool {
        let populated = fs::read_to_string(self.path.join("cgroup.events"));
        if populated.is_ok_and(|events| events.lines().any(|line| line == "populated 1")) {
            return false;
        }
        self.children().unwrap_or_default().iter().for_each(|child| _ = child.remove_if_empty());
        match fs::remove_dir(&self.path) {
            Ok(()) => true,
            Err(error) => error.kind() == io::ErrorKind::NotFound,
        }
    }
}

pub(super) fn failed(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Error {
    let path = path.to_owned();
    move |error| Error::File { action, path, error }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_system_is_found_by_its_kind() {
        let mounts = "cgroup2 /not/this tmpfs rw 0 0\ncgroup /sys/fs/cgroup/cpu cgroup rw 0 0\n\
                      none /sys/fs/cgroup/unified cgroup2 rw,relatime 0 0\n";
        assert_eq!(mounted(mounts, "cgroup2"), Some(Path::new("/sys/fs/cgroup/unified")));
        assert_eq!(mounted(mounts, "bpf"), None);
    }

    #[test]
    fn any_other_folder_is_refused_and_not_left_behind() {
        let path = std::env::temp_dir().join(format!("sluice-no-cgroup-{}", std::process::id()));
        assert!(matches!(Cgroup::make(path.clone()), Err(Error::NotCgroup(refused)) if refused == path));
        assert!(!path.exists());
    }
}
