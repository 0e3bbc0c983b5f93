// SPDX-License-Identifier: MIT OR Apache-2.0
//! Why a daemon ends.

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use tables::Faults;

use crate::control::affinity::NoCore;
use crate::control::generations::summary;
use crate::control::kernel::TapError;
use crate::control::load::Document;
use crate::control::privileges::PrivilegeError;
use crate::control::readiness::ReadinessError;
use crate::control::socket::SocketError;
use crate::control::workers::WorkerError;

/// Why the daemon did not start, or stopped by itself. One line each.
#[derive(Debug, thiserror::Error)]
pub enum DaemonError {
    /// A core is missing.
    #[error(transparent)]
    Core(#[from] NoCore),
    /// The table is refused.
    #[error("{} was refused: {}", Document::File(path), summary(faults))]
    Table {
        /// Its file.
        path: PathBuf,
        /// Every fault.
        faults: Faults,
    },
    /// No control socket.
    #[error(transparent)]
    Socket(#[from] SocketError),
    /// Nobody can ask for metrics.
    #[error(
        "cannot listen on {0} for metrics: {1}; set metrics.listen to a free address of this machine, or leave it out"
    )]
    Listen(SocketAddr, io::Error),
    /// It can't be the user that it should be.
    #[error(transparent)]
    Privileges(#[from] PrivilegeError),
    /// Routing daemons can't be told that it is in service.
    #[error(transparent)]
    Readiness(#[from] ReadinessError),
    /// The devices could not be started.
    #[error("{0}")]
    Backend(String),
    /// A device has no kernel's side.
    #[error(transparent)]
    Tap(#[from] TapError),
    /// A worker did not start, or failed.
    #[error(transparent)]
    Worker(#[from] WorkerError),
    /// A thread ended that the daemon can't do without.
    #[error("the thread {0:?} has panicked: please report the lines above")]
    Panicked(&'static str),
    /// A thread or a signal handler was refused.
    #[error("cannot {0}: {1}")]
    System(&'static str, io::Error),
}

impl DaemonError {
    /// Everything that is wrong, a line each; the last line says it all.
    pub fn lines(&self) -> Vec<String> {
        let mut lines = match self {
            Self::Table { path, faults } if faults.0.len() > 1 => list(path, faults),
            _ => Vec::new(),
        };
        lines.push(self.to_string());
        lines
    }
}

/// Every fault of a table, with its file.
pub(super) fn list(path: &Path, faults: &Faults) -> Vec<String> {
    faults.0.iter().map(|fault| format!("{}: {fault}", path.display())).collect()
}
