// SPDX-License-Identifier: MIT OR Apache-2.0
//! The pipeline makes no system call once it has seen a burst: so it neither waits for a lock that somebody has, nor asks the
//! kernel for memory, the time or anything else.
//!
//! The kernel itself watches: in its strict mode it kills whoever calls it for more than to read, write or return from a signal
//! (seccomp(2)). A process of the test's own works in that mode. Not proved: that no lock is taken that happened to be free;
//! what devices do.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::indexing_slicing,
    reason = "a test may stop at the first surprise"
)]

mod world;

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;
use std::{env, iter, thread};

use forwarder::io::memory::VecBuf;
use rustix::thread::{SecureComputingMode, set_secure_computing_mode};
use world::vectors::cases_of;
use world::{ADDED, Numbered, World};

const CHILD: &str = "SLUICE_SYSTEM_CALLS_CHILD";
const DONE: &str = "all bursts are done";
const UNWATCHED: &str = "nobody watched";

#[test]
fn no_packet_calls_the_kernel() {
    if env::var_os(CHILD).is_some() {
        return child();
    }
    let mut command = Command::new(env::current_exe().unwrap());
    command.args(["no_packet_calls_the_kernel", "--exact", "--nocapture"]).env(CHILD, "").stdout(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let (said, hear) = mpsc::channel();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    thread::spawn(move || lines.map_while(Result::ok).try_for_each(|line| said.send(line)));
    // The kernel kills the thread that called, not its process: what is heard then is nothing more.
    let wait_for = |what: &str, limit| {
        iter::from_fn(|| hear.recv_timeout(Duration::from_secs(limit)).ok()).any(|line| line.contains(what))
    };
    let (is_done, is_unwatched) = (wait_for(DONE, 60), wait_for(UNWATCHED, 1));
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(is_done, "killed by a system call");
    assert!(!is_unwatched, "a system call did not end it");
}

/// Passes every frame of the vectors, ICMP, fragments and cut packets among them, first unwatched, then watched.
fn child() {
    let mut world = World::load("plain");
    let buffers = || (0..64).map(|_| Numbered::new(ADDED, VecBuf::new(&[0; 2048]))).collect();
    let cases = cases_of("plain");
    let frames = || -> Vec<Vec<_>> {
        let numbered = |(number, frame): (usize, &Vec<u8>)| Numbered::new(number, VecBuf::new(frame));
        let frames: Vec<_> = cases.iter().map(|case| case.frame.clone()).collect();
        frames.chunks(16).map(|burst| burst.iter().enumerate().map(numbered).collect()).collect()
    };
    world.spare.buffers = buffers();
    for mut burst in frames() {
        world.run(&mut burst);
        world.recycle();
    }
    world.spare.buffers = buffers();
    let mut bursts = frames();
    println!("watched from here");
    set_secure_computing_mode(SecureComputingMode::Strict).unwrap();
    for burst in &mut bursts {
        world.run(burst);
        world.recycle();
    }
    println!("{DONE}");
    let _ = rustix::process::getpid();
    println!("{UNWATCHED}");
}
