// SPDX-License-Identifier: MIT OR Apache-2.0
//! Root for the devices, a user of its own for all else.

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::PathBuf;
use std::process::{Command, Stdio};

use rustix::process::Signal;
use serde_json::json;

use crate::announce::{READINESS, make_interface, table};
use crate::lab::netns::Netns;
use crate::lab::sluiced::{Place, Sluiced, USER};
use crate::lab::{self, run, wait_for};

fn uid() -> u32 {
    run(Command::new("id").args(["-u", USER])).trim().parse().unwrap()
}

#[test]
fn no_thread_keeps_root_or_a_capability_and_all_goes_on() {
    if !lab::possible(&["ip"]) {
        return;
    }
    let (netns, place) = (Netns::new(), Place::new(&table()));
    make_interface(&netns, &format!("user {USER}"));
    place.configure(READINESS);
    let sluiced = place.start(&netns);
    let uid = uid();
    let tasks = fs::read_dir(format!("/proc/{}/task", sluiced.pid())).unwrap();
    let threads: Vec<_> = tasks.map(|task| fs::read_to_string(task.unwrap().path().join("status")).unwrap()).collect();
    assert!(threads.iter().any(|status| status.contains("eal-intr")), "DPDK has threads: {threads:?}");
    for status in &threads {
        let line = |key: &str| status.lines().find_map(|line| line.strip_prefix(key)).unwrap().trim();
        assert_eq!(line("Uid:"), format!("{uid}\t{uid}\t{uid}\t{uid}"), "{status}");
        for capabilities in ["CapInh:", "CapPrm:", "CapEff:", "CapAmb:"] {
            assert_eq!(line(capabilities), "0000000000000000", "{capabilities} {status}");
        }
    }
    for name in ["run/control.sock", "state", "run"] {
        assert_eq!(fs::metadata(place.path(name)).unwrap().uid(), uid, "{name}");
    }
    wait_for("it gives the signals of readiness", || place.path("run/ready").exists());

    // A reload, and what it keeps, need nothing that is gone.
    let mut next = table();
    next["generation"] = json!(2);
    fs::write(place.path("table.json"), next.to_string()).unwrap();
    sluiced.signal(Signal::HUP);
    wait_for("a reload", || sluiced.ask(&["status"])["generation"] == json!(2));
    assert_eq!(sluiced.ask(&["health"])["state"], json!("ready"), "the state folder takes it");
    let socket = place.path("run/control.sock");
    sluiced.signal(Signal::TERM);
    assert!(sluiced.wait().success(), "{}", place.log());
    assert!(!socket.exists(), "its folder is its own");
}

/// The niceness of a thread and its status, by its name.
fn threads(sluiced: &Sluiced<'_>) -> Vec<(String, i32, String)> {
    let tasks = fs::read_dir(format!("/proc/{}/task", sluiced.pid())).unwrap();
    let read = |path: PathBuf| {
        let [name, stat, status] = ["comm", "stat", "status"].map(|file| fs::read_to_string(path.join(file)).unwrap());
        // Behind the name, which may have spaces, the niceness is the 17th.
        let nice = stat.rsplit_once(')').unwrap().1.split_whitespace().nth(16).unwrap().parse().unwrap();
        (name.trim().to_owned(), nice, status)
    };
    tasks.map(|task| read(task.unwrap().path())).collect()
}

#[test]
fn started_as_a_user_with_capabilities_it_keeps_them_for_the_devices_alone() {
    // sys_nice for what the unit has LimitNICE for, which not every root may raise.
    const CAPABILITIES: &str = "-all,+net_admin,+sys_nice";
    if !lab::possible(&["ip", "setpriv"]) {
        return;
    }
    let (netns, place) = (Netns::new(), Place::new(&table()));
    place.configure("");
    let config = fs::read_to_string(place.path("sluice.toml")).unwrap();
    let config = config.replace("vdev = ", "kernel = \"wan0-k\"\nvdev = ");
    fs::write(place.path("sluice.toml"), config).unwrap();
    for folder in ["run", "state"] {
        fs::create_dir(place.path(folder)).unwrap();
        chown(place.path(folder), Some(uid()), None).unwrap();
    }
    let log = fs::File::create(place.path("log")).unwrap();
    let mut command = netns.command("setpriv");
    command.args(["--reuid", USER, "--clear-groups"]);
    command.args(["--inh-caps", CAPABILITIES, "--ambient-caps", CAPABILITIES]);
    command.arg(env!("CARGO_BIN_EXE_sluiced")).arg("--config").arg(place.path("sluice.toml"));
    let child = command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log).spawn().unwrap();
    let sluiced = place.adopt(child);
    let threads = threads(&sluiced);
    assert!(threads.iter().any(|(name, ..)| name == "device-log"), "{threads:?}");
    for (name, nice, status) in threads {
        assert_eq!(nice == -10, name == "kernel-path", "{name}: {nice}");
        let line = |key: &str| status.lines().find_map(|line| line.strip_prefix(key)).unwrap().trim();
        // Which are older than the end of the rights.
        let is_dpdks = ["eal-", "rte_", "telemetry"].iter().any(|start| name.starts_with(start));
        let expected = if is_dpdks { ("0000000000801000", "0") } else { ("0000000000000000", "1") };
        assert_eq!((line("CapEff:"), line("NoNewPrivs:")), expected, "{name}");
    }
}

#[test]
fn what_the_user_cannot_do_is_told_at_the_start() {
    if !lab::possible(&["ip"]) {
        return;
    }
    let (netns, place) = (Netns::new(), Place::new(&table()));
    let refused = |words: &[&str]| {
        let said = place.fail_to_start(&netns);
        let last = said.last().unwrap();
        assert!(words.iter().all(|word| last.contains(word)), "{said:?}");
        assert!(!said.iter().any(|line| line.contains("started device")), "{said:?}");
    };
    place.configure("");
    let config = fs::read_to_string(place.path("sluice.toml")).unwrap();
    fs::write(place.path("sluice.toml"), config.replace(USER, "nobody-of-that-name")).unwrap();
    refused(&["there is no user nobody-of-that-name", "daemon.user"]);

    fs::write(place.path("sluice.toml"), &config).unwrap();
    fs::set_permissions(place.path("table.json"), Permissions::from_mode(0o600)).unwrap();
    refused(&["table.json", "Permission denied"]);
    chown(place.path("table.json"), Some(uid()), None).unwrap();

    for folder in ["state", "run"] {
        let path = place.path(folder);
        let _ = fs::create_dir(&path);
        chown(&path, Some(0), Some(0)).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o755)).unwrap();
        refused(&[USER, "cannot write to", folder, "chown"]);
        fs::remove_dir_all(&path).unwrap();
    }
    place.start(&netns);
}
