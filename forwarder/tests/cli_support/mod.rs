// SPDX-License-Identifier: MIT OR Apache-2.0
//! Runs `sluice` as its users do.
#![allow(dead_code, unreachable_pub, clippy::print_stderr, reason = "each test uses its part")]

use std::process::{Command, Output, Stdio};

use serde_json::Value;

/// A configuration with what a replay needs: no workers, no device address, no control, no EAL.
pub const REPLAY: &str = r#"
datacenter = "LHR"
table = "table.json"
[underlay]
ipv4 = "10.0.0.1"
ipv6 = "2001:db8:a::1"
[[device]]
name = "wan0"
mtu = 1600
"#;

/// Runs a tool that may not be installed; nothing, and a word about it, where it is not.
pub fn tool(command: &mut Command) -> Option<Output> {
    match command.output() {
        Ok(output) => Some(output),
        Err(error) => {
            eprintln!("skipped: {}: {error}", command.get_program().display());
            None
        }
    }
}

/// What a run left behind.
#[derive(Debug)]
pub struct Run {
    pub status: i32,
    pub stdout: String,
    pub stderr: String,
}

/// Runs `sluice` with these arguments.
pub fn sluice(arguments: &[&str]) -> Run {
    sluice_with(arguments, &[])
}

/// The same, with variables in its environment.
pub fn sluice_with(arguments: &[&str], environment: &[(&str, &str)]) -> Run {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sluice"));
    command.args(arguments).env_remove("SLUICE_SOCKET").envs(environment.iter().copied()).stdin(Stdio::null());
    let output = command.output().unwrap();
    Run {
        status: output.status.code().expect("killed by a signal"),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

impl Run {
    /// Stdout of a run that did what it should, in silence.
    pub fn good(&self) -> &str {
        assert_eq!((self.status, self.stderr.as_str()), (0, ""), "{self:?}");
        &self.stdout
    }

    pub fn good_json(&self) -> Value {
        self.good();
        self.json()
    }

    /// The one document on stdout.
    pub fn json(&self) -> Value {
        assert_eq!(self.stdout.lines().count(), 1, "{self:?}");
        serde_json::from_str(&self.stdout).unwrap()
    }

    /// Stderr of a run that failed with `status`: one line, if it was no usage error.
    pub fn failed(&self, status: i32) -> &str {
        assert_eq!(self.status, status, "{self:?}");
        assert!(!self.stderr.contains("panicked"), "{self:?}");
        if status == 1 {
            assert!(self.stderr.starts_with("sluice: ") && self.stderr.lines().count() == 1, "{self:?}");
        }
        &self.stderr
    }
}
