// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the agent tells Prometheus.

use std::collections::BTreeMap;
use std::fmt;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, MetricEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Registry;

use crate::agent::Agent;
use crate::exec::{Filter, Tally};
use crate::guard::GuardCounters;
use crate::parts::Counters;
use crate::receive::{Figures, ReceiveCounters};
use crate::report::{Address, Role};
use crate::sockets::Slice;
use crate::status::seconds;

/// The page as it is now, in Prometheus' text format.
pub fn page(agent: &Agent) -> Result<String, fmt::Error> {
    let mut registry = Registry::with_prefix("sluice_agent");
    registry.register_collector(Box::new(Snapshot::take(agent)));
    let mut text = String::new();
    prometheus_client::encoding::prometheus_text::encode(&mut text, &registry)?;
    Ok(text)
}

/// All that the page tells, of one moment.
#[derive(Debug)]
struct Snapshot {
    generation: u64,
    since: f64,
    healthy: bool,
    reloads: u64,
    refusals: u64,
    draining: u64,
    addresses: Vec<Address>,
    slices: Vec<Slice>,
    counters: Counters,
}

impl Snapshot {
    fn take(agent: &Agent) -> Self {
        let healthy = agent.health().reasons.is_empty();
        let mut state = agent.look();
        let counters = state.counters();
        Self {
            generation: state.view.generation,
            since: seconds(state.since),
            healthy,
            reloads: state.reloads,
            refusals: state.refusals,
            draining: state.usage.draining(),
            addresses: state.addresses(),
            slices: state.usage.slices.clone(),
            counters,
        }
    }

    fn held(&self, role: Role) -> (usize, u64) {
        let of_role = self.addresses.iter().filter(|address| address.role == role);
        (of_role.clone().count(), of_role.map(|address| address.sockets).sum())
    }
}

impl Collector for Snapshot {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut page = Page(encoder);
        page.gauge("table_generation", "Generation of the table, 0 if it gives none", self.generation as f64)?;
        page.gauge("table_timestamp_seconds", "When the table was taken", self.since)?;
        page.gauge("healthy", "Whether all is well", f64::from(u8::from(self.healthy)))?;
        page.counter("reloads", "Tables taken since the start", self.reloads)?;
        page.counter("refused_tables", "Tables refused since the start", self.refusals)?;
        page.prefixes(self)?;
        let help = "Sockets on ports that this server does not own: what has yet to drain";
        page.gauge("draining_sockets", help, self.draining as f64)?;
        page.slices(&self.slices)?;
        if let Some(receive) = &self.counters.receive {
            page.receive(receive)?;
        }
        if let Some(guard) = &self.counters.guard {
            page.guard(guard)?;
        }
        page.exec(&self.counters.exec)
    }
}

type Label<'a> = (&'static str, &'a str);

struct Page<'a>(DescriptorEncoder<'a>);

impl Page<'_> {
    fn prefixes(&mut self, snapshot: &Snapshot) -> fmt::Result {
        let roles = [("owned", Role::Owned), ("draining", Role::Draining), ("lingering", Role::Lingering)];
        let held = roles.map(|(name, role)| (name, snapshot.held(role)));
        let help = "Prefixes whose addresses are held, by why";
        let mut family = self.0.encode_descriptor("held_prefixes", help, None, MetricType::Gauge)?;
        for (name, (prefixes, _)) in held {
            gauge(family.encode_family(&[("role", name)])?, prefixes as f64)?;
        }
        let help = "Sockets that programs have with held addresses, by why these are held";
        let mut family = self.0.encode_descriptor("held_sockets", help, None, MetricType::Gauge)?;
        for (name, (_, sockets)) in held {
            gauge(family.encode_family(&[("role", name)])?, sockets as f64)?;
        }
        Ok(())
    }

    fn slices(&mut self, slices: &[Slice]) -> fmt::Result {
        type Number = (&'static str, &'static str, fn(&Slice) -> f64);
        let numbers: [Number; 8] = [
            ("slice_ports", "Ports of a slice, on each address", |slice| f64::from(slice.count)),
            ("slice_connections", "TCP connections on a slice", |slice| slice.connections as f64),
            ("slice_listening_sockets", "TCP sockets of a slice that wait", |slice| slice.listening as f64),
            ("slice_time_wait", "TCP connections on a slice that are over", |slice| slice.time_wait as f64),
            ("slice_udp_sockets", "UDP sockets on a slice", |slice| slice.udp as f64),
            ("slice_tcp_ports_in_use", "Ports of a slice with TCP, on the address that has most", |slice| {
                f64::from(slice.tcp_ports)
            }),
            ("slice_udp_ports_in_use", "Ports of a slice with UDP, on the address that has most", |slice| {
                f64::from(slice.udp_ports)
            }),
            ("slice_nearly_exhausted", "Whether 90 of 100 ports of a slice are in use", |slice| {
                f64::from(u8::from(slice.nearly_exhausted))
            }),
        ];
        for (name, help, number) in numbers {
            let mut family = self.0.encode_descriptor(name, help, None, MetricType::Gauge)?;
            for slice in slices {
                let own = if slice.own { "true" } else { "false" };
                let labels: [Label<'_>; 3] = [("prefix", &slice.prefix), ("ports", &slice.ports), ("own", own)];
                gauge(family.encode_family(&labels)?, number(slice))?;
            }
        }
        Ok(())
    }

    fn receive(&mut self, counters: &ReceiveCounters) -> fmt::Result {
        let Figures { packets, bytes } = counters.received();
        self.counter("receive_packets", "GUE packets that came", packets)?;
        self.counter("receive_bytes", "Bytes of GUE packets that came, Ethernet header included, FCS not", bytes)?;
        let kept: Vec<_> = counters.kept().collect();
        self.fates("receive_kept_packets", "GUE packets that went up to the stack", "by", "kept_", &kept)?;
        let passed: Vec<_> = counters.passed_on().collect();
        self.fates("receive_passed_on_packets", "GUE packets sent on to another server", "to", "passed_on_", &passed)?;
        let drops: Vec<_> = counters.drops().collect();
        self.fates("receive_drops", "GUE packets dropped", "reason", "", &drops)
    }

    /// One number for each name, which begins with `prefix`.
    fn fates(
        &mut self,
        name: &str,
        help: &str,
        label: &'static str,
        prefix: &str,
        fates: &[(&str, Figures)],
    ) -> fmt::Result {
        let mut family = self.0.encode_descriptor(name, help, None, MetricType::Counter)?;
        for (fate, figures) in fates {
            let labels: [Label<'_>; 1] = [(label, fate.strip_prefix(prefix).unwrap_or(fate))];
            count(family.encode_family(&labels)?, figures.packets)?;
        }
        Ok(())
    }

    fn guard(&mut self, counters: &GuardCounters) -> fmt::Result {
        let help = "Packets that left from egress space, by whose port that is";
        let mut family = self.0.encode_descriptor("guard_passed_packets", help, None, MetricType::Counter)?;
        for (whose, packets) in [("own", counters.own), ("draining", counters.draining)] {
            let labels: [Label<'_>; 1] = [("port", whose)];
            count(family.encode_family(&labels)?, packets)?;
        }
        let help = "Packets from egress space that this server does not own: dropped, unless guard.action is count";
        let mut family = self.0.encode_descriptor("guard_caught_packets", help, None, MetricType::Counter)?;
        for (verdict, packets) in counters.caught() {
            let labels: [Label<'_>; 1] = [("reason", verdict.name())];
            count(family.encode_family(&labels)?, packets)?;
        }
        self.counter("guard_untold_packets", "Of those stopped, how many no event tells of", counters.untold)
    }

    fn exec(&mut self, tallies: &BTreeMap<Filter, Tally>) -> fmt::Result {
        type Number = (&'static str, &'static str, fn(&Tally) -> u64);
        let numbers: [Number; 5] = [
            ("exec_connects4", "IPv4 connects under exec that got an address and a port", |tally| tally.connects4),
            ("exec_connects6", "IPv6 connects under exec that got an address and a port", |tally| tally.connects6),
            ("exec_binds", "Binds under exec to what is owned", |tally| tally.binds),
            ("exec_exhausted", "Connects and binds under exec that found every port in use", |tally| tally.exhausted),
            ("exec_refused", "Attempts under exec to send from what is not owned", |tally| tally.refused),
        ];
        for (name, help, number) in numbers {
            let mut family = self.0.encode_descriptor(name, help, None, MetricType::Counter)?;
            for (filter, tally) in tallies {
                let labels: [Label<'_>; 1] = [("filter", &filter.to_string())];
                count(family.encode_family(&labels)?, number(tally))?;
            }
        }
        Ok(())
    }

    fn gauge(&mut self, name: &str, help: &str, value: f64) -> fmt::Result {
        self.0.encode_descriptor(name, help, None, MetricType::Gauge)?.encode_gauge(&value)
    }

    fn counter(&mut self, name: &str, help: &str, value: u64) -> fmt::Result {
        count(self.0.encode_descriptor(name, help, None, MetricType::Counter)?, value)
    }
}

fn count(mut encoder: MetricEncoder<'_>, value: u64) -> fmt::Result {
    encoder.encode_counter::<NoLabelSet, _, f64>(&value, None)
}

fn gauge(mut encoder: MetricEncoder<'_>, value: f64) -> fmt::Result {
    encoder.encode_gauge(&value)
}
