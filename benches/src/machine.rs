// SPDX-License-Identifier: MIT OR Apache-2.0
//! What must be known about the machine to believe a figure.

use std::fs;
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};
use serde::Serialize;

use crate::windows::round;

/// Processor time that the machine, or rather its host, kept for others. Begins when it is made.
pub struct Watch {
    began: Ticks,
}

/// Of all processors, in clock ticks.
#[derive(Debug, Clone, Copy, Default)]
struct Ticks {
    all: u64,
    idle: u64,
    steal: u64,
    /// Those that this process had.
    own: u64,
}

/// The machine, and how it went while it was watched.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Machine {
    /// The processor's own name.
    pub cpu: String,
    /// Processors.
    pub cpus: usize,
    /// The kernel's release.
    pub kernel: String,
    /// Of the time of all processors, what the host gave to others. Percent.
    pub steal: f64,
    /// How many processors other processes kept busy, on the average.
    pub others: f64,
    /// Megabytes that this process has in huge pages, of those it has.
    pub huge_pages_mb: u64,
    /// Megabytes that this process has.
    pub memory_mb: u64,
    /// When the kernel makes huge pages by itself.
    pub transparent_huge_pages: String,
}

impl Watch {
    /// Begins to watch.
    #[allow(clippy::new_without_default, reason = "it begins something")]
    pub fn new() -> Self {
        Self { began: Ticks::now() }
    }

    /// What the machine is, and how it went since the beginning.
    pub fn machine(&self) -> Machine {
        let now = Ticks::now();
        // All of the machine: this thread may be pinned to one.
        let cpus = read("/proc/stat").lines().filter(|line| line.starts_with("cpu")).count().saturating_sub(1);
        let all = (now.all - self.began.all).max(1) as f64;
        let share = |ticks: u64| ticks as f64 / all;
        let unused = (now.idle - self.began.idle) + (now.steal - self.began.steal) + (now.own - self.began.own);
        let rollup = read("/proc/self/smaps_rollup");
        let megabytes = |name: &str| field(&rollup, name).and_then(first_number).unwrap_or_default() / 1024;
        Machine {
            cpu: field(&read("/proc/cpuinfo"), "model name").unwrap_or("unknown").to_owned(),
            cpus,
            kernel: read("/proc/sys/kernel/osrelease").trim().to_owned(),
            steal: round(100.0 * share(now.steal - self.began.steal)),
            others: round((1.0 - share(unused)).max(0.0) * cpus as f64),
            huge_pages_mb: megabytes("AnonHugePages"),
            memory_mb: megabytes("Rss"),
            transparent_huge_pages: chosen(&read("/sys/kernel/mm/transparent_hugepage/enabled")),
        }
    }
}

impl Machine {
    /// For people, in a line.
    pub fn line(&self) -> String {
        let Self { cpu, cpus, kernel, steal, others, huge_pages_mb, memory_mb, transparent_huge_pages } = self;
        format!(
            "{cpu}, {cpus} processors, others had {others} of them, {steal} % stolen; Linux {kernel}; \
             {huge_pages_mb} of {memory_mb} MB in huge pages (transparent ones: {transparent_huge_pages})"
        )
    }
}

impl Ticks {
    fn now() -> Self {
        let stat = read("/proc/stat");
        let line = stat.lines().next().unwrap_or_default();
        let numbers: Vec<u64> = line.split_whitespace().skip(1).take(8).map_while(|n| n.parse().ok()).collect();
        let at = |index: usize| numbers.get(index).copied().unwrap_or_default();
        // user nice system idle iowait irq softirq steal; what follows is part of user.
        // Behind the name in parentheses: utime and stime are the 12th and 13th.
        let stat = read("/proc/self/stat");
        let rest = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
        let own = rest.split_whitespace().skip(11).take(2).filter_map(|n| n.parse::<u64>().ok()).sum();
        Self { all: numbers.iter().sum(), idle: at(3) + at(4), steal: at(7), own }
    }
}

/// Time that this thread has had a processor: as by the clock on the wall, but without what a busy machine gave to others.
pub fn processor_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

/// Anonymous memory of this process now, in bytes.
pub fn anonymous_memory() -> u64 {
    field(&read("/proc/self/status"), "RssAnon").and_then(first_number).unwrap_or_default() * 1024
}

fn read(path: &str) -> String {
    fs::read_to_string(path).unwrap_or_default()
}

/// What follows `name:` in the first line that has it.
fn field<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let of_line = |line: &'a str| line.strip_prefix(name)?.trim_start().strip_prefix(':');
    text.lines().find_map(of_line).map(str::trim)
}

fn first_number(text: &str) -> Option<u64> {
    text.split_whitespace().next()?.parse().ok()
}

/// The choice in brackets.
fn chosen(text: &str) -> String {
    let inside = text.split_once('[').and_then(|(_, rest)| rest.split_once(']'));
    inside.map_or("unknown", |(choice, _)| choice).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_machine_says_what_it_is() {
        let machine = Watch::new().machine();
        assert!(machine.cpus > 0 && machine.memory_mb > 0, "{}", machine.line());
        assert!((0.0..=100.0).contains(&machine.steal));
        assert!(anonymous_memory() > 0);
        assert_eq!(chosen("always [madvise] never\n"), "madvise");
        assert_eq!(field("model name\t: X Y\n", "model name"), Some("X Y"));
    }
}
