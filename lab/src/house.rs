// SPDX-License-Identifier: MIT OR Apache-2.0
//! What makes the lab vanish. Everything runs below a process that is the first of a PID namespace: when that ends, the kernel
//! kills all others in it, and with them go the network namespaces, the mounts and the files in memory, which nobody else
//! has. That process in turn is killed with whoever started the lab, be it by `kill -9`.

use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, ExitCode, ExitStatus};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context, Result};
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
    // Killed with this process, and kills the first of the house then.
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL", "--", "unshare", "--mount", "--net", "--ipc", "--pid", "--fork"]);
    command.args(["--kill-child=KILL", "--mount-proc", "--"]).arg(std::env::current_exe()?).arg(INSIDE);
    let mut child = command.args(std::env::args_os().skip(1)).spawn().context("setpriv of util-linux")?;
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
pub(crate) fn furnish() -> Result<()> {
    // Below it are the names of namespaces, and the sockets of whatever runs.
    mount("lab", "/run", "tmpfs", MountFlags::empty(), c"mode=755").context("a file system in memory")?;
    fs::create_dir(FOLDER).with_context(|| format!("making {FOLDER}"))?;
    Ok(())
}
