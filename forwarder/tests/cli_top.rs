// SPDX-License-Identifier: MIT OR Apache-2.0
//! `sluice top` in a real terminal of 80 × 24: what is on the screen, and what is left when it ends.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test may stop at the first surprise"
)]

mod cli_support;
mod control_support;
mod metrics_support;

use std::io::{BufRead, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use cli_support::sluice;
use control_support::table;
use metrics_support::{serving, udp};
use serde_json::{Value, json};

/// How long the screen may take; generous, since the machine may be busy.
const PATIENCE: Duration = Duration::from_secs(30);

/// A terminal that tmux keeps, on a server of its own.
struct Terminal {
    socket: tempfile::TempDir,
}

impl Terminal {
    /// Runs a shell command; none if there is no tmux.
    fn run(command: &str) -> Option<Self> {
        let terminal = Self { socket: tempfile::tempdir().unwrap() };
        let arguments = ["-f", "/dev/null", "new-session", "-d", "-x", "80", "-y", "24", command];
        let output = terminal.tmux(&arguments).ok()?;
        assert!(output.status.success(), "{output:?}");
        Some(terminal)
    }

    fn tmux(&self, arguments: &[&str]) -> std::io::Result<Output> {
        let mut tmux = Command::new("tmux");
        tmux.arg("-S").arg(self.socket.path().join("tmux")).args(arguments).env_remove("TMUX").env("LC_ALL", "C.UTF-8");
        tmux.output()
    }

    fn screen(&self) -> String {
        String::from_utf8(self.tmux(&["capture-pane", "-p"]).unwrap().stdout).unwrap()
    }

    fn press(&self, key: &str) {
        assert!(self.tmux(&["send-keys", key]).unwrap().status.success());
    }

    /// Waits until the screen is as wanted.
    fn wait_for(&self, what: &str, is_so: impl Fn(&str) -> bool) -> String {
        let give_up = Instant::now() + PATIENCE;
        loop {
            let screen = self.screen();
            if is_so(&screen) {
                return screen;
            }
            assert!(Instant::now() < give_up, "waited for {what}:\n{screen}");
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.tmux(&["kill-server"]);
    }
}

/// `sluice top` for the daemon, then a line that says that it has ended and how the terminal is.
fn start(socket: &Path) -> Option<Terminal> {
    let sluice = env!("CARGO_BIN_EXE_sluice");
    let top = format!(
        "{sluice} top --socket {}; echo ended: $?; stty -a | tr ';' '\\n' | grep -o '[-]*icanon'; sleep 60",
        socket.display()
    );
    let terminal = Terminal::run(&top);
    if terminal.is_none() {
        eprintln!("skipped: no tmux here (Debian package tmux)");
    }
    terminal
}

#[test]
fn the_screen_shows_what_goes_on_and_is_given_back() {
    let (running, _) = serving(&[udp(2100, 72), udp(2101, 172), udp(4096, 10), udp(80, 0)], "");
    let Some(terminal) = start(&running.place.socket()) else { return };
    let screen = terminal.wait_for("a second look", |screen| screen.contains("rates: 1."));
    assert!(screen.lines().all(|line| line.chars().count() <= 80), "{screen}");
    for words in [
        "sluice  ready  generation 42  up",
        "every packet is accounted for",
        "p99.9",
        "lhr-1",
        "lhr-2",
        "unallocated_port",
        "wan0",
        "none since the start",
    ] {
        assert!(screen.contains(words), "{words}:\n{screen}");
    }
    // Two thirds of what is sent: the first by bits.
    let line = |words: &str| screen.lines().position(|line| line.contains(words)).unwrap();
    assert!(line("lhr-1") < line("lhr-2"), "{screen}");

    let document: Value = serde_json::from_str(&table(Some(43), true)).unwrap();
    running.client().result("reload", json!({ "table": document }));
    running.client().error("reload", json!({"table": {"version": 7}}));
    let screen = terminal.wait_for("the reloads", |screen| screen.contains("degraded"));
    assert!(screen.contains("generation 43") && screen.contains("was refused"), "{screen}");

    terminal.press("q");
    let screen = terminal.wait_for("the end", |screen| screen.contains("icanon"));
    assert!(screen.contains("ended: 0") && !screen.contains("-icanon"), "the terminal is raw:\n{screen}");
    assert!(!screen.contains("targets by traffic"), "the screen from before is back:\n{screen}");
}

#[test]
fn a_daemon_that_goes_is_told_and_ctrl_c_ends() {
    let (running, _) = serving(&[], "");
    // The daemon's answer once, from a socket that is then gone: a daemon in this very process would answer on.
    let socket = running.place.path("once.sock");
    let listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
    let Some(terminal) = start(&socket) else { return };
    let mut stream = std::io::BufReader::new(listener.accept().unwrap().0);
    stream.read_line(&mut String::new()).unwrap();
    let result = running.client().result("top", json!({}));
    writeln!(stream.get_mut(), "{}", json!({"jsonrpc": "2.0", "id": 1, "result": result})).unwrap();
    terminal.wait_for("the first look", |screen| screen.contains("generation 42"));
    drop((stream, listener));
    std::fs::remove_file(&socket).unwrap();
    let screen = terminal.wait_for("the trouble", |screen| screen.contains("no answer: no control socket"));
    assert!(screen.contains("generation 42"), "what was known last stays:\n{screen}");

    std::os::unix::fs::symlink(running.place.socket(), &socket).unwrap();
    terminal.wait_for("another daemon's answer", |screen| screen.contains("every packet is accounted for"));
    terminal.press("C-c");
    terminal.wait_for("the end", |screen| screen.contains("ended: 0"));
}

/// What reads keys from a terminal that is gone reads nothing, again and again.
#[test]
fn without_its_terminal_it_ends() {
    let (running, _) = serving(&[], "");
    let socket = running.place.socket();
    let Some(terminal) = start(&socket) else { return };
    terminal.wait_for("the first look", |screen| screen.contains("generation 42"));
    drop(terminal);
    let start = Instant::now();
    while let Some(process) = process_with(&socket) {
        assert!(start.elapsed() < PATIENCE, "{} goes on without a terminal", process.display());
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// A process, in /proc, that was started with `argument`.
fn process_with(argument: &Path) -> Option<PathBuf> {
    let mut processes = std::fs::read_dir("/proc").unwrap().map(|entry| entry.unwrap().path());
    let was_given = |process: &PathBuf| {
        let line = std::fs::read(process.join("cmdline")).unwrap_or_default();
        line.split(|&byte| byte == 0).any(|word| word == argument.as_os_str().as_bytes())
    };
    processes.find(was_given)
}

#[test]
fn elsewhere_than_on_a_terminal() {
    let (running, _) = serving(&[udp(2100, 0)], "");
    let socket = running.place.socket();
    let ask = |words: &[&str]| sluice(&[words, &["--socket", socket.to_str().unwrap()]].concat());
    assert!(ask(&["top"]).failed(1).contains("--json"));
    let document = ask(&["top", "--json"]).good_json();
    assert_eq!((&document["generation"], &document["health"]["state"]), (&json!(42), &json!("ready")));
    assert_eq!(document["workers"].as_array().unwrap().len(), 1);
    let names: Vec<_> =
        document["targets"].as_array().unwrap().iter().map(|target| target["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["lhr-1", "lhr-2", "CDG"]);
    assert!(sluice(&["top", "--socket", "/nonexistent"]).failed(1).contains("/nonexistent"));
}

#[test]
fn status_says_why_and_by_its_exit_status() {
    let (running, _) = serving(&[], "");
    let socket = running.place.socket();
    let ask = |words: &[&str]| sluice(&[words, &["--socket", socket.to_str().unwrap()]].concat());
    assert!(ask(&["status", "--exit-code"]).good().contains("ready"));
    running.client().error("reload", json!({"table": {"version": 7}}));
    let status = ask(&["status"]);
    assert!(status.good().contains("degraded") && status.stdout.contains("because"), "{status:?}");
    assert!(status.stdout.contains("the last reload failed"), "{status:?}");
    let status = ask(&["status", "--exit-code", "--json"]);
    assert_eq!((status.status, status.stderr.as_str()), (1, ""));
    assert_eq!(status.json()["health"]["reasons"][0]["code"], "reload_failed");
}
