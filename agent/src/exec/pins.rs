// SPDX-License-Identifier: MIT OR Apache-2.0
//! Files that keep programs in force without the process that loaded them.

use std::ffi::CStr;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use rustix::mount::{MountFlags, UnmountFlags};

use super::Error;
use super::cgroup::failed;

/// `BPF_FS_MAGIC`.
const MAGIC: u64 = 0xcafe_4a11;

/// The folder for the programs of a cgroup: on the machine's BPF file system where it has one, else one of our own. Not on
/// whatever else is mounted somewhere, which may be gone when the next agent looks for them.
pub fn default_pins(cgroup: &Path) -> PathBuf {
    let parts: Vec<_> = cgroup.iter().filter_map(|part| part.to_str()).filter(|part| *part != "/").collect();
    let machines = Path::new("/sys/fs/bpf");
    let has = is_bpf(machines).unwrap_or(false);
    if has { machines } else { Path::new("/run/sluice/bpf") }.join(parts.join("-"))
}

fn is_bpf(path: &Path) -> io::Result<bool> {
    Ok(u64::try_from(rustix::fs::statfs(path)?.f_type).ok() == Some(MAGIC))
}

/// Makes the folder, on a file system of the right kind.
pub(super) fn mount(pins: &Path) -> Result<(), Error> {
    fs::create_dir_all(pins).map_err(failed("make", pins))?;
    if is_bpf(pins).map_err(failed("look at", pins))? {
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
