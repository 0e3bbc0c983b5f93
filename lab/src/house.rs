// SPDX-License-Identifier: MIT OR Apache-2.0
//! What makes the lab vanish. Everything runs below a process that is the first of a PID namespace: when that ends, the kernel
//! kills all others in it, and with them go the network namespaces, the mounts and the files in memory, which nobody else
//! has. That process in turn is killed with whoever started the lab, be it by `kill -9`.

use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, ExitStatus};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use rustix::mount::{MountFlags, mount};
use rustix::process::{WaitOptions, wait};

use crate::run::FOLDER;

/// Says to the program that it is in the house.
pub(crate) const INSIDE: &str = "--inside";

/// Runs this program again with the same arguments, in a house of its own, and waits for its end.
pub(crate) fn keep() -> Result<ExitCode> {
    let interrupted = Arc::new(AtomicBool::new(false));
    for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM, signal_hook::consts::SIGHUP] {
        signal_hook::flag::register(signal, Arc::clone(&interrupted))?;
    }
    // All that is left of the house, when its own first process is gone, becomes a child of this one.
    rustix::process::set_child_subreaper(Some(rustix::process::getpid())).context("becoming the reaper")?;
    sweep();
    // Killed with this process, and kills the first of the house then.
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL", "--", "unshare", "--mount", "--net", "--ipc", "--pid", "--fork"]);
    command.args(["--kill-child=KILL", "--mount-proc", "--"]).arg(std::env::current_exe()?).arg(INSIDE);
    command.args(std::env::args_os().skip(1)).env(KEEPER, std::process::id().to_string());
    let mut child = command.spawn().context("setpriv of util-linux")?;
    let mut killed = false;
    let status = loop {
        if interrupted.load(Ordering::Relaxed) && !killed {
            child.kill()?;
            killed = true;
        }
        if let Some(status) = child.try_wait()? {
            break status;
        }
        std::thread::sleep(Duration::from_millis(50));
    };
    while wait(WaitOptions::empty()).is_ok() {}
    sweep();
    if killed {
        eprintln!("lab: interrupted; everything is removed");
        return Ok(ExitCode::from(130));
    }
    Ok(code(status))
}

fn code(status: ExitStatus) -> ExitCode {
    let code = status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or_default());
    ExitCode::from(u8::try_from(code).unwrap_or(1))
}

/// What there is to do inside first: a place for files that only the house sees.
///
/// # Errors
/// Outside, where it would hide what others need.
pub(crate) fn furnish() -> Result<()> {
    ensure!(std::process::id() == 1, "{INSIDE} is for the lab itself: leave it out");
    // Below it are the names of namespaces, and the sockets of whatever runs.
    mount("lab", "/run", "tmpfs", MountFlags::empty(), c"mode=755").context("a file system in memory")?;
    fs::create_dir(FOLDER).with_context(|| format!("making {FOLDER}"))?;
    fs::create_dir(CGROUPS)?;
    mount("lab", CGROUPS, "cgroup2", MountFlags::empty(), None).context("the control groups")?;
    fs::create_dir(cgroup()?).context("a control group")
}

/// Where the control groups are seen, wherever the machine has them.
const CGROUPS: &str = "/run/cgroup";
/// Before the number of the process that keeps a house, in the name of its control group.
const CGROUP: &str = "sluice-lab-";
/// The environment variable that has the number.
const KEEPER: &str = "SLUICE_LAB_KEEPER";

/// The control group below which agents make theirs. They are the only thing that the kernel keeps without anybody in it.
pub(crate) fn cgroup() -> Result<PathBuf> {
    let keeper = std::env::var(KEEPER).context("only inside")?;
    Ok(Path::new(CGROUPS).join(format!("{CGROUP}{keeper}")))
}

/// Removes the control groups of houses that are no more.
fn sweep() {
    let mounts = fs::read_to_string("/proc/mounts").unwrap_or_default();
    let find = |line: &str| {
        let mut words = line.split_whitespace();
        let (_, place, kind) = (words.next()?, words.next()?, words.next()?);
        (kind == "cgroup2").then(|| PathBuf::from(place))
    };
    let Some(place) = mounts.lines().find_map(find) else { return };
    for entry in fs::read_dir(place).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let keeper = name.to_str().and_then(|name| name.strip_prefix(CGROUP)?.parse::<u32>().ok());
        let gone = |keeper: u32| keeper == std::process::id() || !Path::new("/proc").join(keeper.to_string()).exists();
        if keeper.is_some_and(gone) {
            remove(&entry.path());
        }
    }
}

/// Removes a control group and those in it. Those that somebody is still in stay.
fn remove(group: &Path) {
    for entry in fs::read_dir(group).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            remove(&entry.path());
        }
    }
    let _ = fs::remove_dir(group);
}
