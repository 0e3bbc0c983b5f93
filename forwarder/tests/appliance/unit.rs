// SPDX-License-Identifier: MIT OR Apache-2.0
//! The unit of systemd: what systemd-analyze says of it, and `sluiced` started by hand under what it grants.
//!
//! Where systemd is not the init, nothing here proves that it starts the unit. By hand come the capabilities, no new
//! privileges and a read-only file system; the filter of system calls is compared with what `sluiced` calls.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use forwarder::control::config::{Config, Purpose};
use rustix::process::Signal;
use tempfile::TempDir;

use crate::announce::{READINESS, make_interface, table};
use crate::lab::netns::Netns;
use crate::lab::sluiced::{Place, USER};
use crate::lab::{self, run, wait_for};

const UNIT: &str = include_str!("../../../packaging/systemd/sluiced.service");

/// The worst exposure that `systemd-analyze security` may find, of 100: what docs/install.md says.
const EXPOSURE: &str = "30";

/// Every value of a setting, word by word.
fn setting(name: &str) -> Vec<&'static str> {
    let values = UNIT.lines().filter_map(|line| line.strip_prefix(name)?.strip_prefix('='));
    values.flat_map(str::split_whitespace).collect()
}

/// The unit beside the programs that are tested.
fn unit(folder: &TempDir) -> std::path::PathBuf {
    let path = folder.path().join("sluiced.service");
    fs::write(&path, UNIT.replace("/usr/bin/sluiced", env!("CARGO_BIN_EXE_sluiced"))).unwrap();
    path
}

#[test]
fn systemd_takes_the_unit_and_finds_little_exposed() {
    if !lab::possible(&["systemd-analyze"]) {
        return;
    }
    let folder = TempDir::new().unwrap();
    let path = unit(&folder);
    run(Command::new(env!("CARGO_BIN_EXE_sluice")).arg("man").arg(folder.path()));
    let output =
        Command::new("systemd-analyze").arg("verify").arg(&path).env("MANPATH", folder.path()).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    // Where there is no man, it can't look for the page.
    let complaints: Vec<_> =
        said.lines().filter(|line| line.contains("sluiced.service") && !line.contains("'man ")).collect();
    assert!(complaints.is_empty(), "{said}");
    let security = ["security", "--offline=true", "--threshold", EXPOSURE];
    run(Command::new("systemd-analyze").args(security).arg(&path));
}

#[test]
fn the_example_configuration_is_valid_and_suits_the_unit() {
    let file = Path::new("/etc/sluice/sluice.toml");
    let config = Config::parse(include_bytes!("../../../packaging/sluice.toml"), file, Purpose::Daemon).unwrap();
    assert_eq!(config.process.user.as_deref(), Some(setting("User")[0]));
    let runtime = Path::new("/run").join(setting("RuntimeDirectory")[0]);
    assert_eq!(config.control.socket.parent(), Some(runtime.as_path()));
    assert_eq!(config.state.folder, Path::new("/var/lib").join(setting("StateDirectory")[0]));
    let interface = config.readiness.interface.unwrap();
    assert!(UNIT.contains(&format!("ip tuntap add dev {interface} mode tun user {}", setting("User")[0])));
}

/// All calls of a set of systemd's, the sets in it included.
fn calls(set: &str, all: &mut BTreeSet<String>) {
    if !set.starts_with('@') {
        all.insert(set.to_owned());
        return;
    }
    let listed = run(Command::new("systemd-analyze").args(["syscall-filter", set]));
    for line in listed.lines().skip(1).map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')) {
        calls(line, all);
    }
}

#[test]
fn sluiced_runs_by_hand_under_what_the_unit_grants() {
    if !lab::possible(&["ip", "setpriv", "unshare", "strace", "systemd-analyze"]) {
        return;
    }
    let (netns, place) = (Netns::new(), Place::new(&table()));
    make_interface(&netns, &format!("user {USER}"));
    place.configure(READINESS);
    fs::create_dir(place.path("trace")).unwrap();
    for folder in ["run", "state"] {
        fs::create_dir(place.path(folder)).unwrap();
        run(Command::new("chown").arg(USER).arg(place.path(folder)));
    }
    let log = fs::File::create(place.path("log")).unwrap();
    let granted = setting("CapabilityBoundingSet").join(",").to_lowercase().replace("cap_", "+");
    // ProtectSystem=strict: only what is the daemon's can be written.
    let script = r#"
        for folder in run state trace; do mount --bind "$1/$folder" "$1/$folder" || exit 9; done
        mount -o remount,bind,ro / || exit 9
        shift; exec "$@""#;
    let mut command = netns.command("unshare");
    command.args(["--mount", "sh", "-c", script, "sh"]).arg(place.path(""));
    command.args(["setpriv", "--no-new-privs", &format!("--bounding-set=-all,{granted}"), "--inh-caps=-all"]);
    command.args(["strace", "-f", "-qq", "-o"]).arg(place.path("trace/calls"));
    command.arg(env!("CARGO_BIN_EXE_sluiced")).arg("--config").arg(place.path("sluice.toml"));
    let child = command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log).spawn().unwrap();
    let sluiced = place.adopt(child);
    wait_for("it is in service", || sluiced.is_in_service());
    wait_for("it gives the signals of readiness", || place.path("run/ready").exists());
    let table = place.path("table.json");
    assert!(sluiced.sluice(&["reload", table.to_str().unwrap(), "--force"]).status.success());
    assert!(sluiced.sluice(&["drain"]).status.success());
    // strace hands the signal on.
    let status = fs::read_to_string(format!("/proc/{}/task/{}/children", sluiced.pid(), sluiced.pid())).unwrap();
    let traced = status.trim().parse().unwrap();
    rustix::process::kill_process(rustix::process::Pid::from_raw(traced).unwrap(), Signal::TERM).unwrap();
    assert!(sluiced.wait().success(), "{}", place.log());

    let (mut allowed, mut refused) = (BTreeSet::new(), BTreeSet::new());
    let mut deny = false;
    for word in setting("SystemCallFilter") {
        deny = word.starts_with('~') || (deny && UNIT.lines().any(|line| line.contains('~') && line.contains(word)));
        calls(word.trim_start_matches('~'), if deny { &mut refused } else { &mut allowed });
    }
    let trace = fs::read_to_string(place.path("trace/calls")).unwrap();
    // What is refused without the filter loses nothing by it: DPDK asks for I/O ports (iopl), and does without.
    let granted = trace.lines().filter(|line| !line.contains(" = -1 EPERM") && !line.contains(" = -1 ENOSYS"));
    let called = granted.filter_map(|line| {
        let call = line.split_once(' ')?.1.trim_start().split_once('(')?.0;
        (!call.is_empty() && call.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_'))
            .then(|| call.to_owned())
    });
    let called: BTreeSet<String> = called.collect();
    assert!(called.len() > 40, "{called:?}");
    let outside: Vec<_> = called.iter().filter(|call| !allowed.contains(*call) || refused.contains(*call)).collect();
    assert!(outside.is_empty(), "called and not in SystemCallFilter: {outside:?}");
}
