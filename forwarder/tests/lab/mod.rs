// SPDX-License-Identifier: MIT OR Apache-2.0
//! Real parts around `sluiced`: network namespaces, and the routing daemons in them. All that a test makes goes when the
//! test ends, however it ends.
#![allow(dead_code, unreachable_pub, clippy::print_stderr, reason = "each test uses its part")]

pub mod bird;
pub mod frr;
pub mod netns;
pub mod sluiced;

use std::path::PathBuf;
use std::process::{Child, Command};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

/// Whether whoever started this wants it to end: what waits stops then, and all goes as at any other end.
pub static INTERRUPTED: LazyLock<Arc<AtomicBool>> = LazyLock::new(Arc::default);

/// How long anything may take before a test gives up; generous, since the machine may be busy.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Whether a test can run that needs root and these programs; if not, it says why.
pub fn possible(programs: &[&str]) -> bool {
    let found = |program: &&str| {
        let places = ["/usr/sbin", "/usr/bin", "/sbin", "/bin", "/usr/lib/frr"];
        places.iter().any(|place| std::path::Path::new(place).join(program).exists())
    };
    if !rustix::process::geteuid().is_root() {
        eprintln!("skipped: needs root (network namespaces)");
        return false;
    }
    if let Some(missing) = programs.iter().find(|program| !found(program)) {
        eprintln!("skipped: there is no {missing}; .ci/deps test installs it");
        return false;
    }
    true
}

/// Waits until something is so.
pub fn wait_for(what: &str, mut is_so: impl FnMut() -> bool) {
    let give_up = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < give_up, "waited in vain: {what}");
        pause(Duration::from_millis(20));
    }
}

/// Sleeps, and stops this thread if all is to end.
pub fn pause(time: Duration) {
    let end = Instant::now() + time;
    while let Some(left) = end.checked_duration_since(Instant::now()) {
        assert!(!INTERRUPTED.load(Ordering::Relaxed), "interrupted");
        std::thread::sleep(left.min(Duration::from_millis(50)));
    }
}

/// A program of this build, which cargo puts one folder above tests and examples.
pub fn program(name: &str) -> PathBuf {
    std::env::current_exe().unwrap().ancestors().nth(2).unwrap().join(name)
}

/// Runs a command that has to succeed; what it printed.
pub fn run(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(output.status.success(), "{command:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// A process that ends with its owner.
pub struct Process(pub Child);

impl Drop for Process {
    fn drop(&mut self) {
        // Fails only when it has ended already, which is what is wanted.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
