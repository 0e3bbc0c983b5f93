// SPDX-License-Identifier: MIT OR Apache-2.0
//! Other programs, and waiting for what they do.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

/// How long anything may take; generous, since the machine may be busy.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// Everything that programs of the lab keep; gone with it, since this is a file system of its own.
pub(crate) const FOLDER: &str = "/run/lab";

/// Programs of Debian that the lab needs, and the packages that have them.
pub(crate) const NEEDED: [(&str, &str); 13] = [
    ("bird", "bird2"),
    ("birdc", "bird2"),
    ("curl", "curl"),
    ("dnsmasq", "dnsmasq-base"),
    ("ethtool", "ethtool"),
    ("ip", "iproute2"),
    ("iperf3", "iperf3"),
    ("nft", "nftables"),
    ("nginx", "nginx-light"),
    ("openssl", "openssl"),
    ("ping", "iputils-ping"),
    ("socat", "socat"),
    ("traceroute", "traceroute"),
];

/// Says what is missing, if anything is.
pub(crate) fn possible() -> Result<()> {
    ensure!(rustix::process::geteuid().is_root(), "needs root (network namespaces): run it as root");
    let places = ["/usr/sbin", "/usr/bin", "/sbin", "/bin"].map(Path::new);
    for (program, package) in NEEDED {
        let found = places.iter().any(|place| place.join(program).exists());
        ensure!(found, "there is no {program}: install {package} (.ci/deps lab installs all that is needed)");
    }
    for program in ["sluiced", "sluice", "sluice-agent"] {
        let path = beside(program)?;
        ensure!(path.exists(), "there is no {}: build it, as `make build` does", path.display());
    }
    Ok(())
}

/// A program of this build: cargo puts all of them into one folder.
pub(crate) fn beside(name: &str) -> Result<PathBuf> {
    Ok(std::env::current_exe().context("the lab's own path")?.with_file_name(name))
}

/// A command by words that need no quotes.
pub(crate) fn words(text: &str) -> Command {
    let mut words = text.split_whitespace();
    let mut command = Command::new(words.next().unwrap_or_default());
    command.args(words);
    command
}

/// Runs a command that has to succeed; what it printed.
///
/// # Errors
/// It can't be started or fails; says what it printed on standard error.
pub(crate) fn run(command: &mut Command) -> Result<String> {
    let output = command.stdin(Stdio::null()).output().with_context(|| format!("{command:?}"))?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{command:?}: {}: {}", output.status, said.trim());
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Starts a daemon that writes its log to a file of the lab's folder.
pub(crate) fn daemon(command: &mut Command, log: &str) -> Result<Child> {
    let log = File::create(Path::new(FOLDER).join(log)).with_context(|| format!("a log {log}"))?;
    command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
    command.spawn().with_context(|| format!("{command:?}"))
}

/// What a daemon has said last.
pub(crate) fn log(name: &str) -> String {
    let text = std::fs::read_to_string(Path::new(FOLDER).join(name)).unwrap_or_default();
    let lines: Vec<_> = text.lines().collect();
    lines.iter().skip(lines.len().saturating_sub(12)).fold(String::new(), |all, line| format!("{all}\n    {line}"))
}

/// Copies what all daemons have logged.
pub(crate) fn copy_logs(folder: &Path) -> Result<()> {
    std::fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
    let logs = run(&mut words(&format!("find {FOLDER} -type f -name *log -printf %P\\n")))?;
    for log in logs.lines() {
        let to = folder.join(log.replace('/', "."));
        std::fs::copy(Path::new(FOLDER).join(log), &to).with_context(|| to.display().to_string())?;
    }
    Ok(())
}

/// Waits until something is so; how long that took.
///
/// # Errors
/// It does not become so within [`PATIENCE`].
pub(crate) fn wait_for(what: &str, mut is_so: impl FnMut() -> bool) -> Result<Duration> {
    let start = Instant::now();
    while !is_so() {
        if start.elapsed() > PATIENCE {
            bail!("waited {} s in vain: {what}", PATIENCE.as_secs());
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    Ok(start.elapsed())
}
