// SPDX-License-Identifier: MIT OR Apache-2.0
//! What it costs to load a large table and to change it a slice at a time. `benches/README.md` has the method.
//!
//! Takes the number of addresses and the number of patches; 1,000,000 and 10,000 without.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a benchmark may stop at the first surprise")]
#![allow(clippy::print_stdout, reason = "a program that prints its figures")]

use std::fs;
use std::time::Duration;

use benches::{Family, Pool, Random, Shape, network};
use rustix::time::{ClockId, clock_gettime};
use tables::patch::Patch;
use tables::table::Compiler;
use tables::{Publisher, Source};

const PATIENCE: Duration = Duration::from_secs(5);

fn main() {
    let mut numbers = std::env::args().skip(1).filter_map(|argument| argument.parse().ok());
    let addresses: u32 = numbers.next().unwrap_or(1_000_000);
    let patches: u32 = numbers.next().unwrap_or(10_000);

    let before = Memory::now();
    let start = Clock::new();
    let mut source = Source::from_reader(Pool::new(Shape::new(Family::V4, addresses))).unwrap();
    let read = start.seconds();
    let (mut compiler, table) = Compiler::new(&source, &network::viewpoint()).unwrap();
    let (mut publisher, mut readers) = Publisher::new(Box::new(table), 1);
    let published = start.seconds();
    let mut reader = readers.pop().unwrap();
    let size = reader.current().size();
    let loaded = Memory::now();
    println!("{addresses} addresses with plans of their own");
    println!("  read in {read:.2} s, published after {published:.2} s");
    println!("  compiled {} MB, {:.1} bytes an address", size >> 20, size as f64 / f64::from(addresses));
    println!(
        "  anonymous memory: {} MB now, {} MB at most: {:.2} times the compiled size; {} MB in huge pages",
        loaded.anonymous - before.anonymous,
        loaded.peak - before.anonymous,
        (loaded.peak - before.anonymous) as f64 / (size >> 20) as f64,
        loaded.huge,
    );

    let mut random = Random::new(2);
    let mut steps = [const { Vec::new() }; 5];
    let mut whole = Vec::new();
    for _ in 0..patches {
        let json = one_slice(&mut random, addresses);
        let mut clock = Clock::new();
        let patch = Patch::from_slice(json.as_bytes()).unwrap();
        steps[0].push(clock.lap());
        let changes = source.apply(&patch).unwrap();
        steps[1].push(clock.lap());
        let (table, reclaim) = compiler.patch(&source, &changes).unwrap();
        steps[2].push(clock.lap());
        let epoch = publisher.publish(Box::new(table));
        reader.current();
        publisher.wait(epoch, PATIENCE).unwrap();
        steps[3].push(clock.lap());
        compiler.reclaim(reclaim);
        steps[4].push(clock.lap());
        whole.push(steps.iter().filter_map(|times| times.last()).sum());
    }
    println!("{patches} patches, each of one slice: microseconds, median and 99th percentile");
    for (step, times) in ["parse", "apply", "compile", "publish and free", "reclaim"].iter().zip(&mut steps) {
        println!("  {step:<17} {}", quantiles(times));
    }
    println!("  {:<17} {}", "all", quantiles(&mut whole));
    println!("  compiled {} bytes more", reader.current().size() - size);
    println!("  anonymous memory: {} MB now", Memory::now().anonymous - before.anonymous);
}

/// Gives one slice of one address to another server.
fn one_slice(random: &mut Random, addresses: u32) -> String {
    let (address, slice) = (Pool::v4(random.below(addresses)), random.below(31) + 1);
    let (first, last, server) = (slice * 2048, slice * 2048 + 2047, random.below(1000));
    format!(r#"{{"ports":[{{"prefix":"{address}/32","ports":"{first}-{last}","server":"s{server}"}}]}}"#)
}

/// Processor time of this process: as by the clock on the wall, but without what a busy machine gave to others.
struct Clock(Duration);

impl Clock {
    fn now() -> Duration {
        let time = clock_gettime(ClockId::ProcessCPUTime);
        Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
    }

    fn new() -> Self {
        Self(Self::now())
    }

    fn seconds(&self) -> f64 {
        (Self::now() - self.0).as_secs_f64()
    }

    /// Microseconds since the last call.
    fn lap(&mut self) -> f64 {
        let last = std::mem::replace(&mut self.0, Self::now());
        (self.0 - last).as_secs_f64() * 1e6
    }
}

fn quantiles(times: &mut [f64]) -> String {
    times.sort_by(f64::total_cmp);
    let at = |part: usize| times.get(times.len() * part / 100).copied().unwrap_or_default();
    format!("{:8.1} {:8.1}", at(50), at(99))
}

/// Megabytes of anonymous memory of this process, of which no file-backed page is a part.
struct Memory {
    anonymous: u64,
    /// At most, with what is mapped of the program itself.
    peak: u64,
    huge: u64,
}

impl Memory {
    fn now() -> Self {
        let status = fs::read_to_string("/proc/self/status").unwrap();
        let maps = fs::read_to_string("/proc/self/smaps_rollup").unwrap();
        Self {
            anonymous: field(&status, "RssAnon:"),
            peak: field(&status, "VmHWM:") - field(&status, "RssFile:"),
            huge: field(&maps, "AnonHugePages:"),
        }
    }
}

fn field(text: &str, name: &str) -> u64 {
    let line = text.lines().find_map(|line| line.strip_prefix(name)).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() >> 10
}
