// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a patch costs on a source of a million addresses that each have a plan of their own: time by the kind of patch,
//! and memory before and after; what it costs to judge changes, to tell what would move, and to write the source. `benches/README.md` has the method.
#![allow(clippy::unwrap_used, reason = "a benchmark may stop at the first surprise")]
#![allow(clippy::print_stdout, reason = "it is there for what it prints")]

use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use benches::{Family, Pool, Random, Shape};
use tables::impact::{self, Census};
use tables::patch::Patch;
use tables::{Source, diff};

const ADDRESSES: u32 = 1_000_000;

fn main() {
    let started = Instant::now();
    let mut source = Source::from_reader(Pool::new(Shape::new(Family::V4, ADDRESSES))).unwrap();
    println!("{ADDRESSES} addresses read in {:.1?}, resident {} MiB", started.elapsed(), resident());
    let mut random = Random::new(7);
    let owner = |random: &mut Random| format!("s{}", random.below(1000));
    let mut slice = |_| {
        let (address, slice) = (Pool::v4(random.below(ADDRESSES)), 1 + random.below(31));
        let (first, last) = (slice * 2048, slice * 2048 + 2047);
        let server = owner(&mut random);
        format!(r#"{{"ports":[{{"prefix":"{address}/32","ports":"{first}-{last}","server":"{server}"}}]}}"#)
    };
    measure(&mut source, "one slice", 20_000, &mut slice);
    measure(&mut source, "one slice, a million times", 1_000_000, &mut slice);
    judge(&source, &mut slice);
    let whole = |n: u32, address: Ipv4Addr| {
        format!(r#"{{"set":{{"egress":[{{"prefix":"{address}/32","datacenter":"LHR","server":"s{}"}}]}}}}"#, n % 1000)
    };
    measure(&mut source, "set an entry that is there", 1000, |n| whole(n, Pool::v4(n * 997)));
    measure(&mut source, "remove an entry", 1000, |n| {
        format!(r#"{{"remove":{{"egress":["{}/32"]}}}}"#, Pool::v4(n * 997))
    });
    measure(&mut source, "add an entry", 1000, |n| whole(n, Pool::v4(n * 997)));
    let server = |n| format!(r#"{{"set":{{"servers":{{"new-{n}":{{"datacenter":"LHR","address":"10.0.7.1"}}}}}}}}"#);
    measure(&mut source, "add a server", 10, server);
    measure(&mut source, "remove a server", 10, |n| format!(r#"{{"remove":{{"servers":["new-{n}"]}}}}"#));
    let started = Instant::now();
    source.digest();
    println!("digest {:.1?}", started.elapsed());
}

/// What guards, dry runs and the state folder need.
fn judge(source: &Source, mut patch: impl FnMut(u32) -> String) {
    let timed = |what: &str, work: &mut dyn FnMut()| {
        let started = Instant::now();
        work();
        println!("{what} {:.1?}", started.elapsed());
    };
    let mut census = Census::default();
    timed("census", &mut || census = Census::of(source));
    let mut other = source.clone();
    let patches = 20_000;
    let mut judging = Duration::ZERO;
    for n in 0..patches {
        let patch = Patch::from_slice(patch(n).as_bytes()).unwrap();
        let staged = other.stage(&patch).unwrap();
        let started = Instant::now();
        census = impact::of_patch(&other, &census, &staged).1;
        judging += started.elapsed();
        other.commit(staged);
    }
    println!("judge a patch of one slice: mean {:.1?}", judging / patches);
    timed("judge a reload", &mut || drop(impact::between(source, &census, &other)));
    timed("overview of what would move", &mut || drop(diff::overview(source, &other, "LHR")));
    timed("the same, every port", &mut || drop(diff::diff(source, &other, "LHR")));
    timed("write", &mut || source.write(1, &mut std::io::sink()).unwrap());
}

/// Applies as many patches; prints how long reading and applying one took.
fn measure(source: &mut Source, what: &str, patches: u32, mut patch: impl FnMut(u32) -> String) {
    let mut times: Vec<Duration> = Vec::new();
    for n in 0..patches {
        let text = patch(n);
        let started = Instant::now();
        source.apply(&Patch::from_slice(text.as_bytes()).unwrap()).unwrap();
        times.push(started.elapsed());
    }
    times.sort_unstable();
    let part = |per_mille: usize| times.get((times.len() - 1) * per_mille / 1000).copied().unwrap_or_default();
    let mean = times.iter().sum::<Duration>() / patches;
    let (half, most, worst) = (part(500), part(999), part(1000));
    println!(
        "{what}: mean {mean:.1?}, median {half:.1?}, 99.9 % {most:.1?}, worst {worst:.1?}; resident {} MiB",
        resident()
    );
}

/// The memory of this process that is in use, in MiB.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.split_whitespace().next().unwrap().parse::<u64>().unwrap() / 1024
}
