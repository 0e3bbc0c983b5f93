// SPDX-License-Identifier: MIT OR Apache-2.0
//! A network namespace with one cable in it. Removed when the test ends.

use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

/// A network namespace.
pub(crate) struct Namespace(String);

impl Namespace {
    /// A new one, in which the interfaces `ends` are the two ends of a cable; none, and a word about it, where this process may not
    /// make one.
    pub(crate) fn with_cable(ends: [&str; 2]) -> Option<Self> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!("sluice-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let made = Command::new("ip").args(["netns", "add", &name]).output();
        if !made.as_ref().is_ok_and(|output| output.status.success()) {
            eprintln!("skipped: no network namespace can be made: {made:?}");
            return None;
        }
        let namespace = Self(name);
        // Nobody but the test is to send.
        for key in ["all", "default"] {
            namespace.run("sh", &["-c", &format!("echo 1 > /proc/sys/net/ipv6/conf/{key}/disable_ipv6")]);
        }
        namespace.run("ip", &["link", "add", ends[0], "type", "veth", "peer", "name", ends[1]]);
        for end in ends {
            namespace.run("ip", &["link", "set", end, "up"]);
        }
        Some(namespace)
    }

    /// A command that runs in it.
    pub(crate) fn command(&self, program: &str) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.0, program]).stdin(Stdio::null());
        command
    }

    /// Runs a command in it that must succeed.
    pub(crate) fn run(&self, program: &str, arguments: &[&str]) -> Output {
        let output = self.command(program).args(arguments).output().unwrap();
        assert!(output.status.success(), "{program} {arguments:?}: {output:?}");
        output
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        // Everything in it goes along.
        let _ = Command::new("ip").args(["netns", "delete", &self.0]).output();
    }
}
