// SPDX-License-Identifier: MIT OR Apache-2.0
//! A [`Snapshot`] in Prometheus' text format.

mod kernel;

use std::collections::HashMap;
use std::fmt;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, MetricEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Registry;

use super::snapshot::{DeviceSnapshot, QueueSnapshot, Snapshot, WorkerSnapshot};
use super::{health, steps};
use crate::control::report::{Health, timestamp};
use crate::counters::{Counters, DropReason, Traffic};
use crate::io::hardware::DeviceHealth;

/// Where the steps of burst times end, in nanoseconds: half a microsecond, then twice as much each time.
const RESIDENCY: [u64; 16] = [
    500, 1_000, 2_000, 4_000, 8_000, 16_000, 32_000, 64_000, 128_000, 256_000, 512_000, 1_024_000, 2_048_000,
    4_096_000, 8_192_000, 16_384_000,
];
/// Where the steps of frames a poll end.
const OCCUPANCY: [u64; 9] = [1, 2, 4, 8, 16, 32, 64, 128, 256];
/// Where the steps of reloads end, in microseconds: from 10 µs, which a swap takes, to 100 s.
const CHANGES: [u64; 8] = [10, 100, 1_000, 10_000, 100_000, 1_000_000, 10_000_000, 100_000_000];

/// The text of a whole snapshot.
pub(super) fn text(snapshot: Snapshot) -> Result<String, fmt::Error> {
    let mut registry = Registry::with_prefix("sluice");
    registry.register_collector(Box::new(snapshot));
    let mut text = String::new();
    prometheus_client::encoding::prometheus_text::encode(&mut text, &registry)?;
    Ok(text)
}

impl fmt::Debug for Snapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Snapshot").field("running", &self.running).finish_non_exhaustive()
    }
}

impl Collector for Snapshot {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut page = Page(encoder);
        page.packets(self)?;
        page.kernel(self)?;
        page.devices(self)?;
        page.destinations(self)?;
        page.workers(&self.workers)?;
        page.table(self)?;
        page.next_hops(self)?;
        page.health(&self.health)
    }
}

/// A label and its value.
type Label<'a> = (&'static str, &'a str);

struct Page<'a>(DescriptorEncoder<'a>);

impl Page<'_> {
    fn packets(&mut self, snapshot: &Snapshot) -> fmt::Result {
        type Number = (&'static str, &'static str, fn(&Counters) -> u64);
        let numbers: [Number; 8] = [
            ("rx_packets", "Frames received", |counters| counters.rx),
            ("rx_bytes", "Bytes received, Ethernet header included, FCS not", |counters| counters.rx_bytes),
            ("tx_packets", "Frames that a device took", |counters| counters.tx),
            ("tx_bytes", "Bytes that a device took", |counters| counters.tx_bytes),
            ("originated_packets", "Packets that the forwarder added", |counters| counters.originated),
            ("exception_packets", "Frames that the kernel path took", |counters| counters.exception),
            ("icmp_errors_suppressed", "ICMP errors that were due and not sent", |counters| {
                counters.icmp_errors_suppressed
            }),
            ("kernel_tx_packets", "Frames of the kernel that a device took", |counters| counters.kernel_tx),
        ];
        for (name, help, number) in numbers {
            self.counters(name, help, snapshot.workers.iter().enumerate(), |worker| number(&worker.counters))?;
        }
        let held = snapshot.total().held_net();
        self.gauge("held_packets", "Packets held at this moment", held as f64)?;
        let mut family = self.0.encode_descriptor("drops", "Packets dropped", None, MetricType::Counter)?;
        for (index, worker) in snapshot.workers.iter().enumerate() {
            let number = index.to_string();
            for reason in DropReason::ALL {
                let labels: [Label<'_>; 2] = [("worker", &number), ("reason", reason.name())];
                count(family.encode_family(&labels)?, worker.counters.dropped(reason))?;
            }
        }
        Ok(())
    }

    fn devices(&mut self, snapshot: &Snapshot) -> fmt::Result {
        type Number = (&'static str, &'static str, fn(&QueueSnapshot) -> u64);
        let numbers: [Number; 4] = [
            ("device_rx_packets", "Frames received by a queue of a device", |queue| queue.rx.packets),
            ("device_rx_bytes", "Bytes received by a queue of a device", |queue| queue.rx.bytes),
            ("device_tx_packets", "Frames that a queue of a device took", |queue| queue.tx.packets),
            ("device_tx_bytes", "Bytes that a queue of a device took", |queue| queue.tx.bytes),
        ];
        for (name, help, number) in numbers {
            let mut family = self.0.encode_descriptor(name, help, None, MetricType::Counter)?;
            for DeviceSnapshot { name, queues } in &snapshot.devices {
                for (index, queue) in queues.iter().enumerate() {
                    let labels: [Label<'_>; 2] = [("device", name), ("queue", &index.to_string())];
                    count(family.encode_family(&labels)?, number(queue))?;
                }
            }
        }
        self.hardware(snapshot)
    }

    /// What devices and pools say of themselves; no family without a sample.
    fn hardware(&mut self, snapshot: &Snapshot) -> fmt::Result {
        type Number = (&'static str, &'static str, fn(&DeviceHealth) -> u64);
        let numbers: [Number; 4] = [
            ("device_rx_missed_packets", "Frames that a device had no room for: seen by no worker", |device| {
                device.rx_missed
            }),
            ("device_rx_errors", "Frames that arrived damaged", |device| device.rx_errors),
            ("device_rx_no_buffer", "Failures to get a buffer for a frame", |device| device.rx_no_buffer),
            ("device_tx_errors", "Frames that a device took and failed to send", |device| device.tx_errors),
        ];
        let devices = || snapshot.devices.iter().zip(&snapshot.hardware.devices);
        if !snapshot.hardware.devices.is_empty() {
            for (name, help, number) in numbers {
                let mut family = self.0.encode_descriptor(name, help, None, MetricType::Counter)?;
                for (device, health) in devices() {
                    let label: [Label<'_>; 1] = [("device", &device.name)];
                    count(family.encode_family(&label)?, number(health))?;
                }
            }
            let help = "1 if the device has a link";
            let mut family = self.0.encode_descriptor("device_link_up", help, None, MetricType::Gauge)?;
            for (device, health) in devices() {
                let label: [Label<'_>; 1] = [("device", &device.name)];
                family.encode_family(&label)?.encode_gauge(&u32::from(health.link_up))?;
            }
        }
        let pools = &snapshot.hardware.pools;
        for (name, help, size) in [
            ("mbuf_pool_size", "Buffers of a pool", true),
            ("mbuf_pool_in_use", "Buffers of a pool that somebody has", false),
        ] {
            if !pools.is_empty() {
                let mut family = self.0.encode_descriptor(name, help, None, MetricType::Gauge)?;
                for pool in pools {
                    let label: [Label<'_>; 1] = [("pool", &pool.name)];
                    let buffers = if size { pool.size } else { pool.in_use };
                    family.encode_family(&label)?.encode_gauge(&(buffers as f64))?;
                }
            }
        }
        Ok(())
    }

    fn destinations(&mut self, snapshot: &Snapshot) -> fmt::Result {
        type Number = (&'static str, &'static str, fn(Traffic) -> u64);
        let numbers: [Number; 2] = [
            ("target_packets", "Frames sent towards a server or data centre", |traffic| traffic.packets),
            ("target_bytes", "Bytes sent towards a server or data centre, outer headers included", |traffic| {
                traffic.bytes
            }),
        ];
        for (name, help, number) in numbers {
            let mut family = self.0.encode_descriptor(name, help, None, MetricType::Counter)?;
            for one in snapshot.destinations.iter().filter(|one| one.own) {
                let labels: [Label<'_>; 2] = [("kind", one.kind.name()), ("target", &one.name)];
                count(family.encode_family(&labels)?, number(one.traffic))?;
            }
            count(family.encode_family(&[("kind", "other")])?, number(snapshot.others))?;
        }
        Ok(())
    }

    fn workers(&mut self, workers: &[WorkerSnapshot]) -> fmt::Result {
        let help = "Polls of a device that brought no frame";
        self.counters("empty_polls", help, workers.iter().enumerate(), |worker| worker.measured.readings.empty)?;
        let help = "Times that a worker did not poll for a second";
        self.counters("worker_stalls", help, workers.iter().enumerate(), |worker| worker.stalls)?;
        self.histograms(
            "burst_residency_seconds",
            "From receiving a burst until it was handed to the devices",
            workers.iter().enumerate().map(|(index, worker)| {
                let readings = &worker.measured.readings;
                let steps = steps(&readings.residency, RESIDENCY.into_iter());
                (("worker", index.to_string()), readings.busy as f64 / 1e9, scaled(&RESIDENCY, 1e9, steps))
            }),
        )?;
        self.histograms(
            "poll_frames",
            "Frames that a poll of a device brought, empty polls left out",
            workers.iter().enumerate().map(|(index, worker)| {
                let readings = &worker.measured.readings;
                let steps = steps(&readings.occupancy, OCCUPANCY.into_iter());
                (("worker", index.to_string()), readings.frames as f64, scaled(&OCCUPANCY, 1.0, steps))
            }),
        )?;
        type Number = (&'static str, &'static str, fn(&WorkerSnapshot) -> u64);
        let gauges: [Number; 3] = [
            ("worker_core", "The core that a worker is on", |worker| worker.core as u64),
            ("fragment_datagrams", "Datagrams of which a fragment is remembered", |worker| worker.fragment_datagrams),
            ("fragment_waiting_bytes", "Bytes of fragments that wait for their first", |worker| worker.fragment_bytes),
        ];
        for (name, help, number) in gauges {
            let mut family = self.0.encode_descriptor(name, help, None, MetricType::Gauge)?;
            for (index, worker) in workers.iter().enumerate() {
                let labels: [Label<'_>; 1] = [("worker", &index.to_string())];
                family.encode_family(&labels)?.encode_gauge(&(number(worker) as f64))?;
            }
        }
        Ok(())
    }

    fn table(&mut self, snapshot: &Snapshot) -> fmt::Result {
        let running = &snapshot.running;
        let numbers = [
            ("table_generation", "Generation of the running table", running.generation as f64),
            ("table_revision", "Patches applied since that generation was loaded", running.revision as f64),
            (
                "table_published_timestamp_seconds",
                "When the running generation was published",
                timestamp(running.since) as f64,
            ),
            ("table_prefixes", "Egress prefixes of the running table", running.prefixes as f64),
            ("table_targets", "Servers that packets may be sent to", running.targets as f64),
            ("table_memory_bytes", "Memory of the compiled table", snapshot.table_size as f64),
            ("uptime_seconds", "Since the daemon started", snapshot.uptime.as_secs_f64()),
        ];
        for (name, help, number) in numbers {
            self.gauge(name, help, number)?;
        }
        let times = &snapshot.times;
        for (name, help, outcomes) in [
            ("reloads", "Attempts to reload, dry runs left out", times.reloads),
            ("patches", "Attempts to patch, dry runs left out", times.patches),
        ] {
            let mut family = self.0.encode_descriptor(name, help, None, MetricType::Counter)?;
            for (result, number) in outcomes.each() {
                count(family.encode_family(&[("result", result)])?, number)?;
            }
        }
        self.histograms(
            "change_duration_seconds",
            "What reloads took to parse and build, and reloads and patches to swap",
            [("parse", &times.parse), ("build", &times.build), ("swap", &times.swap)].into_iter().map(
                |(phase, histogram)| {
                    let sum: f64 = histogram
                        .iter_recorded()
                        .map(|it| it.value_iterated_to() as f64 * it.count_at_value() as f64)
                        .sum();
                    let steps = steps(histogram, CHANGES.into_iter());
                    (("phase", phase.to_owned()), sum / 1e6, scaled(&CHANGES, 1e6, steps))
                },
            ),
        )?;
        self.gauge("last_reload_ok", "0 if the newest reload failed, else 1", f64::from(u8::from(times.last_ok)))?;
        let success = times.last_success.map_or(0, timestamp);
        self.gauge("last_reload_success_timestamp_seconds", "When a reload last ended well", success as f64)
    }

    /// All 0 where the configuration has the next hop.
    fn next_hops(&mut self, snapshot: &Snapshot) -> fmt::Result {
        let (hops, events) = (snapshot.next_hops.clone().unwrap_or_default(), snapshot.next_hop_events);
        let help = "Servers, data centres and forwarders of data centres without a next hop";
        let mut family = self.0.encode_descriptor("next_hops_unresolved", help, None, MetricType::Gauge)?;
        for (kind, number) in [
            ("server", hops.servers_unresolved),
            ("datacenter", hops.datacenters_unresolved),
            ("forwarder", hops.forwarders_unresolved),
        ] {
            family.encode_family(&[("kind", kind)])?.encode_gauge(&(number as f64))?;
        }
        for (name, help, number) in [
            ("next_hop_changes", "Next hops published apart from a table", events.published),
            ("next_hop_requests", "Neighbours that the kernel was asked to look for", events.requests),
            ("next_hop_notifications_lost", "Times that everything was read anew", events.lost),
        ] {
            count(self.0.encode_descriptor(name, help, None, MetricType::Counter)?, number)?;
        }
        self.gauge(
            "underlay_mtu_bytes",
            "Least that a way takes, 0 if there is none",
            f64::from(hops.least_mtu.unwrap_or_default()),
        )?;
        self.gauge("underlay_mtu_lowered", "Paths narrower than their devices", hops.paths_lowered as f64)?;
        let help = "Reports of routers that a path takes less";
        let mut family = self.0.encode_descriptor("underlay_mtu_reports", help, None, MetricType::Counter)?;
        for (result, number) in [("lowered", events.lowered), ("ignored", events.ignored)] {
            count(family.encode_family(&[("result", result)])?, number)?;
        }
        Ok(())
    }

    fn health(&mut self, health: &Health) -> fmt::Result {
        let ready = health.state == Health::READY;
        self.gauge("ready", "1 if nothing is wrong", f64::from(u8::from(ready)))?;
        self.gauge("in_service", "1 if it should attract traffic", f64::from(u8::from(health.in_service)))?;
        let help = "1 for each reason why the forwarder is not ready";
        let mut family = self.0.encode_descriptor("degraded", help, None, MetricType::Gauge)?;
        for code in health::CODES {
            let is_so = health.reasons.iter().any(|reason| reason.code == code);
            family.encode_family(&[("reason", code)])?.encode_gauge(&u32::from(is_so))?;
        }
        Ok(())
    }

    fn gauge(&mut self, name: &str, help: &str, value: f64) -> fmt::Result {
        self.0.encode_descriptor(name, help, None, MetricType::Gauge)?.encode_gauge(&value)
    }

    /// One number of each worker.
    fn counters<'b>(
        &mut self,
        name: &str,
        help: &str,
        workers: impl Iterator<Item = (usize, &'b WorkerSnapshot)>,
        number: impl Fn(&WorkerSnapshot) -> u64,
    ) -> fmt::Result {
        let mut family = self.0.encode_descriptor(name, help, None, MetricType::Counter)?;
        for (index, worker) in workers {
            let labels: [Label<'_>; 1] = [("worker", &index.to_string())];
            count(family.encode_family(&labels)?, number(worker))?;
        }
        Ok(())
    }

    /// Histograms that one label tells apart: the label, the sum, and what is in each step that ends at a bound.
    fn histograms(
        &mut self,
        name: &str,
        help: &str,
        histograms: impl Iterator<Item = ((&'static str, String), f64, Vec<(f64, u64)>)>,
    ) -> fmt::Result {
        let mut family = self.0.encode_descriptor(name, help, None, MetricType::Histogram)?;
        for ((label, value), sum, steps) in histograms {
            let count = steps.iter().map(|(_, count)| count).sum();
            let labels = [(label, value)];
            let mut encoder = family.encode_family(&labels)?;
            encoder.encode_histogram::<NoLabelSet>(sum, count, &steps, None::<&HashMap<_, _>>)?;
        }
        Ok(())
    }
}

fn count(mut encoder: MetricEncoder<'_>, value: u64) -> fmt::Result {
    encoder.encode_counter::<NoLabelSet, _, f64>(&value, None)
}

/// Steps with where they end, in units of which one has `unit` of the histogram's; the last has no end.
fn scaled(bounds: &[u64], unit: f64, steps: Vec<u64>) -> Vec<(f64, u64)> {
    bounds.iter().map(|bound| *bound as f64 / unit).chain([f64::INFINITY]).zip(steps).collect()
}
