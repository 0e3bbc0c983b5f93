// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a lookup costs: address and port to target, over tables of a thousand to a million addresses that each have a
//! slice plan of their own. `benches/README.md` has the method.
#![allow(missing_docs, reason = "criterion's macros make undocumented functions")]
#![allow(clippy::unwrap_used, reason = "a benchmark may stop at the first surprise")]

use std::hint::black_box;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use benches::machine::processor_time;
use benches::{Family, Pool, Random, Shape, network};
use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use tables::table::{Address, Found, TargetId};
use tables::{Source, Table};

const SIZES: [u32; 3] = [1_000, 100_000, 1_000_000];
const BURST: usize = 64;
/// Enough keys that the table's memory, not theirs, decides; they are read in order.
const KEYS: usize = 1 << 20;

/// The keys of a burst, as a worker has them after classifying: addresses and ports apart.
struct Keys<A> {
    addresses: Vec<A>,
    ports: Vec<u16>,
}

impl<A> Keys<A> {
    fn random(size: u32, address: impl Fn(u32) -> A) -> Self {
        let mut random = Random::new(1);
        let addresses = (0..KEYS).map(|_| address(random.below(size))).collect();
        let ports = (0..KEYS).map(|_| random.below(65_536) as u16).collect();
        Self { addresses, ports }
    }

    /// Processor time for `lookups`, in whole bursts: what the clock on the wall says, without what a busy machine gave
    /// to others.
    fn time(&self, lookups: u64, mut burst: impl FnMut(&[A], &[u16]) -> u64) -> Duration {
        let bursts = lookups.div_ceil(BURST as u64);
        let all = self.addresses.chunks_exact(BURST).zip(self.ports.chunks_exact(BURST)).cycle();
        let start = processor_time();
        let mut sum = 0_u64;
        for (addresses, ports) in all.take(bursts as usize) {
            sum = sum.wrapping_add(burst(addresses, ports));
        }
        black_box(sum);
        (processor_time() - start).mul_f64(lookups as f64 / (bursts * BURST as u64) as f64)
    }
}

fn owner(table: &Table, found: Address, port: u16) -> Option<TargetId> {
    match found {
        Address::Sliced(plan) => table.port(plan, port),
        _ => None,
    }
}

/// One address and port after the other.
fn scalar<A: Copy>(table: &Table, addresses: &[A], ports: &[u16], address: impl Fn(A) -> IpAddr) -> u64 {
    let owners = addresses.iter().zip(ports).map(|(&key, &port)| owner(table, table.address(address(key)), port));
    owners.map(|owner| owner.map_or(0, |id| u64::from(id.0))).sum()
}

/// All addresses with prefetch, then all ports. The burst asks for port 0's slot, which is in one line with all others.
fn staged<A>(table: &Table, addresses: &[A], ports: &[u16], burst: impl Fn(&Table, &[A], &mut [Found])) -> u64 {
    let mut found = [Found::ABSENT; BURST];
    burst(table, addresses, &mut found);
    let owners = found.iter().zip(ports).map(|(&found, &port)| owner(table, found.address(), port));
    owners.map(|owner| owner.map_or(0, |id| u64::from(id.0))).sum()
}

fn table(family: Family, addresses: u32) -> Table {
    let start = Instant::now();
    let source = Source::from_reader(Pool::new(Shape::new(family, addresses))).unwrap();
    let read = start.elapsed();
    let start = Instant::now();
    let table = Table::compile(&source, &network::viewpoint()).unwrap();
    let compiled = start.elapsed();
    let each = table.size() as f64 / f64::from(addresses);
    eprintln!(
        "{family:?}, {addresses} addresses: read in {read:.2?}, compiled in {compiled:.2?}, {each:.1} bytes each"
    );
    table
}

fn lookups(criterion: &mut Criterion) {
    for size in SIZES {
        let (v4, keys) = (table(Family::V4, size), Keys::random(size, |index| Pool::v4(index).octets()));
        let mut group = criterion.benchmark_group("lookup/ipv4");
        group.bench_function(BenchmarkId::new("scalar", size), |bencher| {
            bencher.iter_custom(|lookups| keys.time(lookups, |a, p| scalar(&v4, a, p, |key| key.into())));
        });
        group.bench_function(BenchmarkId::new("staged", size), |bencher| {
            bencher.iter_custom(|lookups| {
                keys.time(lookups, |a, p| {
                    staged(&v4, a, p, |table, keys, found| table.address_burst(keys, |key| *key, |_| 0, found))
                })
            });
        });
    }
    for size in SIZES {
        let (v6, keys) = (table(Family::V6, size), Keys::random(size, |index| Pool::v6(index).octets()));
        let mut group = criterion.benchmark_group("lookup/ipv6");
        group.bench_function(BenchmarkId::new("scalar", size), |bencher| {
            bencher.iter_custom(|lookups| keys.time(lookups, |a, p| scalar(&v6, a, p, |key| key.into())));
        });
        group.bench_function(BenchmarkId::new("staged", size), |bencher| {
            bencher.iter_custom(|lookups| {
                keys.time(lookups, |a, p| {
                    staged(&v6, a, p, |table, keys, found| {
                        table.address_burst6(keys, |key| u128::from_be_bytes(*key), |_| 0, found);
                    })
                })
            });
        });
    }
}

criterion_group! {
    name = benches;
    config = Criterion::default().warm_up_time(Duration::from_secs(1)).measurement_time(Duration::from_secs(3));
    targets = lookups
}
criterion_main!(benches);
