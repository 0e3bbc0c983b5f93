// SPDX-License-Identifier: MIT OR Apache-2.0
//! `sluiced` without a stderr that takes its log: it starts, answers, reloads and stops all the same.
#![cfg(feature = "dpdk")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test may stop at the first surprise"
)]

mod control_support;

use std::fs::{File, OpenOptions};
use std::io::Read;
use std::os::unix::net::UnixStream;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use control_support::{Client, Place, table};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;

/// A place whose daemon needs no hardware.
fn place() -> Place {
    let place = Place::new();
    let config = std::fs::read_to_string(place.path("sluice.toml")).unwrap();
    place.write("sluice.toml", &format!("{config}\n[eal]\nargs = [\"--no-huge\", \"-m\", \"512\", \"--no-pci\"]\n"));
    place
}

fn sluiced(place: &Place) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sluiced"));
    command.arg("--config").arg(place.path("sluice.toml")).stdin(Stdio::null());
    command
}

fn full() -> File {
    OpenOptions::new().write(true).open("/dev/full").unwrap()
}

/// A daemon that is killed if the test ends before it.
struct Daemon(Child);

impl Daemon {
    fn start(command: &mut Command) -> Self {
        Self(command.spawn().unwrap())
    }

    fn client(&mut self, place: &Place) -> Client {
        while UnixStream::connect(place.socket()).is_err() {
            assert_eq!(self.0.try_wait().unwrap(), None, "it has ended");
            thread::sleep(Duration::from_millis(5));
        }
        Client::new(&place.socket())
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.0), signal).unwrap();
    }

    /// A reload by the socket, one by signal, a refused one, and the end: each of them is logged.
    fn does_its_work(mut self, place: &Place) {
        let mut client = self.client(place);
        let path = place.write("next.json", &table(Some(43), true));
        assert_eq!(client.result("reload", json!({"path": path}))["generation"], 43);
        place.write("next.json", "{");
        assert_eq!(client.error("reload", json!({"path": path})).0, -32000);
        place.write("table.json", &table(Some(44), false));
        self.signal(Signal::HUP);
        while client.result("status", json!({}))["generation"] != 44 {
            thread::sleep(Duration::from_millis(5));
        }
        self.signal(Signal::TERM);
        assert_eq!(self.0.wait().unwrap().code(), Some(0));
        assert!(!place.socket().exists());
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // Fails only when it has ended already, which is what is wanted.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_log_on_a_full_disk_harms_nothing() {
    let place = place();
    // A filter that can't be read is complained about before anything else.
    let daemon = Daemon::start(sluiced(&place).env("RUST_LOG", "sluice=loud").stderr(full()));
    daemon.does_its_work(&place);
}

#[test]
fn a_log_whose_reader_has_gone_harms_nothing() {
    let place = place();
    let mut daemon = Daemon::start(sluiced(&place).stderr(Stdio::piped()));
    let mut log = daemon.0.stderr.take().unwrap();
    assert_eq!(log.read(&mut [0]).unwrap(), 1, "it logs as long as somebody reads");
    drop(log);
    daemon.does_its_work(&place);
}

#[test]
fn errors_keep_their_status_without_stderr() {
    let place = place();
    let status = |command: &mut Command| command.stderr(full()).status().unwrap().code();
    assert_eq!(status(sluiced(&place).arg("--check")), Some(0), "with a warning, since the flow key is the default");
    assert_eq!(status(sluiced(&place).arg("--frobnicate")), Some(2));
    place.write("table.json", "{");
    assert_eq!(status(sluiced(&place).arg("--check")), Some(1));
    assert_eq!(status(&mut sluiced(&place)), Some(1));
}

#[test]
fn a_full_stdout_is_told_and_a_closed_one_is_not() {
    let place = place();
    for argument in ["--check", "--help"] {
        let output = sluiced(&place).arg(argument).stdout(full()).output().unwrap();
        let told = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{argument}: {told}");
        assert!(told.lines().last().unwrap().starts_with("sluiced: cannot write to standard output"), "{told}");

        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let output = sluiced(&place).arg(argument).stdout(writer).output().unwrap();
        let told = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.code() == Some(0) && !told.contains("standard output"), "{argument}: {told}");
    }
}
