// SPDX-License-Identifier: MIT OR Apache-2.0
//! Real parts around `sluiced`: network namespaces, and the routing daemons in them. All that a test makes goes when the
//! test ends, however it ends.
#![allow(dead_code, unreachable_pub, clippy::print_stderr, reason = "each test uses its part")]

pub mod bird;
pub mod frr;
pub mod netns;
pub mod sluiced;

use std::process::{Child, Command};
use std::time::{Duration, Instant};

/// How long anything may take before a test gives up; generous, since the machine may be busy.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Whether a test can run that needs root and these programs; if not, it says why.
pub fn possible(programs: &[&str]) -> bool {
    let found = |program: &&str| {
        let places = ["/usr/sbin", "/usr/bin", "/sbin", "/bin", "/usr/lib/frr"];
        places.iter().any(|place| std::path::Path::new(place).join(program).exists())
    };
    if !rustix::process::geteuid().is_root() {
        eprintln!("skipped: network namespaces take root");
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
        std::thread::sleep(Duration::from_millis(20));
    }
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
