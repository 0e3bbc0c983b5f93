// SPDX-License-Identifier: MIT OR Apache-2.0
//! The tables `daemon` and `readiness`: whose process it is, and how routing daemons see that it is in service.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::section::Section;
use super::values;

/// A moment of health is no reason to attract traffic again.
const DEFAULT_SETTLE: u64 = 3;
/// Where BGP goes through the daemon itself, a stop that does not wait takes the withdrawal along.
const SHARED_LINGER: u64 = 5;
/// An hour: whoever waits longer has forgotten something.
const MAX_SECONDS: i64 = 3600;

/// The table `daemon` of the file.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Process {
    /// Who it becomes when the devices are set up; none stays who started it.
    pub user: Option<String>,
}

/// The table `readiness` of the file: the signals that this forwarder is in service.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Readiness {
    /// There exactly while it is in service.
    pub file: Option<PathBuf>,
    /// A TUN interface that has a carrier exactly while it is in service.
    pub interface: Option<String>,
    /// How long all must have been well before the signals are given.
    pub settle: Duration,
    /// How long it forwards on at a stop when the signals are gone.
    pub linger: Duration,
}

pub(super) fn process(mut section: Section<'_>) -> Process {
    let process = Process { user: section.text("user") };
    section.finish();
    process
}

/// With a `shared` device the kernel, and so BGP, sends by this daemon.
pub(super) fn readiness(mut section: Section<'_>, directory: &Path, shared: bool) -> Readiness {
    let default = if shared && (section.has("file") || section.has("interface")) { SHARED_LINGER } else { 0 };
    let mut seconds = |key, default| Duration::from_secs(section.integer(key, 0..=MAX_SECONDS).unwrap_or(default));
    let (settle, linger) = (seconds("settle", DEFAULT_SETTLE), seconds("linger", default));
    let readiness = Readiness {
        file: section.text("file").map(|path| directory.join(path)),
        interface: section.parse("interface", "an interface name", values::interface),
        settle,
        linger,
    };
    section.finish();
    readiness
}
