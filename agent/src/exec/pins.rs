// SPDX-License-Identifier: MIT OR Apache-2.0
//! Files that keep programs in force without the process that loaded them.

use std::ffi::CStr;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use rustix::mount::{MountFlags, UnmountFlags};

use super::Error;
use super::cgroup::{failed, mounted};

/// `BPF_FS_MAGIC`.
const MAGIC: u64 = 0xcafe_4a11;

/// The folder for the programs of a cgroup: on the machine's BPF file system where it has one, else one of our own.
pub fn default_pins(cgroup: &Path) -> PathBuf {
    let mounts = fs::read_to_string("/proc/mounts").unwrap_or_default();
    let parts: Vec<_> = cgroup.iter().filter_map(|part| part.to_str()).filter(|part| *part != "/").collect();
    mounted(&mounts, "bpf").unwrap_or(Path::new("/run/sluice/bpf")).join(parts.join("-"))
}

/// Makes the folder, on a file system of the right kind.
pub(super) fn mount(pins: &Path) -> Result<(), Error> {
    fs::create_dir_all(pins).map_err(failed("make", pins))?;
    let kind = rustix::fs::statfs(pins).map_err(io::Error::from).map_err(failed("look at", pins))?.f_type;
    if u64::try_from(kind).ok() == Some(MAGIC) {
        return Ok(());
    }
    let mounted = rustix::mount::mount("bpf", pins, "bpf", MountFlags::empty(), None::<&CStr>);
    mounted.map_err(io::Error::from).map_err(failed("mount a BPF file system at", pins))
}

/// Removes the files and the folder, and the file system where it is our own: it begins at the folder.
pub(super) fn remove(pins: &Path, names: &[&str]) {
    for name in names {
        fs::remove_file(pins.join(name)).unwrap_or_default();
    }
    if fs::remove_dir(pins).is_err() {
        rustix::mount::unmount(pins, UnmountFlags::NOFOLLOW).unwrap_or_default();
        fs::remove_dir(pins).unwrap_or_default();
    }
}
