// SPDX-License-Identifier: MIT OR Apache-2.0
//! What happened between two looks.

use std::collections::BTreeMap;

use forwarder::control::report::{TargetTop, Top, WorkerTop};

/// The newest look, and what changed since the one before it; since the start of the daemon if there is none.
pub(super) struct Rates {
    pub(super) top: Top,
    /// Seconds between the looks.
    pub(super) seconds: f64,
    /// Whether there was one before.
    pub(super) is_live: bool,
    pub(super) rx: Rate,
    pub(super) tx: Rate,
    pub(super) exception: f64,
    pub(super) kernel_tx: f64,
    pub(super) kernel_drops: f64,
    pub(super) dropped: f64,
    pub(super) latency: Option<Latency>,
    pub(super) workers: Vec<WorkerRate>,
    pub(super) devices: Vec<DeviceRate>,
    /// By traffic, the most first.
    pub(super) targets: Vec<(String, Rate)>,
    /// Drops a second and in all, by reason, the most first.
    pub(super) drops: Vec<(String, f64, u64)>,
}

/// A second's.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(super) struct Rate {
    pub(super) packets: f64,
    pub(super) bits: f64,
}

/// How long bursts stayed, in nanoseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Latency {
    pub(super) p50: u64,
    pub(super) p99: u64,
    pub(super) p999: u64,
    pub(super) max: u64,
}

pub(super) struct WorkerRate {
    pub(super) worker: usize,
    pub(super) core: usize,
    /// The share of time that went into bursts, 0 to 1; none if it does not answer.
    pub(super) busy: Option<f64>,
    pub(super) rx: f64,
    /// Frames a poll that brought some.
    pub(super) fill: f64,
    /// The share of polls that brought some, 0 to 1.
    pub(super) hit: f64,
}

pub(super) struct DeviceRate {
    pub(super) name: String,
    pub(super) link: Option<bool>,
    pub(super) rx: Rate,
    pub(super) tx: Rate,
    /// Frames lost before any worker saw them.
    pub(super) missed: f64,
}

impl Rates {
    /// The first look.
    pub(super) fn new(top: Top) -> Self {
        Self::between(None, top)
    }

    /// The next look. A daemon that was started anew has no look before.
    pub(super) fn next(&self, top: Top) -> Self {
        Self::between(Some(&self.top).filter(|before| before.uptime_ms < top.uptime_ms), top)
    }

    fn between(before: Option<&Top>, top: Top) -> Self {
        let seconds = (top.uptime_ms - before.map_or(0, |before| before.uptime_ms)).max(1) as f64 / 1000.0;
        let per_second = |now: u64, then: Option<u64>| now.saturating_sub(then.unwrap_or(0)) as f64 / seconds;
        let of = |number: fn(&Top) -> u64| per_second(number(&top), before.map(number));
        let rate =
            |packets: fn(&Top) -> u64, bytes: fn(&Top) -> u64| Rate { packets: of(packets), bits: of(bytes) * 8.0 };
        Self {
            rx: rate(|top| top.counters.rx, |top| top.counters.rx_bytes),
            tx: rate(|top| top.counters.tx, |top| top.counters.tx_bytes),
            exception: of(|top| top.counters.exception),
            kernel_tx: of(|top| top.counters.kernel_tx),
            kernel_drops: of(|top| top.counters.kernel_drops),
            dropped: of(|top| top.counters.drops.values().sum()),
            latency: latency(before, &top),
            workers: workers(before, &top, seconds),
            devices: devices(before, &top, seconds),
            targets: targets(before, &top, seconds),
            drops: drops(before, &top, seconds),
            seconds,
            is_live: before.is_some(),
            top,
        }
    }
}

/// What came since, of all workers together.
fn latency(before: Option<&Top>, now: &Top) -> Option<Latency> {
    let sum = |top: &Top| {
        let mut counts = BTreeMap::<u64, u64>::new();
        for (nanos, count) in top.workers.iter().flat_map(|worker| &worker.residency_ns) {
            *counts.entry(*nanos).or_default() += count;
        }
        counts
    };
    let then = before.map(sum).unwrap_or_default();
    let since = |(nanos, count): (u64, u64)| (nanos, count.saturating_sub(then.get(&nanos).copied().unwrap_or(0)));
    let counts: Vec<_> = sum(now).into_iter().map(since).filter(|(_, count)| *count > 0).collect();
    let total: u64 = counts.iter().map(|(_, count)| count).sum();
    let at = |share: f64| {
        let wanted = (total as f64 * share).ceil() as u64;
        let mut seen = 0;
        counts.iter().find_map(|(nanos, count)| {
            seen += count;
            (seen >= wanted).then_some(*nanos)
        })
    };
    Some(Latency { p50: at(0.5)?, p99: at(0.99)?, p999: at(0.999)?, max: counts.last()?.0 })
}

fn workers(before: Option<&Top>, now: &Top, seconds: f64) -> Vec<WorkerRate> {
    let worker = |(index, now): (usize, &WorkerTop)| {
        let then = before.and_then(|top| top.workers.get(index));
        let since = |number: fn(&WorkerTop) -> u64| number(now).saturating_sub(then.map_or(0, number)) as f64;
        let (polls, empty, rx) = (since(|w| w.polls), since(|w| w.empty_polls), since(|w| w.rx));
        WorkerRate {
            worker: now.worker,
            core: now.core,
            busy: (!now.stalled).then(|| (since(|w| w.busy_ns) / 1e9 / seconds).min(1.0)),
            rx: rx / seconds,
            fill: rx / polls.max(1.0),
            hit: polls / (polls + empty).max(1.0),
        }
    };
    now.workers.iter().enumerate().map(worker).collect()
}

fn devices(before: Option<&Top>, now: &Top, seconds: f64) -> Vec<DeviceRate> {
    let devices = now.devices.iter().enumerate();
    devices
        .map(|(index, now)| {
            let then = before.and_then(|top| top.devices.get(index));
            let sum = |number: fn(&forwarder::control::report::QueueTop) -> u64| {
                let sum =
                    |device: &forwarder::control::report::DeviceTop| device.queues.iter().map(number).sum::<u64>();
                sum(now).saturating_sub(then.map_or(0, sum)) as f64 / seconds
            };
            let missed = |device: &forwarder::control::report::DeviceTop| {
                device.health.map_or(0, |health| health.rx_missed + health.rx_no_buffer)
            };
            DeviceRate {
                name: now.name.clone(),
                link: now.health.map(|health| health.link_up),
                rx: Rate { packets: sum(|queue| queue.rx_packets), bits: sum(|queue| queue.rx_bytes) * 8.0 },
                tx: Rate { packets: sum(|queue| queue.tx_packets), bits: sum(|queue| queue.tx_bytes) * 8.0 },
                missed: missed(now).saturating_sub(then.map_or(0, missed)) as f64 / seconds,
            }
        })
        .collect()
}

fn targets(before: Option<&Top>, now: &Top, seconds: f64) -> Vec<(String, Rate)> {
    let then: BTreeMap<_, _> = before
        .map(|top| top.targets.iter().map(|target| ((target.kind.as_str(), target.name.as_str()), target)).collect())
        .unwrap_or_default();
    let rate = |now: &TargetTop| {
        let then = then.get(&(now.kind.as_str(), now.name.as_str()));
        let packets = now.packets.saturating_sub(then.map_or(0, |then| then.packets)) as f64 / seconds;
        let bytes = now.bytes.saturating_sub(then.map_or(0, |then| then.bytes)) as f64 / seconds;
        let name = if now.kind == "server" { now.name.clone() } else { format!("→ {}", now.name) };
        (name, Rate { packets, bits: bytes * 8.0 })
    };
    let mut targets: Vec<_> = now.targets.iter().map(rate).filter(|(_, rate)| rate.packets > 0.0).collect();
    targets.sort_by(|(a, one), (b, other)| other.bits.total_cmp(&one.bits).then_with(|| a.cmp(b)));
    targets
}

fn drops(before: Option<&Top>, now: &Top, seconds: f64) -> Vec<(String, f64, u64)> {
    let then = |reason: &String| before.and_then(|top| top.counters.drops.get(reason)).copied().unwrap_or(0);
    let drop = |(reason, &count): (&String, &u64)| {
        (reason.clone(), count.saturating_sub(then(reason)) as f64 / seconds, count)
    };
    let mut drops: Vec<_> = now.counters.drops.iter().map(drop).filter(|(.., count)| *count > 0).collect();
    drops.sort_by(|(_, one, a), (_, other, b)| other.total_cmp(one).then(b.cmp(a)));
    drops
}

#[cfg(test)]
pub(super) mod tests {
    use forwarder::control::report::{Conservation, DeviceTop, Health, QueueTop, ReloadStatus};
    use forwarder::counters::{Counters, CountersReport, DropReason};
    use forwarder::io::hardware::DeviceHealth;

    use super::*;

    /// A daemon that has run for so many seconds, in each of which 1,000 frames of 100 bytes came: 900 to `a`, 90 to `CDG`
    /// and 10 to nobody.
    pub(in crate::top) fn top(seconds: u64) -> Top {
        let mut counters = Counters::default();
        (counters.rx, counters.rx_bytes) = (1_000 * seconds, 100_000 * seconds);
        (counters.tx, counters.tx_bytes) = (990 * seconds, 150_000 * seconds);
        (counters.kernel_tx, counters.kernel_drops) = (20 * seconds, 3 * seconds);
        counters.drop(DropReason::UnallocatedPort, 10 * seconds);
        let queue = QueueTop {
            rx_packets: counters.rx,
            rx_bytes: counters.rx_bytes,
            tx_packets: counters.tx,
            tx_bytes: counters.tx_bytes,
        };
        let target = |kind: &str, name: &str, packets| TargetTop {
            kind: kind.to_owned(),
            name: name.to_owned(),
            packets,
            bytes: 100 * packets,
        };
        Top {
            uptime_ms: 1_000 * seconds,
            generation: 42,
            revision: 3,
            health: Health { state: Health::READY.to_owned(), in_service: true, reasons: Vec::new() },
            counters: CountersReport::from(&counters),
            conservation: Conservation { imbalance: 0, ok: true },
            workers: vec![WorkerTop {
                worker: 0,
                core: 5,
                stalled: false,
                rx: counters.rx,
                busy_ns: 250_000_000 * seconds,
                polls: 100 * seconds,
                empty_polls: 300 * seconds,
                residency_ns: vec![(1_000, 90 * seconds), (8_000, 10 * seconds)],
                fragment_datagrams: 0,
            }],
            devices: vec![DeviceTop {
                name: "wan0".to_owned(),
                health: Some(DeviceHealth { link_up: true, rx_missed: 7 * seconds, ..DeviceHealth::default() }),
                queues: vec![queue],
            }],
            pools: Vec::new(),
            targets: vec![target("datacenter", "CDG", 90 * seconds), target("server", "a", 900 * seconds)],
            reloads: vec![ReloadStatus {
                at: 1_700_000_000,
                by: "uid 0".to_owned(),
                from: "/etc/sluice/table.json".to_owned(),
                generation: 42,
                ok: true,
                error: None,
            }],
        }
    }

    #[test]
    fn rates_are_what_happened_between() {
        // What happened before counts only until there is a second look.
        let mut first = top(10);
        first.workers[0].residency_ns.push((90_000, 1));
        let mut second = top(12);
        second.workers[0].residency_ns.push((90_000, 1));
        let rates = Rates::new(first);
        assert!(!rates.is_live && rates.latency.is_some_and(|latency| latency.max == 90_000));
        let rates = rates.next(second);
        assert!(rates.is_live);
        assert_eq!(rates.rx, Rate { packets: 1_000.0, bits: 800_000.0 });
        assert_eq!((rates.tx.packets, rates.dropped, rates.exception), (990.0, 10.0, 0.0));
        assert_eq!((rates.kernel_tx, rates.kernel_drops), (20.0, 3.0));
        assert_eq!(rates.latency, Some(Latency { p50: 1_000, p99: 8_000, p999: 8_000, max: 8_000 }));
        let worker = &rates.workers[0];
        assert_eq!((worker.busy, worker.rx, worker.fill, worker.hit), (Some(0.25), 1_000.0, 10.0, 0.25));
        let names: Vec<_> = rates.targets.iter().map(|(name, rate)| (name.as_str(), rate.packets)).collect();
        assert_eq!(names, [("a", 900.0), ("→ CDG", 90.0)]);
        assert_eq!(rates.drops, [("unallocated_port".to_owned(), 10.0, 120)]);
        assert_eq!((rates.devices[0].missed, rates.devices[0].link), (7.0, Some(true)));
    }

    #[test]
    fn a_daemon_that_started_anew_begins_anew() {
        let rates = Rates::new(top(100)).next(top(2));
        assert!(!rates.is_live);
        assert_eq!(rates.rx.packets, 1_000.0);
    }
}
