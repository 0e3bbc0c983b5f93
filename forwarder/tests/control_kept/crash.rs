// SPDX-License-Identifier: MIT OR Apache-2.0
//! kill −9 at any moment, and disks that are full: a daemon in a process of its own.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::control_support::{Client, Place, table};
use crate::{ports, problem, start, what_runs};

/// The test that is a daemon, if this variable names its place.
const DAEMON: &str = "crash::a_daemon_in_a_process_of_its_own";
const PLACE: &str = "SLUICE_TEST_PLACE";

/// Run by the tests below; by itself it has nothing to do.
#[test]
fn a_daemon_in_a_process_of_its_own() {
    let Some(place) = std::env::var_os(PLACE) else { return };
    let config = forwarder::control::config::Config::load(
        &Path::new(&place).join("sluice.toml"),
        forwarder::control::config::Purpose::Daemon,
    );
    let io = forwarder::io::memory::MemoryIo::new(1);
    let devices = |_: &_| Ok::<_, String>(crate::control_support::Memory(vec![io]));
    let daemon = forwarder::control::daemon::Daemon::start(config.unwrap(), devices).unwrap();
    daemon.wait().unwrap();
}

/// Killed when dropped.
struct Daemon(Child);

impl Daemon {
    /// Started by `command`, which gets the daemon's command line behind its own.
    fn start(place: &Place, mut command: Command) -> Self {
        let command = command.arg(std::env::current_exe().unwrap()).args(["--exact", DAEMON]);
        command.env(PLACE, place.path("")).stdout(Stdio::null()).stderr(Stdio::null());
        let daemon = Self(command.spawn().unwrap());
        let begin = Instant::now();
        while std::os::unix::net::UnixStream::connect(place.socket()).is_err() {
            assert!(begin.elapsed() < Duration::from_secs(30), "no daemon");
            std::thread::sleep(Duration::from_millis(5));
        }
        daemon
    }

    fn kill(mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn request(method: &str, params: &Value) -> Vec<u8> {
    format!("{}\n", json!({"jsonrpc": "2.0", "method": method, "params": params, "id": 7})).into_bytes()
}

/// Change after change until the daemon dies; the generation and revision that were answered last.
fn change_until_killed(place: &Place, first: u64) -> (u64, u64) {
    let mut client = Client::new(&place.socket());
    let mut answered = (first, 0);
    for n in first + 1.. {
        let table: Value = serde_json::from_str(&table(Some(n), false)).unwrap();
        let patch = |server| ("patch", ports(server));
        let changes = [("reload", json!({"table": table})), patch(2), patch(1), patch(2), patch(1)];
        for (revision, (method, params)) in changes.into_iter().enumerate() {
            client.send(&request(method, &params));
            match client.receive() {
                Some(answer) if answer.get("result").is_some() => answered = (n, revision as u64),
                Some(answer) => panic!("{answer}"),
                None => return answered,
            }
        }
    }
    unreachable!("it is killed before")
}

#[test]
fn what_was_answered_survives_kill_9_at_any_moment() {
    let place = Place::new();
    let mut last = (42, 0);
    for round in 0..20_u64 {
        let daemon = Daemon::start(&place, Command::new("env"));
        let changes = {
            let place = place.clone();
            std::thread::spawn(move || change_until_killed(&place, last.0))
        };
        std::thread::sleep(Duration::from_millis(20 + 13 * round));
        daemon.kill();
        let answered = changes.join().unwrap().max(last);
        let running = start(&place);
        let (generation, revision, owner) = what_runs(&running);
        // One that was not answered may have been made: the one after it.
        let next = [answered, (answered.0, answered.1 + 1), (answered.0 + 1, 0)];
        assert!(next.contains(&(generation, revision)), "{answered:?}, and then {generation} {revision}");
        assert_eq!(owner, if revision % 2 == 1 { "lhr-2" } else { "lhr-1" });
        assert_eq!(problem(&mut running.client()), Value::Null);
        last = (generation, revision);
    }
    assert!(last.0 > 43, "nothing was changed: {last:?}");
}

/// A daemon in a mount namespace in which `mount` was run; none, and why is printed, where that takes more rights than
/// there are.
fn start_after(mount: &str, place: &Place) -> Option<Daemon> {
    let inside = |script: &str| {
        let mut command = Command::new("unshare");
        command.args(["--mount", "sh", "-c", script, "sh"]);
        command
    };
    let may = inside(mount).stderr(Stdio::null()).status();
    if !may.is_ok_and(|status| status.success()) {
        eprintln!("skipped: a mount namespace needs root and unshare(1)");
        return None;
    }
    Some(Daemon::start(place, inside(&format!("{mount} && exec \"$@\""))))
}

impl Daemon {
    /// Runs a command where the daemon sees the small disk.
    fn inside(&self, command: &[&str]) {
        let pid = self.0.id().to_string();
        let status = Command::new("nsenter").args(["--target", &pid, "--mount"]).args(command).status();
        assert!(status.unwrap().success(), "{command:?}");
    }
}

/// The daemon takes no reload, and says `why`; what ran, a revision and an owner, goes on.
fn refuses(client: &mut Client, why: &str, runs: (u64, &str)) {
    let next: Value = serde_json::from_str(&table(Some(43), true)).unwrap();
    let answer = client.ask("reload", json!({"table": next}));
    assert_eq!(answer["error"]["code"], -32007, "{answer}");
    assert!(answer["error"]["message"].as_str().unwrap().contains(why), "{answer}");
    assert!(problem(client).as_str().unwrap().contains(why));
    let status = client.result("status", json!({}));
    assert_eq!((&status["generation"], &status["revision"]), (&json!(42), &json!(runs.0)));
    assert_eq!(crate::owner(client), runs.1);
}

#[test]
fn a_full_disk_refuses_changes_until_there_is_room() {
    let place = Place::new();
    let small = place.path("sluice.state");
    std::fs::create_dir(&small).unwrap();
    let mount = format!("mount -t tmpfs -o size=64k tmpfs {}", small.display());
    let Some(daemon) = start_after(&mount, &place) else { return };
    let filler = small.join("filler");
    let mut client = Client::new(&place.socket());
    assert_eq!(client.result("patch", ports(2))["kept"], true);
    daemon.inside(&["sh", "-c", &format!("head -c 1000000 /dev/zero 2>/dev/null > {}; true", filler.display())]);
    refuses(&mut client, "No space left", (1, "lhr-2"));
    daemon.inside(&["rm", filler.to_str().unwrap()]);
    assert_eq!(client.result("patch", ports(1))["kept"], true);
    assert_eq!(problem(&mut client), Value::Null);
}

#[test]
fn a_read_only_folder_is_read_and_refuses_changes_until_it_can_be_written() {
    let place = Place::new();
    let running = start(&place);
    running.client().result("patch", ports(2));
    drop(running);
    let folder = place.path("sluice.state");
    let folder = folder.to_str().unwrap();
    let mount = format!("mount --bind {folder} {folder} && mount -o remount,bind,ro {folder}");
    let Some(daemon) = start_after(&mount, &place) else { return };
    let mut client = Client::new(&place.socket());
    refuses(&mut client, "Read-only", (1, "lhr-2"));
    assert_eq!(client.error("patch", ports(1)).0, -32007);
    daemon.inside(&["mount", "-o", "remount,bind,rw", folder]);
    assert_eq!(client.result("patch", ports(1))["kept"], true);
    assert_eq!(problem(&mut client), Value::Null);
    drop(client);
    daemon.kill();
    assert_eq!(what_runs(&start(&place)), (42, 2, json!("lhr-1")));
}
