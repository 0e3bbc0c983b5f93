// SPDX-License-Identifier: MIT OR Apache-2.0
//! Runs each test in a process of its own, whatever runs the tests: DPDK starts once a process.

use std::env;
use std::ffi::OsStr;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Output};

/// Names the test that this process is to run, if it is such a process.
const CHILD: &str = "SLUICE_ISOLATED_TEST";

/// Declares tests whose bodies run in processes of their own.
macro_rules! isolated {
    ($($(#[doc = $doc:expr])* fn $name:ident() $body:block)+) => {$(
        $(#[doc = $doc])*
        #[test]
        fn $name() {
            fn body() $body
            $crate::isolated::run(&$crate::isolated::path(module_path!(), stringify!($name)), body);
        }
    )+};
}
pub(crate) use isolated;

/// The test's name as the test binary knows it: without the crate.
pub(crate) fn path(module: &str, name: &str) -> String {
    let module = module.split_once("::").map_or("", |(_, module)| module);
    format!("{module}::{name}")
}

/// In the test's own process, runs `body`; elsewhere starts that process.
pub(crate) fn run(test: &str, body: fn()) {
    if env::var_os(CHILD).as_deref() == Some(OsStr::new(test)) {
        return body();
    }
    expect_success(test, &mut command(&env::current_exe().unwrap(), test));
}

/// Runs a test of this binary in another process, now, with `variables` in its environment.
pub(crate) fn run_beside(test: &str, variables: &[(&str, &Path)]) {
    expect_success(test, command(&env::current_exe().unwrap(), test).envs(variables.iter().copied()));
}

/// Runs a test of this binary as the user `nobody`, if this process may become one.
pub(crate) fn run_as_nobody(test: &str, folder: &Path) {
    const NOBODY: u32 = 65534;
    // Where the tests are built may be out of nobody's reach.
    let program = folder.join("tests");
    std::fs::copy(env::current_exe().unwrap(), &program).unwrap();
    expect_success(test, command(&program, test).uid(NOBODY).gid(NOBODY).env_remove("XDG_RUNTIME_DIR"));
}

fn command(program: &Path, test: &str) -> Command {
    let mut command = Command::new(program);
    command.args([test, "--exact", "--nocapture"]).env(CHILD, test);
    command
}

fn expect_success(test: &str, command: &mut Command) {
    let Output { status, stdout, stderr } = command.output().unwrap();
    // 22.11's memif driver says this, in the process that is left, when a peer goes at the wrong moment.
    let stderr = String::from_utf8_lossy(&stderr).replace("EAL: Error: Invalid memory", "");
    let stdout = String::from_utf8_lossy(&stdout);
    let said = format!("{test}: {status}\n{stdout}{stderr}");
    assert!(status.success() && stdout.contains("1 passed"), "{said}");
    // What DPDK says is in errors and logs, and not beside them.
    assert!(!said.contains("EAL") && !said.contains("Usage"), "{said}");
}
